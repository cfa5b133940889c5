// Streams and what goes over them, against a delegate in memory.
#include "delegate/delegate_test_util.h"
#include "kube/object.h"

namespace gs::delegate {
namespace {

TEST_F(ClientTest, DialsOnDemandAndOpensThePairBeforeItsReconcile) {
  EXPECT_TRUE(net.peers.empty());
  pair.configs.revision = 3;
  start("a");
  ASSERT_EQ(net.peers.size(), 1u);
  ASSERT_EQ(peer().heard.size(), 4u);
  EXPECT_TRUE(peer().heard[0].has_hello());
  EXPECT_TRUE(peer().heard[1].has_open());
  EXPECT_EQ(peer().heard[2].config().revision(), 3u);
  EXPECT_EQ(peer().heard[3].reconcile().config_revision(), 3u);
  peer().ok(last_id());
  run(milliseconds(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk);
  start("b");
  EXPECT_EQ(peer().count(pb::PlaneMessage::kOpen), 1u);
}

TEST_F(ClientTest, NeverSendsMoreThanTheDelegatesCredit) {
  for (int i = 0; i < 10; ++i) start("k" + std::to_string(i));
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 4u);
  EXPECT_FALSE(client->ready());
  peer().ok(1);
  run(milliseconds(10));
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 5u);
}

TEST_F(ClientTest, ACallOfAFinishedReconcileIsRefusedAndHasNoEffect) {
  start("a");
  const uint64_t id = last_id();
  peer().ok(id);
  peer().call(1, id);
  peer().call(2, 999);
  run(milliseconds(10));
  EXPECT_EQ(gateway.begun, 0);
  EXPECT_EQ(peer().count(pb::PlaneMessage::kCallResult), 2u);
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCallResult)->call_result().status(), 403u);
}

TEST_F(ClientTest, CallsOfAPairAreServedWithoutAReconcileWithinTheirNumber) {
  start("a");
  peer().ok(last_id());
  serves_pair_calls = false;
  peer().pair_call(1, 1);
  run(milliseconds(1));
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCallResult)->call_result().status(), 403u);
  serves_pair_calls = true;
  peer().pair_call(2, 9);
  run(milliseconds(1));
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCallResult)->call_result().status(), 403u) << "no such pair";
  for (uint64_t id = 10; id < 10 + kMaxCallsPerPair; ++id) peer().pair_call(id, 1);
  peer().pair_call(1000, 1);
  run(milliseconds(1));
  EXPECT_EQ(watches.begun, static_cast<int>(kMaxCallsPerPair));
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCallResult)->call_result().status(), 429u);
  EXPECT_EQ(client->in_flight(), 0u) << "they hold up no drain";
  loop.post([this] { watches.release.set(); });
  run(milliseconds(10));
  EXPECT_EQ(watches.answered, static_cast<int>(kMaxCallsPerPair));
  peer().pair_call(10, 1);
  run(milliseconds(1));
  EXPECT_EQ(watches.answered, static_cast<int>(kMaxCallsPerPair) + 1) << "an id is free again after its end";
}

TEST_F(ClientTest, CallsOfAPairEndWithThePairAndWithTheStream) {
  start("a");
  peer().ok(last_id());
  peer().pair_call(1, 1);
  run(milliseconds(1));
  loop.post([this] { client->close_pair(pair.id); });
  run(milliseconds(1));
  loop.post([this] { watches.release.set(); });
  run(milliseconds(1));
  EXPECT_EQ(watches.begun, 1);
  EXPECT_EQ(watches.settled, 0) << "destroyed with its pair";
  watches.release.clear();
  start("b");
  peer().pair_call(2, 2);
  run(milliseconds(1));
  EXPECT_EQ(watches.begun, 2);
  peer().to_plane.close();
  run(seconds(1));
  loop.post([this] { watches.release.set(); });
  run(seconds(1));
  EXPECT_EQ(watches.settled, 0) << "destroyed with its stream";
}

TEST_F(ClientTest, AKeyIsFreeOnlyWhenItsForwardedCallsAreSettledEvenAfterTheStreamIsLost) {
  start("a");
  peer().call(1, last_id());
  run(milliseconds(10));
  EXPECT_EQ(gateway.begun, 1);
  peer().to_plane.close();
  run(seconds(5));
  EXPECT_FALSE(results.contains("a"));
  loop.post([this] { gateway.release.set(); });
  run(seconds(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable);
  EXPECT_EQ(gateway.settled, 1);
  EXPECT_EQ(gateway.answered, 0);
}

TEST_F(ClientTest, ALostStreamCostsNoFailureAndTheNextAttemptDialsAgain) {
  start("a");
  peer().to_plane.close();
  run(seconds(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable);
  start("a");
  EXPECT_EQ(net.peers.size(), 2u);
  EXPECT_TRUE(peer().last(pb::PlaneMessage::kOpen) != nullptr);
}

TEST_F(ClientTest, AnUnreachableDelegateHoldsWorkBackAndIsDialledLessAndLess) {
  net.refuses["10.0.0.1"] = true;
  start("a");
  EXPECT_FALSE(client->ready());
  run(minutes(10));
  EXPECT_LT(net.dials.size(), 60u);
  EXPECT_GT(net.dials.size(), 20u);
  const ClientHealth health = client->health();
  EXPECT_FALSE(health.reachable);
  EXPECT_EQ(health.reason, "Unreachable");
  EXPECT_EQ(health.message, "http://fake: connection refused; since 2024-10-04T01:00:00Z, tried again at least every 22.5s");
  EXPECT_TRUE(results.empty());
  net.refuses.clear();
  run(minutes(1));
  ASSERT_EQ(net.peers.size(), 1u);
  peer().ok(last_id());
  run(seconds(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk);
  EXPECT_TRUE(client->ready());
}

TEST_F(ClientTest, AReconcileThatTakesTooLongIsCancelledAndCountsAsAFailure) {
  start("a", seconds(5));
  run(seconds(6));
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCancel)->cancel().id(), 1u);
  peer().call(1, 1);
  run(seconds(1));
  EXPECT_EQ(gateway.begun, 0) << "a cancelled reconcile's calls are refused";
  peer().ok(1);
  run(seconds(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kTransient);
  EXPECT_EQ(results.at("a").reason, "DeadlineExceeded");
}

TEST_F(ClientTest, ASilentDelegateIsPingedAndThenLetGo) {
  start("a", minutes(10));
  peer().answers_pings = false;
  run(seconds(31));
  ASSERT_NE(peer().last(pb::PlaneMessage::kPing), nullptr);
  run(seconds(16));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable);
  EXPECT_TRUE(net.peers[0]->gone);
}

TEST_F(ClientTest, ALongAnswerComesInPartsWithinItsWindow) {
  gateway.body = 1024 * 1024;
  gateway.release.set();
  start("a");
  peer().call(1, last_id());
  run(milliseconds(10));
  EXPECT_EQ(peer().count(pb::PlaneMessage::kCallResult), kCallWindow / kPartSize);
  size_t got = 0;
  for (int i = 0; i < 100; ++i) {
    for (const auto& message : peer().heard) got += message.call_result().body().size();
    const bool end = peer().heard.back().call_result().end();
    peer().heard.clear();
    if (end) break;
    pb::DelegateMessage window;
    window.mutable_window()->set_id(1);
    window.mutable_window()->set_bytes(128 * 1024);
    peer().say(window);
    run(milliseconds(1));
  }
  EXPECT_EQ(got, gateway.body);
  EXPECT_EQ(gateway.answered, 1);
}

TEST_F(ClientTest, AnIdleStreamIsClosedAndAnOldOneReplacedBeforeItEnds) {
  start("a");
  peer().ok(last_id());
  run(minutes(6));
  EXPECT_TRUE(net.peers[0]->gone);
  EXPECT_NE(net.peers[0]->last(pb::PlaneMessage::kDrain), nullptr);
  start("b", minutes(200));
  ASSERT_EQ(net.peers.size(), 2u);
  run(minutes(61));
  ASSERT_EQ(net.peers.size(), 3u);
  EXPECT_FALSE(net.peers[1]->gone) << "it still has a reconcile in flight";
  net.peers[1]->ok(1);
  run(seconds(1));
  EXPECT_EQ(results.at("b").outcome, queue::Outcome::kOk);
  EXPECT_TRUE(net.peers[1]->gone);
}

TEST_F(ClientTest, GarbageEndsTheStreamAndNothingElse) {
  start("a");
  peer().to_plane.try_send("\xff\xff\xff garbage");
  run(seconds(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable);
  start("b");
  EXPECT_EQ(net.peers.size(), 2u);
}

TEST_F(ClientTest, TheDelegateMayAskForAKeyOfAPairThatIsOpen) {
  start("a");
  pb::DelegateMessage message;
  message.mutable_enqueue()->set_pair(1);
  message.mutable_enqueue()->set_namespace_("x");
  message.mutable_enqueue()->set_name("y");
  peer().say(message);
  message.mutable_enqueue()->set_pair(55);
  peer().say(message);
  run(milliseconds(10));
  EXPECT_EQ(enqueued, std::vector<std::string>{"x/y"});
}

}  // namespace
}  // namespace gs::delegate
