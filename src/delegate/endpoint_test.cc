// One delegate at several addresses.
#include "delegate/client_set.h"
#include "delegate/delegate_test_util.h"

namespace gs::delegate {
namespace {

class EndpointTest : public ClientTest {
 protected:
  // Pairs of different clusters, which prefer different endpoints.
  EndpointTest() {
    net.answers_all = true;
    for (uint32_t i = 0; i < 20; ++i) pairs.push_back(make_pair(100 + i, "cluster" + std::to_string(i)));
  }
  void start_all(const std::string& key) {
    for (const PairView& of : pairs) start(of, key + of.description.cluster);
  }
  bool all_ok(const std::string& key) {
    return std::all_of(pairs.begin(), pairs.end(), [&](const PairView& of) {
      const auto found = results.find(key + of.description.cluster);
      return found != results.end() && found->second.outcome == queue::Outcome::kOk;
    });
  }
  size_t reconciles_at(const std::string& address) {
    size_t sum = 0;
    for (const auto& one : net.peers) sum += one->address == address ? one->count(pb::PlaneMessage::kReconcile) : 0;
    return sum;
  }
  std::vector<PairView> pairs;
};

TEST_F(EndpointTest, ClustersSpreadOverEndpointsAndEachKeepsItsOwn) {
  net.addresses = {"10.0.0.1", "10.0.0.2"};
  start_all("a");
  start_all("b");
  EXPECT_TRUE(all_ok("a") && all_ok("b"));
  // The first is alone until somebody prefers the other.
  const size_t one = reconciles_at("10.0.0.1"), two = reconciles_at("10.0.0.2");
  EXPECT_EQ(one + two, 40u);
  EXPECT_GT(std::min(one, two), 8u);
  net.peers[0]->heard.clear();
  net.peers[1]->heard.clear();
  start(pairs[0], "c");
  start(pairs[0], "d");
  EXPECT_EQ(std::min(reconciles_at("10.0.0.1"), reconciles_at("10.0.0.2")), 0u) << "the same cluster, the same endpoint";
}

TEST_F(EndpointTest, ADeadEndpointIsPassedByAndSaidAndUsedAgainWhenItIsBack) {
  net.addresses = {"10.0.0.1", "10.0.0.2"};
  net.refuses["10.0.0.1"] = true;
  start_all("a");
  run(seconds(1));
  EXPECT_TRUE(all_ok("a"));
  EXPECT_EQ(reconciles_at("10.0.0.1"), 0u);
  const ClientHealth health = client->health();
  EXPECT_TRUE(health.reachable);
  EXPECT_TRUE(health.message.starts_with("1 of 2 endpoints cannot be reached: http://fake: connection refused; since ")) << health.message;
  EXPECT_GT(client->counts().failures, 0u);
  net.refuses.clear();
  run(minutes(1));
  start_all("b");  // the first who prefers it dials
  start_all("c");
  EXPECT_TRUE(all_ok("b") && all_ok("c"));
  EXPECT_GT(reconciles_at("10.0.0.1"), 0u);
  run(seconds(6));
  EXPECT_EQ(client->health().message, "");
}

TEST_F(EndpointTest, ASlowDialGetsCompanyAfterAMoment) {
  net.addresses = {"10.0.0.1", "10.0.0.2"};
  net.swallows["10.0.0.1"] = net.swallows["10.0.0.2"] = true;
  start(pairs[0], "a");
  ASSERT_EQ(net.dials.size(), 1u);
  net.swallows[net.dials[0].first == "10.0.0.1" ? "10.0.0.2" : "10.0.0.1"] = false;
  run(milliseconds(400));
  EXPECT_EQ(net.dials.size(), 1u) << "its own endpoint has a moment for itself";
  EXPECT_TRUE(results.empty());
  run(milliseconds(200));
  EXPECT_EQ(net.dials.size(), 2u);
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk) << "no need to wait for the end of the slow dial";
}

TEST_F(EndpointTest, AFullEndpointsWorkGoesToTheOther) {
  net.addresses = {"10.0.0.1", "10.0.0.2"};
  net.answers_all = false;
  net.max_in_flight = 1;
  start(pairs[0], "a");
  start(pairs[0], "b");
  EXPECT_EQ(reconciles_at("10.0.0.1"), 1u);
  EXPECT_EQ(reconciles_at("10.0.0.2"), 1u);
  start(pairs[0], "c");
  EXPECT_EQ(client->in_flight(), 2u);
  EXPECT_FALSE(client->ready());
}

TEST_F(EndpointTest, AStreamThatIsLostMakesTheNameAskedAgain) {
  start(pairs[0], "a");
  EXPECT_EQ(net.resolved, 1);
  net.addresses = {"10.0.0.9"};
  net.refuses["10.0.0.1"] = true;
  net.peers[0]->to_plane.close();
  run(seconds(2));
  EXPECT_EQ(net.resolved, 2);
  start(pairs[0], "b");
  EXPECT_EQ(reconciles_at("10.0.0.9"), 1u);
  EXPECT_EQ(client->endpoints(), 1u);
  EXPECT_TRUE(client->health().reachable) << client->health().message;
}

TEST_F(EndpointTest, WorkInFlightAtAnAddressThatIsGoneFinishesThere) {
  net.addresses = {"10.0.0.1", "10.0.0.2"};
  net.answers_all = false;
  start_all("a");
  const auto at = std::find_if(net.peers.begin(), net.peers.end(), [](const auto& one) { return one->address == "10.0.0.1"; });
  ASSERT_NE(at, net.peers.end());
  const std::shared_ptr<FakePeer> leaving = *at;
  const size_t begun = leaving->count(pb::PlaneMessage::kReconcile);
  net.addresses = {"10.0.0.2"};
  (*std::find_if(net.peers.begin(), net.peers.end(), [](const auto& one) { return one->address == "10.0.0.2"; }))->to_plane.close();
  run(seconds(5));
  EXPECT_NE(leaving->last(pb::PlaneMessage::kDrain), nullptr);
  EXPECT_FALSE(leaving->gone);
  for (uint64_t id = 1; id <= begun; ++id) leaving->ok(id);
  run(seconds(5));
  EXPECT_TRUE(leaving->gone);
  const auto ok = std::count_if(results.begin(), results.end(), [](const auto& r) { return r.second.outcome == queue::Outcome::kOk; });
  EXPECT_EQ(static_cast<size_t>(ok), begun);
}

TEST_F(EndpointTest, ANameThatCannotBeResolvedIsSaidAndTriedAgain) {
  net.no_name = true;
  start(pairs[0], "a");
  run(minutes(1));
  EXPECT_FALSE(client->ready());
  EXPECT_TRUE(client->health().message.starts_with("http://fake: no such host; since ")) << client->health().message;
  EXPECT_LT(net.resolved, 20);
  net.no_name = false;
  run(minutes(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk);
}

TEST_F(EndpointTest, ADelegateThatIsBackIsSeenWithoutWork) {
  start(pairs[0], "a");
  net.refuses["10.0.0.1"] = true;
  peer().to_plane.close();
  run(minutes(10));
  EXPECT_FALSE(client->health().reachable);
  net.refuses.clear();
  run(seconds(23 + 6));
  EXPECT_TRUE(client->health().reachable) << client->health().message;
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 0u);
  run(minutes(6));
  EXPECT_TRUE(peer().gone) << "idle";
  net.no_name = true;
  const size_t dials = net.dials.size();
  run(minutes(60));
  EXPECT_EQ(net.dials.size(), dials) << "nothing has failed, so nobody is dialled";
}

TEST_F(EndpointTest, AfterAFailureShortStreamsThatEndInGoodOrderAreNoFailureAndTheNextIsDialled) {
  net.refuses["10.0.0.1"] = true;
  start(pairs[0], "a");
  run(seconds(3));
  net.refuses.clear();
  net.answers_all = false;
  run(seconds(6));
  ASSERT_EQ(net.peers.size(), 1u);
  client->close_pair(pairs[0].id);  // no result proves anything
  peer().ok(1);
  run(seconds(2));
  peer().going_away.set();
  run(milliseconds(1));
  peer().to_plane.close();
  run(seconds(5));
  EXPECT_TRUE(client->health().reachable) << client->health().message;
  start(pairs[1], "b");
  ASSERT_EQ(net.peers.size(), 2u);
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 1u);
}

// A stream may end by our own will before it has proved anything.
TEST_F(EndpointTest, AnEndpointWhoseProbeEndedForAnotherReasonIsDialledAgain) {
  net.answers_all = false;
  net.refuses["10.0.0.1"] = true;
  start(pairs[0], "a", seconds(1));
  run(seconds(3));
  net.refuses.clear();
  run(seconds(6));
  ASSERT_EQ(net.peers.size(), 1u);
  run(milliseconds(100));
  peer().drain();  // at once after the Hello
  run(milliseconds(10));
  peer().ok(1);
  run(seconds(5));
  start(pairs[1], "b");
  run(seconds(30));
  ASSERT_GE(net.peers.size(), 2u);
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 1u);
}

TEST_F(EndpointTest, AConnectionThatIsGoingAwayFinishesItsWorkAndNewWorkGoesToANewStream) {
  net.answers_all = false;
  start(pairs[0], "a");
  run(seconds(2));
  net.peers[0]->going_away.set();
  run(milliseconds(10));
  start(pairs[0], "b");
  ASSERT_EQ(net.peers.size(), 2u);
  EXPECT_EQ(net.peers[0]->count(pb::PlaneMessage::kReconcile), 1u);
  EXPECT_EQ(net.peers[1]->count(pb::PlaneMessage::kReconcile), 1u);
  net.peers[0]->ok(1);
  net.peers[1]->ok(1);
  run(seconds(5));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk);
  EXPECT_EQ(results.at("b").outcome, queue::Outcome::kOk);
  EXPECT_TRUE(net.peers[0]->gone);
  EXPECT_EQ(client->counts().failures, 0u) << "as servers with a maximum age do; nothing has failed";
}

TEST_F(EndpointTest, AServerThatGoesAwayWithoutWaitingCostsNoFailureOfTheEndpoint) {
  net.answers_all = false;
  start(pairs[0], "a");
  run(seconds(2));
  net.peers[0]->going_away.set();
  run(milliseconds(1));
  net.peers[0]->to_plane.close();
  run(milliseconds(10));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable);
  EXPECT_EQ(client->counts().failures, 0u);
}

// Clients that Controllers share.
class ClientSetTest : public ClientTest {
 protected:
  ~ClientSetTest() override { scope.cancel(); }
  Task<void> reconcile_with(Client& one) {
    Attempt attempt;
    attempt.name = "a";
    AttemptResult result = co_await one.reconcile(pair, std::move(attempt), gateway);
    results["a"] = std::move(result);
  }
  ClientSet set{loop, [this](const kube::ServerUrl&) { return std::make_unique<FakeDialer>(loop, net); }, ClientOptions(), *this};
  const kube::ServerUrl url = *kube::parse_server_url("http://10.0.0.1:8080");
  const kube::ServerUrl other = *kube::parse_server_url("http://10.0.0.2:8080");
};

TEST_F(ClientSetTest, StreamsAreSharedWithinATenantOrByAllAsTheControllersSay) {
  const auto a = set.acquire(url, "one", false), b = set.acquire(url, "one", false);
  EXPECT_EQ(&*a, &*b);
  EXPECT_NE(&*a, &*set.acquire(url, "two", false)) << "a tenant's streams are its own";
  EXPECT_NE(&*a, &*set.acquire(other, "one", false));
  const auto c = set.acquire(url, "one", true), d = set.acquire(url, "two", true);
  EXPECT_EQ(&*c, &*d);
  EXPECT_NE(&*a, &*c);
}

TEST_F(ClientSetTest, TheLastUserLetsAStreamEndInGoodOrder) {
  net.answers_all = true;
  ClientSet::Handle first = set.acquire(url, "one", false), second = set.acquire(url, "one", false);
  loop.post([&] { scope.spawn(reconcile_with(*first)); });
  run(milliseconds(10));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk);
  loop.post([&] { first = ClientSet::Handle(); });
  run(seconds(1));
  EXPECT_EQ(peer().last(pb::PlaneMessage::kDrain), nullptr) << "it has another user";
  loop.post([&] { second = ClientSet::Handle(); });
  run(seconds(10));
  EXPECT_NE(peer().last(pb::PlaneMessage::kDrain), nullptr);
  EXPECT_TRUE(peer().half_closed && peer().gone);
  size_t left = 0;
  set.for_each([&](Client&) { ++left; });
  EXPECT_EQ(left, 0u);
}

}  // namespace
}  // namespace gs::delegate
