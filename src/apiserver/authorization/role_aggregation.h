// ClusterRoles with an aggregationRule are given the rules of those that it selects: in a real cluster the work of
// kube-controller-manager's clusterrole-aggregation-controller. Acts by and by, after writes.
#pragma once

#include "apiserver/registry.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {

class RoleAggregation final : public Registry::Follower {
 public:
  RoleAggregation(Loop& loop, ResourceTable& table, Store& store, Registry& registry);
  // Brings all up to date at once, and then follows.
  void start();
  void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) override;

 private:
  Task<void> run();
  // Until nothing changes: one that aggregates may itself be selected.
  void aggregate();
  bool aggregate_once(const ResourceType& type);

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  Registry& registry_;
  bool dirty_ = false;
  WaitQueue wake_;
  TaskScope scope_;
};

}  // namespace gs::apiserver
