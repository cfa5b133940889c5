#include "schema/decode.h"

#include <gtest/gtest.h>

#include "schema/kubernetes.h"
#include "schema/strict.h"

namespace gs::schema {
namespace {

json::Value parsed(std::string_view text) { return *json::parse(text); }

SchemaPtr type(std::string_view name) {
  SchemaPtr out = kubernetes_schema(name);
  EXPECT_NE(out, nullptr) << name;
  return out;
}

struct Wrong {
  const char* body;
  const char* problem;
};

// Seen at a kube-apiserver 1.36.
constexpr Wrong kWrong[] = {
    {R"({"spec":{"replicas":"x"}})", "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32"},
    {R"({"spec":{"replicas":1.5}})", "json: cannot unmarshal number 1.5 into Go struct field DeploymentSpec.spec.replicas of type int32"},
    {R"({"spec":{"replicas":99999999999}})", "json: cannot unmarshal number 99999999999 into Go struct field DeploymentSpec.spec.replicas of type int32"},
    {R"({"spec":{"paused":"x"}})", "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.paused of type bool"},
    {R"({"spec":[1]})", "json: cannot unmarshal array into Go struct field Deployment.spec of type v1.DeploymentSpec"},
    {R"({"spec":{"template":"x"}})", "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.template of type v1.PodTemplateSpec"},
    {R"({"spec":{"template":{"spec":{"containers":{"a":1}}}}})",
     "json: cannot unmarshal object into Go struct field PodSpec.spec.template.spec.containers of type []v1.Container"},
    {R"({"spec":{"template":{"spec":{"containers":["x"]}}}})",
     "json: cannot unmarshal string into Go struct field PodSpec.spec.template.spec.containers of type v1.Container"},
    {R"({"spec":{"template":{"spec":{"containers":[{"resources":{"limits":{"cpu":"zz"}}}]}}}})",
     "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
    {R"({"metadata":{"labels":{"a":1}}})", "json: cannot unmarshal number into Go struct field ObjectMeta.metadata.labels of type string"},
    {R"({"metadata":{"creationTimestamp":"x"}})", "parsing time \"x\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"x\" as \"2006\""},
};

TEST(DecodeTest, SaysWhatHasAWrongTypeInGosWords) {
  for (const Wrong& wrong : kWrong) {
    json::Value value = parsed(wrong.body);
    std::vector<std::string> unknown;
    EXPECT_EQ(decode(*type("apps.v1.Deployment"), value, unknown), wrong.problem) << wrong.body;
  }
  json::Value secret = parsed(R"({"data":{"a":"%%"}})");
  std::vector<std::string> unknown;
  EXPECT_EQ(decode(*type("core.v1.Secret"), secret, unknown), "illegal base64 data at input byte 0");
}

TEST(DecodeTest, TakesOutWhatIsUnknownAndTellsWhere) {
  json::Value value = parsed(R"({"foo":1,"spec":{"replicas":3,"bar":{"x":1},"template":{"spec":{"containers":[{"name":"a","baz":2}]}}}})");
  std::vector<std::string> unknown;
  EXPECT_EQ(decode(*type("apps.v1.Deployment"), value, unknown), "");
  EXPECT_EQ(unknown, (std::vector<std::string>{"foo", "spec.bar", "spec.template.spec.containers[0].baz"}));
  EXPECT_EQ(value, parsed(R"({"spec":{"replicas":3,"template":{"spec":{"containers":[{"name":"a"}]}}}})"));
}

TEST(DecodeTest, NullIsNothing) {
  json::Value value = parsed(R"({"metadata":{"name":"a","labels":null},"data":null})");
  std::vector<std::string> unknown;
  EXPECT_EQ(decode(*type("core.v1.ConfigMap"), value, unknown), "");
  EXPECT_EQ(value, parsed(R"({"metadata":{"name":"a"}})"));
}

TEST(NormaliseTest, WritesWhatGoWrites) {
  json::Value map = parsed(R"({"metadata":{"name":"a","generateName":"","labels":{}},"data":{},"immutable":false})");
  normalise(*type("core.v1.ConfigMap"), map);
  EXPECT_EQ(map, parsed(R"({"metadata":{"name":"a"},"immutable":false})"));
  json::Value role = parsed(R"({"metadata":{"name":"a"}})");
  normalise(*type("rbac.v1.Role"), role);
  EXPECT_EQ(role, parsed(R"({"metadata":{"name":"a"},"rules":null})"));
  json::Value deployment = parsed(R"({"metadata":{"name":"a"},"spec":{"replicas":0,"minReadySeconds":0}})");
  normalise(*type("apps.v1.Deployment"), deployment);
  EXPECT_EQ(deployment.at("spec.replicas")->integer(), 0) << "a pointer to zero is there";
  EXPECT_EQ(deployment.at("spec.minReadySeconds"), nullptr);
  EXPECT_EQ(*deployment.find("status"), json::Value(json::Object())) << "structs are never empty to encoding/json";
}

TEST(NormaliseTest, ASecondTimeChangesNothing) {
  json::Value once = parsed(R"({"metadata":{"name":"a"},"spec":{"template":{"spec":{"containers":[{"name":"c","image":"i"}],"volumes":[{"name":"v"}]}}}})");
  normalise(*type("apps.v1.Deployment"), once);
  json::Value twice = once;
  normalise(*type("apps.v1.Deployment"), twice);
  EXPECT_EQ(once, twice);
}

TEST(StrictTest, TellsUnknownAndDuplicateFieldsInTheOrderOfTheText) {
  const std::string body = R"({"spec":{"replicas":1,"replicas":2,"x":1,"template":{"spec":{"containers":[{"name":"c","name":"d"}]}}}})";
  EXPECT_EQ(strict_errors(body, type("apps.v1.Deployment").get()),
            (std::vector<std::string>{R"(duplicate field "spec.replicas")", R"(unknown field "spec.x")", R"(duplicate field "spec.template.spec.containers[0].name")"}));
  EXPECT_EQ(strict_errors(R"({"metadata":{"labels":{"a":"1","a":"2"}}})", type("core.v1.ConfigMap").get()), (std::vector<std::string>{R"(duplicate field "metadata.labels.a")"}));
  EXPECT_EQ(strict_errors(R"({"a":[{"b":1,"b":1}],"a":2})", nullptr), (std::vector<std::string>{R"(duplicate field "a[0].b")", R"(duplicate field "a")"}));
  EXPECT_TRUE(strict_errors(R"({"metadata":{"name":"a"}})", type("core.v1.ConfigMap").get()).empty());
}

}  // namespace
}  // namespace gs::schema
