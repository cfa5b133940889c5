// Objects that every cluster has, whoever makes them in a real one: the namespaces, the Service
// `kubernetes`, and in each namespace a ServiceAccount `default` and the ConfigMap kube-root-ca.crt.
#pragma once

#include <string>

#include "apiserver/registry.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {

struct ClusterObjectsOptions {
  bool service_accounts = false;  // `default` in each namespace
  std::string root_ca;            // PEM of kube-root-ca.crt; empty: none
  bool kubernetes_service = false;
};

class ClusterObjects final : public Registry::Follower {
 public:
  ClusterObjects(Loop& loop, ResourceTable& table, Store& store, Registry& registry, ClusterObjectsOptions options);
  // Makes what is missing; the namespaces at once, what is in them by and by.
  void start();
  void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) override;

 private:
  Task<void> run();
  void furnish(const std::string& ns);
  void publish_root_ca(const std::string& ns);
  void create(const char* group, const char* resource, const std::string& ns, const std::string& json);

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  Registry& registry_;
  ClusterObjectsOptions options_;
  std::set<std::string> queue_;  // namespaces that may lack something
  WaitQueue wake_;
  TaskScope scope_;
};

}  // namespace gs::apiserver
