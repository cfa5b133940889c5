// Custom resources whose versions a webhook converts: stored as v1 {count}, served as v2 {size} too.
#include "apiserver/conversion/conversion_memo.h"

#include "apiserver/admission/webhooks_test_util.h"
#include "apiserver/conversion/conversion_review.h"

namespace gs::apiserver::conversion {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string kV1 = "/apis/example.com/v1/namespaces/default/things", kV2 = "/apis/example.com/v2/namespaces/default/things";
const std::string kCrds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

std::string version(const char* name, const char* field, bool storage) {
  return fmt::format(R"({{"name":"{}","served":true,"storage":{},"subresources":{{"status":{{}}}},"schema":{{"openAPIV3Schema":{{"type":"object","properties":{{)"
                     R"("spec":{{"type":"object","properties":{{"{}":{{"type":"integer","maximum":100}}}}}},"status":{{"type":"object","properties":{{"n":{{"type":"integer"}}}}}}}}}}}}}})",
                     name, storage, field);
}

std::string definition(const std::string& url) {
  return fmt::format(R"({{"metadata":{{"name":"things.example.com"}},"spec":{{"group":"example.com","scope":"Namespaced","names":{{"plural":"things","kind":"Thing"}},"versions":[{},{}],)"
                     R"("conversion":{{"strategy":"Webhook","webhook":{{"conversionReviewVersions":["v1"],"clientConfig":{{"url":"{}"}}}}}}}}}})",
                     version("v1", "count", true), version("v2", "size", false), url);
}

std::string response(const Value& review, const std::string& members) {
  return fmt::format(R"({{"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","response":{{"uid":"{}",{}}}}})", review.text("request.uid"), members);
}

// As a webhook does it that is right.
std::string convert(const Value& review) {
  const std::string wanted(review.text("request.desiredAPIVersion"));
  json::Array converted = *review.at("request.objects")->array();
  for (Value& object : converted) {
    const char* const fields[] = {"count", "size"};
    const bool up = wanted == "example.com/v2";
    object["apiVersion"] = wanted;
    if (const Value* number = object.at(fmt::format("spec.{}", fields[up ? 0 : 1]))) {
      Value spec;
      spec[fields[up ? 1 : 0]] = *number;
      object["spec"] = std::move(spec);
    }
  }
  return response(review, R"("result":{"status":"Success"},"convertedObjects":)" + Value(std::move(converted)).dump());
}

class ConversionTest : public WebhooksTest {
 protected:
  ConversionTest() {
    clients.take = 50ms;
    clients.answers["https://one"] = convert;
    EXPECT_EQ(server.request("POST", kCrds, definition("https://one")).status, 201);
    world.run_for(1s);
  }
  int create(const std::string& path, const std::string& name, const std::string& spec) {
    return ask("POST", path, fmt::format(R"({{"kind":"Thing","apiVersion":"example.com/{}","metadata":{{"name":"{}"}},"spec":{}}})", path == kV1 ? "v1" : "v2", name, spec), 5s);
  }
  std::string spec() { return object.at("spec") != nullptr ? object.at("spec")->dump() : answer.body; }
};

TEST_F(ConversionTest, WhatIsStoredInOneVersionIsReadInBoth) {
  EXPECT_EQ(create(kV1, "a", R"({"count":3})"), 201);
  EXPECT_THAT(clients.asked, IsEmpty());
  EXPECT_EQ(ask("GET", kV2 + "/a", {}, 5s), 200);
  EXPECT_EQ(spec(), R"({"size":3})");
  EXPECT_EQ(text("apiVersion"), "example.com/v2");
  EXPECT_EQ(ask("GET", kV1 + "/a", {}, 5s), 200);
  EXPECT_EQ(spec(), R"({"count":3})");
}

TEST_F(ConversionTest, WhatIsWrittenInAnotherVersionIsStoredInOne) {
  EXPECT_EQ(create(kV2, "a", R"({"size":3,"nonsense":1})"), 201);
  EXPECT_EQ(spec(), R"({"size":3})");
  EXPECT_FALSE(text("metadata.resourceVersion").empty());
  const ResourceTypePtr type = server.table().find("example.com", "things");
  EXPECT_EQ(server.store().get(*type, "default", "a")->value().at("spec")->dump(), R"({"count":3})");
  EXPECT_EQ(create(kV2, "b", R"({"size":101})"), 422) << "judged in the version of the request";
  EXPECT_EQ(ask("PATCH", kV2 + "/a", R"({"spec":{"size":4}})", 5s), 200);
  EXPECT_EQ(spec(), R"({"size":4})");
  const std::string version = text("metadata.resourceVersion");
  EXPECT_EQ(ask("PATCH", kV2 + "/a", R"({"spec":{"size":4}})", 5s), 200);
  EXPECT_EQ(text("metadata.resourceVersion"), version) << "nothing has changed";
  EXPECT_EQ(ask("PATCH", kV2 + "/a/status", R"({"status":{"n":1}})", 5s), 200);
  EXPECT_EQ(ask("GET", kV1 + "/a", {}, 5s), 200);
  EXPECT_EQ(spec(), R"({"count":4})");
  EXPECT_EQ(object.at("status.n")->dump(), "1");
}

TEST_F(ConversionTest, AListIsConvertedInOneReview) {
  for (int i = 0; i < 20; ++i) create(kV1, fmt::format("t{}", i), fmt::format(R"({{"count":{}}})", i));
  EXPECT_EQ(ask("GET", kV2, {}, 5s), 200);
  EXPECT_EQ(object.at("items")->array()->size(), 20u);
  EXPECT_THAT(answer.body, testing::Not(HasSubstr("count")));
  EXPECT_EQ(clients.asked.size(), 1u);
  EXPECT_EQ(clients.reviews[0].at("request.objects")->array()->size(), 20u);
}

TEST_F(ConversionTest, DeletionsTakeItToo) {
  create(kV1, "a", R"({"count":3})");
  ask("PATCH", kV1 + "/a", R"({"metadata":{"finalizers":["example.com/x"]}})", 5s);
  EXPECT_EQ(ask("DELETE", kV2 + "/a", {}, 5s), 200);
  EXPECT_EQ(spec(), R"({"size":3})");
  EXPECT_FALSE(text("metadata.deletionTimestamp").empty());
  EXPECT_EQ(ask("PATCH", kV2 + "/a", R"({"metadata":{"finalizers":null}})", 5s), 200);
  EXPECT_EQ(ask("GET", kV1 + "/a", {}, 5s), 404);
  create(kV1, "b", R"({"count":3})");
  EXPECT_EQ(ask("DELETE", kV2 + "/b", {}, 5s), 200);
  EXPECT_EQ(text("kind"), "Status");
}

TEST_F(ConversionTest, AWatchTellsItsVersionAndEndsWhereItCannotBeHad) {
  create(kV1, "a", R"({"count":1})");
  TaskScope scope(loop);
  begin(scope, "GET", kV2 + "?watch=true&timeoutSeconds=5");
  world.run_for(1s);
  for (int i = 0; i < 150; ++i) {
    server.request("POST", kV1, fmt::format(R"({{"kind":"Thing","apiVersion":"example.com/v1","metadata":{{"name":"w{}"}},"spec":{{"count":7}}}})", i));
  }
  world.run_for(10s);
  const std::string& body = answer.body;
  EXPECT_EQ(std::count(body.begin(), body.end(), '\n'), 151) << body.substr(0, 500);
  EXPECT_THAT(body, HasSubstr(R"("size":7)"));
  EXPECT_THAT(body, testing::Not(HasSubstr("count")));
  clients.answers.erase("https://one");
  EXPECT_EQ(ask("GET", kV2 + "?watch=true&timeoutSeconds=5", {}, 10s), 200);
  EXPECT_THAT(answer.body, HasSubstr(R"({"type":"ERROR","object":{"kind":"Status")"));
  EXPECT_THAT(answer.body, HasSubstr("conversion webhook for example.com/v1, Kind=Thing failed: "));
}

TEST_F(ConversionTest, AFailureIsToldAndNothingIsWritten) {
  create(kV1, "a", R"({"count":3})");
  clients.answers.erase("https://one");
  EXPECT_EQ(ask("GET", kV2 + "/a", {}, 5s), 500);
  EXPECT_EQ(text("message"), R"(conversion webhook for example.com/v1, Kind=Thing failed: Post "https://one": connection refused)");
  EXPECT_EQ(create(kV2, "b", R"({"size":1})"), 500);
  EXPECT_THAT(text("message"), HasSubstr("conversion webhook for example.com/v2, Kind=Thing failed: "));
  EXPECT_EQ(ask("PATCH", kV2 + "/a", R"({"spec":{"size":4}})", 5s), 500);
  EXPECT_EQ(ask("DELETE", kV2 + "/a", {}, 5s), 500);
  EXPECT_EQ(ask("GET", kV1, {}, 5s), 200);
  EXPECT_EQ(object.at("items")->array()->size(), 1u);
  EXPECT_EQ(object.pointer("/items/0/spec")->dump(), R"({"count":3})");
}

TEST_F(ConversionTest, AnswersThatAreNoConversionSayWhy) {
  create(kV1, "a", R"({"count":3})");
  const auto said = [&](const std::function<std::string(const Value&)>& answering) {
    clients.answers["https://one"] = [answering](const Value& review) -> Result<std::string> { return answering(review); };
    EXPECT_EQ(ask("GET", kV2 + "/a", {}, 5s), 500);
    const std::string prefix = "conversion webhook for example.com/v1, Kind=Thing ";
    return text("message").starts_with(prefix) ? text("message").substr(prefix.size()) : text("message");
  };
  const auto changed = [&](const char* path, const char* value) {
    return said([=](const Value& review) {
      Value out = *json::parse(convert(review));
      *out.pointer("/response/convertedObjects/0" + std::string(path)) = *json::parse(value);
      return out.dump();
    });
  };
  EXPECT_EQ(said([](const Value& review) { return response(review, R"("result":{"status":"Failure","message":"no way"})"); }), "failed: no way");
  EXPECT_EQ(said([](const Value& review) { return response(review, R"("result":{})"); }), "failed: response.result.status was '', not 'Success'");
  EXPECT_EQ(said([](const Value& review) { return response(review, R"("result":{"status":"Success"},"convertedObjects":[])"); }), "returned 0 objects, expected 1");
  EXPECT_THAT(said([](const Value&) { return R"({"kind":"ConversionReview","apiVersion":"apiextensions.k8s.io/v1","response":{"uid":"x"}})"; }), HasSubstr("failed: expected response.uid=\""));
  EXPECT_EQ(changed("/apiVersion", "\"example.com/v1\""), "returned invalid object: invalid groupVersion (expected example.com/v2, received example.com/v1)");
  EXPECT_EQ(changed("/metadata/name", "\"b\""), "returned invalid object: must have the same name: a != b");
  EXPECT_THAT(changed("/metadata/uid", "\"b\""), HasSubstr("returned invalid object: must have the same UID: "));
  EXPECT_EQ(changed("/metadata", R"({"name":"a","namespace":"default","labels":[]})"), "returned invalid object: must have the same UID: " + text("metadata.uid") + std::string(
      json::parse(server.request("GET", kV1 + "/a").body)->text("metadata.uid")) + " != ");
}

TEST_F(ConversionTest, OfMetadataAWebhookChangesLabelsAndAnnotationsOnly) {
  create(kV1, "a", R"({"count":3})");
  clients.answers["https://one"] = [](const Value& review) -> Result<std::string> {
    Value out = *json::parse(convert(review));
    Value& metadata = *out.pointer("/response/convertedObjects/0/metadata");
    metadata["labels"]["l"] = "yes";
    metadata["generation"] = 77;
    metadata["finalizers"] = json::Array{Value("x")};
    return out.dump();
  };
  EXPECT_EQ(ask("GET", kV2 + "/a", {}, 5s), 200);
  EXPECT_EQ(text("metadata.labels.l"), "yes");
  EXPECT_EQ(object.at("metadata.generation")->dump(), "1");
  EXPECT_EQ(object.at("metadata.finalizers"), nullptr);
}

TEST_F(ConversionTest, AWriteThatWasOvertakenWhileItWasConvertedLosesNothing) {
  create(kV1, "a", R"({"count":3})");
  clients.take = 1s;
  TaskScope scope(loop);
  begin(scope, "PATCH", kV2 + "/a", R"({"spec":{"size":4}})");
  world.run_for(500ms);
  EXPECT_EQ(server.request("PATCH", kV1 + "/a", R"({"metadata":{"labels":{"theirs":"1"}}})", "application/merge-patch+json").status, 200);
  world.run_for(20s);
  EXPECT_EQ(finish(), 200);
  EXPECT_EQ(text("metadata.labels.theirs"), "1");
  EXPECT_EQ(spec(), R"({"size":4})");
}

TEST_F(ConversionTest, AnotherWebhookHoldsFromTheNextRequestOnAndEndsWatches) {
  create(kV1, "a", R"({"count":3})");
  TaskScope scope(loop);
  begin(scope, "GET", kV2 + "?watch=true&timeoutSeconds=600");
  world.run_for(1s);
  clients.answers["https://two"] = convert;
  server.request("PATCH", kCrds + "/things.example.com", R"({"spec":{"conversion":{"webhook":{"clientConfig":{"url":"https://two"}}}}})", "application/merge-patch+json");
  world.run_for(2s);
  EXPECT_EQ(finish(), 200) << "the watch has ended";
  EXPECT_EQ(ask("GET", kV2 + "/a", {}, 5s), 200);
  EXPECT_EQ(clients.asked.back(), "https://two");
}

TEST_F(ConversionTest, AnAdmissionWebhookIsShownTheVersionThatItsRulesName) {
  ASSERT_EQ(server.request("POST", "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations",
                           R"({"metadata":{"name":"m"},"webhooks":[{"name":"m.example.com","sideEffects":"None","admissionReviewVersions":["v1"],"clientConfig":{"url":"https://m"},
                               "rules":[{"apiGroups":["example.com"],"apiVersions":["v1"],"operations":["CREATE"],"resources":["things"]}]}]})").status, 201);
  Value shown;
  clients.answers["https://m"] = [&](const Value& review) -> Result<std::string> {
    shown = *review.at("request.object");
    return fmt::format(R"({{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","response":{{"uid":"{}","allowed":true,"patchType":"JSONPatch","patch":"W3sib3AiOiJyZXBsYWNlIiwicGF0aCI6Ii9zcGVjL2NvdW50IiwidmFsdWUiOjl9XQ=="}}}})",
                       review.text("request.uid"));
  };
  EXPECT_EQ(create(kV2, "a", R"({"size":3})"), 201) << answer.body;
  EXPECT_EQ(shown.text("apiVersion"), "example.com/v1");
  EXPECT_EQ(shown.at("spec")->dump(), R"({"count":3})");
  EXPECT_EQ(spec(), R"({"size":9})");
}

TEST_F(ConversionTest, WhatADefinitionMayNotSay) {
  const auto refused = [&](const std::string& patch) {
    const Answer out = server.request("PATCH", kCrds + "/things.example.com", patch, "application/merge-patch+json");
    EXPECT_EQ(out.status, 422) << out.body;
    return std::string(json::parse(out.body)->text("message"));
  };
  EXPECT_THAT(refused(R"({"spec":{"conversion":{"webhook":{"clientConfig":{"url":"http://x"}}}}})"),
              HasSubstr("spec.conversion.webhookClientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme"));
  EXPECT_THAT(refused(R"({"spec":{"conversion":{"webhook":{"conversionReviewVersions":["v9"]}}}})"),
              HasSubstr("spec.conversion.conversionReviewVersions: Invalid value: [\"v9\"]: must include at least one of v1, v1beta1"));
  EXPECT_THAT(refused(fmt::format(R"({{"spec":{{"versions":[{},{}]}}}})", version("v1", "count", false), version("v2", "size", true))),
              HasSubstr("spec.versions: Forbidden: the storage version of a definition with conversion by webhook cannot be changed on this server yet; keep v1"));
}

}  // namespace
}  // namespace gs::apiserver::conversion
