#include "delegate/endpoint.h"

#include <algorithm>

#include "base/log.h"
#include "delegate/session_internal.h"

namespace gs::delegate {
namespace {

// A stream that ends in good order, but sooner than this, has failed: no loop of dials.
constexpr Duration kShortest = std::chrono::seconds(1);

}  // namespace

// A session and the coroutine that reads it.
struct Endpoint::Running {
  explicit Running(Loop& loop) : scope(loop) {}
  std::unique_ptr<Session> session;
  size_t users = 0;          // reconciles and reviews inside
  bool ended = false;        // its stream is gone
  bool retired = false;      // takes no new work; ends with its last user
  MonoTime finish_by = kNoDeadline;  // set once we have said that no more comes from us
  MonoTime replace_at = kNoDeadline;
  TaskScope scope;
};

// Kept right whatever happens to the frame that it is in.
struct Endpoint::User {
  explicit User(Running& r) : running(r) { ++running.users; }
  ~User() { --running.users; }
  User(const User&) = delete;
  User& operator=(const User&) = delete;
  Running& running;
};

Endpoint::Endpoint(Loop& loop, Dialer& dialer, std::string address, const ClientOptions& options, Owner& owner)
    : loop_(loop),
      dialer_(dialer),
      address_(std::move(address)),
      options_(options),
      owner_(owner),
      breaker_(options.breaker),
      work_(loop),
      scope_(loop) {
  scope_.spawn(manage());
}

Endpoint::~Endpoint() = default;

size_t Endpoint::in_flight() const {
  size_t sum = 0;
  for (const auto& running : sessions_) sum += running->users;
  return sum;
}

bool Endpoint::has_room() const { return !retired_ && current_ != nullptr && current_->session->has_room(); }

bool Endpoint::can_dial() const { return !retired_ && current_ == nullptr && !dialling() && breaker_.admits(loop_.now()); }

void Endpoint::want() {
  if (wanted_) return;
  wanted_ = true;
  work_.wake_all();
}

Task<AttemptResult> Endpoint::reconcile(const PairView& pair, Attempt attempt, CallHandler& handler) {
  AttemptResult result;
  {
    const User user(*current_);
    Task<AttemptResult> task = user.running.session->reconcile(pair, std::move(attempt), handler);
    result = co_await std::move(task);
    result.revision = user.running.session->peer().revision;
  }
  if (result.outcome != queue::Outcome::kUnavailable && result.reason != kDeadlineReason) proved();
  work_.wake_all();
  owner_.endpoint_changed(*this);
  co_return result;
}

bool Endpoint::has_review_room() const { return !retired_ && current_ != nullptr && current_->session->has_review_room(); }

Task<Result<ReviewReply>> Endpoint::review(const PairView& pair, pb::PlaneMessage& request, MonoTime deadline, CallHandler& handler) {
  Result<ReviewReply> reply = fail(Code::kCancelled, "");
  {
    const User user(*current_);
    Task<Result<ReviewReply>> task = user.running.session->review(pair, request, deadline, handler);
    reply = co_await std::move(task);
  }
  if (reply) proved();
  work_.wake_all();
  co_return std::move(reply);
}

void Endpoint::close_pair(PairId pair) {
  for (auto& running : sessions_) running->session->close_pair(pair);
}

void Endpoint::cancel(PairId pair, const std::string& ns, const std::string& name, const std::string& why) {
  for (auto& running : sessions_) running->session->cancel(pair, ns, name, why);
}

void Endpoint::retire(const std::string& why) {
  retired_ = true;
  if (current_ != nullptr) stop_using(*current_, why);
  work_.wake_all();
}

Task<void> Endpoint::manage() {
  while (true) {
    const bool dial = step();
    reap();
    if (dial) {
      co_await open_session();
      continue;
    }
    const MonoTime next = next_step();
    co_await work_.wait(next);
  }
}

// What is due now; true where a stream is to be opened.
bool Endpoint::step() {
  const MonoTime now = loop_.now();
  if (current_ != nullptr && !current_->session->usable()) stop_using(*current_, "the delegate drains");
  if (current_ != nullptr) {
    Session& session = *current_->session;
    if (now >= saturating_add(session.opened_at(), options_.prove_after)) proved();
    if (current_->users == 0 && now >= saturating_add(session.idle_since(), options_.idle_close)) stop_using(*current_, "idle");
  }
  if (retired_ || !breaker_.admits(now)) return false;
  return current_ != nullptr ? now >= current_->replace_at : due_to_dial();
}

MonoTime Endpoint::next_step() const {
  MonoTime next = kNoDeadline;
  const MonoTime now = loop_.now();
  if (current_ != nullptr) {
    const Session& session = *current_->session;
    next = std::max(current_->replace_at, breaker_.state(now) == Breaker::State::kOpen ? breaker_.retry_at(now) : current_->replace_at);
    if (breaker_.failures() > 0) next = std::min(next, saturating_add(session.opened_at(), options_.prove_after));
    if (current_->users == 0) next = std::min(next, saturating_add(session.idle_since(), options_.idle_close));
  } else if (due_to_dial()) {
    next = breaker_.retry_at(now);
  }
  for (const auto& running : sessions_) next = std::min(next, running->finish_by);
  return next;
}

// Frees what has ended; where all work is done, says so and gives the delegate a moment to end its side.
void Endpoint::reap() {
  const MonoTime now = loop_.now();
  for (auto& running : sessions_) {
    if (!running->retired || running->users > 0 || running->ended || running->finish_by != kNoDeadline) continue;
    running->session->finish();
    running->finish_by = saturating_add(now, options_.finish_timeout);
  }
  const size_t removed = std::erase_if(sessions_, [now](const auto& running) {
    return running->users == 0 && (running->ended || now >= running->finish_by);
  });
  if (removed > 0 && retired_) owner_.endpoint_changed(*this);
}

Task<Result<std::unique_ptr<Session>>> Endpoint::dial() {
  const MonoTime deadline = saturating_add(loop_.now(), options_.dial_timeout);
  GS_CO_TRY(auto stream, co_await dialer_.dial(address_, deadline));
  const uint64_t epoch = owner_.next_epoch();
  co_return co_await Session::open(loop_, std::move(stream), options_.identity, epoch, *this);
}

Task<void> Endpoint::open_session() {
  dialling_since_ = loop_.now();
  breaker_.probe();
  owner_.endpoint_changed(*this);
  if (current_ != nullptr) owner_.endpoint_aged(*this);
  auto session = co_await dial();
  dialling_since_ = kNoDeadline;
  wanted_ = false;
  if (!session) co_return failed(session.error());
  if (retired_) co_return owner_.endpoint_changed(*this);
  if (current_ != nullptr) stop_using(*current_, "replaced by a new stream");
  auto running = std::make_unique<Running>(loop_);
  running->session = std::move(*session);
  running->replace_at = saturating_add(loop_.now(), loop_.random().jitter(options_.max_age, 1.0));
  current_ = running.get();
  sessions_.push_back(std::move(running));
  peer_ = current_->session->peer();
  log::info("delegate is connected", {{"delegate", dialer_.origin()}, {"address", address_}, {"identity", peer_.identity}, {"revision", peer_.revision}, {"maxInFlight", peer_.max_in_flight}});
  current_->scope.spawn(run_session(*current_));
  owner_.endpoint_opened(*this);
  owner_.endpoint_changed(*this);
}

Task<void> Endpoint::run_session(Running& running) {
  const Status status = co_await running.session->run();
  running.ended = true;
  const Duration lived = loop_.now() - running.session->opened_at();
  const bool mine = running.retired && !running.session->going_away();
  if (&running == current_) current_ = nullptr;
  running.retired = true;
  const bool in_order = (status || running.session->going_away()) && lived >= kShortest;
  if (in_order || lived >= options_.prove_after) proved();
  breaker_.probe_over();
  if (mine || in_order) {
    log::info("delegate stream ended", {{"delegate", dialer_.origin()}, {"address", address_}});
    owner_.endpoint_changed(*this);
  } else {
    failed(status ? Error(Code::kUnavailable, "the delegate ended the stream") : status.error());
  }
  work_.wake_all();
}

// No new work for it; it ends when what is in flight has.
void Endpoint::stop_using(Running& running, const std::string& why) {
  running.session->drain(why);
  running.retired = true;
  if (&running == current_) current_ = nullptr;
  work_.wake_all();
  owner_.endpoint_changed(*this);
}

void Endpoint::failed(const Error& why) {
  const bool news = breaker_.failures() == 0 || why.message != last_error_.message;
  last_error_ = why;
  ++owner_.stats().failures;
  breaker_.failed(loop_.now(), loop_.random().unit());
  if (news) log::warning("delegate cannot be reached", {{"delegate", dialer_.origin()}, {"address", address_}, {"err", why.message}});
  owner_.endpoint_failed(*this, why);
  owner_.endpoint_changed(*this);
}

void Endpoint::proved() {
  if (breaker_.failures() == 0) return;
  breaker_.proved();
  owner_.endpoint_healed(*this);
}

void Endpoint::session_changed() {
  work_.wake_all();
  owner_.endpoint_changed(*this);
}

}  // namespace gs::delegate
