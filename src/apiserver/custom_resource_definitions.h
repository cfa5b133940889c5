// Brings custom resource definitions to life, as the controllers of k8s.io/apiextensions-apiserver do, a moment after the write:
// accepts their names, serves their resources, says so in conditions, and removes all instances of one that is deleted.
// Lives on the store's loop.
#pragma once

#include <map>
#include <set>
#include <string>

#include "apiserver/registry.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {

class CustomResourceDefinitions {
 public:
  CustomResourceDefinitions(Loop& loop, ResourceTable& table, Store& store, Registry& registry);
  // Follows the store until destroyed. What is there already (a restart) is served before this returns.
  void start();
  // All that there is to do now; start() does it at each change.
  void sync();

 private:
  // What is known of a definition as it was at a version; one that is settled is looked at again when it changed.
  struct Known {
    uint64_t version = 0;
    bool settled = false;
    std::string group;
    std::set<std::string> resources;  // names that it has claimed: plural, singular, short
    std::set<std::string> kinds;
  };
  struct Served {
    uint64_t generation = 0;
    std::string uid;
    ResourceTable::Key key;
  };

  Task<void> run();
  void look(const ResourceType& crds, const StoredPtr& stored);
  void act(const ResourceType& crds, const std::string& name);
  void accept_names(const ResourceType& crds, const StoredPtr& stored);
  void establish(const ResourceType& crds, const StoredPtr& stored);
  void serve(const json::Value& crd);
  void terminate(const ResourceType& crds, const StoredPtr& stored);
  void stop_serving(const std::string& name);
  std::string now() const;

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  Registry& registry_;
  std::map<std::string, Known> known_;    // by the name of the CRD
  std::map<std::string, Served> served_;  // the same
  size_t terminating_ = 0;               // definitions that wait for their instances to go
  TaskScope scope_;
};

}  // namespace gs::apiserver
