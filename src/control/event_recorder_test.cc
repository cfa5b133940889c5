#include "control/event_recorder.h"

#include "json/value.h"
#include "runtime/sim_loop.h"

namespace gs::control {
namespace {

// Takes Events as an API server does: one per name, patched by count.
class FakeEvents final : public kube::KubeTransport {
 public:
  Task<Result<kube::Response>> send(kube::Request request) override {
    ++requests;
    kube::Response response;
    response.status = status;
    if (unreachable) co_return fail(Code::kUnavailable, "refused");
    if (status != 201) co_return response;
    const auto body = json::parse(request.body);
    EXPECT_TRUE(body) << request.body;
    if (request.method == "POST") {
      const std::string name(body->text("metadata.name"));
      EXPECT_FALSE(counts.contains(name)) << "names are unique";
      counts[name] = 1;
      bodies[name] = *body;
    } else {
      const std::string target = request.target.substr(0, request.target.find('?'));
      const std::string name = target.substr(target.rfind('/') + 1);
      response.status = counts.contains(name) ? 200 : 404;
      if (counts.contains(name)) counts[name] = body->at("count")->integer().value_or(-1);
    }
    co_return response;
  }
  Task<Result<std::unique_ptr<kube::ResponseStream>>> open(kube::Request) override { co_return fail(Code::kUnsupported, "no"); }

  int64_t total() const {
    int64_t sum = 0;
    for (const auto& [name, count] : counts) sum += count;
    return sum;
  }
  int status = 201;
  bool unreachable = false;
  size_t requests = 0;
  std::map<std::string, int64_t> counts;
  std::map<std::string, json::Value> bodies;
};

kube::ObjectRef object(const std::string& name, const std::string& ns = "a", const std::string& uid = "u") {
  const std::string where = ns.empty() ? "" : R"("namespace":")" + ns + "\",";
  return *kube::Object::parse(R"({"kind":"Website","apiVersion":"example.dev/v1","metadata":{)" + where + R"("name":")" + name + R"(","uid":")" + uid +
                              R"(","resourceVersion":"7"}})");
}

struct EventRecorderTest : ::testing::Test {
  void record(const std::string& message, const std::string& reason = "Made", const kube::ObjectRef& about = object("w")) {
    recorder.record(*about, {"Normal", reason, message});
  }
  void settle(Duration time = std::chrono::milliseconds(10)) { sim.run_for(time); }
  SimWorld sim{1};
  SimLoop& loop = sim.add_loop();
  FakeEvents events;
  EventRecorder recorder{loop, events, "gulfstream-c"};
};

TEST_F(EventRecorderTest, TheSameAgainCountsUp) {
  for (int i = 0; i < 3; ++i) record("same");
  settle();
  ASSERT_EQ(events.counts.size(), 1u);
  EXPECT_EQ(events.counts.begin()->second, 3);
  const json::Value& body = events.bodies.begin()->second;
  EXPECT_EQ(body.text("involvedObject.kind"), "Website");
  EXPECT_EQ(body.text("involvedObject.uid"), "u");
  EXPECT_EQ(body.text("source.component"), "gulfstream-c");
  EXPECT_EQ(body.text("metadata.namespace"), "a");
}

TEST_F(EventRecorderTest, TenSimilarOnesWithinTenMinutesBecomeOne) {
  for (int i = 0; i < 15; ++i) record("message " + std::to_string(i));
  settle();
  EXPECT_EQ(events.counts.size(), 10u) << "nine, and one that combines six";
  const auto combined = std::find_if(events.bodies.begin(), events.bodies.end(), [](const auto& e) { return e.second.text("message").starts_with("(combined"); });
  ASSERT_NE(combined, events.bodies.end());
  EXPECT_EQ(events.counts[combined->first], 6);
  settle(EventRecorder::kSimilarWindow + std::chrono::seconds(1));
  record("message after a pause");
  settle();
  EXPECT_EQ(events.counts.size(), 11u);
}

TEST_F(EventRecorderTest, EachObjectHasABurstOf25AndThenOneEveryFiveMinutes) {
  for (int i = 0; i < 100; ++i) record("same");
  record("other object", "Made", object("v"));
  settle();
  EXPECT_EQ(events.total(), 26);
  EXPECT_EQ(recorder.stats().dropped, 75u);
  settle(EventRecorder::kRefill + std::chrono::seconds(1));
  for (int i = 0; i < 5; ++i) record("same");
  settle();
  EXPECT_EQ(events.total(), 27);
  record("created anew", "Made", object("w", "a", "another uid"));
  settle();
  EXPECT_EQ(events.total(), 28);
}

TEST_F(EventRecorderTest, AClusterThatCannotBeReachedHoldsEventsBackWithinBounds) {
  events.unreachable = true;
  for (int i = 0; i < 2000; ++i) record("m", "Made", object("w" + std::to_string(i)));
  settle();
  EXPECT_LE(recorder.waiting(), EventRecorder::kQueue);
  EXPECT_GE(recorder.stats().dropped, 900u);
  events.unreachable = false;
  settle(std::chrono::seconds(30));
  EXPECT_EQ(recorder.waiting(), 0u);
  EXPECT_GE(events.total(), 1000);
}

TEST_F(EventRecorderTest, WhatIsNotAcceptedIsNotTriedAgain) {
  events.status = 403;
  record("m");
  settle(std::chrono::minutes(5));
  EXPECT_EQ(events.requests, 1u);
  EXPECT_EQ(recorder.stats().failed, 1u);
}

TEST_F(EventRecorderTest, AnEventThatExpiredIsMadeAnew) {
  record("same");
  settle();
  events.counts.clear();
  record("same");
  settle();
  EXPECT_EQ(events.counts.size(), 1u);
  EXPECT_EQ(events.counts.begin()->second, 1);
}

TEST_F(EventRecorderTest, NamesAreValidAndClusterScopedObjectsTellInDefault) {
  record("m", "Made", object("system:node", ""));
  record("m", "Made", object("plain.name", ""));
  settle();
  ASSERT_EQ(events.counts.size(), 2u);
  for (const auto& [name, body] : events.bodies) {
    EXPECT_EQ(name.find(':'), std::string::npos) << name;
    EXPECT_EQ(body.text("metadata.namespace"), "default");
  }
}

}  // namespace
}  // namespace gs::control
