// Garbage collection by owner reference, which kube-controller-manager does in a real cluster
// (k8s.io/kubernetes pkg/controller/garbagecollector): background, foreground and orphaning. Driven by
// changes: it knows who depends on whom, and looks at nothing that did not change.
#pragma once

#include <map>
#include <set>
#include <string>

#include "apiserver/registry.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {

class GarbageCollector final : public Registry::Follower {
 public:
  GarbageCollector(Loop& loop, ResourceTable& table, Store& store, Registry& registry);
  // From now on, until destroyed: each change is acted on so long after it, jittered. Takes up what the
  // store holds.
  void start(Duration delay);
  void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) override;

 private:
  struct Id {
    std::string group;
    std::string resource;
    std::string ns;
    std::string name;
    auto operator<=>(const Id&) const = default;
  };
  struct Owner {
    std::string api_version;
    std::string kind;
    std::string name;
    std::string uid;
    bool blocks = false;
  };
  enum class Fate { kSolid, kDangling, kWaiting, kUnknown };  // of an owner

  Task<void> run();
  void enqueue(Id id);
  void process(const Id& id);
  void orphan_dependents(const ResourceType& type, const StoredPtr& object);
  void finish_foreground(const ResourceType& type, const StoredPtr& object, const json::Value& value);
  void check_owners(const ResourceType& type, const StoredPtr& object, const json::Value& value);
  Fate fate(const ResourceType& dependent, std::string_view ns, const Owner& owner) const;
  // The type an owner reference names; null where it is not served.
  ResourceTypePtr type_of(const Owner& owner) const;
  void drop_owners(const ResourceType& type, const StoredPtr& object, const std::set<std::string>& uids);
  static std::vector<Owner> owners_of(const StoredPtr& object);
  static std::vector<Owner> owners_of(const json::Value& value);

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  Registry& registry_;
  bool started_ = false;
  Duration delay_{0};
  std::map<std::string, std::set<Id>, std::less<>> dependents_;  // by the owner's uid
  std::set<Id> queue_;
  WaitQueue wake_;
  TaskScope scope_;
};

}  // namespace gs::apiserver
