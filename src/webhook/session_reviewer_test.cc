// Reviews through a session to a delegate in memory, and its reads through a gateway to a fake cluster.
#include "webhook/session_reviewer.h"

#include "delegate/delegate_test_util.h"
#include "gateway/gateway_test_util.h"
#include "webhook/review_test_util.h"

namespace gs::webhook {
namespace {

namespace pb = gulfstream::delegate::v1;
using delegate::milliseconds;
using delegate::seconds;

class SessionReviewerTest : public testing::Test, public delegate::Client::Observer {
 protected:
  SessionReviewerTest() {
    net.capabilities = {"webhooks"};
    gateway::Rules rules;
    rules.authorized = {{"", {"secrets"}, {"get"}, false}};
    delegate::PairView pair;
    pair.id = PairId(9);
    pair.description.webhook = "w";
    auto gateway = std::make_unique<gateway::Gateway>(world.loop, world.kube, world.informers, std::move(rules), gateway::Kinds{}, "w", "k");
    reviewer = std::make_unique<SessionReviewer>(clients.acquire(url, "", false), std::move(pair), std::move(gateway));
  }
  ~SessionReviewerTest() override {
    world.scope.cancel();
    reviewer.reset();
  }
  Task<void> run_admit(std::string body) {
    const auto request = parse_admission_review(std::move(body));
    EXPECT_TRUE(request.has_value());
    auto task = reviewer->admit(*request, world.loop.now() + seconds(5));
    admission = co_await std::move(task);
  }
  Task<void> run_convert(std::string body) {
    const auto request = parse_conversion_review(std::move(body));
    EXPECT_TRUE(request.has_value());
    auto task = reviewer->convert(*request, world.loop.now() + seconds(5));
    conversion = co_await std::move(task);
  }
  void admit(const std::string& body = kCreatePod) {
    world.scope.spawn(run_admit(body));
    world.settle();
  }
  void convert(const std::string& body = kConvert) {
    world.scope.spawn(run_convert(body));
    world.settle();
  }
  delegate::FakePeer& peer() { return *net.peers.back(); }
  const pb::Admit& asked() { return peer().last(pb::PlaneMessage::kAdmit)->admit(); }
  pb::Convert asked_to_convert() { return peer().last(pb::PlaneMessage::kConvert)->convert(); }
  void say(const pb::DelegateMessage& message) {
    peer().say(message);
    world.settle();
  }
  void admitted(const std::function<void(pb::Admitted&)>& fill) {
    pb::DelegateMessage message;
    message.mutable_admitted()->set_id(asked().id());
    fill(*message.mutable_admitted());
    say(message);
  }
  void converted(const std::function<void(pb::Converted&)>& fill) {
    pb::DelegateMessage message;
    message.mutable_converted()->set_id(asked_to_convert().id());
    fill(*message.mutable_converted());
    say(message);
  }
  uint32_t read(const std::string& path) {
    pb::DelegateMessage message;
    message.mutable_call()->set_id(++calls);
    message.mutable_call()->set_review(asked().id());
    message.mutable_call()->set_method("GET");
    message.mutable_call()->set_path(path);
    say(message);
    return peer().last(pb::PlaneMessage::kCallResult)->call_result().status();
  }

  gateway::test::World world;
  delegate::FakeNetwork net;
  delegate::ClientSet clients{world.loop, [this](const kube::ServerUrl&) { return std::make_unique<delegate::FakeDialer>(world.loop, net); },
                              delegate::ClientOptions(), *this};
  const kube::ServerUrl url = *kube::parse_server_url("http://10.0.0.1:8080");
  std::unique_ptr<SessionReviewer> reviewer;
  uint64_t calls = 0;
  Result<AdmissionAnswer> admission = fail(Code::kInternal, "not answered");
  Result<ConversionAnswer> conversion = fail(Code::kInternal, "not answered");

 private:
  void ready_changed(DelegateId, bool) override {}
  void enqueue(PairId, const std::string&, const std::string&, Duration) override {}
  delegate::CallHandler* pair_calls(PairId) override { return nullptr; }
  void health_changed(DelegateId) override {}
  void revision_is(PairId, const std::string&) override {}
};

TEST_F(SessionReviewerTest, AnAdmissionGoesAsTheApiServerAskedItAndComesBackAsTheDelegateSaid) {
  EXPECT_EQ(reviewer->revision(), "") << "nobody was asked yet";
  admit();
  EXPECT_NE(kCreatePod.find("\"request\":" + asked().request()), std::string::npos);
  EXPECT_FALSE(asked().dry_run());
  admitted([](pb::Admitted& out) {
    out.mutable_allowed()->set_patch("[]");
    out.add_warnings("w1");
    (*out.mutable_audit_annotations())["k"] = "v";
  });
  ASSERT_TRUE(admission.has_value());
  EXPECT_TRUE(admission->allowed);
  EXPECT_EQ(admission->patch, "[]");
  EXPECT_EQ(admission->warnings, std::vector<std::string>{"w1"});
  EXPECT_EQ(admission->audit_annotations.size(), 1u);
  EXPECT_EQ(reviewer->revision(), "r1");
  admit(kScale);
  EXPECT_TRUE(asked().dry_run());
  admitted([](pb::Admitted& out) {
    out.mutable_refused()->set_message("too many");
    out.mutable_refused()->set_code(422);
  });
  ASSERT_TRUE(admission.has_value());
  EXPECT_FALSE(admission->allowed);
  EXPECT_EQ(admission->code, 422);
  EXPECT_EQ(admission->message, "too many");
}

TEST_F(SessionReviewerTest, ADelegateThatCannotDecideIsAnErrorInItsWordsAndAnEmptyAnswerIsInvalid) {
  admit();
  admitted([](pb::Admitted& out) { out.mutable_undecided()->set_message("the registry does not answer"); });
  ASSERT_FALSE(admission.has_value());
  EXPECT_EQ(admission.error().code, Code::kInternal);
  EXPECT_EQ(admission.error().message, "the registry does not answer");
  admit();
  admitted([](pb::Admitted&) {});
  EXPECT_EQ(admission.error().code, Code::kInvalid);
}

TEST_F(SessionReviewerTest, AReviewReadsInTheNamespaceOfItsObjectOnly) {
  world.kube.answer = [](const kube::Request&) -> Result<kube::Response> {
    kube::Response response;
    response.status = 200;
    response.body = "{}";
    return response;
  };
  admit();
  EXPECT_EQ(read("/api/v1/namespaces/shop/secrets/s"), 200u);
  EXPECT_EQ(read("/api/v1/namespaces/other/secrets/s"), 403u);
  admitted([](pb::Admitted& out) { out.mutable_allowed(); });
  admit(kDeleteEscaped);
  EXPECT_EQ(read("/api/v1/namespaces/other/secrets/s"), 200u) << "a ClusterRole is of no namespace";
}

TEST_F(SessionReviewerTest, TheNamespaceUnderReviewIsThatOfTheObject) {
  const auto pod = parse_admission_review(kCreatePod);
  EXPECT_EQ(scope_of(*pod).ns, "shop");
  EXPECT_FALSE(scope_of(*pod).anywhere);
  const auto ns = parse_admission_review(replaced(replaced(kCreatePod, R"("resources")", "x"), R"("resource":{"group":"","version":"v1","resource":"pods"})",
                                                  R"("resource":{"group":"","version":"v1","resource":"namespaces"})"));
  EXPECT_TRUE(scope_of(*ns).anywhere) << "a Namespace is cluster-scoped, though its request names a namespace";
  ConversionRequest request("");
  request.objects = {R"({"metadata":{"namespace":"a","name":"x"}})"};
  EXPECT_EQ(scope_of(request).ns, "a");
  EXPECT_EQ(scope_of(request).name, "x");
  request.objects.push_back(R"({"metadata":{"namespace":"b"}})");
  EXPECT_EQ(scope_of(request).ns, "");
  EXPECT_FALSE(scope_of(request).anywhere);
  request.objects = {"{}", R"({"metadata":{"name":"x"}})"};
  EXPECT_TRUE(scope_of(request).anywhere);
}

TEST_F(SessionReviewerTest, AConversionOfManyObjectsGoesInBatchesAndComesBackInOrder) {
  const std::string large(SessionReviewer::kConvertBatch / 3, 'x');
  std::string objects;
  for (int i = 0; i < 7; ++i) objects += fmt::format(R"({}{{"metadata":{{"name":"o{}"}},"x":"{}"}})", i > 0 ? "," : "", i, large);
  convert(R"({"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","request":{"uid":"u","desiredAPIVersion":"x.dev/v2","objects":[)" + objects + "]}}");
  for (int batch = 0; batch < 4; ++batch) {
    const pb::Convert asked = asked_to_convert();
    EXPECT_LE(asked.ByteSizeLong(), SessionReviewer::kConvertBatch + 1000);
    EXPECT_EQ(asked.desired_api_version(), "x.dev/v2");
    converted([&](pb::Converted& out) {
      for (const auto& object : asked.objects()) out.mutable_converted()->add_objects(object.substr(0, 25));
    });
  }
  ASSERT_TRUE(conversion.has_value()) << conversion.error().message;
  ASSERT_EQ(conversion->objects.size(), 7u);
  for (size_t i = 0; i < 7; ++i) EXPECT_NE(conversion->objects[i].find("o" + std::to_string(i)), std::string::npos);
  EXPECT_FALSE(conversion->made_reads);
  EXPECT_EQ(conversion->revision, "r1");
  EXPECT_EQ(conversion->revision, reviewer->revision());
}

TEST_F(SessionReviewerTest, AConversionThatFailsSaysWhyAndOneOfTheWrongNumberIsInvalid) {
  convert();
  converted([](pb::Converted& out) { out.mutable_failed()->set_message("cronSpec has no form in v2"); });
  ASSERT_TRUE(conversion.has_value());
  EXPECT_EQ(conversion->failure, "cronSpec has no form in v2");
  convert();
  converted([](pb::Converted& out) { out.mutable_converted(); });
  ASSERT_FALSE(conversion.has_value());
  EXPECT_EQ(conversion.error().code, Code::kInvalid);
  EXPECT_EQ(conversion.error().message, "converted.objects: 0 for 1 that were to be converted");
  convert();
  converted([](pb::Converted& out) { out.mutable_undecided()->set_reason("Busy"); });
  EXPECT_EQ(conversion.error().message, "Busy: the delegate could not decide, and did not say why");
}

TEST_F(SessionReviewerTest, TheRevisionChangesWithTheConfigsAndTheyGoBeforeTheNextReview) {
  admit();
  admitted([](pb::Admitted& out) { out.mutable_allowed(); });
  const std::string before = reviewer->revision();
  delegate::ConfigSet configs;
  configs.revision = 1;
  configs.objects.push_back({"v1", "ConfigMap", "a", "x", *kube::Object::parse(gateway::test::config_map("x", 5))});
  reviewer->set_configs(configs);
  EXPECT_EQ(reviewer->revision(), before + " u1@5");
  admit();
  EXPECT_EQ(asked().config_revision(), 1u);
  EXPECT_EQ(peer().last(pb::PlaneMessage::kConfig)->config().objects_size(), 1);
}

TEST_F(SessionReviewerTest, ItsEndClosesThePair) {
  admit();
  admitted([](pb::Admitted& out) { out.mutable_allowed(); });
  reviewer.reset();
  world.settle();
  EXPECT_EQ(peer().count(pb::PlaneMessage::kClose), 1u);
}

}  // namespace
}  // namespace gs::webhook
