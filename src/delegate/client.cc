#include "delegate/client.h"

#include <algorithm>

#include "base/log.h"

namespace gs::delegate {
namespace {

// A dial that takes longer is slow: the next endpoint is dialled too.
constexpr Duration kSlowDial = std::chrono::milliseconds(500);
// Names are not resolved more often, whatever fails.
constexpr Duration kResolvePause = std::chrono::seconds(1);

uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xCBF29CE484222325ull;  // FNV-1a
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

// An endpoint's weight for a cluster: the greatest is preferred (rendezvous hashing).
uint64_t weight(uint64_t cluster, const Endpoint& endpoint) {
  uint64_t z = cluster ^ hash_of(endpoint.address());  // splitmix64's finish
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

const char* reason_of(Code code) {
  switch (code) {
    case Code::kUnauthorized: return "Unauthorized";
    case Code::kForbidden: return "Forbidden";
    case Code::kUnsupported: return "Unsupported";
    default: return "Unreachable";
  }
}

}  // namespace

Client::Client(Loop& loop, DelegateId id, std::unique_ptr<Dialer> dialer, ClientOptions options, Observer& observer)
    : loop_(loop),
      id_(id),
      dialer_(std::move(dialer)),
      options_(std::move(options)),
      observer_(observer),
      names_(options_.breaker),
      room_(loop),
      review_room_(loop),
      names_work_(loop),
      sweep_(loop, [this] { std::erase_if(leaving_, [](const auto& endpoint) { return endpoint->finished(); }); }),
      retry_(loop, [this] { wake(); }),
      scope_(loop) {
  scope_.spawn(resolve_when_wanted());
}

Client::~Client() = default;

size_t Client::in_flight() const {
  size_t sum = 0;
  for (const auto* list : {&endpoints_, &leaving_}) {
    for (const auto& endpoint : *list) sum += endpoint->in_flight();
  }
  return sum;
}

size_t Client::streams() const {
  size_t sum = 0;
  for (const auto* list : {&endpoints_, &leaving_}) {
    for (const auto& endpoint : *list) sum += endpoint->streams();
  }
  return sum;
}

bool Client::connected() const {
  return std::any_of(endpoints_.begin(), endpoints_.end(), [](const auto& endpoint) { return endpoint->connected(); });
}

Client::PairState& Client::state_of(const PairView& pair) {
  PairState& state = pairs_[pair.id];
  const PairDescription& d = pair.description;
  if (state.hash == 0) state.hash = hash_of(d.cluster_uid.empty() ? d.tenant + "/" + d.cluster : d.cluster_uid);
  return state;
}

Task<void> Client::ask(const PairView& pair) {
  const uint64_t hash = state_of(pair).hash;
  {
    const Waiting waiting(waiting_, pair.id);
    Endpoint* endpoint = nullptr;
    while (!waiting.given_up) {
      endpoint = pick(hash, Kind::kReconcile);
      if (endpoint != nullptr) break;
      update_ready();
      co_await room_.wait();
    }
    if (endpoint != nullptr) note_peer(pair.id, state_of(pair), endpoint->peer());
  }
  wake();
}

Task<AttemptResult> Client::reconcile(const PairView& pair, Attempt attempt, CallHandler& handler) {
  Endpoint* endpoint = nullptr;
  const uint64_t hash = state_of(pair).hash;
  {
    const Waiting waiting(waiting_, pair.id);
    while (!waiting.given_up) {
      endpoint = pick(hash, Kind::kReconcile);
      if (endpoint != nullptr) break;
      update_ready();
      co_await room_.wait();
    }
  }
  AttemptResult result;
  result.message = "there is no stream to the delegate";
  if (endpoint != nullptr) {
    note_peer(pair.id, state_of(pair), endpoint->peer());
    Task<AttemptResult> task = endpoint->reconcile(pair, std::move(attempt), handler);
    update_ready();
    result = co_await std::move(task);
  }
  wake();
  co_return result;
}

// The endpoint to use now. Wants others where the cluster prefers them, or where there is none.
Endpoint* Client::pick(uint64_t hash, Kind kind) {
  if (stopping_) return nullptr;
  const MonoTime now = loop_.now();
  Endpoint* best = nullptr;   // has room
  Endpoint* dial = nullptr;   // is not dialled
  Endpoint* coming = nullptr; // is being dialled, and not slow yet
  const auto better = [hash](const Endpoint* a, const Endpoint* b) { return b == nullptr || weight(hash, *a) > weight(hash, *b); };
  for (const auto& owned : endpoints_) {
    Endpoint* endpoint = owned.get();
    const bool room = kind == Kind::kReview ? endpoint->has_review_room() : endpoint->has_room();
    if (room && better(endpoint, best)) best = endpoint;
    if (endpoint->can_dial() && better(endpoint, dial)) dial = endpoint;
    const bool fresh = endpoint->dialling_since() != kNoDeadline && !endpoint->connected() && now < endpoint->dialling_since() + kSlowDial;
    if (fresh && better(endpoint, coming)) coming = endpoint;
  }
  if (dial != nullptr && coming == nullptr && better(dial, best)) dial->want();
  if (endpoints_.empty()) want_addresses();
  return best;
}

Endpoint* Client::preferred(uint64_t hash) {
  const auto less = [hash](const auto& a, const auto& b) { return weight(hash, *a) < weight(hash, *b); };
  const auto found = std::max_element(endpoints_.begin(), endpoints_.end(), less);
  return found == endpoints_.end() ? nullptr : found->get();
}

std::optional<std::string> Client::revision(PairId pair) const {
  const auto found = pairs_.find(pair);
  return found == pairs_.end() ? std::nullopt : found->second.revision;
}

const Peer& Client::peer(PairId pair) const {
  const auto found = pairs_.find(pair);
  return found == pairs_.end() ? nobody_ : found->second.peer;
}

void Client::note_peer(PairId pair, PairState& state, const Peer& peer) {
  const bool changed = state.revision != peer.revision;
  state.revision = peer.revision;
  state.peer = peer;
  if (changed) observer_.revision_is(pair, peer.revision);
}

// A delegate whose logic changed sees its pairs again; those that prefer another endpoint wait for that.
void Client::endpoint_opened(Endpoint& endpoint) {
  for (auto& [id, state] : pairs_) {
    if (state.revision && preferred(state.hash) == &endpoint) note_peer(id, state, endpoint.peer());
  }
}

// Ready while something has room and nobody waits, or where the first to ask makes us dial.
void Client::update_ready() {
  const MonoTime now = loop_.now();
  bool ready = endpoints_.empty() && !resolving_ && names_.admits(now);
  MonoTime next = endpoints_.empty() ? names_.retry_at(now) : kNoDeadline;
  for (const auto& endpoint : endpoints_) {
    ready |= endpoint->has_room() || endpoint->can_dial();
    if (endpoint->connected()) continue;
    next = std::min(next, endpoint->breaker().retry_at(now));
    const MonoTime since = endpoint->dialling_since();
    if (since != kNoDeadline && since + kSlowDial > now) next = std::min(next, since + kSlowDial);
  }
  retry_.arm_at(next);
  ready = ready && !stopping_ && waiting_.empty();
  if (ready == ready_) return;
  ready_ = ready;
  observer_.ready_changed(id_, ready);
}

void Client::wake() {
  room_.wake_all();
  review_room_.wake_all();
  if (!leaving_.empty() && !sweep_.armed()) sweep_.arm_after(Duration::zero());
  update_ready();
}

void Client::close_pair(PairId pair) {
  for (auto* list : {&endpoints_, &leaving_}) {
    for (auto& endpoint : *list) endpoint->close_pair(pair);
  }
  pairs_.erase(pair);
  for (auto* list : {&waiting_, &waiting_reviews_}) {
    for (Waiting* waiting : *list) waiting->given_up |= waiting->pair == pair;
  }
  wake();
}

void Client::cancel(PairId pair, const std::string& ns, const std::string& name, const std::string& why) {
  for (auto* list : {&endpoints_, &leaving_}) {
    for (auto& endpoint : *list) endpoint->cancel(pair, ns, name, why);
  }
}

Task<void> Client::drain(MonoTime deadline) {
  stopping_ = true;
  for (auto* list : {&waiting_, &waiting_reviews_}) {
    for (Waiting* waiting : *list) waiting->given_up = true;
  }
  for (auto& endpoint : endpoints_) endpoint->retire("the plane stops");
  wake();
  while (in_flight() > 0 && loop_.now() < deadline) {
    co_await room_.wait(deadline);
  }
}

void Client::want_addresses() {
  if (addresses_wanted_ || stopping_) return;
  addresses_wanted_ = true;
  names_work_.wake_all();
}

Task<void> Client::resolve_when_wanted() {
  while (true) {
    const MonoTime from = std::max(resolved_at_, names_.failures() > 0 ? names_.retry_at(loop_.now()) : MonoTime{});
    if (!addresses_wanted_) {
      co_await names_work_.wait();
      continue;
    }
    if (from != kNoDeadline && loop_.now() < from) {
      co_await sleep_until(loop_, from);
      continue;
    }
    resolving_ = true;
    const MonoTime deadline = saturating_add(loop_.now(), options_.dial_timeout);
    auto addresses = co_await dialer_->resolve(deadline);
    resolving_ = false;
    addresses_wanted_ = !addresses;
    resolved_at_ = saturating_add(loop_.now(), kResolvePause);
    if (addresses) {
      names_.proved();
      adopt(*addresses);
    } else {
      name_error_ = addresses.error();
      if (names_.failures() == 0) log::warning("delegate's name cannot be resolved", {{"delegate", origin()}, {"err", name_error_.message}});
      names_.failed(loop_.now(), loop_.random().unit());
      observer_.health_changed(id_);
    }
    wake();
  }
}

// Endpoints of addresses that stay are kept as they are.
void Client::adopt(const std::vector<std::string>& addresses) {
  std::vector<std::unique_ptr<Endpoint>> kept;
  for (auto& endpoint : endpoints_) {
    if (std::find(addresses.begin(), addresses.end(), endpoint->address()) != addresses.end()) {
      kept.push_back(std::move(endpoint));
    } else {
      leaving_.push_back(std::move(endpoint));
    }
  }
  endpoints_ = std::move(kept);
  for (const std::string& address : addresses) {
    const bool known = std::any_of(endpoints_.begin(), endpoints_.end(), [&](const auto& e) { return e->address() == address; });
    if (!known) endpoints_.push_back(std::unique_ptr<Endpoint>(new Endpoint(loop_, *dialer_, address, options_, *this)));
  }
  // Last: it may come back to us.
  std::vector<Endpoint*> gone;
  gone.reserve(leaving_.size());
  for (auto& endpoint : leaving_) gone.push_back(endpoint.get());
  for (Endpoint* endpoint : gone) endpoint->retire("its address is gone");
}

ClientHealth Client::trouble() const {
  const bool names = endpoints_.empty();
  const Endpoint* worst = nullptr;
  for (const auto& endpoint : endpoints_) {
    if (endpoint->breaker().failures() > 0 && (worst == nullptr || endpoint->breaker().since() < worst->breaker().since())) worst = endpoint.get();
  }
  const Breaker& breaker = worst != nullptr ? worst->breaker() : names_;
  const Error& error = names ? name_error_ : worst->last_error();
  const WallTime since = loop_.wall_now() - (loop_.now() - breaker.since());
  ClientHealth out;
  out.reachable = false;
  out.reason = reason_of(error.code);
  out.message = fmt::format("{}: {}; since {}, tried again at least every {}", origin(), error.message, format_rfc3339(since),
                            format_go_duration(options_.breaker.last_pause + options_.breaker.last_pause / 2));
  return out;
}

ClientHealth Client::health() const {
  const auto failing = [](const auto& endpoint) { return endpoint->breaker().failures() > 0; };
  const auto count = static_cast<size_t>(std::count_if(endpoints_.begin(), endpoints_.end(), failing));
  const bool no_names = endpoints_.empty() && names_.failures() > 0;
  if (no_names || (count > 0 && count == endpoints_.size())) return trouble();
  ClientHealth out;
  out.reason = connected() ? "Connected" : "Idle";
  if (count == 0) return out;
  out.message = fmt::format("{} of {} endpoints cannot be reached: {}", count, endpoints_.size(), trouble().message);
  return out;
}

}  // namespace gs::delegate
