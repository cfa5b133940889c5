// Endpoint: one address of a delegate, and the streams to it: the current one, and those that finish.
// Dials when wanted, closes when idle, replaces a stream before it is too old (make before break), and
// has the breaker that holds dials back. Owned by a Client; one loop.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "delegate/breaker.h"
#include "delegate/session.h"

namespace gs::delegate {

struct ClientOptions {
  std::string identity = "gulfstream";
  Duration dial_timeout = std::chrono::seconds(10);
  BreakerOptions breaker;
  Duration idle_close = std::chrono::minutes(5);
  // A stream is replaced after a random time between this and twice this.
  Duration max_age = std::chrono::minutes(30);
  // A stream that has been open for so long has shown that its endpoint works.
  Duration prove_after = std::chrono::seconds(5);
  // The delegate may end its side for so long after all work is done.
  Duration finish_timeout = std::chrono::seconds(2);
};

class Endpoint final : private Session::Listener {
 public:
  class Owner {
   public:
    // What may be asked of it changed: room, dialling, its breaker.
    virtual void endpoint_changed(Endpoint& endpoint) = 0;
    virtual void endpoint_opened(Endpoint& endpoint) = 0;
    // It works again.
    virtual void endpoint_healed(Endpoint& endpoint) = 0;
    // A dial, a Hello or a stream failed.
    virtual void endpoint_failed(Endpoint& endpoint, const Error& why) = 0;
    // A stream becomes old: has the delegate other addresses by now?
    virtual void endpoint_aged(Endpoint& endpoint) = 0;
    virtual uint64_t next_epoch() = 0;
    virtual void enqueue(PairId pair, const std::string& ns, const std::string& name, Duration delay) = 0;
    virtual CallHandler* pair_calls(PairId pair) = 0;
    virtual SessionStats& stats() = 0;

   protected:
    ~Owner() = default;
  };

  Endpoint(Loop& loop, Dialer& dialer, std::string address, const ClientOptions& options, Owner& owner);
  ~Endpoint();

  const std::string& address() const { return address_; }
  bool connected() const { return current_ != nullptr; }
  bool has_room() const;
  // want() would dial now.
  bool can_dial() const;
  // kNoDeadline where no dial is under way.
  MonoTime dialling_since() const { return dialling_since_; }
  // Somebody waits for it.
  void want();
  // Only where has_room().
  Task<AttemptResult> reconcile(const PairView& pair, Attempt attempt, CallHandler& handler);
  bool has_review_room() const;
  // Only where has_review_room(). See Session::review.
  Task<Result<ReviewReply>> review(const PairView& pair, pb::PlaneMessage& request, MonoTime deadline, CallHandler& handler);
  void close_pair(PairId pair);
  void cancel(PairId pair, const std::string& ns, const std::string& name, const std::string& why);
  // No new work and no new stream.
  void retire(const std::string& why);
  bool finished() const { return retired_ && sessions_.empty() && !dialling(); }

  size_t in_flight() const;
  size_t streams() const { return sessions_.size(); }
  const Peer& peer() const { return peer_; }
  const Breaker& breaker() const { return breaker_; }
  const Error& last_error() const { return last_error_; }

 private:
  struct Running;
  struct User;
  bool dialling() const { return dialling_since_ != kNoDeadline; }
  Task<void> manage();
  bool step();
  MonoTime next_step() const;
  // For work; and what has failed is tried until it works, or a condition would be false for as long as there is no work.
  bool due_to_dial() const { return wanted_ || breaker_.failures() > 0; }
  void reap();
  Task<void> open_session();
  Task<Result<std::unique_ptr<Session>>> dial();
  Task<void> run_session(Running& running);
  void stop_using(Running& running, const std::string& why);
  void failed(const Error& why);
  void proved();

  void enqueue(PairId pair, const std::string& ns, const std::string& name, Duration delay) override { owner_.enqueue(pair, ns, name, delay); }
  CallHandler* pair_calls(PairId pair) override { return owner_.pair_calls(pair); }
  void session_changed() override;
  SessionStats& stats() override { return owner_.stats(); }

  Loop& loop_;
  Dialer& dialer_;
  std::string address_;
  const ClientOptions& options_;
  Owner& owner_;
  std::vector<std::unique_ptr<Running>> sessions_;
  Running* current_ = nullptr;
  Peer peer_;
  Breaker breaker_;
  Error last_error_{Code::kUnavailable, ""};
  bool wanted_ = false;
  bool retired_ = false;
  MonoTime dialling_since_ = kNoDeadline;
  WaitQueue work_;  // manage() waits here
  TaskScope scope_;
};

}  // namespace gs::delegate
