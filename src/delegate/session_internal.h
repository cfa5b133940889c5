// What the units of Session and its users share.
#pragma once

#include "delegate/session.h"
#include "gulfstream/delegate/v1/delegate.pb.h"

namespace gs::delegate {

struct ReviewReply {
  pb::DelegateMessage message;  // Admitted or Converted, as asked
  bool made_calls = false;
  std::string revision;  // of the logic that answered
};

// A call that is being served. Shared with its coroutine, so that a lost session leaves it whole.
struct Session::OpenCall final : CallReply {
  OpenCall(Session& s, pb::Call c) : session(&s), call(std::move(c)), room(s.loop_) {}
  Task<Status> part(int status, std::string content_type, std::string body, bool end) override;
  void warn(std::vector<std::string> said) override { warnings = std::move(said); }
  bool wanted() const override { return session != nullptr && !forgotten; }
  // Nobody wants the answer any more.
  void forget() {
    forgotten = true;
    room.wake_all();
  }

  Session* session;  // null once the session has ended
  pb::Call call;
  size_t window = kCallWindow;
  bool forgotten = false;
  std::vector<std::string> warnings;  // go with the next part
  WaitQueue room;
};

// What was sent and may make calls: a reconcile or a review. Lives in the frame of its coroutine; found by its id
// while calls and an answer of it are accepted.
struct Session::Work {
  Work(Session& s, const PairView& p, CallHandler& h) : session(s), id(s.next_id_++), pair(p.id), handler(h), changed(s.loop_), calls(s.loop_) {}
  Work(const Work&) = delete;
  Work& operator=(const Work&) = delete;

  Session& session;
  uint64_t id;
  PairId pair;
  CallHandler& handler;
  bool finished = false;
  bool made_calls = false;
  WaitQueue changed;
  TaskScope calls;

 protected:
  ~Work() = default;
  // No call of it is wanted from here on.
  void forget_calls();
};

struct Session::InFlight : Work {
  InFlight(Session& s, const PairView& p, const Attempt& a, CallHandler& h) : Work(s, p, h), ns(a.ns), name(a.name) {}
  ~InFlight() { fence(); }
  // From here on no call and no Result of it is accepted.
  void fence();

  std::string ns;
  std::string name;
  AttemptResult result;
  MonoTime overdue_at = kNoDeadline;  // set by its Cancel
  bool overdue = false;
  bool timed_out = false;
  bool cancelled() const { return overdue_at != kNoDeadline; }
};

struct Session::Review : Work {
  using Work::Work;
  // Without an answer it is cancelled.
  ~Review();
  void end(Result<ReviewReply> with) {
    reply = std::move(with);
    finished = true;
    changed.wake_all();
  }

  pb::PlaneMessage::MessageCase asked = pb::PlaneMessage::MESSAGE_NOT_SET;
  std::string why = "nobody waits for it any more";  // of its Cancel
  Result<ReviewReply> reply = fail(Code::kCancelled, "");
};

}  // namespace gs::delegate
