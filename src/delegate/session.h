// Session: one stream to one endpoint of a delegate, after the Hellos. Carries the reconciles, reviews and
// calls of many pairs. One loop; owned by a Client.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/error.h"
#include "base/mutation.h"
#include "delegate/attempt.h"
#include "delegate/message_stream.h"
#include "delegate/outbox.h"
#include "runtime/loop.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gulfstream::delegate::v1 {
class DelegateMessage;
class PlaneMessage;
class Hello;
class Result;
class Call;
class Window;
class Enqueue;
}  // namespace gulfstream::delegate::v1

namespace gs::delegate {

inline constexpr size_t kMaxMessage = 4 * 1024 * 1024;
inline constexpr size_t kMaxReconcile = 1024 * 1024;
inline constexpr size_t kPartSize = 64 * 1024;
inline constexpr size_t kCallWindow = 256 * 1024;
inline constexpr uint32_t kDefaultMaxInFlight = 16;
inline constexpr uint32_t kDefaultMaxReviews = 100;
inline constexpr uint32_t kMostMaxInFlight = 10'000;  // of reconciles, and of reviews
// Calls that one reconcile or review may have open at once.
inline constexpr size_t kMaxCallsPerReconcile = 64;
// Calls of no reconcile (lists and watches of the plane's cache) that may be open at once.
inline constexpr size_t kMaxCallsPerPair = 64;
inline constexpr Duration kHelloTimeout = std::chrono::seconds(10);
inline constexpr Duration kPingAfter = std::chrono::seconds(30);
inline constexpr Duration kPingTimeout = std::chrono::seconds(15);
// After Cancel a Result is still expected. A delegate that sends none for so long has lost it: the stream takes
// no more work, and ends with what else is in flight. Only then is the key free. A review has no key: its credit is
// what is held for so long, and then given back.
inline constexpr Duration kCancelGrace = std::chrono::seconds(10);
// Enqueues: so many at once, and so many a second. Beyond that the stream is read no faster.
inline constexpr double kEnqueueBurst = 10'000;
inline constexpr double kEnqueuesPerSecond = 1'000;

// AttemptResult::reason where the time limit passed.
inline constexpr const char* kDeadlineReason = "DeadlineExceeded";

struct Peer {
  std::string identity;
  std::string revision;
  uint32_t max_in_flight = kDefaultMaxInFlight;
  bool pure = false;
  bool ignores_echoes = false;
  bool webhooks = false;
  uint32_t max_reviews = kDefaultMaxReviews;
};

// An answer to a review as it came, and what else is known of it.
struct ReviewReply;

// Counted over all sessions of a client.
struct SessionStats {
  uint64_t reconciles = 0;
  uint64_t reviews = 0;
  uint64_t calls = 0;
  uint64_t refused_calls = 0;    // of no reconcile or review that is in flight, or beyond a bound
  uint64_t protocol_errors = 0;  // answers and ids that nobody asked for
  uint64_t throttled = 0;        // times that reading waited for the rate of Enqueues
  uint64_t failures = 0;         // dials, Hellos and streams
  uint64_t timeouts = 0;         // reconciles without a Result in time
  uint64_t review_timeouts = 0;  // reviews without an answer in time
  uint64_t lost_reviews = 0;     // cancelled, and not answered within the grace either
  SessionStats& operator+=(const SessionStats& other);
};

class Session {
 public:
  class Listener {
   public:
    // The delegate asks for a key of a pair that is open on this session.
    virtual void enqueue(PairId pair, const std::string& ns, const std::string& name, Duration delay) = 0;
    // Who serves a pair's calls that belong to no reconcile; null: they are refused. Asked at each
    // call; such calls are destroyed (not finished) when the pair is closed or the stream ends.
    virtual CallHandler* pair_calls(PairId pair) = 0;
    // It takes no more work (the delegate said Drain, or its server GOAWAY), or has room again.
    virtual void session_changed() = 0;
    virtual SessionStats& stats() = 0;

   protected:
    ~Listener() = default;
  };

  // Exchanges Hellos.
  static Task<Result<std::unique_ptr<Session>>> open(Loop& loop, std::unique_ptr<MessageStream> stream,
                                                     std::string identity, uint64_t epoch, Listener& listener);
  ~Session();

  // Reads until the stream ends; its error, or ok after a drain. All that is in flight has then
  // ended as kUnavailable. Awaited once, by the owner.
  Task<Status> run();

  // Sends the pair's Open and Config where needed, then the Reconcile, and waits for the end: the
  // Result or the end of the stream; and until every call of it is settled. After the time limit it is
  // cancelled, and has failed.
  Task<AttemptResult> reconcile(const PairView& pair, Attempt attempt, CallHandler& handler);
  // Sends the pair's Open and Config where needed, then `request`, an Admit or a Convert whose id, pair, deadline and
  // config revision are filled in here. Its calls end with it (they only read). kUnavailable: the stream ended first, or
  // takes no more work; kDeadlineExceeded; kTooLarge; kCancelled: the pair was closed; kInternal: no answer to what was
  // asked. Destroying it sends a Cancel.
  Task<Result<ReviewReply>> review(const PairView& pair, pb::PlaneMessage& request, MonoTime deadline, CallHandler& handler);
  // Cancels what is in flight of it; then the pair is no more on this stream.
  void close_pair(PairId pair);
  // Cancels what is in flight for a key; the reconcile ends by its Result or with the stream, and has then
  // failed nothing: a failure of what was cancelled is kUnavailable.
  void cancel(PairId pair, const std::string& ns, const std::string& name, const std::string& why);
  // Asks the delegate to expect no more.
  void drain(const std::string& why);
  // No more from us; the delegate ends the stream in its turn.
  void finish();

  const Peer& peer() const { return peer_; }
  bool usable() const { return !ended_ && !draining_; }
  bool has_room() const {
    const size_t leaked = mutated(Mutation::kCreditLeaked) ? next_id_ / 8 : 0;
    return usable() && in_flight_.size() + leaked < peer_.max_in_flight && !outbox_.held();
  }
  bool has_review_room() const {
    return usable() && peer_.webhooks && reviews_.size() + owed_.size() < peer_.max_reviews && !outbox_.held();
  }
  // The server announced the end of the connection, as servers do with a maximum age.
  bool going_away() const { return going_away_; }
  MonoTime opened_at() const { return opened_at_; }
  MonoTime idle_since() const { return idle_since_; }

 private:
  struct Work;
  struct InFlight;
  struct Review;
  struct OpenCall;
  struct OpenPair {
    explicit OpenPair(Loop& loop) : calls(loop) {}
    uint32_t number = 0;
    int64_t generation = -1;
    uint64_t config_revision = 0;
    bool webhook = false;
    TaskScope calls;  // of no reconcile
  };

  Session(Loop& loop, std::unique_ptr<MessageStream> stream, Listener& listener);
  Status say_hello(const std::string& identity, uint64_t epoch);
  Task<Status> hear_hello();
  // kTooLarge, and nothing is sent, above kMaxMessage.
  Status send(const pb::PlaneMessage& message);
  Result<uint32_t> announce(const PairView& pair);
  Status begin(InFlight& entry, const PairView& pair, const Attempt& attempt);
  Task<void> await_result(InFlight& entry, Duration limit);
  void send_cancel(InFlight& entry, const std::string& why);
  Status begin(Review& entry, const PairView& pair, pb::PlaneMessage& request, MonoTime deadline);
  void abandon(Review& entry, const std::string& why);
  void close_reviews(PairId pair);
  void end_reviews(const Error& why);
  void forgive_owed();
  void give_up(InFlight& entry);
  void stop_if_all_overdue();
  Task<void> read_all();
  Task<void> watch_going_away();
  Task<Result<bool>> read_one();
  Task<void> keep_pace();
  void stop(Status status);
  Status handle(pb::DelegateMessage& message);
  void on_call(pb::Call call);
  Work* find_work(const pb::Call& call);
  void on_pair_call(pb::Call call);
  void on_result(const pb::Result& result);
  void on_review_answer(uint64_t id, pb::DelegateMessage& message);
  void on_window(const pb::Window& window);
  void on_cancel_call(uint64_t id);
  void on_enqueue(const pb::Enqueue& enqueue);
  void refuse(uint64_t call, int status, std::string_view reason, const std::string& message);
  Task<void> serve(CallHandler& handler, std::shared_ptr<OpenCall> call);
  void end_pair_calls(OpenPair& pair);
  void end_all(const Error& why);

  Loop& loop_;
  Listener& listener_;
  SessionStats& stats_;
  Outbox outbox_;
  Peer peer_;
  uint64_t next_id_ = 1;
  uint32_t next_pair_ = 1;
  std::map<PairId, std::unique_ptr<OpenPair>> pairs_;
  std::map<uint32_t, PairId> pair_numbers_;
  std::map<uint64_t, InFlight*> in_flight_;  // owned by the coroutines of reconcile()
  std::map<uint64_t, Review*> reviews_;      // owned by the coroutines of review()
  std::map<uint64_t, MonoTime> owed_;        // reviews that were cancelled, until when an answer is waited for
  CallbackTimer forgive_;
  std::map<uint64_t, std::shared_ptr<OpenCall>> calls_;
  bool draining_ = false;
  bool ended_ = false;
  bool going_away_ = false;
  bool ping_open_ = false;
  unsigned read_ = 0;  // messages
  double enqueues_ = kEnqueueBurst;
  MonoTime enqueues_at_;
  MonoTime opened_at_;
  MonoTime idle_since_;
  std::optional<Status> end_;
  WaitQueue over_;
  TaskScope scope_;
};

}  // namespace gs::delegate
