// Client: the streams of one loop to one delegate, for one tenant or all, over all its endpoints. Each
// cluster has an order of preference among endpoints (rendezvous hashing), so a cluster keeps its
// endpoint while others come and go; where that is full, slow or away the next one serves. A cold or
// dead delegate costs waiting, never a key's failure count.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "delegate/endpoint.h"
#include "delegate/review.h"

namespace gs::delegate {

// For a condition. `message` says what failed and since when; it changes only when the facts do.
struct ClientHealth {
  bool reachable = true;
  std::string reason;  // Connected, Idle, Unreachable, Unauthorized, Forbidden, Unsupported
  std::string message;
};

class Client final : private Endpoint::Owner {
 public:
  class Observer {
   public:
    // Whether reconcile() would begin at once, or there is good reason to call it: while it is false
    // the owner holds this delegate's items back.
    virtual void ready_changed(DelegateId client, bool ready) = 0;
    virtual void enqueue(PairId pair, const std::string& ns, const std::string& name, Duration delay) = 0;
    // Who serves calls of the pair that belong to no reconcile; null where there are none.
    virtual CallHandler* pair_calls(PairId pair) = 0;
    // The revision of the delegate's logic at the pair's endpoint: once it is known, and when it is another.
    virtual void revision_is(PairId pair, const std::string& revision) = 0;
    // What health() says may be another.
    virtual void health_changed(DelegateId client) = 0;

   protected:
    ~Observer() = default;
  };

  Client(Loop& loop, DelegateId id, std::unique_ptr<Dialer> dialer, ClientOptions options, Observer& observer);
  ~Client();

  // Waits for a session and for room on it, however long that takes (but ends with close_pair() and
  // drain()), then reconciles.
  Task<AttemptResult> reconcile(const PairView& pair, Attempt attempt, CallHandler& handler);
  // Decides one review; never behind a reconcile, nor behind the answers of other reviews. Waits within the deadline for a
  // stream that is being dialled, for one that is full, and for a delegate that has just been lost; one that has failed
  // some dials in a row is not waited for: kUnavailable at once, with what is wrong. When the stream is lost before the
  // answer it is asked once more (a review changes nothing). kUnsupported: no "webhooks" in its Hello. Others: see
  // Session::review; kTooManyRequests: all its streams were full until the deadline. May be destroyed at any await; the delegate then gets a Cancel.
  Task<Result<AdmissionVerdict>> admit(const PairView& pair, Admission admission, MonoTime deadline, CallHandler& handler);
  Task<Result<ConversionVerdict>> convert(const PairView& pair, Conversion conversion, MonoTime deadline, CallHandler& handler);
  // Waits for a session, so that the delegate says which revision it is (Observer::revision_is). Ends too with
  // close_pair() and drain().
  Task<void> ask(const PairView& pair);
  // Cancels what is in flight of it and what waits.
  void close_pair(PairId pair);
  void cancel(PairId pair, const std::string& ns, const std::string& name, const std::string& why);
  // No new work; waits for what is in flight until the deadline.
  Task<void> drain(MonoTime deadline);

  DelegateId id() const { return id_; }
  bool ready() const { return ready_; }
  bool connected() const;
  // In words, for what the plane shows.
  ClientHealth health() const;
  // The revision at the pair's endpoint when it was last reconciled or asked for; nullopt where it was not.
  std::optional<std::string> revision(PairId pair) const;
  // Whom the pair's last reconcile went to, or its next one will.
  const Peer& peer(PairId pair) const;
  size_t in_flight() const;
  size_t streams() const;
  size_t endpoints() const { return endpoints_.size(); }
  const SessionStats& counts() const { return stats_; }
  const std::string& origin() const { return dialer_->origin(); }

 private:
  // A reconcile or a review without a stream yet.
  struct Waiting {
    Waiting(std::list<Waiting*>& l, PairId p) : list(l), place(l.insert(l.end(), this)), pair(p) {}
    ~Waiting() { list.erase(place); }
    Waiting(const Waiting&) = delete;
    Waiting& operator=(const Waiting&) = delete;
    std::list<Waiting*>& list;
    std::list<Waiting*>::iterator place;
    PairId pair;
    bool given_up = false;
  };
  struct PairState {
    uint64_t hash = 0;
    std::optional<std::string> revision;
    Peer peer;
  };
  PairState& state_of(const PairView& pair);
  enum class Kind { kReconcile, kReview };
  Endpoint* pick(uint64_t hash, Kind kind);
  std::optional<Error> why_not_wait(MonoTime deadline) const;
  std::optional<Error> hopeless() const;
  Task<Result<ReviewReply>> review(const PairView& pair, pb::PlaneMessage& request, MonoTime deadline, CallHandler& handler);
  Endpoint* preferred(uint64_t hash);
  void note_peer(PairId pair, PairState& state, const Peer& peer);
  void wake();
  void update_ready();
  void want_addresses();
  Task<void> resolve_when_wanted();
  void adopt(const std::vector<std::string>& addresses);
  ClientHealth trouble() const;

  void endpoint_changed(Endpoint&) override { wake(); }
  void endpoint_opened(Endpoint& endpoint) override;
  void endpoint_healed(Endpoint&) override { observer_.health_changed(id_); }
  void endpoint_failed(Endpoint&, const Error&) override {
    observer_.health_changed(id_);
    want_addresses();
  }
  void endpoint_aged(Endpoint&) override { want_addresses(); }
  uint64_t next_epoch() override { return ++epoch_; }
  void enqueue(PairId pair, const std::string& ns, const std::string& name, Duration delay) override { observer_.enqueue(pair, ns, name, delay); }
  CallHandler* pair_calls(PairId pair) override { return observer_.pair_calls(pair); }
  SessionStats& stats() override { return stats_; }

  Loop& loop_;
  DelegateId id_;
  std::unique_ptr<Dialer> dialer_;
  ClientOptions options_;
  Observer& observer_;
  SessionStats stats_;
  const Peer nobody_;
  std::map<PairId, PairState> pairs_;
  uint64_t epoch_ = 0;
  bool ready_ = true;
  bool stopping_ = false;
  Breaker names_;  // of the name service
  Error name_error_{Code::kUnavailable, ""};
  bool addresses_wanted_ = false;
  bool resolving_ = false;
  MonoTime resolved_at_{};
  std::list<Waiting*> waiting_;
  std::list<Waiting*> waiting_reviews_;
  WaitQueue room_;   // waiting reconciles, and drain()
  WaitQueue review_room_;
  WaitQueue names_work_;
  CallbackTimer sweep_;  // frees endpoints that have finished; never from within one
  CallbackTimer retry_;  // when a breaker lets a dial through again, or a slow dial is given company
  std::vector<std::unique_ptr<Endpoint>> endpoints_;
  std::vector<std::unique_ptr<Endpoint>> leaving_;  // addresses that are gone; their streams finish
  TaskScope scope_;
};

}  // namespace gs::delegate
