// Records a delegate's events as Kubernetes Events about the primary, with client-go's rules
// (k8s.io/client-go/tools/record/events_cache.go): similar events are counted up in one Event; more than
// kSimilar of one kind within kSimilarWindow become one that says "combined from similar events"; each
// source and object may record kBurst at once and one more every kRefill.
//
// Core v1 Events, as client-go's recorder writes them: every cluster and `kubectl describe` has them.
// They are written with the plane's own credential, one after the other, off the reconcile's path: what does
// not fit the bounded queue is dropped and counted. One per pair, on its loop.
#pragma once

#include <list>
#include <map>
#include <set>
#include <string>

#include "cache/resource.h"
#include "delegate/attempt.h"
#include "kube/transport.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs::control {

struct EventRecorderStats {
  uint64_t written = 0;
  uint64_t dropped = 0;  // over the rate, or the queue was full
  uint64_t failed = 0;   // the cluster did not take it
};

class EventRecorder {
 public:
  static constexpr size_t kCache = 4096;
  static constexpr size_t kSimilar = 10;
  static constexpr Duration kSimilarWindow = std::chrono::seconds(600);
  static constexpr double kBurst = 25;
  static constexpr Duration kRefill = std::chrono::seconds(300);
  static constexpr size_t kQueue = 1000;  // client-go's broadcaster
  static constexpr int kTries = 12;       // client-go's maxTriesPerEvent, every 10 s
  static constexpr Duration kRetry = std::chrono::seconds(10);
  static constexpr Duration kTimeout = std::chrono::seconds(30);

  // `component` goes into source.component: who reports it.
  EventRecorder(Loop& loop, kube::KubeTransport& transport, std::string component)
      : loop_(loop), transport_(transport), component_(std::move(component)), scope_(loop) {}

  // About `object`, the primary in its last known state.
  void record(const kube::Object& object, const delegate::RecordedEvent& event);
  const EventRecorderStats& stats() const { return stats_; }
  size_t waiting() const { return queue_.size(); }

 private:
  // Of one source and object: the token bucket of its spam filter.
  struct Bucket {
    double tokens = kBurst;
    MonoTime at{};
  };
  // Of events that differ in their message only.
  struct Similar {
    std::set<std::string> messages;  // of this window, at most kSimilar
    MonoTime last{};
  };
  // What was written of one Event, so that the next like it counts up.
  struct Written {
    std::string name;
    int64_t count = 0;
  };
  struct Pending {
    std::string key;        // what makes it the same Event
    std::string ns;         // where it is written
    std::string about;      // involvedObject, raw JSON
    std::string object;     // the object's name
    std::string type, reason, message;
    WallTime at{};
  };
  // The least recently used goes where there is no room.
  template <class Value>
  class Lru {
   public:
    Value& operator[](const std::string& key) {
      const auto found = index_.find(key);
      if (found != index_.end()) {
        items_.splice(items_.begin(), items_, found->second);
        return found->second->second;
      }
      if (items_.size() >= kCache) {
        index_.erase(items_.back().first);
        items_.pop_back();
      }
      items_.emplace_front(key, Value());
      index_[key] = items_.begin();
      return items_.front().second;
    }
    size_t size() const { return items_.size(); }

   private:
    std::list<std::pair<std::string, Value>> items_;
    std::map<std::string, typename std::list<std::pair<std::string, Value>>::iterator> index_;
  };

  bool allowed(const std::string& object_key);
  bool combines(const std::string& similar_key, const std::string& message);
  Task<void> write_all();
  // False: the cluster could not be reached, try again.
  Task<bool> write(Pending event);
  std::string name_for(const std::string& object);
  std::string create_body(const Pending& event, const std::string& name) const;

  Loop& loop_;
  kube::KubeTransport& transport_;
  std::string component_;
  EventRecorderStats stats_;
  Lru<Bucket> buckets_;
  Lru<Similar> similar_;
  Lru<Written> written_;
  std::list<Pending> queue_;
  uint64_t names_ = 0;
  bool writing_ = false;
  TaskScope scope_;
};

}  // namespace gs::control
