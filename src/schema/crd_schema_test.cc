#include "schema/crd_schema.h"

#include <gtest/gtest.h>

#include "schema/prune.h"
#include "schema/validate.h"

namespace gs::schema {
namespace {

json::Value parsed(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value.has_value()) << text;
  return *value;
}

std::vector<std::string> texts(const FieldErrors& errors) {
  std::vector<std::string> out;
  for (const FieldError& e : errors) out.push_back(e.to_string());
  return out;
}

json::Value root(std::string_view spec) { return parsed(std::string(R"({"type":"object","properties":{"spec":)") + std::string(spec) + "}}"); }

std::vector<std::string> problems_of_schema(std::string_view spec) { return texts(check_crd_schema(root(spec), "s", false)); }

std::vector<std::string> problems_of_object(std::string_view spec, std::string_view value, const char* old = nullptr) {
  const SchemaPtr schema = build_crd_schema(root(spec));
  const json::Value object = parsed(std::string(R"({"spec":)") + std::string(value) + "}");
  const json::Value before = old != nullptr ? parsed(std::string(R"({"spec":)") + old + "}") : json::Value();
  FieldErrors errors = validate(*schema, object, old != nullptr ? &before : nullptr);
  for (FieldError& e : validate_list_types(*schema, object)) errors.push_back(std::move(e));
  return texts(errors);
}

using Texts = std::vector<std::string>;

TEST(CrdSchemaTest, ASchemaMustBeStructural) {
  EXPECT_EQ(problems_of_schema(R"({"properties":{"a":{"type":"string"}}})"), (Texts{"s.properties[spec].type: Required value: must not be empty for specified object fields"}));
  EXPECT_EQ(problems_of_schema(R"({"type":"array"})"), (Texts{"s.properties[spec].items: Required value: must be specified"}));
  EXPECT_EQ(problems_of_schema(R"({"type":"object","anyOf":[{"type":"object"}]})"), (Texts{"s.properties[spec].anyOf[0].type: Forbidden: must be empty to be structural"}));
  const json::Value incomplete = parsed(R"({"type":"object","anyOf":[{"properties":{"b":{"minimum":1}}}]})");
  EXPECT_EQ(texts(check_crd_schema(incomplete, "s", false)), (Texts{"s.properties[b]: Required value: because it is defined in s.anyOf[0].properties[b]"}));
  EXPECT_EQ(problems_of_schema(R"({"x-kubernetes-int-or-string":true,"anyOf":[{"type":"integer"},{"type":"string"}]})"), Texts{});
  EXPECT_EQ(problems_of_schema(R"({"type":"object","x-kubernetes-preserve-unknown-fields":true})"), Texts{});
}

TEST(CrdSchemaTest, WhatOpenApiHasAndKubernetesHasNotIsRefused) {
  EXPECT_EQ(problems_of_schema(R"({"type":"float"})"),
            (Texts{R"(s.properties[spec].type: Unsupported value: "float": supported values: "array", "boolean", "integer", "number", "object", "string")"}));
  EXPECT_EQ(problems_of_schema(R"({"type":"array","items":{"type":"string"},"uniqueItems":true})"),
            (Texts{"s.properties[spec].uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic"}));
  EXPECT_EQ(problems_of_schema(R"({"type":"object","properties":{"a":{"type":"string"}},"additionalProperties":{"type":"string"}})"),
            (Texts{"s.properties[spec].additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive"}));
  EXPECT_EQ(problems_of_schema(R"({"type":"array","items":{"type":"object"},"x-kubernetes-list-type":"map"})"),
            (Texts{"s.properties[spec].x-kubernetes-list-map-keys: Required value: must not be empty if x-kubernetes-list-type is map"}));
}

TEST(CrdSchemaTest, APatternThatCannotBeReadIsRefused) {
  const Texts problems = problems_of_schema(R"({"type":"string","pattern":"a("})");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_EQ(problems[0].rfind("s.properties[spec].pattern: Invalid value: \"a(\": must be a valid regular expression, but isn't:", 0), 0u) << problems[0];
  EXPECT_EQ(problems_of_schema(R"x({"type":"string","pattern":"(?=x)"})x").size(), 1u) << "RE2 and Go have no look-ahead";
}

TEST(CrdSchemaTest, RulesThatAreNotEvaluatedAreNeverIgnored) {
  const Texts problems = problems_of_schema(R"({"type":"object","properties":{"a":{"type":"string","x-kubernetes-validations":[{"rule":"self != ''"}]}}})");
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find("s.properties[spec].properties[a].x-kubernetes-validations: Forbidden"), std::string::npos) << problems[0];
}

TEST(CrdSchemaTest, DefaultsMustFitTheirOwnSchema) {
  EXPECT_EQ(problems_of_schema(R"({"type":"integer","default":"x"})"),
            (Texts{R"(s.properties[spec].default: Invalid value: "string":  in body must be of type integer: "string")"}));
  EXPECT_EQ(problems_of_schema(R"({"type":"object","properties":{"a":{"type":"integer"}},"default":{"b":1}})"),
            (Texts{R"(s.properties[spec].default: Invalid value: {"b":1}: must not have unknown fields)"}));
}

struct Case {
  const char* schema;
  const char* value;
  const char* problem;  // empty: valid
};

constexpr Case kCases[] = {
    {R"({"type":"integer"})", "1", ""},
    {R"({"type":"integer"})", "1.0", ""},
    {R"({"type":"integer"})", R"("one")", R"(spec: Invalid value: "string": spec in body must be of type integer: "string")"},
    {R"({"type":"integer","format":"int32"})", "true", R"(spec: Invalid value: "": spec in body must be of type int32: "")"},
    {R"({"type":"string"})", "null", R"(spec: Invalid value: "null": spec in body must be of type string: "null")"},
    {R"({"type":"string","nullable":true})", "null", ""},
    {R"({"type":"integer","minimum":2})", "1", "spec: Invalid value: 1: spec in body should be greater than or equal to 2"},
    {R"({"type":"integer","maximum":2,"exclusiveMaximum":true})", "2", "spec: Invalid value: 2: spec in body should be less than 2"},
    {R"({"type":"integer","multipleOf":3})", "4", "spec: Invalid value: 4: spec in body should be a multiple of 3"},
    {R"({"type":"string","maxLength":2})", R"("abc")", "spec: Too long: may not be more than 2 bytes"},
    {R"({"type":"string","maxLength":2})", R"("éé")", ""},
    {R"({"type":"string","minLength":2})", R"("a")", R"(spec: Invalid value: "a": spec in body should be at least 2 chars long)"},
    {R"({"type":"string","pattern":"^a+$"})", R"("b")", R"(spec: Invalid value: "b": spec in body should match '^a+$')"},
    {R"({"type":"string","enum":["a","b"]})", R"("c")", R"(spec: Unsupported value: "c": supported values: "a", "b")"},
    {R"({"type":"string","format":"ipv4"})", R"("1.2.3")", R"(spec: Invalid value: "1.2.3": spec in body must be of type ipv4: "1.2.3")"},
    {R"({"type":"string","format":"date-time"})", R"("2020-01-01T00:00:00Z")", ""},
    {R"({"type":"string","format":"date-time"})", R"("yesterday")", R"(spec: Invalid value: "yesterday": spec in body must be of type date-time: "yesterday")"},
    {R"({"type":"string","format":"nobody-knows"})", R"("x")", ""},
    {R"({"type":"array","items":{"type":"string"},"minItems":1})", "[]", "spec: Invalid value: 0: spec in body should have at least 1 items"},
    {R"({"type":"array","items":{"type":"string"},"maxItems":1})", R"(["a","b"])", "spec: Too many: 2: must have at most 1 item"},
    {R"({"type":"array","items":{"type":"string"}})", R"(["a",1])", R"(spec[1]: Invalid value: "integer": spec[1] in body must be of type string: "integer")"},
    {R"({"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"set"})", R"(["a","b","a"])", R"(spec[2]: Duplicate value: "a")"},
    {R"({"type":"array","items":{"type":"object","properties":{"k":{"type":"string"}}},"x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"]})",
     R"([{"k":"a"},{"k":"a"}])", R"(spec[1]: Duplicate value: {"k":"a"})"},
    {R"({"type":"object","required":["a"],"properties":{"a":{"type":"string"}}})", "{}", "spec.a: Required value"},
    {R"({"type":"object","additionalProperties":{"type":"integer"}})", R"({"x":"y"})", R"(spec.x: Invalid value: "string": spec.x in body must be of type integer: "string")"},
    {R"({"type":"object","maxProperties":1,"additionalProperties":{"type":"integer"}})", R"({"x":1,"y":2})", "spec: Too many: 2: must have at most 1 item"},
    {R"({"x-kubernetes-int-or-string":true})", R"("50%")", ""},
    {R"({"x-kubernetes-int-or-string":true})", "true", R"(spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean")"},
    {R"({"type":"object","not":{"required":["a"]},"properties":{"a":{"type":"string"}}})", R"({"a":"x"})", R"(<nil>: Invalid value: "": "spec" must not validate the schema (not))"},
};

TEST(ValidateTest, SaysWhatIsWrongInTheWordsOfApiextensions) {
  for (const Case& c : kCases) {
    const Texts wanted = *c.problem == '\0' ? Texts{} : Texts{c.problem};
    EXPECT_EQ(problems_of_object(c.schema, c.value), wanted) << c.schema << " " << c.value;
  }
}

TEST(ValidateTest, AlternativesTellTheNearest) {
  EXPECT_EQ(problems_of_object(R"({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}],"properties":{"a":{"type":"string"},"b":{"type":"string"}}})", R"({"a":"1","b":"2"})"),
            (Texts{R"(<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives)"}));
  EXPECT_EQ(problems_of_object(R"({"type":"object","anyOf":[{"required":["a"]},{"required":["b"]}],"properties":{"a":{"type":"string"},"b":{"type":"string"}}})", "{}").front(),
            R"(<nil>: Invalid value: "": "spec" must validate at least one schema (anyOf))");
}

TEST(ValidateTest, WhatDidNotChangeIsLetThrough) {
  const char* schema = R"({"type":"object","properties":{"a":{"type":"integer","minimum":5},"b":{"type":"string"}}})";
  EXPECT_EQ(problems_of_object(schema, R"({"a":1,"b":"new"})", R"({"a":1,"b":"old"})"), Texts{});
  EXPECT_EQ(problems_of_object(schema, R"({"a":2,"b":"new"})", R"({"a":1,"b":"old"})").size(), 1u);
}

TEST(PruneTest, TakesOutWhatIsNotSpecifiedButForWhatIsPreserved) {
  const SchemaPtr schema = build_crd_schema(parsed(R"({"type":"object","properties":{
    "spec":{"type":"object","properties":{"a":{"type":"string"},"list":{"type":"array","items":{"type":"object","properties":{"x":{"type":"integer"}}}}}},
    "any":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"strict":{"type":"object","properties":{"y":{"type":"string"}}}}},
    "inner":{"type":"object","x-kubernetes-embedded-resource":true,"properties":{"spec":{"type":"object"}}},
    "map":{"type":"object","additionalProperties":{"type":"object","properties":{"z":{"type":"string"}}}}}})"));
  json::Value object = parsed(R"({"apiVersion":"v1","kind":"K","metadata":{"name":"n"},"other":1,
    "spec":{"a":"x","b":1,"list":[{"x":1,"y":2}]},"any":{"free":1,"strict":{"y":"1","n":2}},
    "inner":{"apiVersion":"v1","kind":"I","metadata":{"labels":{"l":"v"}},"spec":{"gone":1}},"map":{"k":{"z":"1","n":1}}})");
  EXPECT_EQ(prune(*schema, object), (Texts{"any.strict.n", "inner.spec.gone", "map.k.n", "other", "spec.b", "spec.list[0].y"}));
  EXPECT_EQ(object, parsed(R"({"apiVersion":"v1","kind":"K","metadata":{"name":"n"},"spec":{"a":"x","list":[{"x":1}]},"any":{"free":1,"strict":{"y":"1"}},
    "inner":{"apiVersion":"v1","kind":"I","metadata":{"labels":{"l":"v"}},"spec":{}},"map":{"k":{"z":"1"}}})"));
}

TEST(DefaultTest, FillsWhatIsAbsentAndNullsThatMayNotBe) {
  const SchemaPtr schema = build_crd_schema(root(R"({"type":"object","default":{},"properties":{
    "a":{"type":"string","default":"A"},"n":{"type":"string","nullable":true,"default":"N"},"plain":{"type":"string"},
    "list":{"type":"array","items":{"type":"object","properties":{"i":{"type":"integer","default":7}}}}}})"));
  json::Value empty = parsed("{}");
  apply_defaults(*schema, empty);
  EXPECT_EQ(empty, parsed(R"({"spec":{"a":"A","n":"N"}})"));
  json::Value given = parsed(R"({"spec":{"a":null,"n":null,"plain":null,"list":[{},{"i":1}]}})");
  apply_defaults(*schema, given);
  EXPECT_EQ(given, parsed(R"({"spec":{"a":"A","n":null,"list":[{"i":7},{"i":1}]}})"));
}

}  // namespace
}  // namespace gs::schema
