// Writes that webhooks are asked about, over the simulated network; the webhooks are functions that take their time.
#include "apiserver/admission/webhooks_test_util.h"
#include "base/strings.h"

namespace gs::apiserver::admission {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kMaps = "/api/v1/namespaces/default/configmaps";
const std::string kHooks = "/apis/admissionregistration.k8s.io/v1/";

std::string response(const Value& review, const std::string& members) {
  return fmt::format(R"({{"kind":"AdmissionReview","apiVersion":"{}","response":{{"uid":"{}",{}}}}})", review.text("apiVersion"), review.text("request.uid"), members);
}
FakeClients::Answering says(const std::string& members) {
  return [members](const Value& review) { return response(review, members); };
}
FakeClients::Answering patches(const std::string& patch) { return says(fmt::format(R"("allowed":true,"patchType":"JSONPatch","patch":"{}")", base64_encode(patch))); }

class AdmissionTest : public WebhooksTest {
 protected:
  // One webhook for ConfigMaps; `members` beside the usual ones.
  void configure(const std::string& kind, const std::string& name, const std::string& members = {}) {
    const std::string rules = members.find("\"rules\"") != std::string::npos ? "" : R"("rules":[{"apiGroups":[""],"apiVersions":["v1"],"operations":["*"],"resources":["configmaps"]}],)";
    const std::string versions = members.find("admissionReviewVersions") != std::string::npos ? "" : R"("admissionReviewVersions":["v1"],)";
    const Answer made = server.request("POST", kHooks + kind + "webhookconfigurations", fmt::format(
        R"({{"metadata":{{"name":"{0}"}},"webhooks":[{{"name":"{0}.example.com","sideEffects":"None",{1}{2}"clientConfig":{{"url":"https://{0}"}}{3}{4}}}]}})", name, rules, versions, members.empty() ? "" : ",", members));
    ASSERT_EQ(made.status, 201) << made.body;
  }
  int create(const std::string& name, const std::string& data = "{}") { return ask("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"{}"}},"data":{}}})", name, data)); }
  std::string stored(const std::string& name, const std::string& path) {
    const auto found = json::parse(server.request("GET", kMaps + "/" + name).body);
    return std::string(found->text(path));
  }
};

TEST_F(AdmissionTest, ARefusalHasTheWebhooksWordsAndCode) {
  configure("validating", "one");
  clients.answers["https://one"] = says(R"("allowed":false,"status":{"code":418,"reason":"Tea","message":"no pot","details":{"causes":[{"message":"lid"}]}})");
  EXPECT_EQ(create("a"), 418);
  EXPECT_EQ(message(), R"(admission webhook "one.example.com" denied the request: no pot)");
  EXPECT_EQ(text("reason"), "Tea");
  EXPECT_EQ(object.pointer("/details/causes/0/message")->dump(), "\"lid\"");
  EXPECT_EQ(server.request("GET", kMaps + "/a").status, 404);
  clients.answers["https://one"] = says(R"("allowed":false)");
  EXPECT_EQ(create("a"), 400);
  EXPECT_EQ(message(), R"(admission webhook "one.example.com" denied the request without explanation)");
  clients.answers["https://one"] = says(R"("allowed":false,"status":{"reason":"Busy"})");
  create("a");
  EXPECT_EQ(message(), R"(admission webhook "one.example.com" denied the request: Busy)");
}

TEST_F(AdmissionTest, AReviewSaysWhoDoesWhat) {
  configure("validating", "one");
  clients.answers["https://one"] = says(R"("allowed":true,"warnings":["careful","careful"])");
  EXPECT_EQ(ask("POST", kMaps + "?fieldManager=me&dryRun=All", R"({"metadata":{"generateName":"x-"},"data":{"k":"v"}})"), 201);
  EXPECT_EQ(answer.warning, "299 - \"careful\"");
  const Value& request = *clients.reviews.at(0).find("request");
  EXPECT_EQ(request.at("kind")->dump(), R"({"group":"","version":"v1","kind":"ConfigMap"})");
  EXPECT_EQ(request.at("requestResource")->dump(), R"({"group":"","version":"v1","resource":"configmaps"})");
  EXPECT_EQ(request.text("operation"), "CREATE");
  EXPECT_EQ(request.text("namespace"), "default");
  EXPECT_EQ(request.text("name").size(), 7u) << "validating webhooks know the name";
  EXPECT_EQ(request.text("object.metadata.name"), request.text("name"));
  EXPECT_EQ(request.text("object.metadata.uid").size(), 36u);
  EXPECT_TRUE(request.at("oldObject")->is_null());
  EXPECT_EQ(request.at("dryRun")->dump(), "true");
  EXPECT_EQ(request.at("options")->dump(), R"({"kind":"CreateOptions","apiVersion":"meta.k8s.io/v1","dryRun":["All"],"fieldManager":"me"})");
}

TEST_F(AdmissionTest, WhatWasShownIsWhatIsStored) {
  configure("validating", "one");
  clients.take = 100ms;
  clients.answers["https://one"] = says(R"("allowed":true)");
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"generateName":"x-"}})"), 201);
  EXPECT_EQ(text("metadata.uid"), clients.reviews.at(0).text("request.object.metadata.uid"));
  EXPECT_EQ(text("metadata.name"), clients.reviews.at(0).text("request.name"));
  EXPECT_EQ(clients.asked.size(), 1u) << "running the step again asks nobody anew";
}

TEST_F(AdmissionTest, MutatingWebhooksSeeWhatTheOneBeforeMadeAndNoSystemFields) {
  configure("mutating", "b");
  configure("mutating", "a");
  configure("validating", "c");
  clients.answers["https://a"] = patches(R"([{"op":"add","path":"/data/a","value":"1"},{"op":"add","path":"/nonsense","value":1}])");
  clients.answers["https://b"] = patches(R"([{"op":"add","path":"/data/b","value":"2"}])");
  clients.answers["https://c"] = says(R"("allowed":true)");
  ASSERT_EQ(create("x", R"({"k":"v"})"), 201) << answer.body;
  ASSERT_THAT(clients.asked, ElementsAre("https://a", "https://b", "https://c"));
  EXPECT_EQ(object.at("data")->dump(), R"({"k":"v","a":"1","b":"2"})");
  EXPECT_EQ(object.at("nonsense"), nullptr) << "read like a body";
  EXPECT_EQ(clients.reviews[0].text("request.object.metadata.uid"), "");
  EXPECT_EQ(clients.reviews[1].text("request.object.data.a"), "1");
  EXPECT_EQ(clients.reviews[2].text("request.object.data.b"), "2");
}

TEST_F(AdmissionTest, AnEarlierWebhookIsAskedAgainOnceWhereItWantsToBe) {
  configure("mutating", "a", R"("reinvocationPolicy":"IfNeeded")");
  configure("mutating", "b");
  configure("mutating", "c", R"("reinvocationPolicy":"IfNeeded")");
  clients.answers["https://a"] = says(R"("allowed":true)");
  clients.answers["https://b"] = patches(R"([{"op":"add","path":"/data","value":{"b":"2"}}])");
  clients.answers["https://c"] = says(R"("allowed":true)");
  EXPECT_EQ(create("x"), 201);
  EXPECT_THAT(clients.asked, ElementsAre("https://a", "https://b", "https://c", "https://a"));
}

TEST_F(AdmissionTest, APatchedObjectIsValidatedAgain) {
  configure("mutating", "a");
  clients.answers["https://a"] = patches(R"([{"op":"add","path":"/data/bad key","value":"1"}])");
  EXPECT_EQ(create("x", R"({"k":"v"})"), 422);
  EXPECT_THAT(message(), HasSubstr("data[bad key]: Invalid value"));
  clients.answers["https://a"] = patches(R"([{"op":"add","path":"/data","value":[]}])");
  EXPECT_EQ(create("x"), 500);
  EXPECT_THAT(message(), HasSubstr("Internal error occurred: "));
  clients.answers["https://a"] = patches(R"([{"op":"replace","path":"/metadata/namespace","value":"other"}])");
  EXPECT_EQ(create("x"), 400);
}

TEST_F(AdmissionTest, AFailureIsAnsweredByTheFailurePolicy) {
  configure("validating", "one");
  EXPECT_EQ(create("a"), 500);
  EXPECT_EQ(message(), R"(Internal error occurred: failed calling webhook "one.example.com": failed to call webhook: Post "https://one": connection refused)");
  EXPECT_EQ(text("reason"), "InternalError");
  server.request("DELETE", kHooks + "validatingwebhookconfigurations/one");
  configure("validating", "two", R"("failurePolicy":"Ignore")");
  EXPECT_EQ(create("a"), 201);
  EXPECT_THAT(clients.asked, ElementsAre("https://one", "https://two"));
}

TEST_F(AdmissionTest, AWebhookHasTheTimeThatItSays) {
  configure("validating", "one", R"("timeoutSeconds":2)");
  clients.answers["https://one"] = says(R"("allowed":true)");
  clients.take = 3s;
  EXPECT_EQ(create("a"), 500);
  EXPECT_THAT(message(), HasSubstr("context deadline exceeded"));
  clients.take = 1s;
  EXPECT_EQ(create("a"), 201);
}

TEST_F(AdmissionTest, AnswersThatAreNoneSayWhy) {
  configure("mutating", "one");
  const auto said = [&](const std::string& body) {
    clients.answers["https://one"] = [body](const Value& review) {
      std::string out = body;
      const size_t at = out.find("UID");
      return at == std::string::npos ? out : out.replace(at, 3, std::string(review.text("request.uid")));
    };
    EXPECT_EQ(create("a"), 500);
    const std::string prefix = R"(Internal error occurred: failed calling webhook "one.example.com": )";
    return message().starts_with(prefix) ? message().substr(prefix.size()) : message();
  };
  const std::string head = R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1")";
  EXPECT_THAT(said("oops"), HasSubstr("failed to call webhook: couldn't get version/kind; json parse error: "));
  EXPECT_EQ(said(head + "}"), "received invalid webhook response: webhook response was absent");
  EXPECT_THAT(said(head + R"(,"response":{"uid":"x","allowed":true}})"), HasSubstr("received invalid webhook response: expected response.uid=\""));
  EXPECT_EQ(said(R"({"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","response":{"uid":"UID","allowed":true}})"),
            "received invalid webhook response: expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v1beta1, Kind=AdmissionReview");
  EXPECT_EQ(said(head + R"(,"response":{"uid":"UID","allowed":true,"patch":"W10="}})"), "received invalid webhook response: webhook returned response.patch but not response.patchType");
  EXPECT_EQ(said(head + R"(,"response":{"uid":"UID","allowed":"yes"}})"), "failed to call webhook: json: cannot unmarshal string into Go struct field AdmissionResponse.response.allowed of type bool");
  EXPECT_THAT(said(head + R"(,"response":{"uid":"UID","allowed":true,"patchType":"JSONPatch","patch":"bm8="}})"), HasSubstr("received undecodable patch in webhook response: "));
}

TEST_F(AdmissionTest, V1beta1IsSpokenWhereItComesFirstAndItsUidIsNotLookedAt) {
  configure("mutating", "one", R"("admissionReviewVersions":["v1beta1","v1"])");
  clients.answers["https://one"] = [](const Value& review) {
    EXPECT_EQ(review.text("apiVersion"), "admission.k8s.io/v1beta1");
    return fmt::format(R"({{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","response":{{"allowed":true,"patch":"{}"}}}})", base64_encode(R"([{"op":"add","path":"/data","value":{"k":"v"}}])"));
  };
  EXPECT_EQ(create("a"), 201);
  EXPECT_EQ(text("data.k"), "v");
}

TEST_F(AdmissionTest, OnlyWhatRulesAndSelectorsNameIsAskedAbout) {
  configure("validating", "selected", R"("objectSelector":{"matchLabels":{"l":"yes"}},"namespaceSelector":{"matchLabels":{"n":"yes"}})");
  configure("validating", "scoped", R"("rules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["DELETE"],"resources":["*/*"],"scope":"Cluster"}])");
  clients.answers["https://selected"] = clients.answers["https://scoped"] = says(R"("allowed":true)");
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"name":"a","labels":{"l":"yes"}}})"), 201);
  EXPECT_THAT(clients.asked, IsEmpty()) << "the namespace is not among them";
  server.request("PATCH", "/api/v1/namespaces/default", R"({"metadata":{"labels":{"n":"yes"}}})", "application/merge-patch+json");
  EXPECT_EQ(create("b"), 201);
  EXPECT_THAT(clients.asked, IsEmpty());
  EXPECT_EQ(ask("PATCH", kMaps + "/a", R"({"metadata":{"labels":null}})"), 200);
  EXPECT_THAT(clients.asked, ElementsAre("https://selected")) << "the old object has the label";
  server.add_namespace("gone");
  EXPECT_EQ(ask("DELETE", "/api/v1/namespaces/gone"), 200);
  EXPECT_THAT(clients.asked, ElementsAre("https://selected", "https://scoped"));
  EXPECT_EQ(clients.reviews.back().text("request.namespace"), "gone");
}

TEST_F(AdmissionTest, SubresourcesAreAskedAboutByTheirNames) {
  server.table().add(custom_resource("example.com", "v1", "things", "Thing"));
  configure("validating", "one", R"("rules":[{"apiGroups":["example.com","apps"],"apiVersions":["v1"],"operations":["UPDATE"],"resources":["things/status","deployments/scale"]}])");
  clients.answers["https://one"] = says(R"("allowed":false)");
  const std::string things = "/apis/example.com/v1/namespaces/default/things";
  const std::string deployments = "/apis/apps/v1/namespaces/default/deployments";
  EXPECT_EQ(ask("POST", things, R"({"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"a"}})"), 201);
  EXPECT_EQ(ask("PATCH", things + "/a", R"({"spec":{"n":1}})"), 200);
  EXPECT_EQ(ask("PATCH", things + "/a/status", R"({"status":{"n":1}})"), 400);
  EXPECT_EQ(clients.reviews.at(0).text("request.subResource"), "status");
  EXPECT_EQ(ask("POST", deployments, R"({"metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})"), 201);
  EXPECT_EQ(ask("PATCH", deployments + "/d/scale", R"({"spec":{"replicas":3}})"), 400);
  const Value& request = *clients.reviews.at(1).find("request");
  EXPECT_EQ(request.at("kind")->dump(), R"({"group":"autoscaling","version":"v1","kind":"Scale"})");
  EXPECT_EQ(request.at("object.spec.replicas")->dump(), "3");
  EXPECT_EQ(request.at("oldObject.spec.replicas")->dump(), "1");
}

TEST_F(AdmissionTest, AnEquivalentVersionIsAskedAboutAsTheRulesNameIt) {
  configure("mutating", "one", R"("rules":[{"apiGroups":["autoscaling"],"apiVersions":["v1"],"operations":["*"],"resources":["horizontalpodautoscalers"]}])");
  configure("validating", "exact", R"("matchPolicy":"Exact","rules":[{"apiGroups":["autoscaling"],"apiVersions":["v1"],"operations":["*"],"resources":["horizontalpodautoscalers"]}])");
  clients.answers["https://one"] = patches(R"([{"op":"replace","path":"/spec/maxReplicas","value":7}])");
  const std::string body = R"({"metadata":{"name":"h"},"spec":{"maxReplicas":3,"scaleTargetRef":{"apiVersion":"apps/v1","kind":"Deployment","name":"d"}}})";
  EXPECT_EQ(ask("POST", "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers", body), 201) << answer.body;
  ASSERT_EQ(clients.reviews.size(), 1u);
  EXPECT_EQ(text("apiVersion"), "autoscaling/v2");
  EXPECT_EQ(object.at("spec.maxReplicas")->dump(), "7");
  const Value& request = *clients.reviews.at(0).find("request");
  EXPECT_EQ(request.at("kind")->dump(), R"({"group":"autoscaling","version":"v1","kind":"HorizontalPodAutoscaler"})");
  EXPECT_EQ(request.at("requestKind")->dump(), R"({"group":"autoscaling","version":"v2","kind":"HorizontalPodAutoscaler"})");
  EXPECT_EQ(request.text("object.apiVersion"), "autoscaling/v1");
  EXPECT_THAT(clients.asked, ElementsAre("https://one"));
}

TEST_F(AdmissionTest, DeletionsAreAskedAboutOneByOne) {
  for (const char* name : {"a", "b", "c"}) create(name);
  configure("validating", "one");
  clients.take = 100ms;
  clients.answers["https://one"] = [](const Value& review) {
    return response(review, review.text("request.oldObject.metadata.name") == "b" ? R"("allowed":false,"status":{"message":"not b"})" : R"("allowed":true)");
  };
  EXPECT_EQ(ask("DELETE", kMaps + "/b"), 400);
  EXPECT_EQ(clients.reviews.at(0).text("request.options.kind"), "DeleteOptions");
  EXPECT_TRUE(clients.reviews.at(0).at("request.object")->is_null());
  EXPECT_EQ(ask("DELETE", kMaps), 400);
  EXPECT_EQ(message(), R"(admission webhook "one.example.com" denied the request: not b)");
  EXPECT_EQ(server.request("GET", kMaps + "/a").status, 404);
  EXPECT_EQ(server.request("GET", kMaps + "/b").status, 200);
  EXPECT_EQ(server.request("GET", kMaps + "/c").status, 200);
  clients.answers["https://one"] = says(R"("allowed":true)");
  EXPECT_EQ(ask("DELETE", kMaps), 200);
  EXPECT_EQ(object.at("items")->array()->size(), 2u) << "what there was when it began";
  EXPECT_EQ(server.request("GET", kMaps + "/c").status, 404);
}

TEST_F(AdmissionTest, WhoWasOvertakenIsDecidedOnAnew) {
  create("a", R"({"n":"0"})");
  configure("validating", "one");
  clients.take = 1s;
  clients.answers["https://one"] = says(R"("allowed":true)");
  TaskScope scope(loop);
  begin(scope, "PATCH", kMaps + "/a", R"({"data":{"mine":"1"}})");
  world.run_for(500ms);
  EXPECT_EQ(server.request("PATCH", kMaps + "/a", R"({"data":{"theirs":"2"}})", "application/merge-patch+json").status, 200) << "nothing is held while a webhook is asked";
  world.run_for(10s);
  EXPECT_EQ(finish(), 200);
  EXPECT_EQ(object.at("data")->dump(), R"({"n":"0","theirs":"2","mine":"1"})");
  ASSERT_EQ(clients.reviews.size(), 2u);
  EXPECT_EQ(clients.reviews[1].text("request.oldObject.data.theirs"), "2");
}

TEST_F(AdmissionTest, AnUpdateThatWasOvertakenIsAConflict) {
  create("a");
  const std::string version = text("metadata.resourceVersion");
  configure("validating", "one");
  clients.take = 1s;
  clients.answers["https://one"] = says(R"("allowed":true)");
  TaskScope scope(loop);
  begin(scope, "PUT", kMaps + "/a", fmt::format(R"({{"metadata":{{"name":"a","resourceVersion":"{}"}},"data":{{"k":"v"}}}})", version));
  world.run_for(500ms);
  server.request("PATCH", kMaps + "/a", R"({"data":{"theirs":"2"}})", "application/merge-patch+json");
  world.run_for(10s);
  EXPECT_EQ(finish(), 409);
  EXPECT_EQ(stored("a", "data.theirs"), "2");
}

TEST_F(AdmissionTest, ValidatingWebhooksAreAskedSideBySide) {
  for (const char* name : {"a", "b", "c"}) configure("validating", name);
  clients.take = 1s;
  clients.answers["https://a"] = clients.answers["https://b"] = clients.answers["https://c"] = says(R"("allowed":true)");
  EXPECT_EQ(create("x"), 201);
  EXPECT_EQ(clients.most_at_once, 3);
}

TEST_F(AdmissionTest, ADryRunAsksOnlyWhoHasNoSideEffects) {
  configure("validating", "one");
  // Only an older configuration has another class: written before it was refused.
  ResourceTypePtr type = server.table().find("admissionregistration.k8s.io", "validatingwebhookconfigurations");
  Value old = *json::parse(server.request("GET", kHooks + "validatingwebhookconfigurations/one").body);
  (*old["webhooks"].array())[0]["sideEffects"] = "Some";
  server.handler().registry().change(*type, server.store().get(*type, "", "one"), std::move(old));
  EXPECT_EQ(ask("POST", kMaps + "?dryRun=All", R"({"metadata":{"name":"a"}})"), 400);
  EXPECT_EQ(message(), R"(admission webhook "one.example.com" does not support dry run)");
  EXPECT_THAT(clients.asked, IsEmpty());
}

TEST_F(AdmissionTest, WebhooksAreNotAskedAboutWebhooks) {
  configure("validating", "all", R"("rules":[{"apiGroups":["*"],"apiVersions":["*"],"operations":["*"],"resources":["*"]}])");
  EXPECT_EQ(ask("PATCH", kHooks + "validatingwebhookconfigurations/all", R"({"metadata":{"labels":{"a":"b"}}})"), 200);
  EXPECT_EQ(ask("DELETE", kHooks + "validatingwebhookconfigurations/all"), 200);
  EXPECT_THAT(clients.asked, IsEmpty());
}

}  // namespace
}  // namespace gs::apiserver::admission
