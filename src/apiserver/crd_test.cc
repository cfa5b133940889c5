// Custom resource definitions, from their creation to the removal of all their instances.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "apiserver/api_server.h"
#include "apiserver/crd_strategy.h"
#include "runtime/sim_loop.h"

namespace gs::apiserver {
namespace {

using json::Value;

constexpr const char* kCrds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
constexpr const char* kThings = "/apis/example.com/v1/namespaces/default/things";

std::string crd(const std::string& names = R"("plural":"things","kind":"Thing","shortNames":["th"])", const std::string& versions = "", const std::string& group = "example.com") {
  const std::string schema = R"({"openAPIV3Schema":{"type":"object","properties":{
    "spec":{"type":"object","required":["size"],"properties":{"size":{"type":"integer","minimum":1},"color":{"type":"string","default":"blue"}}},
    "status":{"type":"object","properties":{"phase":{"type":"string"}}}}}})";
  const std::string list = versions.empty() ? R"({"name":"v1","served":true,"storage":true,"subresources":{"status":{}},"schema":)" + schema + "}" : versions;
  const std::string plural = names.substr(10, names.find('"', 10) - 10);
  return fmt::format(R"({{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{{"name":"{}.{}"}},
    "spec":{{"group":"{}","scope":"Namespaced","names":{{{}}},"versions":[{}]}}}})", plural, group, group, names, list);
}

class CrdTest : public testing::Test {
 protected:
  Answer send(const std::string& method, const std::string& path, const std::string& body = {}, const std::string& type = "application/json") {
    return server.request(method, path, body, type);
  }
  Value get(const std::string& path) { return *json::parse(send("GET", path).body); }
  std::string condition(const std::string& name, std::string_view type) {
    const Value object = get(std::string(kCrds) + "/" + name);
    const Value* all = object.at("status.conditions");
    for (size_t i = 0; all != nullptr && all->array() != nullptr && i < all->array()->size(); ++i) {
      const Value& c = (*all->array())[i];
      if (c.text("type") == type) return fmt::format("{} {}: {}", c.text("status"), c.text("reason"), c.text("message"));
    }
    return "none";
  }
  void settle() { world.run_for(std::chrono::milliseconds(10)); }

  SimWorld world{7};
  ApiServer server{world.add_loop()};
};

std::string message(const Answer& answer) { return std::string(json::parse(answer.body)->text("message")); }

TEST_F(CrdTest, IsServedOnceItIsEstablishedAndNotBefore) {
  EXPECT_EQ(send("GET", kThings).status, 404);
  ASSERT_EQ(send("POST", kCrds, crd()).status, 201);
  settle();
  EXPECT_EQ(condition("things.example.com", "NamesAccepted"), "True NoConflicts: no conflicts found");
  EXPECT_EQ(condition("things.example.com", "Established"), "True InitialNamesAccepted: the initial names have been accepted");
  const Value object = get(std::string(kCrds) + "/things.example.com");
  EXPECT_EQ(object.text("status.acceptedNames.listKind"), "ThingList");
  EXPECT_EQ(*object.at("status.storedVersions"), Value(json::Array{Value("v1")}));
  EXPECT_EQ(send("GET", kThings).status, 200);
  const ResourceTypePtr type = server.table().find("example.com", "things");
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(type->short_names, std::vector<std::string>{"th"});
  EXPECT_TRUE(type->has_status);
}

TEST_F(CrdTest, InstancesAreDefaultedPrunedAndValidated) {
  ASSERT_EQ(send("POST", kCrds, crd()).status, 201);
  settle();
  const Answer made = send("POST", kThings, R"({"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"a"},"spec":{"size":1,"odd":true},"status":{"phase":"x"}})");
  ASSERT_EQ(made.status, 201) << made.body;
  const Value thing = *json::parse(made.body);
  EXPECT_EQ(*thing.find("spec"), *json::parse(R"({"size":1,"color":"blue"})"));
  EXPECT_EQ(thing.find("status"), nullptr) << "only the subresource writes it";
  EXPECT_EQ(thing.at("metadata.generation")->integer(), 1);
  const Answer wrong = send("POST", kThings, R"({"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"b"},"spec":{"size":0}})");
  EXPECT_EQ(wrong.status, 422);
  EXPECT_EQ(message(wrong), R"(Thing.example.com "b" is invalid: spec.size: Invalid value: 0: spec.size in body should be greater than or equal to 1)");
  const Answer strict = send("POST", std::string(kThings) + "?fieldValidation=Strict", R"({"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"b"},"spec":{"size":1,"odd":1}})");
  EXPECT_EQ(strict.status, 400);
  EXPECT_EQ(message(strict), R"(Thing in version "v1" cannot be handled as a Thing: strict decoding error: unknown field "spec.odd")");
}

TEST_F(CrdTest, NamesThatAreTakenAreNotAcceptedUntilTheyAreFree) {
  ASSERT_EQ(send("POST", kCrds, crd()).status, 201);
  settle();
  ASSERT_EQ(send("POST", kCrds, crd(R"("plural":"others","kind":"Thing","listKind":"OtherList","singular":"other")")).status, 201);
  settle();
  EXPECT_EQ(condition("others.example.com", "NamesAccepted"), R"(False KindConflict: "Thing" is already in use)");
  EXPECT_EQ(condition("others.example.com", "Established"), "False NotAccepted: not all names are accepted");
  EXPECT_EQ(server.table().find("example.com", "others"), nullptr);
  send("DELETE", std::string(kCrds) + "/things.example.com");
  settle();
  EXPECT_EQ(condition("others.example.com", "Established"), "True InitialNamesAccepted: the initial names have been accepted");
}

TEST_F(CrdTest, IsDeletedWithAllItsInstancesAndWaitsForTheirFinalizers) {
  ASSERT_EQ(send("POST", kCrds, crd()).status, 201);
  settle();
  ASSERT_EQ(send("POST", kThings, R"({"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"a","finalizers":["x.com/y"]},"spec":{"size":1}})").status, 201);
  ASSERT_EQ(send("POST", kThings, R"({"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"b"},"spec":{"size":1}})").status, 201);
  const Answer deleted = send("DELETE", std::string(kCrds) + "/things.example.com");
  EXPECT_EQ(deleted.status, 200);
  EXPECT_EQ(*json::parse(deleted.body)->at("metadata.finalizers"), Value(json::Array{Value(std::string(kCrdCleanupFinalizer))}));
  settle();
  EXPECT_EQ(condition("things.example.com", "Terminating"), "True InstanceDeletionInProgress: CustomResource deletion is in progress");
  EXPECT_EQ(send("GET", std::string(kThings) + "/b").status, 404);
  ASSERT_EQ(send("PATCH", std::string(kThings) + "/a", R"({"metadata":{"finalizers":null}})", "application/merge-patch+json").status, 200);
  world.run_for(std::chrono::seconds(2));
  EXPECT_EQ(send("GET", std::string(kCrds) + "/things.example.com").status, 404);
  EXPECT_EQ(send("GET", kThings).status, 404);
}

TEST_F(CrdTest, SeveralVersionsShareTheirObjects) {
  const auto version = [](const char* name, bool storage) {
    return fmt::format(R"({{"name":"{}","served":true,"storage":{},"schema":{{"openAPIV3Schema":{{"type":"object","x-kubernetes-preserve-unknown-fields":true}}}}}})", name, storage);
  };
  ASSERT_EQ(send("POST", kCrds, crd(R"("plural":"things","kind":"Thing")", version("v1beta1", false) + "," + version("v1", true))).status, 201);
  settle();
  ASSERT_EQ(send("POST", "/apis/example.com/v1beta1/namespaces/default/things", R"({"apiVersion":"example.com/v1beta1","kind":"Thing","metadata":{"name":"a"},"free":1})").status, 201);
  const Value read = get(std::string(kThings) + "/a");
  EXPECT_EQ(read.text("apiVersion"), "example.com/v1");
  EXPECT_EQ(read.find("free")->integer(), 1);
  EXPECT_EQ(server.table().versions("example.com"), (std::vector<std::string>{"v1", "v1beta1"}));
}

struct Refused {
  const char* path;
  const char* from;
  const char* to;
  const char* words;
};

// One thing of a sound definition is replaced.
constexpr Refused kRefused[] = {
    {"group without a dot", R"("group":"example.com")", R"("group":"example")", "spec.group: Invalid value: \"example\": should be a domain with at least one dot"},
    {"scope", R"("scope":"Namespaced")", R"("scope":"World")", R"(spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced")"},
    {"no storage version", R"("storage":true)", R"("storage":false)", "must have exactly one version marked as storage version"},
    {"a rule in CEL", R"("minimum":1)", R"("x-kubernetes-validations":[{"rule":"self > 1"}])",
     "spec.validation.openAPIV3Schema.properties[spec].properties[size].x-kubernetes-validations: Forbidden: validation rules are not evaluated"},
    {"a webhook that converts", R"("scope":)", R"("conversion":{"strategy":"Webhook"},"scope":)", "spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook"},
    {"preserveUnknownFields", R"("scope":)", R"("preserveUnknownFields":true,"scope":)",
     "spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"},
    {"a type within items", R"("minimum":1)", R"("x-a":1,"enum":[1],"default":"x")", R"(spec.validation.openAPIV3Schema.properties[spec].properties[size].default: Invalid value: "string")"},
};

TEST_F(CrdTest, WhatIsUnsoundIsRefusedInWords) {
  for (const Refused& r : kRefused) {
    std::string body = crd();
    const size_t at = body.find(r.from);
    ASSERT_NE(at, std::string::npos) << r.path;
    body.replace(at, std::string(r.from).size(), r.to);
    const Answer answer = send("POST", kCrds, body);
    EXPECT_EQ(answer.status, 422) << r.path << answer.body;
    EXPECT_NE(message(answer).find(r.words), std::string::npos) << r.path << ": " << message(answer);
  }
}

TEST_F(CrdTest, ManyAreServedAndOneThatIsSettledIsServedAnewAsItChanges) {
  for (int i = 0; i < 60; ++i) ASSERT_EQ(send("POST", kCrds, crd(R"("plural":"things","kind":"Thing")", "", fmt::format("g{}.example.com", i))).status, 201);
  settle();
  for (int i = 0; i < 60; ++i) EXPECT_NE(server.table().find(fmt::format("g{}.example.com", i), "things"), nullptr) << i;
  const std::string one = std::string(kCrds) + "/things.g7.example.com";
  ASSERT_EQ(send("PATCH", one, R"([{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/color/default","value":"red"}])", "application/json-patch+json").status, 200);
  ASSERT_EQ(send("DELETE", std::string(kCrds) + "/things.g8.example.com").status, 200);
  settle();
  EXPECT_EQ(server.table().find("g8.example.com", "things"), nullptr);
  const Answer made = send("POST", "/apis/g7.example.com/v1/namespaces/default/things", R"({"apiVersion":"g7.example.com/v1","kind":"Thing","metadata":{"name":"a"},"spec":{"size":1}})");
  EXPECT_EQ(json::parse(made.body)->text("spec.color"), "red") << made.body;
}

TEST_F(CrdTest, FormatsThatNobodyChecksAreToldOnce) {
  std::string body = crd();
  body.replace(body.find(R"("default":"blue")"), 16, R"("default":"blue","format":"paint")");
  EXPECT_EQ(send("POST", kCrds, body).warnings, std::vector<std::string>{R"(unrecognized format "paint")"});
  EXPECT_TRUE(send("PATCH", std::string(kCrds) + "/things.example.com", R"({"metadata":{"labels":{"a":"b"}}})", "application/merge-patch+json").warnings.empty());
}

TEST_F(CrdTest, SomeOfItNeverChanges) {
  ASSERT_EQ(send("POST", kCrds, crd()).status, 201);
  settle();
  const Answer scope = send("PATCH", std::string(kCrds) + "/things.example.com", R"({"spec":{"scope":"Cluster"}})", "application/merge-patch+json");
  EXPECT_EQ(scope.status, 422);
  EXPECT_NE(message(scope).find("spec.scope: Invalid value: \"Cluster\": field is immutable"), std::string::npos) << message(scope);
  const Answer gone = send("PATCH", std::string(kCrds) + "/things.example.com",
                           R"([{"op":"replace","path":"/spec/versions/0/name","value":"v2"}])", "application/json-patch+json");
  EXPECT_NE(message(gone).find("status.storedVersions[0]: Invalid value: \"v1\": missing from spec.versions"), std::string::npos) << message(gone);
}

TEST_F(CrdTest, AChangedSchemaIsServedAndOldObjectsStay) {
  ASSERT_EQ(send("POST", kCrds, crd()).status, 201);
  settle();
  ASSERT_EQ(send("POST", kThings, R"({"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"a"},"spec":{"size":1}})").status, 201);
  ASSERT_EQ(send("PATCH", std::string(kCrds) + "/things.example.com",
                 R"([{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/size/minimum","value":5}])", "application/json-patch+json").status, 200);
  settle();
  EXPECT_EQ(send("POST", kThings, R"({"kind":"Thing","apiVersion":"example.com/v1","metadata":{"name":"b"},"spec":{"size":1}})").status, 422);
  EXPECT_EQ(send("PATCH", std::string(kThings) + "/a", R"({"metadata":{"labels":{"l":"v"}}})", "application/merge-patch+json").status, 200) << "what did not change is let through";
}

}  // namespace
}  // namespace gs::apiserver
