// Reviews over streams, against a delegate in memory: who waits for what, and what a lost stream costs.
#include <set>

#include "delegate/delegate_test_util.h"

namespace gs::delegate {
namespace {

class ReviewTest : public ClientTest {
 protected:
  explicit ReviewTest(uint64_t seed = 1) : ClientTest(seed) {
    net.capabilities = {"webhooks"};
    net.max_reviews = 2;
    webhook.id = PairId(8);
    webhook.description.webhook = "w";
    webhook.description.generation = 3;
    webhook.description.cluster = "c7";
  }
  ~ReviewTest() override {
    reviews.clear();
    scope.cancel();
  }
  Task<void> admit(std::string name, MonoTime deadline) {
    const std::string request = R"({"uid":")" + name + R"("})";
    Task<Result<AdmissionVerdict>> task = client->admit(webhook, Admission(request, false), deadline, gateway);
    Result<AdmissionVerdict> verdict = co_await std::move(task);
    ended[name] = loop.now();
    if (verdict) verdicts[name] = std::move(*verdict);
    if (!verdict) errors.insert_or_assign(name, verdict.error());
  }
  Task<void> convert(std::string name, std::vector<std::string> objects, MonoTime deadline) {
    Conversion conversion("x.dev/v2", {});
    for (const std::string& object : objects) conversion.objects.push_back(object);
    Task<Result<ConversionVerdict>> task = client->convert(webhook, std::move(conversion), deadline, gateway);
    Result<ConversionVerdict> verdict = co_await std::move(task);
    if (verdict) conversions[name] = std::move(*verdict);
    if (!verdict) errors.insert_or_assign(name, verdict.error());
  }
  void ask(const std::string& name, Duration limit = seconds(10)) {
    loop.post([this, name, limit] {
      auto& slot = reviews[name] = std::make_unique<TaskScope>(loop);
      slot->spawn(admit(name, loop.now() + limit));
    });
    run(milliseconds(10));
  }
  void ask_to_convert(const std::string& name, std::vector<std::string> objects) {
    loop.post([this, name, objects] { scope.spawn(convert(name, objects, loop.now() + seconds(10))); });
    run(milliseconds(10));
  }
  // The caller goes away.
  void drop(const std::string& name) {
    loop.post([this, name] { reviews.erase(name); });
    run(milliseconds(10));
  }
  uint64_t last_review() { return peer().last(pb::PlaneMessage::kAdmit)->admit().id(); }
  uint64_t id_of(const std::string& name) {
    for (const auto& message : peer().heard) {
      if (message.has_admit() && message.admit().request().find("\"" + name + "\"") != std::string::npos) return message.admit().id();
    }
    return 0;
  }
  size_t admits() const { return net.peers.back()->count(pb::PlaneMessage::kAdmit); }
  void answer(FakePeer& to, pb::DelegateMessage message) {
    to.say(message);
    run(milliseconds(10));
  }
  static pb::DelegateMessage allowed(uint64_t id) {
    pb::DelegateMessage message;
    message.mutable_admitted()->set_id(id);
    message.mutable_admitted()->mutable_allowed();
    return message;
  }
  bool is_allowed(const std::string& name) { return verdicts.contains(name) && verdicts[name].outcome == AdmissionVerdict::Outcome::kAllowed; }
  std::string error(const std::string& name) { return errors.contains(name) ? errors.at(name).to_string() : ""; }

  PairView webhook;
  std::map<std::string, std::unique_ptr<TaskScope>> reviews;
  std::map<std::string, AdmissionVerdict> verdicts;
  std::map<std::string, ConversionVerdict> conversions;
  std::map<std::string, Error> errors;
  std::map<std::string, MonoTime> ended;
};

TEST_F(ReviewTest, AReviewGoesAfterTheOpenAndConfigOfItsWebhookAndIsAnsweredInFull) {
  webhook.configs.revision = 5;
  ask("a", seconds(9));
  ASSERT_EQ(peer().heard.size(), 4u);
  EXPECT_EQ(peer().heard[1].open().webhook(), "w");
  EXPECT_EQ(peer().heard[1].open().controller(), "");
  EXPECT_FALSE(peer().heard[1].open().has_primary());
  EXPECT_EQ(peer().heard[1].open().generation(), 3);
  EXPECT_EQ(peer().heard[2].config().revision(), 5u);
  const pb::Admit& admit = peer().heard[3].admit();
  EXPECT_EQ(admit.request(), R"({"uid":"a"})");
  EXPECT_EQ(admit.pair(), peer().heard[1].open().pair());
  EXPECT_EQ(admit.config_revision(), 5u);
  EXPECT_LE(admit.deadline_ms(), 9000u) << "what is left after the dial";
  EXPECT_GT(admit.deadline_ms(), 8900u);
  pb::DelegateMessage message = allowed(admit.id());
  message.mutable_admitted()->mutable_allowed()->set_patch("[]");
  message.mutable_admitted()->add_warnings("old");
  (*message.mutable_admitted()->mutable_audit_annotations())["why"] = "because";
  answer(peer(), message);
  ASSERT_TRUE(is_allowed("a"));
  EXPECT_EQ(verdicts["a"].patch, "[]");
  EXPECT_EQ(verdicts["a"].warnings, std::vector<std::string>{"old"});
  EXPECT_EQ(verdicts["a"].audit_annotations, (std::vector<std::pair<std::string, std::string>>{{"why", "because"}}));
  EXPECT_EQ(client->revision(webhook.id), "r1");
  ask("b");
  EXPECT_EQ(peer().count(pb::PlaneMessage::kOpen), 1u);
}

TEST_F(ReviewTest, ARefusalWithoutACodeIs403AndAnAnswerWithoutAnOutcomeIsNone) {
  ask("a");
  pb::DelegateMessage message;
  message.mutable_admitted()->set_id(last_review());
  message.mutable_admitted()->mutable_refused()->set_message("no");
  message.mutable_admitted()->mutable_refused()->set_code(200);
  answer(peer(), message);
  EXPECT_EQ(verdicts["a"].outcome, AdmissionVerdict::Outcome::kRefused);
  EXPECT_EQ(verdicts["a"].code, 403);
  ask("b");
  pb::DelegateMessage empty;
  empty.mutable_admitted()->set_id(last_review());
  answer(peer(), empty);
  EXPECT_EQ(verdicts["b"].outcome, AdmissionVerdict::Outcome::kInvalid);
}

TEST_F(ReviewTest, ReviewsNeverWaitBehindReconcilesAndHaveTheirOwnCredit) {
  for (int i = 0; i < 6; ++i) start("k" + std::to_string(i));
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 4u);
  for (const char* name : {"a", "b", "c"}) ask(name);
  EXPECT_EQ(admits(), 2u) << "the credit of reviews";
  answer(peer(), allowed(id_of("b")));
  EXPECT_TRUE(is_allowed("b"));
  EXPECT_EQ(admits(), 3u) << "in no order";
  answer(peer(), allowed(id_of("c")));
  EXPECT_TRUE(is_allowed("c"));
  EXPECT_FALSE(is_allowed("a"));
  EXPECT_EQ(peer().count(pb::PlaneMessage::kReconcile), 4u) << "and gives reconciles none";
}

TEST_F(ReviewTest, ThoseWhoWaitForRoomAreServedInOrder) {
  for (const char* name : {"a", "b", "c", "d", "e"}) ask(name);
  answer(peer(), allowed(id_of("a")));
  EXPECT_NE(id_of("c"), 0u);
  EXPECT_EQ(id_of("d"), 0u);
  drop("d");
  answer(peer(), allowed(id_of("b")));
  EXPECT_EQ(id_of("d"), 0u) << "its caller is gone";
  EXPECT_NE(id_of("e"), 0u);
}

TEST_F(ReviewTest, AReviewThatFindsNoRoomInTimeSaysSo) {
  ask("a", minutes(1));
  ask("b", minutes(1));
  ask("c", seconds(1));
  run(seconds(2));
  EXPECT_EQ(error("c"), "TooManyRequests: http://fake had no room for the review in time");
}

TEST_F(ReviewTest, AnAnswerThatIsLateIsCancelledAndOnlyGivesItsCreditBack) {
  ask("a", seconds(2));
  const uint64_t id = last_review();
  run(seconds(2));
  EXPECT_EQ(error("a"), "DeadlineExceeded: the delegate gave no answer within 1.998s");
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCancel)->cancel().id(), id);
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCancel)->cancel().why(), "deadline exceeded");
  ask("b");
  ask("c");
  EXPECT_EQ(admits(), 2u) << "the delegate still works on a";
  answer(peer(), allowed(id));
  EXPECT_EQ(admits(), 3u);
  EXPECT_FALSE(verdicts.contains("a"));
  EXPECT_EQ(client->counts().review_timeouts, 1u);
  EXPECT_EQ(client->counts().protocol_errors, 0u);
}

TEST_F(ReviewTest, ADelegateThatAnswersNoCancelGetsItsCreditBackAfterAWhileAndKeepsItsStream) {
  net.max_reviews = 1;
  ask("a");
  drop("a");
  EXPECT_EQ(peer().count(pb::PlaneMessage::kCancel), 1u);
  ask("b", minutes(1));
  run(seconds(9));
  EXPECT_EQ(admits(), 1u);
  run(seconds(2));
  EXPECT_EQ(admits(), 2u);
  EXPECT_EQ(client->counts().lost_reviews, 1u);
  EXPECT_FALSE(peer().gone);
  answer(peer(), allowed(1));
  EXPECT_EQ(client->counts().protocol_errors, 1u) << "too late for anything";
  answer(peer(), allowed(last_review()));
  EXPECT_TRUE(is_allowed("b"));
}

TEST_F(ReviewTest, ACallersEndCancelsItsReviewAndItsCalls) {
  ask("a");
  pb::DelegateMessage call;
  call.mutable_call()->set_id(1);
  call.mutable_call()->set_review(last_review());
  answer(peer(), call);
  EXPECT_EQ(gateway.begun, 1);
  drop("a");
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCancel)->cancel().why(), "nobody waits for it any more");
  loop.post([this] { gateway.release.set(); });
  run(milliseconds(10));
  EXPECT_EQ(gateway.settled, 0) << "a read needs no settling";
  EXPECT_EQ(client->in_flight(), 0u);
  call.mutable_call()->set_id(2);
  answer(peer(), call);
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCallResult)->call_result().status(), 403u);
}

TEST_F(ReviewTest, CallsBelongToAReviewOrAReconcileAndNotToBothNorToTheOther) {
  ask("a");
  start("k");
  const uint64_t review = last_review(), reconcile = last_id();
  EXPECT_NE(review, reconcile) << "ids are of one row";
  uint64_t next = 1;
  const auto status = [&](uint64_t of_reconcile, uint64_t of_review) {
    pb::DelegateMessage call;
    call.mutable_call()->set_id(next++);
    call.mutable_call()->set_reconcile(of_reconcile);
    call.mutable_call()->set_review(of_review);
    answer(peer(), call);
    return peer().last(pb::PlaneMessage::kCallResult)->call_result().status();
  };
  EXPECT_EQ(status(reconcile, review), 403u);
  EXPECT_EQ(status(review, 0), 403u);
  EXPECT_EQ(status(0, reconcile), 403u);
  EXPECT_EQ(gateway.begun, 0);
  gateway.release.set();
  EXPECT_EQ(status(0, review), 200u);
  peer().pair_call(100, peer().last(pb::PlaneMessage::kAdmit)->admit().pair());
  run(milliseconds(10));
  EXPECT_EQ(peer().last(pb::PlaneMessage::kCallResult)->call_result().status(), 403u) << "a Webhook has no calls of the whole pair";
  EXPECT_EQ(watches.begun, 0);
}

TEST_F(ReviewTest, AConversionSaysWhetherItMadeCalls) {
  gateway.release.set();
  for (const bool calls : {false, true}) {
    const std::string name = calls ? "with" : "without";
    ask_to_convert(name, {"{1}", "{2}"});
    const pb::Convert convert = peer().last(pb::PlaneMessage::kConvert)->convert();
    EXPECT_EQ(convert.desired_api_version(), "x.dev/v2");
    ASSERT_EQ(convert.objects_size(), 2);
    EXPECT_EQ(convert.objects(1), "{2}");
    pb::DelegateMessage call;
    call.mutable_call()->set_id(7);
    call.mutable_call()->set_review(convert.id());
    if (calls) answer(peer(), call);
    pb::DelegateMessage message;
    message.mutable_converted()->set_id(convert.id());
    message.mutable_converted()->mutable_converted()->add_objects("{3}");
    answer(peer(), message);
    ASSERT_EQ(conversions.at(name).outcome, ConversionVerdict::Outcome::kConverted);
    EXPECT_EQ(conversions.at(name).objects, std::vector<std::string>{"{3}"});
    EXPECT_EQ(conversions.at(name).made_calls, calls);
  }
}

TEST_F(ReviewTest, AnAnswerOfTheOtherKindEndsTheReviewAndSaysWhy) {
  ask("a");
  pb::DelegateMessage message;
  message.mutable_converted()->set_id(last_review());
  answer(peer(), message);
  EXPECT_EQ(error("a"), "InternalError: the delegate answered an Admit with Converted");
  EXPECT_EQ(client->counts().protocol_errors, 1u);
}

TEST_F(ReviewTest, WhenItsStreamIsLostAReviewIsAskedOnceMore) {
  ask("a");
  net.peers[0]->to_plane.close();
  run(seconds(2));
  ASSERT_EQ(net.peers.size(), 2u);
  EXPECT_EQ(admits(), 1u);
  answer(peer(), allowed(last_review()));
  EXPECT_TRUE(is_allowed("a"));
  ask("b");
  peer().to_plane.close();
  run(seconds(2));
  ASSERT_EQ(net.peers.size(), 3u);
  peer().to_plane.close();
  run(seconds(2));
  EXPECT_EQ(error("b"), "Unavailable: the stream to the delegate was lost: the stream ended") << "once, and not again";
}

TEST_F(ReviewTest, ADelegateThatRestartsIsWaitedForAndADeadOneIsNot) {
  net.refuses["10.0.0.1"] = true;
  ask("a");
  run(milliseconds(300));
  EXPECT_TRUE(errors.empty()) << "it may be restarting";
  net.refuses.clear();
  run(seconds(1));
  ASSERT_EQ(net.peers.size(), 1u);
  answer(peer(), allowed(last_review()));
  EXPECT_TRUE(is_allowed("a"));
  net.refuses["10.0.0.1"] = true;
  peer().to_plane.close();
  run(seconds(60));
  const MonoTime before = loop.now();
  ask("b");
  ASSERT_TRUE(errors.contains("b"));
  EXPECT_LT(ended["b"] - before, milliseconds(1)) << "at once";
  EXPECT_TRUE(error("b").starts_with("Unavailable: http://fake: connection refused; since ")) << error("b");
}

TEST_F(ReviewTest, ADialThatIsUnderWayIsWaitedForWithinTheDeadline) {
  net.swallows["10.0.0.1"] = true;
  ask("a", seconds(3));
  run(milliseconds(2900));
  EXPECT_TRUE(errors.empty());
  run(milliseconds(200));
  EXPECT_EQ(errors.at("a").code, Code::kDeadlineExceeded);
}

TEST_F(ReviewTest, ANameThatCannotBeResolvedIsSaidAfterAMoment) {
  net.no_name = true;
  ask("a");
  run(seconds(5));
  EXPECT_TRUE(error("a").starts_with("Unavailable: http://fake: no such host; since ")) << error("a");
}

TEST_F(ReviewTest, ADelegateWithoutTheCapabilityIsAskedNothing) {
  net.capabilities.clear();
  ask("a");
  EXPECT_EQ(errors.at("a").code, Code::kUnsupported) << error("a");
  EXPECT_EQ(peer().heard.size(), 1u) << "the Hello; not even an Open";
}

TEST_F(ReviewTest, ReviewsOfAWebhookThatEndsAreCancelled) {
  for (const char* name : {"a", "b", "c"}) ask(name);
  loop.post([this] { client->close_pair(webhook.id); });
  run(milliseconds(10));
  EXPECT_EQ(peer().count(pb::PlaneMessage::kCancel), 2u);
  EXPECT_EQ(peer().heard.back().close().pair(), 1u);
  for (const char* name : {"a", "b", "c"}) EXPECT_EQ(errors.at(name).code, Code::kCancelled);
}

TEST_F(ReviewTest, DrainingAnswersWhatIsInFlightAndTakesNothingNew) {
  ask("a");
  loop.post([this] { scope.spawn(client->drain(loop.now() + seconds(30))); });
  run(seconds(1));
  ask("b");
  EXPECT_EQ(errors.at("b").code, Code::kCancelled);
  EXPECT_FALSE(peer().half_closed);
  answer(peer(), allowed(last_review()));
  EXPECT_TRUE(is_allowed("a"));
  run(seconds(3));
  EXPECT_TRUE(peer().half_closed);
}

TEST_F(ReviewTest, AReviewThatIsLargerThanAMessageIsNotSentAndHoldsNoCredit) {
  ask(std::string(kMaxMessage, 'x'));
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors.begin()->second.code, Code::kTooLarge);
  EXPECT_EQ(admits(), 0u);
  ask("a");
  answer(peer(), allowed(last_review()));
  EXPECT_TRUE(is_allowed("a"));
}

TEST_F(ReviewTest, AnEnqueueForAWebhookMeansNothing) {
  ask("a");
  peer().enqueue(1, "x", "y");
  run(milliseconds(10));
  EXPECT_TRUE(enqueued.empty());
  EXPECT_EQ(client->counts().protocol_errors, 1u);
}

// A reconcile that answers no Cancel costs its stream, but not before the reviews on it have ended.
TEST_F(ReviewTest, AStreamThatIsGivenUpKeepsItsReviews) {
  start("k");
  ask("a", minutes(1));
  loop.post([this] { client->cancel(pair.id, "ns", "k", "the primary was deleted"); });
  run(seconds(12));
  EXPECT_FALSE(net.peers[0]->gone);
  answer(*net.peers[0], allowed(net.peers[0]->last(pb::PlaneMessage::kAdmit)->admit().id()));
  EXPECT_TRUE(is_allowed("a"));
  run(seconds(1));
  EXPECT_TRUE(net.peers[0]->gone);
}

// Random streams of events: every review ends in its time, and credit is never exceeded nor lost.
class ReviewStorm : public ReviewTest, public testing::WithParamInterface<uint64_t> {
 protected:
  ReviewStorm() : ReviewTest(GetParam()) { net.max_reviews = 8; }
  // What the delegate has and has not answered, of one stream.
  static std::vector<uint64_t> open(const FakePeer& peer, const std::set<uint64_t>& said) {
    std::vector<uint64_t> out;
    for (const auto& message : peer.heard) {
      if (message.has_admit() && !said.contains(message.admit().id())) out.push_back(message.admit().id());
    }
    return out;
  }
};

TEST_P(ReviewStorm, EveryReviewEndsInTimeAndCreditIsKept) {
  Random& random = loop.random();
  std::map<FakePeer*, std::set<uint64_t>> said;
  std::set<std::string> dropped;
  int asked = 0;
  for (int step = 0; step < 600; ++step) {
    const uint64_t dice = random.below(100);
    if (dice < 45) {
      const std::string name = "r" + std::to_string(asked++);
      loop.post([this, name] {
        reviews[name] = std::make_unique<TaskScope>(loop);
        reviews[name]->spawn(admit(name, loop.now() + seconds(5)));
      });
    } else if (dice < 85 && !net.peers.empty()) {
      FakePeer& to = peer();
      const auto left = open(to, said[&to]);
      // What was cancelled and not answered for long is not counted any more.
      ASSERT_LE(left.size(), 8u + client->counts().lost_reviews) << "the credit";
      if (left.empty()) continue;
      const uint64_t id = left[random.below(left.size())];
      said[&to].insert(id);
      to.say(allowed(id));
    } else if (dice < 95 && asked > 0) {
      const std::string name = "r" + std::to_string(random.below(static_cast<uint64_t>(asked)));
      if (!ended.contains(name)) dropped.insert(name);
      loop.post([this, name] { reviews.erase(name); });
    } else if (dice < 97 && !net.peers.empty()) {
      peer().to_plane.close();
    } else if (dice == 97) {
      net.refuses["10.0.0.1"] = !net.refuses["10.0.0.1"];
    }
    run(milliseconds(static_cast<int64_t>(random.below(60))));
  }
  run(seconds(6));
  for (int i = 0; i < asked; ++i) {
    const std::string name = "r" + std::to_string(i);
    EXPECT_TRUE(ended.contains(name) || dropped.contains(name)) << name << " hangs, seed " << GetParam();
  }
  EXPECT_EQ(client->in_flight(), 0u);
  // All credit comes back: as many as there is room for are sent at once.
  net.refuses.clear();
  run(seconds(60));
  const size_t before = net.peers.empty() ? 0 : admits();
  const size_t streams = net.peers.size();
  for (int i = 0; i < 10; ++i) ask("last" + std::to_string(i), minutes(1));
  EXPECT_EQ(admits() - (streams == net.peers.size() ? before : 0), 8u);
  EXPECT_GT(verdicts.size(), 20u) << "the storm leaves something alive";
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReviewStorm, testing::Range<uint64_t>(1, 21));

}  // namespace
}  // namespace gs::delegate
