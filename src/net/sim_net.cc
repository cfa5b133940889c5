#include "net/sim_net.h"

#include <algorithm>
#include <deque>
#include <optional>

#include "net/stream_errors.h"
#include "runtime/sync.h"

namespace gs::net {

namespace {

// What a connection holds between writer and reader; beyond it the writer's bytes wait with him.
constexpr size_t kWindow = 64 * 1024;
// How long a kernel sends SYNs to nobody.
constexpr Duration kDialTime = std::chrono::seconds(130);

}  // namespace

namespace internal {

struct SimPort {
  SimPort(SimLoop& l, Listener::Acceptor& a) : loop(l), acceptor(a) {}
  SimLoop& loop;
  Listener::Acceptor& acceptor;
};

// One end. Bytes go: out_ -> the peer's arriving_ (with a due time) -> its handler.
class SimStream final : public ByteStream, private TurnEndHook, private Timer {
 public:
  SimStream(SimNet& net, SimLoop& loop, uint64_t id, std::string here, std::string there)
      : Timer(loop), net_(net), sim_loop_(loop), id_(id), here_(std::move(here)), there_(std::move(there)), alpn_(net.alpn_) {
    self_ = net_.streams_.insert(net_.streams_.end(), this);
  }
  ~SimStream() override {
    net_.streams_.erase(self_);
    trace(4, 0);
    if (peer_ == nullptr) return;
    // As a kernel does: unread bytes make it a reset.
    if (!dead_) peer_->arrive(arriving_.empty() ? Segment::kEnd : Segment::kReset, {});
    peer_->peer_ = nullptr;
  }
  static void join(SimStream& a, SimStream& b) {
    a.peer_ = &b;
    b.peer_ = &a;
  }

  void start(Handler& handler) override {
    handler_ = &handler;
    schedule();
  }
  void write(std::string_view bytes) override {
    if (bytes.empty() || failed_ || shutdown_wanted_) return;
    out_.append(bytes);
    above_high_water_ |= out_.size() > kHighWater;
    loop_.at_turn_end(*this);
  }
  size_t buffered() const override { return out_.size(); }
  std::string_view alpn() const override { return alpn_; }
  void pause() override {
    paused_ = true;
    schedule();
  }
  void resume() override {
    paused_ = false;
    schedule();
  }
  void shutdown() override {
    shutdown_wanted_ = true;
    loop_.at_turn_end(*this);
  }
  std::string peer_address() const override { return net_.address_of(there_); }

  bool between(const std::string& a, const std::string& b) const {
    return (here_ == a && there_ == b) || (here_ == b && there_ == a);
  }
  const std::string& here() const { return here_; }
  const std::string& there() const { return there_; }

  void break_now() {
    arriving_.clear();
    schedule();  // what was due is no more; where nobody hears of anything (dead_), nothing else comes
    in_window_ = 0;
    ended_by_peer_ = false;
    if (!closed_) arrive(Segment::kReset, {});
  }
  void peer_finished() { arrive(Segment::kEnd, {}); }
  // Nobody tells anybody anything any more.
  void die() {
    dead_ = true;
    arriving_.clear();
    schedule();
  }
  void schedule() {
    if (handler_ == nullptr || paused_ || closed_ || dead_ || arriving_.empty()) {
      disarm();
      return;
    }
    arm_at(std::max(arriving_.front().due, link().blocked_until));
  }

 private:
  struct Segment {
    enum Kind { kBytes, kEnd, kReset };
    Segment(Kind k, MonoTime d, std::string b) : kind(k), due(d), bytes(std::move(b)) {}
    Kind kind;
    MonoTime due;
    std::string bytes;
  };

  // Towards us.
  const SimLink& link() const { return net_.find_link(there_, here_); }
  Random& random() { return net_.world_.random(); }
  void trace(uint64_t what, uint64_t size) {
    net_.world_.trace(id_ << 32 ^ what << 28 ^ size);
    net_.world_.trace(static_cast<uint64_t>(net_.world_.now().time_since_epoch().count()));
  }

  // The other end sends; called on its loop.
  void arrive(Segment::Kind kind, std::string bytes) {
    if (ended_by_peer_) return;
    const SimLink& way = link();
    dead_ |= way.blackhole && kind != Segment::kReset;
    in_window_ += bytes.size();
    if (dead_) return;  // nobody acknowledges: the window fills
    if (kind != Segment::kBytes) ended_by_peer_ = true;
    const Duration latency = random().between(way.min_latency, std::max(way.min_latency, way.max_latency));
    last_due_ = std::max(last_due_, saturating_add(net_.world_.now(), latency));
    if (way.bytes_per_second > 0) {
      const Duration transmission = from_seconds(static_cast<double>(bytes.size()) / way.bytes_per_second);
      last_due_ = saturating_add(last_due_, transmission);
    }
    arriving_.emplace_back(kind, last_due_, std::move(bytes));
    schedule();
  }

  // Something is due here.
  void fired() override {
    if (link().blocked_until > net_.world_.now()) {
      schedule();
      return;
    }
    Segment segment = std::move(arriving_.front());
    arriving_.pop_front();
    trace(static_cast<uint64_t>(segment.kind), segment.bytes.size());
    in_window_ -= segment.bytes.size();
    if (peer_ != nullptr && segment.kind == Segment::kBytes) peer_->window_opened();
    if (segment.kind == Segment::kBytes && link().reset_probability > 0 && random().chance(link().reset_probability)) {
      if (peer_ != nullptr) peer_->break_now();
      segment.kind = Segment::kReset;
    }
    if (segment.kind == Segment::kBytes) {
      schedule();
      handler_->on_data(segment.bytes);  // this may be gone afterwards
      return;
    }
    closed_ = true;
    failed_ = segment.kind == Segment::kReset;
    if (failed_) out_.clear();
    handler_->on_closed(failed_ ? Error(Code::kUnavailable, "connection reset by peer") : closed_by_peer());
  }

  void window_opened() {
    if (!out_.empty() || shutdown_wanted_) sim_loop_.at_turn_end(*this);
  }

  void turn_ended() override {
    if (failed_) return;
    if (peer_ == nullptr) {
      out_.clear();  // nobody is there, which on_closed says or has said
      return;
    }
    size_t sent = 0;
    while (sent < out_.size() && peer_->in_window_ < kWindow) {
      const size_t most = std::min({out_.size() - sent, kWindow - peer_->in_window_,
                                    std::max<size_t>(1, peer_->link().max_chunk)});
      // Mostly whole; sometimes cut anywhere.
      const size_t size = random().chance(0.3) ? 1 + random().below(most) : most;
      peer_->arrive(Segment::kBytes, out_.substr(sent, size));
      sent += size;
    }
    out_.erase(0, sent);
    if (out_.empty() && shutdown_wanted_ && !std::exchange(shutdown_sent_, true)) peer_->peer_finished();
    if (!out_.empty() || !std::exchange(above_high_water_, false) || closed_ || handler_ == nullptr) return;
    handler_->on_drained();
  }

  SimNet& net_;
  SimLoop& sim_loop_;
  uint64_t id_;
  std::string here_;
  std::string there_;
  std::string alpn_;
  std::list<SimStream*>::iterator self_;
  SimStream* peer_ = nullptr;  // null once it was destroyed
  Handler* handler_ = nullptr;
  std::string out_;
  std::deque<Segment> arriving_;
  size_t in_window_ = 0;  // bytes in arriving_
  MonoTime last_due_{};
  bool above_high_water_ = false;
  bool paused_ = false;
  bool closed_ = false;         // on_closed was called
  bool failed_ = false;
  bool ended_by_peer_ = false;  // its end is in arriving_, or was
  bool dead_ = false;           // half-open: lost bytes, or lost power
  bool shutdown_wanted_ = false;
  bool shutdown_sent_ = false;
};

}  // namespace internal

using internal::SimPort;
using internal::SimStream;

void SimNet::add_host(const std::string& name, const std::string& address) { addresses_[name] = address; }

SimLink& SimNet::link(const std::string& from, const std::string& to) {
  return links_.try_emplace({from, to}, default_link_).first->second;
}

const SimLink& SimNet::find_link(const std::string& from, const std::string& to) const {
  const auto found = links_.find({from, to});
  return found == links_.end() ? default_link_ : found->second;
}

std::string SimNet::find_host(const std::string& name_or_address) const {
  if (name_or_address.empty()) return {};
  if (addresses_.contains(name_or_address)) return name_or_address;
  for (const auto& [host, address] : addresses_) {
    if (address == name_or_address) return host;
  }
  return {};
}

std::string SimNet::address_of(const std::string& host) const {
  const auto found = addresses_.find(host);
  return found == addresses_.end() ? std::string() : found->second;
}

size_t SimNet::connections() const { return (streams_.size() + 1) / 2; }

void SimNet::for_each_between(const std::string& a, const std::string& b,
                              const std::function<void(SimStream&)>& action) {
  for (SimStream* stream : streams_) {
    if (stream->between(a, b)) action(*stream);
  }
}

void SimNet::links_changed(const std::string& a, const std::string& b) {
  for_each_between(a, b, [](SimStream& stream) { stream.schedule(); });
}

void SimNet::partition(const std::string& a, const std::string& b, Duration time) {
  link(a, b).blocked_until = link(b, a).blocked_until = saturating_add(world_.now(), time);
  links_changed(a, b);
}
void SimNet::partition(const std::string& a, const std::string& b) {
  link(a, b).blocked_until = link(b, a).blocked_until = kNoDeadline;
  links_changed(a, b);
}
void SimNet::heal(const std::string& a, const std::string& b) {
  for (SimLink* way : {&link(a, b), &link(b, a)}) {
    way->blackhole = false;
    way->blocked_until = MonoTime{};
  }
  links_changed(a, b);
}
void SimNet::blackhole(const std::string& a, const std::string& b) {
  link(a, b).blackhole = link(b, a).blackhole = true;
}
void SimNet::reset(const std::string& a, const std::string& b) {
  for_each_between(a, b, [](SimStream& stream) { stream.break_now(); });
}
void SimNet::half_close(const std::string& from, const std::string& to) {
  for_each_between(from, to, [&](SimStream& stream) {
    if (stream.here() == to) stream.peer_finished();
  });
}
void SimNet::crash(const std::string& host) {
  for (SimStream* stream : streams_) {
    if (stream->here() == host || stream->there() == host) stream->die();
  }
  std::erase_if(ports_, [&](const auto& port) { return port.first.first == host; });
}

// "" when the dial succeeds, "wait" when nobody answers, else what is wrong.
std::string SimNet::outcome_of_dial(const std::string& from, const Endpoint& endpoint) {
  const std::string host = find_host(endpoint.host);
  if (host.empty()) return "no such host";
  for (const SimLink* way : {&find_link(from, host), &find_link(host, from)}) {
    if (way->blackhole || way->blocked_until > world_.now()) return "wait";
  }
  if (find_link(from, host).refuse || !ports_.contains({host, endpoint.port})) return "connection refused";
  return {};
}

std::unique_ptr<ByteStream> SimNet::open(SimLoop& loop, const std::string& from, const std::string& to,
                                         uint16_t port) {
  const std::shared_ptr<SimPort> at = ports_.at({to, port});
  const uint64_t id = next_id_++;
  world_.trace(id << 32 ^ port);
  auto client = std::make_unique<SimStream>(*this, loop, id, from, to);
  auto server = std::make_unique<SimStream>(*this, at->loop, id, to, from);
  SimStream::join(*client, *server);
  backlog_[id] = std::move(server);
  at->loop.post([this, id, waiting = std::weak_ptr<SimPort>(at)] {
    auto node = backlog_.extract(id);
    // Without a listener by now, the stream ends here.
    if (const auto port_now = waiting.lock()) port_now->acceptor.accepted(std::move(node.mapped()));
  });
  return client;
}

Task<Result<std::unique_ptr<ByteStream>>> SimConnector::connect(Endpoint endpoint, MonoTime deadline) {
  const std::string where = fmt::format("dial {}:{}", endpoint.host, endpoint.port);
  const std::string host = net_.find_host(endpoint.host);
  const auto address = IpAddress::parse(net_.address_of(host));
  if (filter_ != nullptr && address) {
    Status allowed = filter_->check(*address);
    if (!allowed) co_return fail(std::move(allowed).error().with_context(where));
  }
  const MonoTime give_up = saturating_add(loop_.now(), kDialTime);
  while (true) {
    const SimLink& there = net_.find_link(from_, host);
    const SimLink& back = net_.find_link(host, from_);
    Random& random = net_.world().random();
    const Duration round_trip = random.between(there.min_latency, std::max(there.min_latency, there.max_latency)) +
                                random.between(back.min_latency, std::max(back.min_latency, back.max_latency));
    const MonoTime answer = saturating_add(loop_.now(), round_trip);
    const MonoTime wake = std::min(answer, deadline);
    co_await sleep_until(loop_, wake);
    if (answer > deadline) co_return fail(Code::kDeadlineExceeded, "{}: deadline exceeded", where);
    const std::string outcome = net_.outcome_of_dial(from_, endpoint);
    if (outcome.empty()) co_return net_.open(loop_, from_, host, endpoint.port);
    if (outcome != "wait") co_return fail(Code::kUnavailable, "{}: {}", where, outcome);
    // As a kernel that repeats its SYN.
    MonoTime again = saturating_add(loop_.now(), std::chrono::seconds(1));
    again = std::min(again, deadline);
    again = std::min(again, give_up);
    co_await sleep_until(loop_, again);
    if (loop_.now() >= deadline) co_return fail(Code::kDeadlineExceeded, "{}: deadline exceeded", where);
    if (loop_.now() >= give_up) co_return fail(Code::kUnavailable, "{}: connection timed out", where);
  }
}

Result<std::unique_ptr<SimListener>> SimListener::listen(SimLoop& loop, SimNet& net, const std::string& host,
                                                         uint16_t port, Acceptor& acceptor) {
  while (port == 0) {
    const uint16_t next = net.next_port_++;
    if (!net.ports_.contains({host, next})) port = next;
  }
  if (net.ports_.contains({host, port})) {
    return fail(Code::kUnavailable, "listen on {}:{}: address already in use", host, port);
  }
  net.addresses_.try_emplace(host);
  std::unique_ptr<SimListener> listener(new SimListener(net, host, port));
  listener->state_ = std::make_shared<SimPort>(loop, acceptor);
  net.ports_[{host, port}] = listener->state_;
  return listener;
}

SimListener::~SimListener() {
  const auto found = net_.ports_.find({host_, port_});
  if (found != net_.ports_.end() && found->second == state_) net_.ports_.erase(found);
}

Task<Result<std::vector<IpAddress>>> SimResolver::resolve(std::string host, MonoTime deadline) {
  std::vector<IpAddress> addresses;
  if (const auto numeric = IpAddress::parse(host)) {
    addresses.push_back(*numeric);
    co_return addresses;
  }
  if (silent_[host]) {
    const MonoTime give_up = std::min(deadline, saturating_add(loop_.now(), std::chrono::seconds(6)));
    co_await sleep_until(loop_, give_up);
    if (loop_.now() >= deadline) co_return fail(Code::kDeadlineExceeded, "lookup {}: deadline exceeded", host);
    co_return fail(Code::kUnavailable, "lookup {}: no name server answered", host);
  }
  const Duration delay = loop_.random().between(std::chrono::microseconds(100), std::chrono::milliseconds(20));
  co_await sleep_for(loop_, delay);
  const auto address = IpAddress::parse(net_.address_of(host));
  if (!address) co_return fail(Code::kUnavailable, "lookup {}: no such host", host);
  addresses.push_back(*address);
  co_return addresses;
}

}  // namespace gs::net
