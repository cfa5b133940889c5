// Faults of an API server, as a seam beside it: the handler asks at each place where real servers
// misbehave. NoFaults is what a server has that is not tested; RandomFaults follow a seed.
#pragma once

#include <optional>
#include <string_view>

#include "base/time.h"
#include "gateway/rest_request.h"
#include "runtime/random.h"

namespace gs::apiserver {

// What happens to one request instead of, or around, being served.
struct RequestFault {
  Duration delay{0};
  // Answered with this and not served: 429 (with Retry-After), 410 (a list or watch), 500, 503, and
  // 400 for a watch with sendInitialEvents (a server without WatchList). 0: served.
  int status = 0;
  int retry_after = 0;  // seconds
  enum class Answer { kSent, kCut, kNever } answer = Answer::kSent;  // what becomes of the answer of a served request
  uint64_t stale_by = 0;  // lists that take any version are told the state so many versions ago
};

// How a watch goes wrong, counted from its start.
struct WatchFault {
  Duration late{0};                      // each event comes so much later, all in order
  bool early_bookmark = false;           // one that ends nothing, among the initial events
  std::optional<Duration> silent_after;  // stays open and says nothing more
  std::optional<Duration> cut_after;     // the stream is reset
  std::optional<Duration> expire_after;  // ends with an ERROR event of code 410
};

class Faults {
 public:
  virtual ~Faults() = default;
  virtual RequestFault on_request(const gateway::RestRequest& request) = 0;
  virtual WatchFault on_watch() = 0;
};

class NoFaults final : public Faults {
 public:
  RequestFault on_request(const gateway::RestRequest&) override { return {}; }
  WatchFault on_watch() override { return {}; }
};

// Chances per request or watch; all zero until set.
struct FaultRates {
  double delay = 0;
  Duration longest_delay = std::chrono::seconds(3);
  double too_many_requests = 0;
  int longest_retry_after = 2;  // seconds
  double unavailable = 0;
  double expired = 0;
  double no_watch_list = 0;
  double answer_cut = 0;
  double answer_never = 0;
  double stale = 0;
  double behind = 0;  // what may not be older than a version is answered that there is none so new
  double watch_late = 0;  // also: with an early bookmark
  double watch_silent = 0;
  double watch_cut = 0;
  double watch_expired = 0;
  Duration longest_watch = std::chrono::minutes(3);  // before it goes wrong
};

class RandomFaults final : public Faults {
 public:
  explicit RandomFaults(uint64_t seed) : random_(seed) {}
  FaultRates rates;
  RequestFault on_request(const gateway::RestRequest& request) override;
  WatchFault on_watch() override;

 private:
  Random random_;
};

}  // namespace gs::apiserver
