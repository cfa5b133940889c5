// Namespace lifecycle, which kube-controller-manager does in a real cluster (k8s.io/kubernetes
// pkg/controller/namespace): everything in a namespace that is deleted is deleted in steps, its status
// says what is left, and with the last of it goes the finalizer `kubernetes`.
#pragma once

#include <set>
#include <string>

#include "apiserver/registry.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {

class NamespaceController final : public Registry::Follower {
 public:
  NamespaceController(Loop& loop, ResourceTable& table, Store& store, Registry& registry);
  // Takes up what was begun before the server stopped.
  void start();
  void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) override;

 private:
  // What is left of a kind of object.
  struct Remains {
    std::string resource;
    size_t count = 0;
    std::map<std::string, size_t> finalizers;
  };

  Task<void> run();
  // One step; true: there is more to delete at once.
  bool step(const std::string& ns);
  std::vector<Remains> remains(const std::string& ns) const;
  void report(const ResourceType& namespaces, const StoredPtr& object, const std::vector<Remains>& remains);
  void finalize(const ResourceType& namespaces, const std::string& ns);

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  Registry& registry_;
  std::set<std::string, std::less<>> terminating_;
  std::set<std::string> queue_;
  WaitQueue wake_;
  TaskScope scope_;
};

}  // namespace gs::apiserver
