#include "delegate/session.h"

#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "base/strings.h"
#include "delegate/session_internal.h"
#include "delegate/wire.h"

namespace gs::delegate {
namespace {

// A turn of the loop takes no more messages of one stream than this.
constexpr unsigned kMessagesPerTurn = 128;

bool is_failure(queue::Outcome outcome) {
  return outcome == queue::Outcome::kTransient || outcome == queue::Outcome::kPermanent || outcome == queue::Outcome::kConflict;
}

}  // namespace

SessionStats& SessionStats::operator+=(const SessionStats& other) {
  reconciles += other.reconciles;
  reviews += other.reviews;
  calls += other.calls;
  refused_calls += other.refused_calls;
  protocol_errors += other.protocol_errors;
  throttled += other.throttled;
  failures += other.failures;
  timeouts += other.timeouts;
  review_timeouts += other.review_timeouts;
  lost_reviews += other.lost_reviews;
  return *this;
}

Session::Session(Loop& loop, std::unique_ptr<MessageStream> stream, Listener& listener)
    : loop_(loop),
      listener_(listener),
      stats_(listener.stats()),
      outbox_(loop, std::move(stream), [this] { listener_.session_changed(); }, [this](Error why) { stop(fail(std::move(why))); }),
      forgive_(loop, [this] { forgive_owed(); }),
      enqueues_at_(loop.now()),
      opened_at_(loop.now()),
      idle_since_(loop.now()),
      over_(loop),
      scope_(loop) {}

Session::~Session() { GS_CHECK(in_flight_.empty() && reviews_.empty()); }

Task<Result<std::unique_ptr<Session>>> Session::open(Loop& loop, std::unique_ptr<MessageStream> stream,
                                                     std::string identity, uint64_t epoch, Listener& listener) {
  std::unique_ptr<Session> session(new Session(loop, std::move(stream), listener));
  GS_CO_TRY_STATUS(session->say_hello(identity, epoch));
  const Status heard = co_await session->hear_hello();
  if (!heard) co_return fail(heard.error());
  co_return std::move(session);
}

Status Session::say_hello(const std::string& identity, uint64_t epoch) {
  pb::PlaneMessage message;
  pb::Hello& hello = *message.mutable_hello();
  hello.set_protocol_version(1);
  hello.add_capabilities("watch");
  hello.set_identity(identity);
  hello.set_epoch(epoch);
  return send(message);
}

Task<Status> Session::hear_hello() {
  auto received = co_await outbox_.stream().receive(saturating_add(loop_.now(), kHelloTimeout));
  if (!received && received.error().code == Code::kDeadlineExceeded) {
    co_return fail(Code::kUnavailable, "the delegate sent no Hello within {}", format_go_duration(kHelloTimeout));
  }
  if (!received) co_return fail(std::move(received).error());
  if (!*received) co_return fail(Code::kUnavailable, "the delegate ended the stream without a Hello");
  pb::DelegateMessage message;
  if (!message.ParseFromString(**received)) co_return fail(Code::kInternal, "the delegate's Hello is not a message of this protocol");
  if (!message.has_hello()) co_return fail(Code::kInternal, "the delegate's first message is not Hello");
  const pb::Hello& hello = message.hello();
  if (hello.protocol_version() != 1) {
    co_return fail(Code::kUnsupported, "the delegate speaks protocol version {}, not 1", hello.protocol_version());
  }
  peer_.identity = truncate_utf8(hello.identity(), 256);
  peer_.revision = truncate_utf8(hello.revision(), 256);
  peer_.max_in_flight = hello.max_in_flight() == 0 ? kDefaultMaxInFlight : std::min(hello.max_in_flight(), kMostMaxInFlight);
  peer_.max_reviews = hello.max_reviews_in_flight() == 0 ? kDefaultMaxReviews : std::min(hello.max_reviews_in_flight(), kMostMaxInFlight);
  for (const std::string& word : hello.capabilities()) {
    peer_.pure |= word == "pure";
    peer_.ignores_echoes |= word == "ignores-echoes";
    peer_.webhooks |= word == "webhooks";
  }
  co_return ok();
}

Status Session::send(const pb::PlaneMessage& message) {
  if (ended_) return ok();
  const std::string bytes = message.SerializeAsString();
  if (bytes.size() > kMaxMessage) return fail(Code::kTooLarge, "a message of {} bytes; the protocol has at most {}", bytes.size(), kMaxMessage);
  outbox_.send(bytes);
  return ok();
}

Result<uint32_t> Session::announce(const PairView& pair) {
  std::unique_ptr<OpenPair>& slot = pairs_[pair.id];
  if (!slot) {
    slot = std::make_unique<OpenPair>(loop_);
    slot->number = next_pair_++;
    slot->webhook = !pair.description.webhook.empty();
    pair_numbers_[slot->number] = pair.id;
  }
  OpenPair& open = *slot;
  if (open.generation != pair.description.generation) {
    GS_TRY_STATUS(send(open_message(open.number, pair.description)));
    open.generation = pair.description.generation;
  }
  if (open.config_revision != pair.configs.revision && !(open.config_revision > 0 && mutated(Mutation::kConfigUnsent))) {
    auto sent = send(config_message(open.number, pair.configs));
    if (!sent) return fail(std::move(sent).error().with_context("spec.configs"));
    open.config_revision = pair.configs.revision;
  }
  return open.number;
}

void Session::close_pair(PairId pair) {
  const auto found = pairs_.find(pair);
  if (found == pairs_.end()) return;
  for (auto& [id, entry] : in_flight_) {
    if (entry->pair == pair) send_cancel(*entry, "the pair ended");
  }
  close_reviews(pair);
  pb::PlaneMessage message;
  message.mutable_close()->set_pair(found->second->number);
  static_cast<void>(send(message));
  end_pair_calls(*found->second);
  pair_numbers_.erase(found->second->number);
  pairs_.erase(found);
}

// The pair's Open and Config, then the Reconcile itself.
Status Session::begin(InFlight& entry, const PairView& pair, const Attempt& attempt) {
  GS_TRY(const uint32_t number, announce(pair));
  GS_TRY_STATUS(send(reconcile_message(entry.id, number, pair.configs.revision, attempt)));
  if (mutated(Mutation::kKeySentTwice)) GS_TRY_STATUS(send(reconcile_message(next_id_++, number, pair.configs.revision, attempt)));
  in_flight_[entry.id] = &entry;
  return ok();
}

Task<AttemptResult> Session::reconcile(const PairView& pair, Attempt attempt, CallHandler& handler) {
  InFlight entry(*this, pair, attempt, handler);
  if (!usable()) co_return entry.result;
  ++stats_.reconciles;
  const Status begun = begin(entry, pair, attempt);
  if (!begun) {
    entry.result.outcome = queue::Outcome::kPermanent;
    entry.result.reason = "MessageTooLarge";
    entry.result.message = begun.error().message;
    co_return std::move(entry.result);
  }
  co_await await_result(entry, attempt.time_limit);
  // Calls that were forwarded are settled before the key is free.
  entry.fence();
  idle_since_ = loop_.now();
  if (!mutated(Mutation::kFenceMissing)) {
    co_await entry.calls.join();
  }
  entry.result.id = entry.id;
  co_return std::move(entry.result);
}

// The Result, or the end of the stream. A Cancel is sent when the time limit is over.
Task<void> Session::await_result(InFlight& entry, Duration limit) {
  const MonoTime deadline = saturating_add(loop_.now(), limit);
  while (!entry.finished && !(entry.cancelled() && mutated(Mutation::kUnansweredCancelFreesKey))) {
    const MonoTime now = loop_.now();
    if (now >= entry.overdue_at && !entry.overdue) {
      give_up(entry);
      continue;
    }
    if (now >= deadline && !entry.cancelled()) {
      entry.timed_out = true;
      ++stats_.timeouts;
      entry.result.outcome = queue::Outcome::kTransient;
      entry.result.reason = kDeadlineReason;
      entry.result.message = "the delegate gave no result within " + format_go_duration(limit);
      send_cancel(entry, "deadline exceeded");
    }
    const MonoTime until = entry.overdue ? kNoDeadline : entry.cancelled() ? entry.overdue_at : deadline;
    co_await entry.changed.wait(until);
  }
}

void Session::send_cancel(InFlight& entry, const std::string& why) {
  if (entry.cancelled() || entry.finished) return;
  entry.overdue_at = saturating_add(loop_.now(), kCancelGrace);
  if (!entry.timed_out) entry.result.message = "cancelled: " + why;
  entry.changed.wake_all();
  static_cast<void>(send(cancel_message(entry.id, why)));
}

// Its Cancel had no answer. The key must not be in two reconciles, so it is held until the stream has ended; others
// go to a new stream meanwhile.
void Session::give_up(InFlight& entry) {
  entry.overdue = true;
  if (!draining_) {
    log::warning("a delegate gives no Result for what was cancelled; its stream is given up",
                 {{"delegate", peer_.identity}, {"reconcileID", entry.id}, {"key", entry.ns + "/" + entry.name}, {"after", format_go_duration(kCancelGrace)}});
    drain("a Cancel was not answered");
    listener_.session_changed();
  }
  stop_if_all_overdue();
}

void Session::stop_if_all_overdue() {
  const auto overdue = [](const auto& entry) { return entry.second->overdue; };
  if (ended_ || in_flight_.empty() || !reviews_.empty() || !std::all_of(in_flight_.begin(), in_flight_.end(), overdue)) return;
  stop(fail(Code::kUnavailable, "the delegate gave no Result within {} of a Cancel", format_go_duration(kCancelGrace)));
}

void Session::cancel(PairId pair, const std::string& ns, const std::string& name, const std::string& why) {
  for (auto& [id, entry] : in_flight_) {
    if (entry->pair == pair && entry->ns == ns && entry->name == name) send_cancel(*entry, why);
  }
}

void Session::drain(const std::string& why) {
  if (draining_ || ended_) return;
  draining_ = true;
  pb::PlaneMessage message;
  message.mutable_drain()->set_why(why);
  static_cast<void>(send(message));
}

void Session::finish() {
  draining_ = true;
  if (!ended_) outbox_.stream().half_close();
}

Task<Status> Session::run() {
  scope_.spawn(read_all());
  scope_.spawn(watch_going_away());
  while (!end_) {
    co_await over_.wait();
  }
  scope_.cancel();
  end_all(*end_ ? Error(Code::kUnavailable, "the stream ended") : end_->error());
  co_return std::move(*end_);
}

void Session::stop(Status status) {
  if (!end_) end_ = std::move(status);
  over_.wake_all();
}

Task<void> Session::read_all() {
  while (true) {
    auto more = co_await read_one();
    if (!more) co_return stop(fail(std::move(more).error()));
    if (!*more) co_return stop(ok());
    co_await keep_pace();
  }
}

// A delegate is read no faster than what it says can be borne.
Task<void> Session::keep_pace() {
  co_await outbox_.ready_to_read();
  if (enqueues_ < 0) {
    ++stats_.throttled;
    co_await sleep_for(loop_, from_seconds(-enqueues_ / kEnqueuesPerSecond));
  }
  if (++read_ % kMessagesPerTurn == 0) {
    co_await yield_turn(loop_);
  }
}

Task<void> Session::watch_going_away() {
  co_await outbox_.stream().wait_going_away();
  going_away_ = true;
  draining_ = true;
  listener_.session_changed();
}

// One message, or a ping when the peer is silent. False at the end of the stream.
Task<Result<bool>> Session::read_one() {
  const Duration patience = ping_open_ ? kPingTimeout : kPingAfter;
  auto received = co_await outbox_.stream().receive(saturating_add(loop_.now(), patience));
  if (!received && received.error().code == Code::kDeadlineExceeded) {
    if (ping_open_) co_return fail(Code::kUnavailable, "the delegate did not answer a ping for {}", format_go_duration(kPingTimeout));
    ping_open_ = true;
    pb::PlaneMessage ping;
    ping.mutable_ping()->set_payload(next_id_);
    GS_CO_TRY_STATUS(send(ping));
    co_return true;
  }
  if (!received) co_return fail(std::move(received).error());
  if (!*received) co_return false;
  ping_open_ = false;
  pb::DelegateMessage message;
  if (!message.ParseFromString(**received)) co_return fail(Code::kInternal, "the delegate sent what is not a message of this protocol");
  GS_CO_TRY_STATUS(handle(message));
  co_return true;
}

Status Session::handle(pb::DelegateMessage& message) {
  switch (message.message_case()) {
    case pb::DelegateMessage::kCall: on_call(std::move(*message.mutable_call())); break;
    case pb::DelegateMessage::kResult: on_result(message.result()); break;
    case pb::DelegateMessage::kAdmitted: on_review_answer(message.admitted().id(), message); break;
    case pb::DelegateMessage::kConverted: on_review_answer(message.converted().id(), message); break;
    case pb::DelegateMessage::kWindow: on_window(message.window()); break;
    case pb::DelegateMessage::kEnqueue: on_enqueue(message.enqueue()); break;
    case pb::DelegateMessage::kCancelCall: on_cancel_call(message.cancel_call().id()); break;
    case pb::DelegateMessage::kDrain:
      draining_ = true;
      listener_.session_changed();
      break;
    case pb::DelegateMessage::kHello: return fail(Code::kInternal, "the delegate sent a second Hello");
    case pb::DelegateMessage::kPing:
    case pb::DelegateMessage::MESSAGE_NOT_SET: break;  // a newer peer's message
  }
  return ok();
}

void Session::on_result(const pb::Result& result) {
  const auto found = in_flight_.find(result.id());
  if (found == in_flight_.end() || found->second->finished) {
    if (stats_.protocol_errors++ == 0) {
      log::warning("a result of no reconcile in flight; such are counted from here on", {{"delegate", peer_.identity}, {"reconcileID", result.id()}});
    }
    return;
  }
  InFlight& entry = *found->second;
  entry.finished = true;
  entry.changed.wake_all();
  if (entry.timed_out) return;  // a deadline that passed has decided already
  AttemptResult read = read_result(result);
  if (!entry.cancelled() || !is_failure(read.outcome)) entry.result = std::move(read);
}

void Session::on_enqueue(const pb::Enqueue& enqueue) {
  const MonoTime now = loop_.now();
  enqueues_ = std::min(kEnqueueBurst, enqueues_ + to_seconds(now - enqueues_at_) * kEnqueuesPerSecond) - 1;
  enqueues_at_ = now;
  const auto found = pair_numbers_.find(enqueue.pair());
  // What is no name of an object is no key.
  const bool webhook = found != pair_numbers_.end() && pairs_.at(found->second)->webhook;
  if (found == pair_numbers_.end() || webhook || enqueue.name().empty() || enqueue.name().size() > 253 || enqueue.namespace_().size() > 63) {
    ++stats_.protocol_errors;
    return;
  }
  const uint64_t delay_ms = std::min<uint64_t>(enqueue.delay_ms(), 1000ull * 3600 * 24 * 365);
  listener_.enqueue(found->second, enqueue.namespace_(), enqueue.name(), std::chrono::milliseconds(delay_ms));
}

void Session::end_all(const Error& why) {
  ended_ = true;
  for (auto& [id, pair] : pairs_) end_pair_calls(*pair);
  for (auto& [id, call] : calls_) {
    call->session = nullptr;
    call->room.wake_all();
  }
  outbox_.close();
  for (auto& [id, entry] : in_flight_) {
    if (entry->finished) continue;
    entry->finished = true;
    entry->changed.wake_all();
    if (!entry->timed_out) entry->result.message = why.message;
  }
  end_reviews(why);
}

}  // namespace gs::delegate
