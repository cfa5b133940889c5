// Reviews by an existing webhook server, over the simulated network.
#include "webhook/proxy_reviewer.h"

#include "net/sim_net.h"
#include "runtime/sim_loop.h"
#include "test/support/fake_api.h"
#include "webhook/review_service.h"
#include "webhook/review_test_util.h"

namespace gs::webhook {
namespace {

using namespace std::chrono_literals;
using test::CannedAnswer;

const std::string kAllowed =
    R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{"uid":"705ab4f5-6393-11e8-b7cc-42010a800002","allowed":true}})";

class ProxyReviewerTest : public testing::Test {
 protected:
  ProxyReviewerTest() : world(3), loop(world.add_loop()), net(world), api(loop), scope(loop) {
    net.add_host("policy", "127.0.0.1");
    net.add_host("far", "10.0.0.7");
    listener = *net::SimListener::listen(loop, net, "policy", 8443, api.acceptor());
    other = *net::SimListener::listen(loop, net, "far", 8443, api.acceptor());
    make("http://policy:8443/validate");
    api.script = [](const net::HttpRequest&) { return CannedAnswer(200, kAllowed); };
  }
  ~ProxyReviewerTest() override { scope.cancel(); }
  void make(const std::string& url, const std::string& cluster = "blue") {
    const auto parsed = kube::parse_server_url(url);
    ReviewOrigin origin;
    origin.webhook = "images";
    origin.cluster = cluster;
    origin.cluster_uid = "uid-1";
    reviewer = std::make_unique<ProxyReviewer>(loop, services.acquire(*parsed), url, origin);
  }
  Task<void> run_admit(std::string body, Duration limit) {
    const auto request = parse_admission_review(std::move(body));
    auto task = reviewer->admit(*request, loop.now() + limit);
    answer = co_await std::move(task);
    ++answered;
  }
  void admit(const std::string& body = kCreatePod, Duration limit = 5s) {
    answer = fail(Code::kInternal, "not answered");
    loop.post([=, this] { scope.spawn(run_admit(body, limit)); });
    world.run_for(limit + 1s);
  }
  CannedAnswer says(int status, const std::string& body) {
    api.script = [=](const net::HttpRequest&) { return CannedAnswer(status, body); };
    return {};
  }

  SimWorld world;
  SimLoop& loop;
  net::SimNet net;
  net::TlsContext tls;
  test::FakeApi api;
  net::SimConnector tcp{loop, net, "plane"};
  net::SimResolver resolver{loop, net};
  std::unique_ptr<net::SimListener> listener, other;
  static constexpr size_t kMaxAnswer = 100'000;
  ReviewServices services{delegate::DialerDeps(loop, tcp, resolver, tls), kMaxAnswer};
  std::unique_ptr<ProxyReviewer> reviewer;
  Result<AdmissionAnswer> answer = fail(Code::kInternal, "not answered");
  int answered = 0;
  TaskScope scope;
};

TEST_F(ProxyReviewerTest, TheServerGetsTheReviewByteForByteWithATimeoutAndTheCluster) {
  admit();
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_TRUE(answer->allowed);
  ASSERT_EQ(api.requests.size(), 1u);
  const net::HttpRequest& request = api.requests[0];
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/validate?timeout=5s");
  EXPECT_EQ(request.body, kCreatePod);
  const auto header = [&](std::string_view name) {
    const std::string* value = net::find_header(request.headers, name);
    return value != nullptr ? *value : "none";
  };
  EXPECT_EQ(header("content-type"), "application/json");
  EXPECT_EQ(header("gulfstream-webhook"), "images");
  EXPECT_EQ(header("gulfstream-cluster"), "blue");
  EXPECT_EQ(header("gulfstream-cluster-uid"), "uid-1");
  EXPECT_EQ(header("gulfstream-tenant"), "none");
  EXPECT_EQ(header("authorization"), "none");
  admit(kCreatePod, 700ms);
  EXPECT_EQ(api.requests.back().target, "/validate?timeout=1s") << "never 0, which would mean no limit";
}

TEST_F(ProxyReviewerTest, OneConnectionServesReviewsOneAfterTheOtherOfAllClusters) {
  for (int i = 0; i < 5; ++i) admit();
  make("http://policy:8443/validate", "green");
  admit();
  EXPECT_EQ(api.requests.size(), 6u);
  EXPECT_EQ(*net::find_header(api.requests.back().headers, "gulfstream-cluster"), "green");
  EXPECT_EQ(api.server().connections(), 1u);
}

TEST_F(ProxyReviewerTest, ManyReviewsAtOnceTakeAsManyConnections) {
  api.script = [](const net::HttpRequest&) {
    CannedAnswer answer;
    answer.never = true;
    return answer;
  };
  loop.post([this] {
    for (int i = 0; i < 20; ++i) scope.spawn(run_admit(kCreatePod, 5s));
  });
  world.run_for(3s);
  EXPECT_EQ(api.requests.size(), 20u);
  world.run_for(3s);
  EXPECT_EQ(answered, 20);
  EXPECT_EQ(answer.error().to_string(), "DeadlineExceeded: http://policy:8443/validate gave no answer in time");
}

TEST_F(ProxyReviewerTest, AnAnswerThatIsNoReviewIsExplainedAndItsTextIsNotShown) {
  says(500, "secret stack trace");
  admit();
  EXPECT_EQ(answer.error().to_string(), "Unavailable: http://policy:8443/validate answered with status 500 instead of a review");
  says(302, "");
  admit();
  EXPECT_EQ(answer.error().to_string(), "Invalid: http://policy:8443/validate redirects (status 302); redirects are not followed");
  EXPECT_EQ(api.requests.size(), 2u);
  says(200, "<html>");
  admit();
  EXPECT_EQ(answer.error().code, Code::kInvalid);
  says(200, replaced(kAllowed, "705ab4f5", "705ab4f6"));
  admit();
  EXPECT_EQ(answer.error().message, "http://policy:8443/validate: response.uid: must be the request's, \"705ab4f5-6393-11e8-b7cc-42010a800002\"");
  says(200, std::string(kMaxAnswer + 1, ' '));
  admit();
  EXPECT_EQ(answer.error().message, "http://policy:8443/validate gave no whole answer: an answer of more than 100000 bytes");
}

TEST_F(ProxyReviewerTest, WhatMayHaveReachedTheServerIsNotSentAgain) {
  admit();
  int seen = 0;
  api.script = [&](const net::HttpRequest&) {
    ++seen;
    CannedAnswer answer;
    answer.never = true;
    return answer;
  };
  loop.post([this] { scope.spawn(run_admit(kCreatePod, 5s)); });
  world.run_for(1s);
  EXPECT_EQ(seen, 1);
  loop.post([this] { net.reset("plane", "policy"); });
  world.run_for(1s);
  EXPECT_EQ(answer.error().to_string(), "Unavailable: http://policy:8443/validate gave no whole answer: connection reset by peer before it answered");
  world.run_for(10s);
  EXPECT_EQ(seen, 1);
}

TEST_F(ProxyReviewerTest, AnIdleConnectionThatTheServerClosedCostsNoReview) {
  admit();
  loop.post([this] { net.reset("plane", "policy"); });
  world.run_for(1s);
  admit();
  EXPECT_TRUE(answer.has_value()) << answer.error().message;
}

TEST_F(ProxyReviewerTest, PlainTextGoesToLoopbackOnly) {
  make("http://far:8443");
  admit();
  EXPECT_EQ(answer.error().code, Code::kForbidden);
  EXPECT_EQ(answer.error().message.find("http://far:8443"), answer.error().message.rfind("http://far:8443 leads to 10.0.0.7")) << answer.error().message;
  EXPECT_TRUE(api.requests.empty());
}

TEST_F(ProxyReviewerTest, AServerThatIsNotThereIsNamedAtOnce) {
  listener.reset();
  admit();
  EXPECT_EQ(answer.error().code, Code::kUnavailable);
  EXPECT_NE(answer.error().message.find("policy:8443"), std::string::npos) << answer.error().message;
}

}  // namespace
}  // namespace gs::webhook
