#include "webhook/events_sink.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

#include "json/value.h"
#include "net/http_server.h"
#include "net/sim_net.h"
#include "runtime/sim_loop.h"
#include "webhook/review_test_util.h"

namespace gs::webhook {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

// A receiver of events that answers as it is told to.
class Receiver final : public net::HttpHandler {
 public:
  explicit Receiver(Loop& loop) : loop_(loop) {}
  Task<void> handle(net::HttpExchange& exchange) override {
    requests.push_back(exchange.request());
    auto body = co_await exchange.read_all(1 << 20, kNoDeadline);
    requests.back().body = body ? *body : "";
    co_await sleep_until(loop_, loop_.now() + delay);
    net::HttpHead head(statuses.empty() ? 204 : statuses.front());
    if (!statuses.empty()) statuses.erase(statuses.begin());
    exchange.respond(head, "");
  }
  std::vector<net::HttpRequest> requests;
  std::vector<int> statuses;  // then 204
  Duration delay{};

 private:
  Loop& loop_;
};

Task<void> drained(EventsSink& sink, MonoTime deadline, std::optional<size_t>& left) {
  const size_t rest = co_await sink.drain(deadline);
  left = rest;
}

class EventsSinkTest : public ::testing::Test {
 protected:
  EventsSinkTest() {
    net.add_host("sink", "10.0.0.9");
    options.url = *kube::parse_server_url("http://sink:8080/events");
  }
  void start() { sink = std::make_unique<EventsSink>(loop, connector, metrics, options); }
  void offer(const std::string& body = kCreatePod) {
    if (sink == nullptr) start();
    const auto request = parse_admission_review(body);
    ASSERT_TRUE(request.has_value());
    AdmissionAnswer answer(false);
    answer.message = "no";
    sink->offer("image-policy", "b8c1", *request, answer);
  }
  std::string header(const net::HttpRequest& request, std::string_view name) {
    const std::string* value = net::find_header(request.headers, name);
    return value == nullptr ? "(none)" : *value;
  }
  double events(std::string outcome) { return metrics.counter("gulfstream_webhook_events_total", "", {{"outcome", std::move(outcome)}}).value(); }

  SimWorld world{5};
  SimLoop& loop = world.add_loop();
  net::SimNet net{world};
  Metrics metrics;
  Receiver receiver{loop};
  net::HttpServer http{loop, receiver};
  std::unique_ptr<net::SimListener> listener = *net::SimListener::listen(loop, net, "sink", 8080, http);
  net::SimConnector connector{loop, net, "plane"};
  EventsSinkOptions options;
  std::unique_ptr<EventsSink> sink;
};

TEST_F(EventsSinkTest, SendsTheReviewWithItsAnswerAsACloudEventInBinaryMode) {
  offer();
  offer(kDeleteEscaped);
  world.run_for(1s);
  ASSERT_EQ(receiver.requests.size(), 2u);
  const net::HttpRequest& request = receiver.requests[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/events");
  EXPECT_EQ(header(request, "ce-specversion"), "1.0");
  EXPECT_EQ(header(request, "ce-id"), "705ab4f5-6393-11e8-b7cc-42010a800002");
  EXPECT_EQ(header(request, "ce-source"), "k8s://b8c1");
  EXPECT_EQ(header(request, "ce-type"), "dev.gulfstream.admission.v1");
  EXPECT_EQ(header(request, "ce-subject"), "image-policy");
  EXPECT_TRUE(parse_rfc3339(header(request, "ce-time")).has_value());
  EXPECT_EQ(header(request, "content-type"), "application/json");
  EXPECT_EQ(header(request, "authorization"), "(none)");
  const auto body = json::parse(request.body);
  ASSERT_TRUE(body.has_value());
  EXPECT_EQ(body->text("actor.subject"), "kubernetes-admin");
  EXPECT_EQ(body->text("body.kind"), "AdmissionReview");
  EXPECT_EQ(body->text("body.request.object.metadata.name"), "web-0");
  EXPECT_EQ(body->text("body.response.status.message"), "no");
  EXPECT_EQ(json::parse(receiver.requests[1].body)->text("body.apiVersion"), "admission.k8s.io/v1beta1");
  EXPECT_EQ(events("delivered"), 2);
  EXPECT_EQ(sink->queued(), 0u);
}

TEST_F(EventsSinkTest, DigestsTheBodyAndShowsTheTokenOfItsFileAlsoWhenThatChanges) {
  options.token_file = ::testing::TempDir() + "events_sink_token";
  const auto write = [&](const std::string& text) { std::ofstream(options.token_file) << text; };
  write("first\n");
  offer();
  world.run_for(1s);
  write("second");
  offer();
  world.run_for(1s);
  world.run_for(61s);
  offer();
  world.run_for(1s);
  write("");
  world.run_for(61s);
  offer();
  world.run_for(1s);
  std::remove(options.token_file.c_str());
  ASSERT_EQ(receiver.requests.size(), 4u);
  EXPECT_EQ(header(receiver.requests[0], "authorization"), "Bearer first");
  EXPECT_EQ(header(receiver.requests[1], "authorization"), "Bearer first");
  EXPECT_EQ(header(receiver.requests[2], "authorization"), "Bearer second");
  EXPECT_EQ(header(receiver.requests[3], "authorization"), "Bearer second");
  const std::string digest = header(receiver.requests[0], "content-digest");
  ASSERT_TRUE(digest.starts_with("sha-256=:") && digest.ends_with(":"));
  std::string hex;
  const std::string bytes = base64_decode(digest.substr(9, digest.size() - 10)).value_or("");
  for (const char c : bytes) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
  EXPECT_EQ(hex, sha256_hex(receiver.requests[0].body));
}

TEST_F(EventsSinkTest, SendsNothingWithoutTheTokenItWasToldToShow) {
  options.token_file = "/nonexistent/token";
  offer();
  world.run_for(60s);
  EXPECT_TRUE(receiver.requests.empty());
  EXPECT_EQ(events("failed"), 1);
}

TEST_F(EventsSinkTest, LeavesOutWhatASecretHolds) {
  offer(replaced(replaced(kCreatePod, R"("resource":"pods")", R"("resource":"secrets")"), R"("spec":{)", R"("data":{"password":"aHVudGVyMg=="},"spec":{)"));
  world.run_for(1s);
  ASSERT_EQ(receiver.requests.size(), 1u);
  EXPECT_THAT(receiver.requests[0].body, Not(HasSubstr("aHVudGVyMg")));
  EXPECT_EQ(json::parse(receiver.requests[0].body)->text("body.request.name"), "web-0");
}

TEST_F(EventsSinkTest, TriesAgainWhatFailedAndNotWhatWasRefused) {
  receiver.statuses = {503, 429, 200, 400, 500, 500, 500};
  offer();
  offer();
  offer();
  world.run_for(60s);
  EXPECT_EQ(receiver.requests.size(), 7u);
  EXPECT_EQ(events("delivered"), 1);
  EXPECT_EQ(events("refused"), 1);
  EXPECT_EQ(events("failed"), 1);
}

TEST_F(EventsSinkTest, ThatIsSlowOrGoneHoldsABoundedQueueAndCountsWhatItDropped) {
  options.max_events = 10;
  receiver.delay = 5s;
  for (int i = 0; i < 25; ++i) offer();
  EXPECT_EQ(sink->queued(), 10u);
  EXPECT_EQ(events("dropped"), 15);
  world.run_for(100s);
  EXPECT_EQ(events("delivered"), 10);

  options.max_events = 1000;
  options.max_bytes = 5 * kCreatePod.size();
  start();
  for (int i = 0; i < 25; ++i) offer();
  EXPECT_LT(sink->queued(), 6u);
  net.crash("sink");
  world.run_for(200s);
  EXPECT_GE(events("failed"), 1);
  EXPECT_EQ(sink->queued(), 0u);
}

TEST_F(EventsSinkTest, IsDrainedUntilTheDeadlineAndSaysWhatIsLeft) {
  TaskScope scope(loop);
  std::optional<size_t> left;
  const auto drain = [&](Duration within) {
    left.reset();
    scope.spawn(drained(*sink, loop.now() + within, left));
  };
  start();
  drain(3s);
  world.run_for(1ms);
  EXPECT_EQ(left, 0u) << "nothing was queued";
  receiver.delay = 1s;
  offer();
  offer();
  drain(3s);
  world.run_for(1500ms);
  EXPECT_EQ(left, std::nullopt);
  world.run_for(1s);
  EXPECT_EQ(left, 0u);
  for (int i = 0; i < 9; ++i) offer();
  drain(3500ms);
  world.run_for(3600ms);
  EXPECT_EQ(left, 6u);
}

TEST_F(EventsSinkTest, KeepsOneConnectionAndDialsAgainAfterItBroke) {
  for (int i = 0; i < 5; ++i) offer();
  world.run_for(1s);
  EXPECT_EQ(http.connections(), 1u);
  net.reset("plane", "sink");
  world.run_for(1s);
  offer();
  world.run_for(5s);
  EXPECT_EQ(receiver.requests.size(), 6u);
  EXPECT_EQ(events("delivered"), 6);
}

}  // namespace
}  // namespace gs::webhook
