// For tests of sessions and clients: a delegate in memory on the simulated loop, driven by the test.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "delegate/client.h"
#include "delegate/wire.h"
#include "runtime/sim_loop.h"

namespace gs::delegate {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

// The delegate's end of a stream.
struct FakePeer {
  explicit FakePeer(Loop& loop) : to_plane(loop, 100'000), going_away(loop), drained(loop) {}
  void say(const pb::DelegateMessage& message) { to_plane.try_send(message.SerializeAsString()); }
  void hello(uint32_t max_in_flight = 4, const std::string& revision = "r1", const std::vector<std::string>& capabilities = {},
             uint32_t max_reviews = 0) {
    pb::DelegateMessage message;
    for (const std::string& word : capabilities) message.mutable_hello()->add_capabilities(word);
    message.mutable_hello()->set_max_reviews_in_flight(max_reviews);
    message.mutable_hello()->set_protocol_version(1);
    message.mutable_hello()->set_max_in_flight(max_in_flight);
    message.mutable_hello()->set_revision(revision);
    say(message);
  }
  void ok(uint64_t reconcile) {
    pb::DelegateMessage message;
    message.mutable_result()->set_id(reconcile);
    message.mutable_result()->mutable_ok();
    say(message);
  }
  void transient(uint64_t reconcile) {
    pb::DelegateMessage message;
    message.mutable_result()->set_id(reconcile);
    message.mutable_result()->mutable_transient()->set_reason("Flaky");
    say(message);
  }
  void call(uint64_t id, uint64_t reconcile) {
    pb::DelegateMessage message;
    message.mutable_call()->set_id(id);
    message.mutable_call()->set_reconcile(reconcile);
    message.mutable_call()->set_path("/x");
    say(message);
  }
  void pair_call(uint64_t id, uint32_t pair) {
    pb::DelegateMessage message;
    message.mutable_call()->set_id(id);
    message.mutable_call()->set_pair(pair);
    message.mutable_call()->set_path("/watch");
    say(message);
  }
  void window(uint64_t call, uint32_t bytes) {
    pb::DelegateMessage message;
    message.mutable_window()->set_id(call);
    message.mutable_window()->set_bytes(bytes);
    say(message);
  }
  void enqueue(uint32_t pair, const std::string& ns, const std::string& name) {
    pb::DelegateMessage message;
    message.mutable_enqueue()->set_pair(pair);
    message.mutable_enqueue()->set_namespace_(ns);
    message.mutable_enqueue()->set_name(name);
    say(message);
  }
  void drain() {
    pb::DelegateMessage message;
    message.mutable_drain()->set_why("restart");
    say(message);
  }
  // Takes everything that was sent and goes on reading, or stops to.
  void read(bool on) {
    reads = on;
    if (!on) return;
    unread = 0;
    drained.wake_all();
  }
  // The last message of a kind that the plane sent.
  const pb::PlaneMessage* last(pb::PlaneMessage::MessageCase kind) const {
    for (auto at = heard.rbegin(); at != heard.rend(); ++at) {
      if (at->message_case() == kind) return &*at;
    }
    return nullptr;
  }
  size_t count(pb::PlaneMessage::MessageCase kind) const {
    return static_cast<size_t>(std::count_if(heard.begin(), heard.end(), [&](const auto& m) { return m.message_case() == kind; }));
  }
  uint64_t last_id() const { return last(pb::PlaneMessage::kReconcile)->reconcile().id(); }

  std::string address;
  Channel<std::string> to_plane;
  Event going_away;
  WaitQueue drained;
  std::deque<pb::PlaneMessage> heard;  // whether read or not
  size_t unread = 0;
  size_t most_unread = 0;
  bool reads = true;
  bool gone = false;           // the plane dropped the stream
  bool half_closed = false;
  bool answers_pings = true;
  bool answers_all = false;    // each Reconcile with Ok, at once
};

class FakeStream final : public MessageStream {
 public:
  explicit FakeStream(std::shared_ptr<FakePeer> peer) : peer_(std::move(peer)) {}
  ~FakeStream() override { peer_->gone = true; }
  void send(const std::string& bytes) override {
    pb::PlaneMessage message;
    EXPECT_TRUE(message.ParseFromString(bytes));
    EXPECT_LE(bytes.size(), kMaxMessage);
    if (!peer_->reads) peer_->unread += bytes.size();
    peer_->most_unread = std::max(peer_->most_unread, peer_->unread);
    peer_->heard.push_back(message);
    if (!peer_->reads) return;
    if (message.has_reconcile() && peer_->answers_all) peer_->ok(message.reconcile().id());
    if (!message.has_ping() || !peer_->answers_pings) return;
    pb::DelegateMessage pong;
    *pong.mutable_ping() = message.ping();
    peer_->say(pong);
  }
  size_t unsent() const override { return peer_->unread; }
  Task<Status> wait_unsent(size_t at_most, MonoTime deadline) override {
    while (peer_->unread > at_most) {
      const bool woken = co_await peer_->drained.wait(deadline);
      if (!woken) co_return fail(Code::kDeadlineExceeded, "not read");
    }
    co_return ok();
  }
  Task<Result<std::optional<std::string>>> receive(MonoTime deadline) override {
    std::optional<std::string> message = co_await peer_->to_plane.receive(deadline);
    if (!message && !peer_->to_plane.closed()) co_return fail(Code::kDeadlineExceeded, "silence");
    co_return std::move(message);
  }
  void half_close() override {
    peer_->half_closed = true;
    peer_->to_plane.close();
  }
  Task<void> wait_going_away() override { co_await peer_->going_away.wait(); }

 private:
  std::shared_ptr<FakePeer> peer_;
};

// What a FakeDialer finds; the test changes it.
struct FakeNetwork {
  std::vector<std::string> addresses = {"10.0.0.1"};
  std::map<std::string, bool> refuses;   // at once
  std::map<std::string, bool> swallows;  // never answers
  std::map<std::string, std::string> revisions;
  bool no_name = false;
  bool silent = false;        // no Hello
  bool answers_all = false;
  uint32_t max_in_flight = 4;
  std::vector<std::string> capabilities;
  uint32_t max_reviews = 0;
  int resolved = 0;
  std::vector<std::pair<std::string, MonoTime>> dials;
  std::vector<std::shared_ptr<FakePeer>> peers;
};

class FakeDialer final : public Dialer {
 public:
  FakeDialer(Loop& loop, FakeNetwork& net) : loop_(loop), net_(net) {}
  Task<Result<std::vector<std::string>>> resolve(MonoTime) override {
    co_await sleep_for(loop_, milliseconds(1));
    ++net_.resolved;
    if (net_.no_name) co_return fail(Code::kUnavailable, "no such host");
    co_return net_.addresses;
  }
  Task<Result<std::unique_ptr<MessageStream>>> dial(std::string address, MonoTime deadline) override {
    net_.dials.emplace_back(address, loop_.now());
    co_await sleep_for(loop_, milliseconds(1));
    if (net_.refuses[address]) co_return fail(Code::kUnavailable, "connection refused");
    if (net_.swallows[address]) {
      co_await sleep_until(loop_, deadline);
      co_return fail(Code::kUnavailable, "timed out");
    }
    auto peer = std::make_shared<FakePeer>(loop_);
    peer->address = address;
    peer->answers_all = net_.answers_all;
    net_.peers.push_back(peer);
    const std::string revision = net_.revisions.contains(address) ? net_.revisions[address] : "r1";
    if (!net_.silent) peer->hello(net_.max_in_flight, revision, net_.capabilities, net_.max_reviews);
    co_return std::make_unique<FakeStream>(std::move(peer));
  }
  const std::string& origin() const override { return origin_; }

 private:
  Loop& loop_;
  FakeNetwork& net_;
  std::string origin_ = "http://fake";
};

// Serves calls by waiting for the test.
class FakeGateway final : public CallHandler {
 public:
  explicit FakeGateway(Loop& loop) : release(loop) {}
  Task<void> handle(const pb::Call& call, CallReply& reply) override {
    ++begun;
    co_await release.wait();
    ++settled;
    const Status sent = co_await reply.part(200, "application/json", std::string(body, 'x'), true);
    answered += sent.has_value();
    last_path = call.path();
  }
  Event release;
  int begun = 0, settled = 0, answered = 0;
  size_t body = 10;
  std::string last_path;
};

// A client of one delegate, with what its owner sees of it.
class ClientTest : public testing::Test, public Client::Observer {
 protected:
  explicit ClientTest(uint64_t seed = 1) : world(seed) {
    client = std::make_unique<Client>(loop, DelegateId(1), std::make_unique<FakeDialer>(loop, net), options, *this);
    pair = make_pair(7, "c7");
    run(milliseconds(1));
  }
  ~ClientTest() override {
    scope.cancel();
    client.reset();
  }
  static PairView make_pair(uint32_t id, const std::string& cluster) {
    PairView view;
    view.id = PairId(id);
    view.description.controller = "c";
    view.description.generation = 1;
    view.description.cluster = cluster;
    return view;
  }
  void run(Duration time) { world.run_for(time); }
  void start(const std::string& name, Duration limit = minutes(2)) { start(pair, name, limit); }
  void start(const PairView& of, const std::string& name, Duration limit = minutes(2), kube::ObjectRef object = {}) {
    Attempt attempt;
    attempt.ns = "ns";
    attempt.name = name;
    attempt.time_limit = limit;
    attempt.primary = std::move(object);
    loop.post([this, &of, attempt, name] { scope.spawn(reconcile(of, attempt, name)); });
    run(milliseconds(10));
  }
  Task<void> reconcile(const PairView& of, Attempt attempt, std::string name) {
    AttemptResult result = co_await client->reconcile(of, std::move(attempt), gateway);
    results[name] = std::move(result);
  }
  FakePeer& peer() { return *net.peers.back(); }
  uint64_t last_id() { return peer().last_id(); }

  SimWorld world;
  SimLoop& loop = world.add_loop();
  FakeNetwork net;
  ClientOptions options;
  FakeGateway gateway{loop};
  FakeGateway watches{loop};
  bool serves_pair_calls = true;
  PairView pair;
  std::unique_ptr<Client> client;
  std::map<std::string, AttemptResult> results;
  std::vector<bool> ready_changes;
  std::vector<std::string> enqueued;
  std::vector<std::string> revisions;
  int health_changes = 0;
  TaskScope scope{loop};

 private:
  void ready_changed(DelegateId, bool ready) override { ready_changes.push_back(ready); }
  void enqueue(PairId, const std::string& ns, const std::string& name, Duration) override { enqueued.push_back(ns + "/" + name); }
  CallHandler* pair_calls(PairId) override { return serves_pair_calls ? &watches : nullptr; }
  void health_changed(DelegateId) override { ++health_changes; }
  void revision_is(PairId, const std::string& revision) override { revisions.push_back(revision); }
};

}  // namespace gs::delegate
