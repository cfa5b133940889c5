// The calls of a session: which are served, and how their answers get out.
#include "delegate/session_internal.h"

#include "base/mutation.h"
#include "delegate/wire.h"
#include "gulfstream/delegate/v1/delegate.pb.h"

namespace gs::delegate {

Task<Status> Session::OpenCall::part(int status, std::string content_type, std::string body, bool end) {
  bool first = true;
  size_t at = 0;
  do {
    while (wanted() && window == 0) {
      co_await room.wait();
    }
    if (!wanted()) co_return fail(Code::kCancelled, "nobody wants the answer");
    const size_t size = std::min({body.size() - at, kPartSize, window});
    window -= size;
    const bool last = at + size == body.size();
    pb::PlaneMessage message = call_result(call.id(), first ? status : 0, first ? content_type : std::string(),
                                           std::string_view(body).substr(at, size), last && end);
    for (std::string& warning : warnings) message.mutable_call_result()->add_warnings(std::move(warning));
    warnings.clear();
    const bool of_work = call.reconcile() != 0 || call.review() != 0;
    const Outbox::Lane lane = of_work ? Outbox::Lane::kReconcile : Outbox::Lane::kPair;
    const bool sent = co_await session->outbox_.part(lane, message.SerializeAsString());
    if (!sent) co_return fail(Code::kCancelled, "nobody wants the answer");
    first = false;
    at += size;
  } while (at < body.size());
  co_return ok();
}

void Session::Work::forget_calls() {
  if (!made_calls) return;
  std::erase_if(session.calls_, [this](auto& entry) {
    OpenCall& call = *entry.second;
    if (call.call.reconcile() != id && call.call.review() != id) return false;
    call.forget();
    return true;
  });
}

void Session::InFlight::fence() {
  if (session.in_flight_.erase(id) > 0) session.stop_if_all_overdue();
  forget_calls();
}

void Session::refuse(uint64_t call, int status, std::string_view reason, const std::string& message) {
  ++stats_.refused_calls;
  static_cast<void>(send(call_result(call, status, "application/json", status_body(status, reason, message), true)));
}

void Session::on_call(pb::Call call) {
  ++stats_.calls;
  if (call.id() == 0 || calls_.contains(call.id())) {
    ++stats_.protocol_errors;
    return refuse(call.id(), 400, "BadRequest", "the call's id is 0 or already in use");
  }
  if (call.reconcile() == 0 && call.review() == 0) return on_pair_call(std::move(call));
  Work* work = find_work(call);
  if (work == nullptr) return;
  if (work->calls.size() >= kMaxCallsPerReconcile) {
    return refuse(call.id(), 429, "TooManyRequests", fmt::format("more than {} open calls of one reconcile or review", kMaxCallsPerReconcile));
  }
  work->made_calls = true;
  auto open = std::make_shared<OpenCall>(*this, std::move(call));
  calls_[open->call.id()] = open;
  work->calls.spawn(serve(work->handler, std::move(open)));
}

// What the call belongs to; null, and it is refused, where that is not in flight.
Session::Work* Session::find_work(const pb::Call& call) {
  const auto refused = [&](const std::string& why) {
    refuse(call.id(), 403, "Forbidden", why);
    return nullptr;
  };
  if (call.reconcile() != 0 && call.review() != 0) return refused("a call belongs to a reconcile or to a review, not to both");
  if (call.review() != 0) {
    const auto found = reviews_.find(call.review());
    if (found == reviews_.end() || found->second->finished) return refused(fmt::format("review {} is not in flight on this stream", call.review()));
    return found->second;
  }
  auto found = in_flight_.find(call.reconcile());
  if (found == in_flight_.end() && mutated(Mutation::kFinishedCallServed)) found = in_flight_.begin();
  if (found == in_flight_.end()) return refused(fmt::format("reconcile {} is not in flight on this stream", call.reconcile()));
  if ((found->second->cancelled() && !mutated(Mutation::kCancelledCallServed)) || found->second->finished) {
    return refused(fmt::format("reconcile {} was cancelled or has ended", call.reconcile()));
  }
  return found->second;
}

// A list or watch from the plane's cache: bound to the pair, not to a reconcile.
void Session::on_pair_call(pb::Call call) {
  const auto number = pair_numbers_.find(call.pair());
  if (number == pair_numbers_.end()) {
    return refuse(call.id(), 403, "Forbidden", fmt::format("pair {} is not open on this stream", call.pair()));
  }
  OpenPair& pair = *pairs_.at(number->second);
  if (pair.calls.size() >= kMaxCallsPerPair) {
    return refuse(call.id(), 429, "TooManyRequests", fmt::format("more than {} open calls of one pair", kMaxCallsPerPair));
  }
  CallHandler* handler = pair.webhook ? nullptr : listener_.pair_calls(number->second);
  if (handler == nullptr) {
    return refuse(call.id(), 403, "Forbidden", "calls without a reconcile or a review need delegateWatch on a resource of the Controller");
  }
  auto open = std::make_shared<OpenCall>(*this, std::move(call));
  calls_[open->call.id()] = open;
  pair.calls.spawn(serve(*handler, std::move(open)));
}

Task<void> Session::serve(CallHandler& handler, std::shared_ptr<OpenCall> call) {
  co_await handler.handle(call->call, *call);
  if (call->session == nullptr) co_return;
  // Its id may have been given to another since.
  const auto found = call->session->calls_.find(call->call.id());
  if (found != call->session->calls_.end() && found->second == call) call->session->calls_.erase(found);
}

void Session::end_pair_calls(OpenPair& pair) {
  std::erase_if(calls_, [&](const auto& entry) {
    const pb::Call& call = entry.second->call;
    return call.reconcile() == 0 && call.review() == 0 && call.pair() == pair.number;
  });
  pair.calls.cancel();
}

void Session::on_cancel_call(uint64_t id) {
  const auto found = calls_.find(id);
  if (found != calls_.end()) found->second->forget();
}

void Session::on_window(const pb::Window& window) {
  const auto found = calls_.find(window.id());
  if (found == calls_.end()) return;
  OpenCall& call = *found->second;
  call.window = std::min(call.window + window.bytes(), kMaxMessage);
  call.room.wake_all();
}

}  // namespace gs::delegate
