// One reconcile, as the session and its users see it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "cache/resource.h"
#include "kube/object.h"
#include "queue/result.h"
#include "runtime/task.h"

namespace gulfstream::delegate::v1 {
class Call;
}

namespace gs::delegate {

namespace pb = gulfstream::delegate::v1;

// What Open tells of a pair.
struct PairDescription {
  std::string controller;
  std::string webhook;  // one of the two is empty
  int64_t generation = 0;
  std::string tenant;
  std::string cluster;
  std::string cluster_uid;
  std::string observed_id;
  std::string kubernetes_version;
  cache::GroupVersionResource primary;
};

// The objects of spec.configs; replaced as a whole, with a higher revision.
struct ConfigObject {
  std::string api_version;
  std::string kind;
  std::string ns;
  std::string name;
  kube::ObjectRef object;  // null: absent
};
struct ConfigSet {
  uint64_t revision = 0;  // 0: the Controller has none
  std::vector<ConfigObject> objects;
};

// Lives as long as the pair; sessions read it when they open the pair or send a Reconcile.
struct PairView {
  PairId id;
  PairDescription description;
  ConfigSet configs;
};

enum class PrimaryState { kPresent, kUnmatched, kGone };

struct Prefetched {
  cache::GroupVersionResource resource;
  std::string ns;
  std::string name;
  kube::ObjectRef object;  // null: absent
};

struct Attempt {
  std::string ns;
  std::string name;
  uint32_t number = 1;
  Duration time_limit = std::chrono::minutes(2);
  queue::Priority reason = queue::Priority::kEvent;
  PrimaryState state = PrimaryState::kPresent;
  kube::ObjectRef primary;  // null only where it is gone and was never seen
  std::vector<Prefetched> prefetched;
};

struct RecordedEvent {
  std::string type;
  std::string reason;
  std::string message;
};

// A read that the delegate made from a copy of its own.
struct OwnRead {
  cache::GroupVersionResource resource;
  std::string ns;
  std::string name;            // empty: a list
  std::string label_selector;  // of a list
};

struct AttemptResult {
  std::string revision;  // of the logic that answered
  queue::Outcome outcome = queue::Outcome::kUnavailable;
  Duration after{0};
  std::string reason;
  std::string message;
  std::vector<RecordedEvent> events;
  bool pure = false;
  std::vector<OwnRead> reads;
  uint64_t id = 0;  // of the reconcile on its stream, for logs
};

// Answers one call. Parts wait for the call's window.
class CallReply {
 public:
  // kCancelled once nobody wants the answer.
  virtual Task<Status> part(int status, std::string content_type, std::string body, bool end) = 0;
  // The server's warnings; before the first part.
  virtual void warn(std::vector<std::string> /*warnings*/) {}
  // False once nobody wants the answer: for those who wait for something else than room.
  virtual bool wanted() const { return true; }

 protected:
  ~CallReply() = default;
};

// Serves the calls of one reconcile (the gateway).
class CallHandler {
 public:
  // Runs to its end even when the reconcile is over: a write's outcome must be known before the key
  // is in flight again.
  virtual Task<void> handle(const pb::Call& call, CallReply& reply) = 0;

 protected:
  ~CallHandler() = default;
};

}  // namespace gs::delegate
