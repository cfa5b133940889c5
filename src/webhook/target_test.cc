#include "webhook/target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"
#include "webhook/conversion_cache.h"
#include "webhook/review_test_util.h"
#include "webhook/webhook_test_util.h"

namespace gs::webhook {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

class TargetTest : public ::testing::Test {
 protected:
  TargetTest() {
    options.webhook = "image-policy";
    options.delegate = "https://policy.example";
    options.cluster = "blue/east";
    options.conversion = *ConversionRules::make({});
  }
  void start() {
    TargetDeps deps(loop, webhook_metrics);
    deps.cache = &cache;
    target = std::make_shared<Target>(options, std::make_unique<FakeReviewer>(loop, script), deps);
  }
  HttpAnswer serve(ReviewKind kind, const std::string& body, const std::string& timeout = "10s") {
    if (target == nullptr) start();
    return wait(target->serve(kind, body, timeout, loop.now()));
  }
  json::Value review(const std::string& body, const std::string& timeout = "10s") {
    const HttpAnswer answer = serve(body == kConvert || body.find("ConversionReview") != std::string::npos ? ReviewKind::kConversion : ReviewKind::kAdmission, body, timeout);
    EXPECT_EQ(answer.status, 200) << answer.body;
    EXPECT_TRUE(answer.json);
    auto parsed = json::parse(answer.body);
    EXPECT_TRUE(parsed.has_value()) << answer.body;
    return *std::move(parsed);
  }
  template <class T>
  T wait(Task<T> task) {
    bool done = false;
    if (!task.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done)) {
      EXPECT_TRUE(world.run_until([&] { return done; }, world.now() + 1h));
    }
    return task.take_result();
  }
  Task<void> serve_into(std::shared_ptr<Target> of, std::vector<std::string>& out) {
    Task<HttpAnswer> serving = of->serve(ReviewKind::kAdmission, kCreatePod, "10s", loop.now());
    HttpAnswer answer = co_await std::move(serving);
    out.push_back(answer.body);
  }
  double failures(std::string reason, std::string answer) {
    return metrics.counter("gulfstream_webhook_failures_total", "", {{"webhook", "image-policy"}, {"reason", std::move(reason)}, {"answer", std::move(answer)}}).value();
  }
  double reviews(std::string kind, std::string outcome) {
    return metrics.counter("gulfstream_webhook_reviews_total", "", {{"webhook", "image-policy"}, {"kind", std::move(kind)}, {"outcome", std::move(outcome)}}).value();
  }

  SimWorld world{7};
  SimLoop& loop = world.add_loop();
  Metrics metrics;
  WebhookMetrics webhook_metrics{metrics, "image-policy"};
  ConversionCache cache;
  Script script;
  TargetOptions options;
  std::shared_ptr<Target> target;
  TaskScope scope{loop};
};

TEST(ReviewBudget, LeavesTimeToAnswerBeforeTheApiServerGivesUp) {
  struct Case {
    ReviewKind kind;
    std::string asked;
    std::optional<Duration> configured;
    Duration budget;
  };
  const auto admission = ReviewKind::kAdmission;
  const auto conversion = ReviewKind::kConversion;
  const Case cases[] = {
      {admission, "10s", 10s, 9s},
      {admission, "10s", std::nullopt, 9s},
      {admission, "", std::nullopt, 9s},
      {admission, "", 25s, 22500ms},
      {conversion, "", std::nullopt, 27s},
      {conversion, "30s", std::nullopt, 27s},
      {admission, "25s", 25s, 22500ms},
      // Rounded up from what was left: up to a second may be gone already.
      {admission, "5s", 10s, 3500ms},
      {admission, "2s", 10s, 1s},
      {admission, "1s", 10s, 500ms},
      {admission, "1s", 1s, 900ms},
      {admission, "250ms", 10s, 125ms},
      {admission, "20s", 10s, 18s},
      {admission, "3600s", std::nullopt, 27s},
      {admission, "0s", std::nullopt, 9s},
      {admission, "-4s", std::nullopt, 9s},
      {admission, "ten", std::nullopt, 9s},
      {admission, "10", std::nullopt, 9s},
  };
  for (const Case& c : cases) EXPECT_EQ(review_budget(c.kind, c.asked, c.configured), c.budget) << c.asked;
}

TEST_F(TargetTest, AnswersWhatTheDelegateDecides) {
  script.delay = 20ms;
  script.answer.patch = R"([{"op":"remove","path":"/a"}])";
  json::Value allowed = review(kCreatePod);
  EXPECT_EQ(allowed.at("response.allowed")->boolean(), true);
  EXPECT_EQ(allowed.text("response.patchType"), "JSONPatch");
  script.answer = AdmissionAnswer(false);
  script.answer.message = "no";
  EXPECT_EQ(review(kCreatePod).text("response.status.message"), "no");
  EXPECT_FALSE(script.dry_run);
  review(kScale);
  EXPECT_TRUE(script.dry_run);
  EXPECT_EQ(reviews("admission", "allowed"), 1);
  EXPECT_EQ(reviews("admission", "refused"), 2);
  EXPECT_EQ(target->trouble(), "");
}

TEST_F(TargetTest, Answers400ToWhatIsNoReviewAndAsksNobody) {
  const HttpAnswer answer = serve(ReviewKind::kAdmission, "{\"kind\":\"Pod\"}");
  EXPECT_EQ(answer.status, 400);
  EXPECT_FALSE(answer.json);
  EXPECT_THAT(answer.body, HasSubstr("kind: must be AdmissionReview"));
  EXPECT_EQ(serve(ReviewKind::kConversion, kCreatePod).status, 400);
  EXPECT_EQ(script.asked, 0);
  EXPECT_EQ(reviews("admission", "malformed"), 1);
}

TEST_F(TargetTest, RefusesInTimeAndSaysWhichWebhookWhichDelegateWhatHappenedAndWhatToDo) {
  script.hang = true;
  const MonoTime began = world.now();
  const json::Value answer = review(kCreatePod, "10s");
  EXPECT_EQ(world.now() - began, 9s);
  EXPECT_EQ(answer.at("response.allowed")->boolean(), false);
  EXPECT_EQ(answer.at("response.status.code")->integer(), 504);
  EXPECT_EQ(answer.text("response.status.reason"), "Timeout");
  const std::string message(answer.text("response.status.message"));
  EXPECT_THAT(message, HasSubstr("Webhook \"image-policy\": its delegate https://policy.example did not answer within 9s"));
  EXPECT_THAT(message, HasSubstr("kubectl describe webhooks.gulfstream.dev image-policy"));
  EXPECT_EQ(failures("timeout", "refused"), 1);
  EXPECT_EQ(script.at_once, 0);  // the question was cancelled
  EXPECT_THAT(target->trouble(), HasSubstr("did not answer"));
  script.hang = false;
  review(kCreatePod);
  EXPECT_EQ(target->trouble(), "");
}

TEST_F(TargetTest, AnswersAFailingDelegateByTheWebhooksChoice) {
  struct Case {
    Enforcement enforcement;
    OnFailure on_failure;
    bool allowed;
    size_t warnings;
    std::string counted;
  };
  const Case cases[] = {
      {Enforcement::kEnforce, OnFailure::kRefuse, false, 0, "refused"},
      {Enforcement::kEnforce, OnFailure::kAllow, true, 0, "allowed"},
      {Enforcement::kEnforce, OnFailure::kAllowWithWarning, true, 1, "warned"},
      {Enforcement::kWarn, OnFailure::kRefuse, true, 1, "warned"},
      {Enforcement::kAudit, OnFailure::kRefuse, true, 0, "audited"},
  };
  script.error = Error(Code::kUnavailable, "connection\nrefused");
  start();
  for (const Case& c : cases) {
    options.enforcement = c.enforcement;
    options.on_failure = c.on_failure;
    target->update(options);
    const double before = failures("unavailable", c.counted);
    const json::Value answer = review(kCreatePod);
    EXPECT_EQ(answer.at("response.allowed")->boolean(), c.allowed);
    const json::Value* warnings = answer.at("response.warnings");
    ASSERT_EQ(warnings == nullptr ? 0 : warnings->array()->size(), c.warnings);
    if (c.warnings > 0) {
      EXPECT_EQ(*warnings->array()->front().string(),
                "allowed unseen: Webhook \"image-policy\": its delegate https://policy.example cannot be reached: connection refused");
    }
    EXPECT_EQ(answer.text("response.auditAnnotations.allowed-unseen").starts_with("unavailable: Webhook"), c.allowed);
    EXPECT_EQ(failures("unavailable", c.counted), before + 1);
  }
}

TEST_F(TargetTest, TellsFailuresApart) {
  struct Case {
    Code code;
    std::string reason;
    int status;
  };
  const Case cases[] = {
      {Code::kDeadlineExceeded, "timeout", 504},   {Code::kUnavailable, "unavailable", 503},
      {Code::kTooManyRequests, "overloaded", 429}, {Code::kInvalid, "invalid_answer", 500},
      {Code::kTooLarge, "invalid_answer", 500},    {Code::kInternal, "delegate_error", 500},
      {Code::kForbidden, "delegate_error", 500},   {Code::kCancelled, "removed", 503},
  };
  for (const Case& c : cases) {
    script.error = Error(c.code, "why");
    const double before = failures(c.reason, "refused");
    EXPECT_EQ(review(kCreatePod).at("response.status.code")->integer(), c.status);
    EXPECT_EQ(failures(c.reason, "refused"), before + 1) << c.reason;
  }
}

TEST_F(TargetTest, DoesNotPassOnAnAnswerThatAnApiServerWouldRefuse) {
  options.mutating = false;
  script.answer.patch = "[]";
  const json::Value answer = review(kCreatePod);
  EXPECT_EQ(answer.at("response.allowed")->boolean(), false);
  EXPECT_THAT(answer.text("response.status.message"), HasSubstr("gave an answer that cannot be used: patch: a validating webhook may not change the object"));
  EXPECT_EQ(failures("invalid_answer", "refused"), 1);
}

TEST_F(TargetTest, ThatWarnsOrAuditsReportsAndNeitherRefusesNorPatches) {
  options.enforcement = Enforcement::kWarn;
  script.answer = AdmissionAnswer(false);
  script.answer.message = "latest is\nnot a version";
  script.answer.warnings = {"own"};
  start();
  json::Value answer = review(kCreatePod);
  EXPECT_EQ(answer.at("response.allowed")->boolean(), true);
  EXPECT_EQ(*answer.pointer("/response/warnings/0")->string(), "Webhook \"image-policy\" would refuse this: latest is not a version");
  EXPECT_EQ(*answer.pointer("/response/warnings/1")->string(), "own");
  EXPECT_EQ(answer.text("response.auditAnnotations.would-refuse"), "latest is\nnot a version");

  options.enforcement = Enforcement::kAudit;
  target->update(options);
  answer = review(kCreatePod);
  EXPECT_EQ(answer.at("response.allowed")->boolean(), true);
  EXPECT_EQ(answer.at("response.warnings"), nullptr);
  EXPECT_EQ(answer.text("response.auditAnnotations.would-refuse"), "latest is\nnot a version");
  EXPECT_EQ(answer.text("response.auditAnnotations.would-warn"), "own");

  script.answer = AdmissionAnswer(true);
  script.answer.patch = R"([{"op":"remove","path":"/a"},{"op":"remove","path":"/b"}])";
  answer = review(kCreatePod);
  EXPECT_EQ(answer.at("response.patch"), nullptr);
  EXPECT_EQ(answer.text("response.auditAnnotations.would-patch"), "2 operations");
}

TEST_F(TargetTest, NeverAsksAboutWhatWouldLockItOut) {
  options.delegate_namespace = "policy-system";
  script.error = Error(Code::kUnavailable, "dead");
  const std::string pods = R"("resource":{"group":"","version":"v1","resource":"pods"})";
  const auto of = [&](const std::string& group, const std::string& resource) {
    return replaced(kCreatePod, pods, fmt::format(R"("resource":{{"group":"{}","version":"v1","resource":"{}"}})", group, resource));
  };
  const std::string own[] = {
      of("gulfstream.dev", "webhooks"),
      of("coordination.k8s.io", "leases"),
      replaced(kCreatePod, R"("namespace":"shop")", R"("namespace":"policy-system")"),
      replaced(of("", "namespaces"), R"("name":"web-0")", R"("name":"policy-system")"),
      replaced(kCreatePod, R"("requestResource":{"group":"")", R"("requestResource":{"group":"gulfstream.dev")"),
  };
  for (const std::string& body : own) EXPECT_EQ(review(body).at("response.allowed")->boolean(), true) << body;
  EXPECT_EQ(script.asked, 0);
  EXPECT_EQ(reviews("admission", "exempt"), 5);
  for (const std::string& body : {of("coordination.k8s.io", "leasecandidates"), of("", "leases"), of("", "namespaces"), of("x.gulfstream.dev", "things")}) {
    EXPECT_EQ(review(body).at("response.allowed")->boolean(), false) << body;
  }
  EXPECT_EQ(script.asked, 4);
}

TEST_F(TargetTest, OverItsBoundAnswersAtOnceByTheSameChoice) {
  options.max_concurrent = 3;
  script.delay = 1s;
  start();
  std::vector<std::string> bodies;
  for (int i = 0; i < 10; ++i) scope.spawn(serve_into(target, bodies));
  world.run_for(1ms);
  ASSERT_EQ(bodies.size(), 7u);
  EXPECT_THAT(bodies[0], HasSubstr("has 3 reviews of this cluster to answer already (spec.maxConcurrent). Try again in a moment."));
  EXPECT_THAT(bodies[0], HasSubstr(R"("details":{"retryAfterSeconds":1})"));
  EXPECT_EQ(target->in_flight(), 3u);
  world.run_for(2s);
  EXPECT_EQ(bodies.size(), 10u);
  EXPECT_EQ(script.most_at_once, 3);
  EXPECT_EQ(failures("overloaded", "refused"), 7);
  EXPECT_EQ(target->in_flight(), 0u);
}

TEST_F(TargetTest, ThatIsClosedAnswersWhatIsInFlightAndWhatComesLater) {
  script.hang = true;
  start();
  std::vector<std::string> bodies;
  scope.spawn(serve_into(target, bodies));
  world.run_for(1ms);
  EXPECT_EQ(script.at_once, 1);
  target->close("was removed from this cluster");
  EXPECT_EQ(script.at_once, 0);
  world.run_for(1ms);
  ASSERT_EQ(bodies.size(), 1u);
  EXPECT_THAT(bodies[0], HasSubstr("Webhook \\\"image-policy\\\": was removed from this cluster. "));
  EXPECT_EQ(review(kCreatePod).at("response.status.code")->integer(), 503);
  EXPECT_EQ(failures("removed", "refused"), 2);
  target->close("again");
}

TEST_F(TargetTest, WithoutAReviewerAnswersByChoice) {
  target = std::make_shared<Target>(options, nullptr, TargetDeps(loop, webhook_metrics));
  EXPECT_THAT(review(kCreatePod).text("response.status.message"), HasSubstr("the plane has no connection to it yet"));
}

TEST_F(TargetTest, AReviewWhoseCallerGoesCancelsTheQuestion) {
  script.hang = true;
  start();
  Task<HttpAnswer> serving = target->serve(ReviewKind::kAdmission, kCreatePod, "10s", loop.now());
  bool done = false;
  ASSERT_FALSE(serving.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done));
  EXPECT_EQ(target->in_flight(), 1u);
  serving.reset();
  EXPECT_EQ(target->in_flight(), 0u);
  EXPECT_EQ(script.at_once, 0);
}

// Conversion.

TEST_F(TargetTest, ConvertsByTheDelegateAndNextTimeFromTheCacheWithTheIdentityAskedFor) {
  options.cache_scope = "blue/east/crd-uid/1";
  start();
  json::Value first = review(kConvert);
  EXPECT_EQ(first.text("response.result.status"), "Success");
  EXPECT_EQ(first.pointer("/response/convertedObjects/0")->text("apiVersion"), "example.com/v2");
  script.error = Error(Code::kUnavailable, "dead");
  const json::Value second = review(replaced(replaced(kConvert, "\"177\"", "\"200\""), R"("manager":"kubectl")", R"("manager":"helm")"));
  EXPECT_EQ(second.pointer("/response/convertedObjects/0")->text("metadata.resourceVersion"), "200");
  EXPECT_EQ(*second.pointer("/response/convertedObjects/0/metadata/managedFields/0/manager")->string(), "helm");
  EXPECT_EQ(script.asked, 1);
  EXPECT_EQ(reviews("conversion", "cached"), 1);
  // Another content is another conversion.
  EXPECT_EQ(review(replaced(kConvert, "\"replicas\":2", "\"replicas\":3")).text("response.result.status"), "Failure");
  EXPECT_EQ(script.asked, 2);
}

TEST_F(TargetTest, AsksOnlyForWhatTheCacheDoesNotKnow) {
  options.cache_scope = "s";
  review(kConvert);
  const size_t begin = kConvert.find("{\"apiVersion\":\"example.com/v1\"");
  const std::string object = kConvert.substr(begin, kConvert.find("]},\"response\"") - begin);
  const std::string other = replaced(object, "\"name\":\"tab\"", "\"name\":\"other\"");
  const json::Value answer = review(replaced(kConvert, object, other + "," + object + "," + other));
  EXPECT_EQ(script.objects, (std::vector<size_t>{1, 2}));
  const json::Array& converted = *answer.at("response.convertedObjects")->array();
  ASSERT_EQ(converted.size(), 3u);
  EXPECT_EQ(converted[0].text("metadata.name"), "other");
  EXPECT_EQ(converted[1].text("metadata.name"), "tab");
  EXPECT_EQ(converted[2].text("metadata.name"), "other");
}

TEST_F(TargetTest, NeverCachesWhatRestsOnReadsOrAnotherRevisionOrHasNoScope) {
  review(kConvert);
  review(kConvert);
  EXPECT_EQ(script.asked, 2);  // no scope
  options.cache_scope = "s";
  target->update(options);
  script.revision = "";
  review(kConvert);
  EXPECT_EQ(cache.size(), 0u);
  script.revision = "r1";
  script.converted.made_reads = true;
  review(kConvert);
  EXPECT_EQ(cache.size(), 0u);
  script.converted.made_reads = false;
  review(kConvert);
  EXPECT_EQ(cache.size(), 1u);
  script.revision = "r2";
  review(kConvert);
  EXPECT_EQ(script.asked, 6);
  options.cache_scope = "another generation";
  target->update(options);
  review(kConvert);
  EXPECT_EQ(script.asked, 7);
}

// A session says its revision when it begins, which may be with this question.
TEST_F(TargetTest, TheFirstConversionIsCachedThoughTheRevisionCameWithIt) {
  options.cache_scope = "s";
  script.known = false;
  review(kConvert);
  script.error = Error(Code::kUnavailable, "connection refused");
  const json::Value answer = review(kConvert);
  EXPECT_EQ(answer.text("response.result.status"), "Success");
  EXPECT_EQ(script.asked, 1);
}

TEST_F(TargetTest, ADelegateThatChangesWhileItConvertsIsNotCached) {
  options.cache_scope = "s";
  script.delay = 100ms;
  start();
  bool done = false;
  Task<HttpAnswer> serving = target->serve(ReviewKind::kConversion, kConvert, "", loop.now());
  ASSERT_FALSE(serving.start([](void* flag) { *static_cast<bool*>(flag) = true; }, &done));
  world.run_for(10ms);
  script.revision = "r2";
  ASSERT_TRUE(world.run_until([&] { return done; }, world.now() + 1s));
  EXPECT_EQ(cache.size(), 0u);
}

TEST_F(TargetTest, AConversionThatAnApiServerWouldRefuseIsAFailureThatSaysWhy) {
  struct Case {
    std::vector<std::string> objects;
    std::string message;
  };
  const Case cases[] = {
      {{"{}", "{}"}, "2 objects converted, not 1"},
      {{"{}"}, "converted object 0: metadata is missing"},
      {{R"({"apiVersion":"example.com/v1","kind":"CronTab","metadata":{"name":"tab","namespace":"shop","uid":"44e"}})"}, "converted object 0: apiVersion must be"},
  };
  options.cache_scope = "s";
  for (const Case& c : cases) {
    script.converted.objects = c.objects;
    const json::Value answer = review(kConvert);
    EXPECT_EQ(answer.text("response.result.status"), "Failure");
    EXPECT_THAT(answer.text("response.result.message"), HasSubstr(c.message));
    EXPECT_TRUE(answer.at("response.convertedObjects")->array()->empty());
  }
  EXPECT_EQ(failures("invalid_answer", "failed"), 3);
  EXPECT_EQ(cache.size(), 0u);
}

TEST_F(TargetTest, FallsBackToTheRulesWhenTheDelegateDoesNotAnswerButNotAgainstItsWord) {
  ConversionRule rule;
  rule.from = "v1";
  rule.to = "v2";
  rule.moves.emplace_back("spec.cronSpec", "spec.schedule");
  options.conversion = *ConversionRules::make({rule});
  options.cache_scope = "s";
  script.hang = true;
  const MonoTime began = world.now();
  const json::Value answer = review(kConvert, "");
  EXPECT_EQ(world.now() - began, 27s);
  EXPECT_EQ(answer.pointer("/response/convertedObjects/0")->text("spec.schedule"), "* * * * */5");
  EXPECT_EQ(answer.pointer("/response/convertedObjects/0")->text("metadata.resourceVersion"), "177");
  EXPECT_EQ(failures("timeout", "by_rule"), 1);
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_THAT(target->trouble(), HasSubstr("did not answer within 27s"));

  script.hang = false;
  script.converted.failure = "v1 knows no time zones";
  const json::Value refused = review(kConvert);
  EXPECT_EQ(refused.text("response.result.message"), "v1 knows no time zones");
  EXPECT_EQ(reviews("conversion", "failed"), 1);

  script.converted.failure.clear();
  script.error = Error(Code::kUnavailable, "gone");
  const json::Value elsewhere = review(replaced(kConvert, "\"desiredAPIVersion\":\"example.com/v2\"", "\"desiredAPIVersion\":\"example.com/v3\""));
  EXPECT_THAT(elsewhere.text("response.result.message"), HasSubstr("cannot be reached: gone; and by the Webhook's own rules: no rule leads from v1 to v3"));
}

TEST_F(TargetTest, WithoutADelegateRulesAreNoFailure) {
  ConversionRule rule;
  rule.from = "v1";
  rule.to = "v2";
  options.conversion = *ConversionRules::make({rule});
  options.delegate.clear();
  target = std::make_shared<Target>(options, nullptr, TargetDeps(loop, webhook_metrics));
  EXPECT_EQ(review(kConvert).text("response.result.status"), "Success");
  EXPECT_EQ(reviews("conversion", "by_rule"), 1);
  EXPECT_EQ(target->trouble(), "");
}

}  // namespace
}  // namespace gs::webhook
