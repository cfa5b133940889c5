// Patches, metadata and scales as kube-apiserver 1.36 answers them (test/differential compares many more with it).
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "apiserver/api_server.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver {
namespace {

const std::string kMaps = "/api/v1/namespaces/default/configmaps", kDeployments = "/apis/apps/v1/namespaces/default/deployments";
const std::string kMerge = "application/merge-patch+json", kJson = "application/json-patch+json", kStrategic = "application/strategic-merge-patch+json", kApply = "application/apply-patch+yaml";

class PatchTest : public testing::Test {
 protected:
  PatchTest() { ask("POST", kMaps, R"({"metadata":{"name":"a"},"data":{"k":"v"}})"); }

  int ask(const std::string& method, const std::string& target, const std::string& body = {}, const std::string& type = "application/json") {
    last = server.request(method, target, body, type);
    object = json::parse(last.body).value_or(json::Value());
    return last.status;
  }
  int patch(const std::string& body, const std::string& type, const std::string& query = "") { return ask("PATCH", kMaps + "/a" + query, body, type); }
  std::string message() { return std::string(object.text("message")); }
  size_t causes() { return object.at("details.causes")->array()->size(); }

  SimWorld world{1};
  ApiServer server{world.add_loop()};
  Answer last;
  json::Value object;
};

TEST_F(PatchTest, WhatIsNoPatchIsToldInGosWords) {
  EXPECT_EQ(patch("nonsense", kMerge), 400);
  EXPECT_EQ(message(), "error decoding patch: invalid character 'o' in literal null (expecting 'u')");
  EXPECT_EQ(patch("nonsense", kStrategic), 400);
  EXPECT_EQ(message(), "invalid character 'o' in literal null (expecting 'u')");
  EXPECT_EQ(patch("[]", kMerge), 400);
  EXPECT_EQ(message(), "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}");
  EXPECT_EQ(patch("null", kMerge), 400);
  EXPECT_EQ(message(), "Invalid JSON Patch");
  EXPECT_EQ(patch("null", kStrategic), 200);
  EXPECT_EQ(patch(R"({"op":"add"})", kJson), 400);
  EXPECT_EQ(message(), "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp");
  EXPECT_EQ(patch(R"([{"op":5}])", kJson), 400);
  EXPECT_EQ(message(), "error decoding patch: json: cannot unmarshal number into Go struct field jsonPatchOp.op of type string");
  EXPECT_EQ(ask("POST", kMaps, "{\"metadata\":"), 400);
  EXPECT_EQ(message(), "the object provided is unrecognized (must be of type ConfigMap): couldn't get version/kind; json parse error: unexpected end of JSON input ({\"metadata\":)");
}

TEST_F(PatchTest, AnOutcomeThatCannotBeReadIsInvalidAndSaysWhoReadIt) {
  EXPECT_EQ(patch(R"({"data":5})", kMerge), 422);
  EXPECT_TRUE(message().starts_with(" \"\" is invalid: patch: Invalid value: \"{")) << message();
  EXPECT_TRUE(message().ends_with("json: cannot unmarshal number into Go struct field ConfigMap.data of type map[string]string")) << message();
  const std::pair<const char*, const char*> converted[] = {{R"({"data":{"a":5}})", R"("map[data:map[a:5]]": cannot convert int64 to string)"},
                                                           {R"({"immutable":"x"})", R"("map[immutable:x]": unrecognized type: bool)"},
                                                           {R"({"metadata":{"labels":5}})", R"("map[metadata:map[labels:5]]": cannot restore map from int64)"},
                                                           {R"({"metadata":{"finalizers":"x"}})", R"("map[metadata:map[finalizers:x]]": cannot restore slice from string)"},
                                                           {R"({"binaryData":{"a":"!"}})", R"("map[binaryData:map[a:!]]": error decoding from json: illegal base64 data at input byte 0)"}};
  for (const auto& [body, words] : converted) {
    EXPECT_EQ(patch(body, kStrategic), 422);
    EXPECT_EQ(message(), std::string(" \"\" is invalid: patch: Invalid value: ") + words);
  }
  EXPECT_EQ(patch(R"({"x":1})", kStrategic, "?fieldValidation=Strict"), 422);
  EXPECT_EQ(message(), R"( "" is invalid: patch: Invalid value: "map[x:1]": strict decoding error: unknown field "x")");
}

TEST_F(PatchTest, UnknownFieldsAreWarnedOfAlsoWhereTheWriteIsRefused) {
  EXPECT_EQ(patch(R"({"x":1,"metadata":{"labels":{"a":"-"}}})", kMerge), 422);
  EXPECT_EQ(last.warnings, std::vector<std::string>{R"(unknown field "x")"});
  EXPECT_EQ(patch(R"([{"op":"add","path":"/data/n","value":"1","extra":1},{"op":"add","path":"/data/m","value":"1","value":"2"}])", kJson), 200);
  EXPECT_EQ(last.warnings, (std::vector<std::string>{R"(json patch unknown field "[0].extra")", R"(json patch duplicate field "[1].value")"}));
  EXPECT_EQ(ask("POST", kMaps, R"({"metadata":{"name":"a"},"y":1})"), 409);
  EXPECT_EQ(last.warnings, std::vector<std::string>{R"(unknown field "y")"});
}

TEST_F(PatchTest, MetadataOfAnUpdateIsJudgedAsOftenAsKubernetesDoesIt) {
  EXPECT_EQ(patch(R"({"metadata":{"finalizers":["plain"],"labels":{"a":"-"}}})", kMerge), 422);
  EXPECT_EQ(causes(), 6u) << "labels four times, finalizers twice";
  EXPECT_EQ(patch(R"({"metadata":{"uid":"another"}})", kMerge), 422);
  EXPECT_EQ(message(), R"(ConfigMap "a" is invalid: metadata.uid: Invalid value: "another": field is immutable)");
  EXPECT_EQ(causes(), 2u);
  EXPECT_EQ(patch(R"({"metadata":{"deletionTimestamp":"2001-01-01T00:00:00Z"}})", kMerge), 422);
  EXPECT_EQ(patch(R"({"metadata":{"name":null}})", kMerge), 400);
  EXPECT_EQ(message(), "the name of the object (a based on URL) was undeterminable: name must be provided");
}

TEST_F(PatchTest, AForcedApplyTakesFieldsOverAndWhatIsUnknownCannotBeTyped) {
  const auto apply = [&](const std::string& data, const std::string& query) { return patch("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" + data, kApply, query); };
  EXPECT_EQ(apply("data: {m: one}", "?fieldManager=one"), 200);
  EXPECT_EQ(apply("data: {m: two}", "?fieldManager=two"), 409);
  EXPECT_EQ(apply("data: {m: two}", "?fieldManager=two&force=true"), 200);
  EXPECT_EQ(apply("data: {}", "?fieldManager=two"), 200);
  EXPECT_EQ(object.at("data.m"), nullptr) << "the first applier has lost it";
  EXPECT_EQ(apply("nonsense: 1", "?fieldManager=one"), 500);
  EXPECT_EQ(message(), "failed to create typed patch object (/a; /v1, Kind=ConfigMap): .nonsense: field not declared in schema");
}

TEST_F(PatchTest, AScaleIsReadAndJudgedAsOne) {
  ask("POST", kDeployments, R"({"metadata":{"name":"d"},"spec":{"replicas":2,"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}})");
  EXPECT_EQ(ask("PATCH", kDeployments + "/d/scale?dryRun=All", R"({"metadata":{"annotations":{"a":"b"}},"spec":{"replicas":3,"extra":1}})", kMerge), 200);
  EXPECT_EQ(object.at("metadata.annotations"), nullptr);
  EXPECT_EQ(object.at("spec.replicas")->integer(), 3);
  EXPECT_EQ(last.warnings, std::vector<std::string>{R"(unknown field "spec.extra")"});
  EXPECT_EQ(ask("PATCH", kDeployments + "/d/scale", R"({"spec":{"replicas":-1},"metadata":{"finalizers":["plain"]}})", kMerge), 422);
  EXPECT_EQ(message(), R"(Scale.autoscaling "d" is invalid: [metadata.finalizers[0]: Invalid value: "plain": name is neither a standard finalizer name nor is it fully qualified, )"
                       R"(spec.replicas: Invalid value: -1: must be greater than or equal to 0])");
  EXPECT_EQ(ask("PUT", kDeployments + "/d/scale", R"({"metadata":{"name":"d"},"spec":{"replicas":"x"}})"), 400);
  EXPECT_EQ(ask("GET", kDeployments + "/d/scale"), 200);
  EXPECT_EQ(object.at("spec.replicas")->integer(), 2) << "nothing of that was written";
}

TEST_F(PatchTest, AFullPageOfASelectionMayBeFollowedByAnEmptyOne) {
  for (const char* name : {"b", "c"}) ask("POST", kMaps, fmt::format(R"({{"metadata":{{"name":"{}","labels":{{"in":"{}"}}}}}})", name, name));
  EXPECT_EQ(ask("GET", kMaps + "?labelSelector=in%3Db&limit=1"), 200);
  const std::string next(object.text("metadata.continue"));
  ASSERT_FALSE(next.empty()) << "there is c, which does not match";
  EXPECT_EQ(ask("GET", kMaps + "?labelSelector=in%3Db&limit=1&continue=" + next), 200);
  EXPECT_TRUE(object.find("items")->array()->empty());
  EXPECT_EQ(object.text("metadata.continue"), "");
  EXPECT_EQ(ask("GET", kMaps + "?labelSelector=in%3Dc&limit=1"), 200);
  EXPECT_EQ(object.text("metadata.continue"), "") << "nothing is behind it";
}

}  // namespace
}  // namespace gs::apiserver
