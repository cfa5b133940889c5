// What a delegate that does too much, too little or nothing costs: bounded, and itself only.
#include "delegate/delegate_test_util.h"

namespace gs::delegate {
namespace {

TEST_F(ClientTest, AFloodOfEnqueuesIsReadNoFasterThanItsRateAndLosesNothing) {
  start("a");
  for (int i = 0; i < 20'000; ++i) peer().enqueue(1, "x", "k" + std::to_string(i));
  peer().ok(last_id());
  run(milliseconds(10));
  EXPECT_GE(enqueued.size(), 10'000u);
  EXPECT_LT(enqueued.size(), 10'200u);
  EXPECT_GT(client->counts().throttled, 0u);
  run(seconds(5));
  EXPECT_NEAR(static_cast<double>(enqueued.size()), 15'000, 300);
  run(seconds(6));
  EXPECT_EQ(enqueued.size(), 20'000u);
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk) << "what it says after them waits behind them";
}

TEST_F(ClientTest, AnEnqueueOfWhatCannotBeAKeyIsCountedAndNothingElse) {
  start("a");
  peer().enqueue(1, "x", "");
  peer().enqueue(1, "x", std::string(254, 'n'));
  peer().enqueue(1, std::string(64, 'n'), "y");
  peer().enqueue(2, "x", "y");
  run(milliseconds(10));
  EXPECT_TRUE(enqueued.empty());
  EXPECT_EQ(client->counts().protocol_errors, 4u);
}

TEST_F(ClientTest, ADelegateThatDoesNotReadIsBoundedInBytesAndLosesItsStreamInTime) {
  start("a", minutes(10));
  peer().read(false);
  for (uint64_t id = 1; id <= 60'000; ++id) peer().call(id, 999);  // each is refused, and the refusal is not read
  run(seconds(1));
  EXPECT_GT(peer().unread, Outbox::kHoldMark);
  EXPECT_LT(peer().most_unread, Outbox::kStopMark + kMaxReconcile) << "what would make more is not even read";
  start("b");
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 1u) << "it gets no new work";
  EXPECT_FALSE(client->ready());
  EXPECT_FALSE(peer().gone);
  run(seconds(30));
  EXPECT_TRUE(net.peers[0]->gone);
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable);
  EXPECT_TRUE(results.at("a").message.starts_with("the delegate does not read: ")) << results.at("a").message;
}

TEST_F(ClientTest, ADelegateThatReadsInTimeKeepsItsStream) {
  start("a", minutes(10));
  peer().read(false);
  for (uint64_t id = 1; id <= 60'000; ++id) peer().call(id, 999);
  run(seconds(20));
  peer().read(true);
  run(seconds(60));
  EXPECT_FALSE(peer().gone);
  EXPECT_EQ(peer().count(pb::PlaneMessage::kCallResult), 60'000u);
  EXPECT_TRUE(client->ready());
}

TEST_F(ClientTest, PartsOfLongAnswersNeverDelayWhatIsShort) {
  gateway.body = 2 * 1024 * 1024;
  gateway.release.set();
  start("a");
  peer().read(false);
  for (uint64_t id = 1; id <= 8; ++id) {
    peer().call(id, 1);
    peer().window(id, 4 * 1024 * 1024);
  }
  run(seconds(1));
  EXPECT_LE(peer().unread, Outbox::kPartMark + kPartSize + 1024) << "all windows are open, but little is put before others";
  start("b");
  EXPECT_EQ(peer().heard.back().reconcile().name(), "b") << "sent at once";
  // Read again, everything comes, and all calls in turn.
  peer().read(true);
  run(seconds(1));
  EXPECT_EQ(gateway.answered, 8);
}

TEST_F(ClientTest, TheCallsOfOneReconcileAreLimitedInNumber) {
  start("a");
  for (uint64_t id = 1; id <= kMaxCallsPerReconcile + 10; ++id) peer().call(id, 1);
  run(milliseconds(10));
  EXPECT_EQ(gateway.begun, static_cast<int>(kMaxCallsPerReconcile));
  EXPECT_EQ(peer().count(pb::PlaneMessage::kCallResult), 10u);
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCallResult)->call_result().status(), 429u);
  EXPECT_EQ(client->counts().refused_calls, 10u);
  gateway.release.set();
  run(milliseconds(10));
}

TEST_F(ClientTest, WhatWasCancelledHasFailedNothingAndMayDoNothing) {
  start("a");
  start("b");
  loop.post([this] { client->cancel(pair.id, "ns", "a", "the primary was deleted"); });
  run(milliseconds(1));
  ASSERT_EQ(peer().count(pb::PlaneMessage::kCancel), 1u);
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCancel)->cancel().why(), "the primary was deleted");
  peer().call(1, 1);
  run(milliseconds(1));
  EXPECT_EQ(gateway.begun, 0);
  EXPECT_FALSE(results.contains("a")) << "its Result is still to come";
  peer().transient(1);
  peer().ok(2);
  run(milliseconds(1));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable) << "a failure of what was cancelled is none";
  EXPECT_EQ(results.at("b").outcome, queue::Outcome::kOk);
}

// A key is never in two reconciles, so what gives no Result for a Cancel costs its stream.
TEST_F(ClientTest, ACancelWithoutAResultEndsTheStreamWhenOtherWorkOnItHasFinished) {
  start("a");
  start("b");
  loop.post([this] { client->cancel(pair.id, "ns", "a", "the primary was deleted"); });
  run(seconds(9));
  EXPECT_EQ(peer().last(pb::PlaneMessage::kDrain), nullptr);
  run(seconds(2));
  EXPECT_NE(net.peers[0]->last(pb::PlaneMessage::kDrain), nullptr) << "no new work for it";
  EXPECT_FALSE(results.contains("a")) << "the key is not free while its stream is";
  EXPECT_FALSE(net.peers[0]->gone) << "b goes on";
  start("c");
  ASSERT_EQ(net.peers.size(), 2u);
  net.peers[1]->ok(1);
  net.peers[0]->ok(2);
  run(seconds(1));
  EXPECT_EQ(results.at("b").outcome, queue::Outcome::kOk);
  EXPECT_EQ(results.at("c").outcome, queue::Outcome::kOk);
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kUnavailable);
  EXPECT_TRUE(net.peers[0]->gone);
}

TEST_F(ClientTest, ALateResultOfWhatWasGivenUpFreesItsKeyAndTheStreamEndsInGoodOrder) {
  start("a");
  start("b");
  loop.post([this] { client->cancel(pair.id, "ns", "a", "the primary was deleted"); });
  run(seconds(11));
  peer().ok(1);
  run(milliseconds(10));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk);
  EXPECT_FALSE(peer().gone);
  peer().ok(2);
  run(seconds(3));
  EXPECT_EQ(results.at("b").outcome, queue::Outcome::kOk);
  EXPECT_TRUE(peer().half_closed && peer().gone);
  EXPECT_EQ(client->counts().failures, 0u);
}

TEST_F(ClientTest, AReconcileThatNeverEndsHasFailedAndItsKeyIsFreeOnlyWithoutItsStream) {
  start("a", seconds(5));
  run(seconds(14));
  EXPECT_TRUE(results.empty());
  EXPECT_EQ(client->counts().timeouts, 1u);
  run(seconds(2));
  EXPECT_TRUE(peer().gone);
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kTransient);
  EXPECT_EQ(results.at("a").reason, "DeadlineExceeded");
}

TEST_F(ClientTest, AResultForAnotherIdIsCountedAndChangesNothing) {
  start("a");
  peer().ok(999);
  peer().ok(0);
  run(milliseconds(10));
  EXPECT_TRUE(results.empty());
  EXPECT_EQ(client->counts().protocol_errors, 2u);
  peer().ok(1);
  peer().transient(1);
  run(milliseconds(10));
  EXPECT_EQ(results.at("a").outcome, queue::Outcome::kOk) << "the first counts";
  EXPECT_EQ(client->counts().protocol_errors, 3u);
}

}  // namespace
}  // namespace gs::delegate
