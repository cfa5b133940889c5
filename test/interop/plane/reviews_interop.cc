// Reviews over a real connection to the delegate on stock grpc-go in the directory above: INTEROP_URL says where it serves. Driven by
// test/e2e/test_review_interop.py.
#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "delegate/client.h"
#include "delegate/grpc_dialer.h"
#include "gulfstream/delegate/v1/delegate.pb.h"
#include "net/tcp.h"
#include "runtime/uv_loop.h"

namespace gs::delegate {
namespace {

using namespace std::chrono_literals;

// Answers each read of a review with a body of this size, in parts.
class Reads final : public CallHandler {
 public:
  Task<void> handle(const pb::Call& call, CallReply& reply) override {
    path = call.path();
    auto sending = reply.part(200, "application/json", std::string(size, 'x'), true);
    co_await std::move(sending);
  }
  std::string path;
  size_t size = 1'000'000;
};

class ReviewInterop : public testing::Test, public Client::Observer {
 protected:
  ReviewInterop() {
    const char* url = std::getenv("INTEROP_URL");
    if (url == nullptr) return;
    DialerDeps deps(loop, tcp, resolver, tls);
    auto dialer = std::make_unique<GrpcDialer>(deps, *kube::parse_server_url(url));
    client = std::make_unique<Client>(loop, DelegateId(1), std::move(dialer), ClientOptions(), *this);
    webhook.id = PairId(1);
    webhook.description.webhook = "images";
    webhook.description.cluster = "blue";
  }
  void SetUp() override { ASSERT_NE(std::getenv("INTEROP_URL"), nullptr) << "INTEROP_URL is not set"; }
  ~ReviewInterop() override {
    scope.cancel();
    client.reset();
  }
  Task<void> admit(std::string request, bool dry_run, Duration limit, std::optional<Result<AdmissionVerdict>>* out) {
    auto task = client->admit(webhook, Admission(request, dry_run), loop.now() + limit, reads);
    *out = co_await std::move(task);
  }
  Task<void> convert(std::vector<std::string> objects, std::optional<Result<ConversionVerdict>>* out) {
    std::vector<std::string_view> views(objects.begin(), objects.end());
    auto task = client->convert(webhook, Conversion("x.dev/v2", std::move(views)), loop.now() + 20s, reads);
    *out = co_await std::move(task);
  }
  Result<AdmissionVerdict> ask(const std::string& what, const std::string& path = "", bool dry_run = false, Duration limit = 20s) {
    std::optional<Result<AdmissionVerdict>> out;
    scope.spawn(admit(R"({"object":{"do":")" + what + R"(","path":")" + path + R"("}})", dry_run, limit, &out));
    loop.run_until([&] { return out.has_value(); });
    return *std::move(out);
  }

  UvLoop loop;
  net::TlsContext tls;
  net::CaresResolver resolver{loop};
  net::TcpConnector tcp{loop, resolver, nullptr};
  PairView webhook;
  Reads reads;
  std::unique_ptr<Client> client;
  TaskScope scope{loop};

 private:
  void ready_changed(DelegateId, bool) override {}
  void enqueue(PairId, const std::string&, const std::string&, Duration) override {}
  CallHandler* pair_calls(PairId) override { return nullptr; }
  void health_changed(DelegateId) override {}
  void revision_is(PairId, const std::string&) override {}
};

TEST_F(ReviewInterop, AnAdmissionIsAnsweredWithAllItsParts) {
  const auto verdict = ask("patch", "", true, 5s);
  ASSERT_TRUE(verdict.has_value()) << verdict.error().message;
  EXPECT_EQ(verdict->outcome, AdmissionVerdict::Outcome::kAllowed);
  EXPECT_TRUE(verdict->patch.starts_with(R"([{"op":"add","path":"/deadline","value":4)")) << verdict->patch;
  EXPECT_EQ(verdict->warnings, std::vector<std::string>{"patched in blue"});
  const std::vector<std::pair<std::string, std::string>> annotations = {{"dry-run", "true"}, {"webhook", "images"}};
  EXPECT_EQ(verdict->audit_annotations, annotations);
  EXPECT_EQ(client->revision(webhook.id), "1");
}

TEST_F(ReviewInterop, ACallWithinAReviewGetsItsWholeAnswer) {
  const auto verdict = ask("read", "/api/v1/namespaces/a/secrets/s");
  ASSERT_TRUE(verdict.has_value()) << verdict.error().message;
  EXPECT_EQ(verdict->code, 422);
  EXPECT_EQ(verdict->message, "200 with 1000000 bytes");
  EXPECT_EQ(reads.path, "/api/v1/namespaces/a/secrets/s");
}

TEST_F(ReviewInterop, WhatIsUndecidedOrWithoutAnOutcomeIsNoDecision) {
  const auto odd = ask("odd"), nothing = ask("nothing");
  ASSERT_TRUE(odd && nothing);
  EXPECT_EQ(odd->outcome, AdmissionVerdict::Outcome::kUndecided);
  EXPECT_EQ(odd->message, "what is odd");
  EXPECT_EQ(nothing->outcome, AdmissionVerdict::Outcome::kInvalid);
}

TEST_F(ReviewInterop, AReviewThatIsLateIsCancelledAndTheStreamGoesOn) {
  const auto late = ask("hang", "", false, 300ms);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().code, Code::kDeadlineExceeded);
  const auto next = ask("patch");
  EXPECT_TRUE(next.has_value());
  EXPECT_EQ(client->counts().protocol_errors, 0u) << "the answer to what was cancelled gave its credit back";
  EXPECT_EQ(client->streams(), 1u);
}

// The delegate ends the stream when there are more at once than it said.
TEST_F(ReviewInterop, ManyAtOnceAreAllAnsweredWithinTheCredit) {
  std::vector<std::optional<Result<AdmissionVerdict>>> out(100);
  for (auto& slot : out) scope.spawn(admit(R"({"object":{"do":"slow"}})", false, 20s, &slot));
  loop.run_until([&] { return std::all_of(out.begin(), out.end(), [](const auto& one) { return one.has_value(); }); });
  for (const auto& one : out) ASSERT_TRUE(one->has_value()) << one->error().message;
  EXPECT_EQ(client->counts().failures, 0u);
}

TEST_F(ReviewInterop, ManyObjectsAreConvertedInOrder) {
  std::vector<std::string> objects;
  for (int i = 0; i < 1000; ++i) objects.push_back(fmt::format(R"({{"apiVersion":"x.dev/v1","n":{}}})", i));
  std::optional<Result<ConversionVerdict>> out;
  scope.spawn(convert(objects, &out));
  loop.run_until([&] { return out.has_value(); });
  ASSERT_TRUE(out->has_value()) << out->error().message;
  ASSERT_EQ((*out)->objects.size(), 1000u);
  EXPECT_EQ((*out)->objects[999], R"({"apiVersion":"x.dev/v2","n":999})");
  EXPECT_FALSE((*out)->made_calls);
}

}  // namespace
}  // namespace gs::delegate
