// Events live for an hour (kube-apiserver's --event-ttl), counted from their last write.
#pragma once

#include <deque>
#include <string>

#include "apiserver/registry.h"
#include "runtime/task_scope.h"

namespace gs::apiserver {

class EventExpiry final : public Registry::Follower {
 public:
  EventExpiry(Loop& loop, ResourceTable& table, Store& store, Registry& registry, Duration ttl);
  // Counts what the store holds from its creation.
  void start();
  void changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) override;

 private:
  struct Entry {
    MonoTime at;
    std::string group;
    std::string ns;
    std::string name;
    uint64_t version;
  };
  Task<void> run();

  Loop& loop_;
  ResourceTable& table_;
  Store& store_;
  Registry& registry_;
  Duration ttl_;
  std::deque<Entry> entries_;  // the first ends first
  WaitQueue wake_;
  TaskScope scope_;
};

}  // namespace gs::apiserver
