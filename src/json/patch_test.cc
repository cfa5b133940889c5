#include "json/patch.h"

namespace gs::json {
namespace {

struct Case {
  const char* document;
  const char* patch;
  const char* result;  // empty: refused
};

// RFC 6902, appendix A, in its order; then what it says elsewhere.
constexpr Case kJsonPatch[] = {
    {R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux"}])", R"({"baz":"qux","foo":"bar"})"},
    {R"({"foo":["bar","baz"]})", R"([{"op":"add","path":"/foo/1","value":"qux"}])", R"({"foo":["bar","qux","baz"]})"},
    {R"({"baz":"qux","foo":"bar"})", R"([{"op":"remove","path":"/baz"}])", R"({"foo":"bar"})"},
    {R"({"foo":["bar","qux","baz"]})", R"([{"op":"remove","path":"/foo/1"}])", R"({"foo":["bar","baz"]})"},
    {R"({"baz":"qux","foo":"bar"})", R"([{"op":"replace","path":"/baz","value":"boo"}])", R"({"baz":"boo","foo":"bar"})"},
    {R"({"foo":{"bar":"baz","waldo":"fred"},"qux":{"corge":"grault"}})",
     R"([{"op":"move","from":"/foo/waldo","path":"/qux/thud"}])",
     R"({"foo":{"bar":"baz"},"qux":{"corge":"grault","thud":"fred"}})"},
    {R"({"foo":["all","grass","cows","eat"]})", R"([{"op":"move","from":"/foo/1","path":"/foo/3"}])",
     R"({"foo":["all","cows","eat","grass"]})"},
    {R"({"baz":"qux","foo":["a",2,"c"]})",
     R"([{"op":"test","path":"/baz","value":"qux"},{"op":"test","path":"/foo/1","value":2}])", R"({"baz":"qux","foo":["a",2,"c"]})"},
    {R"({"baz":"qux"})", R"([{"op":"test","path":"/baz","value":"bar"}])", ""},
    {R"({"foo":"bar"})", R"([{"op":"add","path":"/child","value":{"grandchild":{}}}])", R"({"foo":"bar","child":{"grandchild":{}}})"},
    {R"({"foo":"bar"})", R"([{"op":"add","path":"/baz","value":"qux","xyz":123}])", R"({"foo":"bar","baz":"qux"})"},
    {R"({"foo":"bar"})", R"([{"op":"add","path":"/baz/bat","value":"qux"}])", ""},
    {R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":10}])", R"({"/":9,"~1":10})"},
    {R"({"/":9,"~1":10})", R"([{"op":"test","path":"/~01","value":"10"}])", ""},
    {R"({"foo":["bar"]})", R"([{"op":"add","path":"/foo/-","value":["abc","def"]}])", R"({"foo":["bar",["abc","def"]]})"},
    // The whole document; numbers by value; null is a value.
    {"{}", R"([{"op":"add","path":"","value":[1]}])", "[1]"},
    {R"({"a":1})", R"([{"op":"test","path":"/a","value":1.0}])", R"({"a":1})"},
    {R"({"a":null})", R"([{"op":"test","path":"/a","value":null},{"op":"replace","path":"/a","value":null}])", R"({"a":null})"},
    {R"({"a":[1]})", R"([{"op":"copy","from":"/a","path":"/b"},{"op":"add","path":"/b/0","value":0}])", R"({"a":[1],"b":[0,1]})"},
    {R"({"a":1})", R"([{"op":"move","from":"/a","path":"/a"}])", R"({"a":1})"},
    // Refused.
    {R"({"a":1})", R"([{"op":"remove","path":"/b"}])", ""},
    {R"({"a":1})", R"([{"op":"replace","path":"/b","value":1}])", ""},
    {R"({"a":[1]})", R"([{"op":"add","path":"/a/2","value":1}])", ""},
    {R"({"a":[1]})", R"([{"op":"replace","path":"/a/-","value":1}])", ""},
    {R"({"a":[1]})", R"([{"op":"remove","path":"/a/01"}])", ""},
    {R"({"a":[]})", R"([{"op":"remove","path":"/a/0"}])", ""},
    {R"({"a":{"b":1}})", R"([{"op":"move","from":"/a","path":"/a/b"}])", ""},
    {R"({"a":1})", R"([{"op":"copy","from":"/x","path":"/b"}])", ""},
    {R"({"a":1})", R"([{"op":"frob","path":"/a"}])", ""},
    {R"({"a":1})", R"([{"op":"add","path":"/b"}])", ""},
    {R"({"a":1})", R"([{"op":"add","path":"b","value":1}])", ""},
    {R"({"a":1})", R"([{"op":"add","value":1}])", ""},
    {R"({"a":1})", R"([1])", ""},
    {R"({"a":1})", R"({"op":"remove","path":"/a"})", ""},
};

TEST(JsonPatch, DoesWhatTheRfcSays) {
  for (const Case& c : kJsonPatch) {
    const auto result = apply_json_patch(*parse(c.document), *parse(c.patch));
    ASSERT_EQ(result.has_value(), *c.result != '\0') << c.document << c.patch << (result ? "" : result.error().message);
    if (result) { EXPECT_EQ(*result, *parse(c.result)) << result->dump(); }
  }
}

TEST(JsonPatch, ErrorsNameTheOperationAndItsPath) {
  const auto result =
      apply_json_patch(*parse(R"({"a":1})"), *parse(R"([{"op":"test","path":"/a","value":1},{"op":"remove","path":"/b/c"}])"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "operation 1 (remove /b/c): the path does not exist: no member \"b\"");
}

TEST(JsonPatch, BoundsOperationsCopiesAndDepth) {
  Value many;
  for (size_t i = 0; i <= kMaxPatchOperations; ++i) many.make_array().push_back(*parse(R"({"op":"test","path":"","value":{}})"));
  EXPECT_EQ(apply_json_patch(*parse("{}"), many).error().code, Code::kTooLarge);
  Value doubling;
  for (int i = 0; i < 40; ++i) {
    Value operation;
    operation["op"] = "copy";
    operation["from"] = "";
    operation["path"] = "/k" + std::to_string(i);
    doubling.make_array().push_back(operation);
  }
  EXPECT_EQ(apply_json_patch(*parse(R"({"a":"0123456789"})"), doubling).error().code, Code::kTooLarge);
  std::string path;
  Value deeper;
  for (int i = 0; i < 600; ++i) {
    path += "/a";
    Value operation = *parse(R"({"op":"add","value":{"b":1}})");
    operation["path"] = path;
    deeper.make_array().push_back(operation);
  }
  EXPECT_EQ(apply_json_patch(*parse("{}"), deeper).error().code, Code::kTooLarge);
}

// RFC 7386, appendix A, in its order.
constexpr Case kMergePatch[] = {
    {R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
    {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
    {R"({"a":"b"})", R"({"a":null})", R"({})"},
    {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
    {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
    {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
    {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
    {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
    {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
    {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
    {R"({"a":"foo"})", R"(null)", R"(null)"},
    {R"({"a":"foo"})", R"("bar")", R"("bar")"},
    {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
    {R"([1,2])", R"({"a":"b","c":null})", R"({"a":"b"})"},
    {R"({})", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"},
};

TEST(MergePatch, DoesWhatTheRfcSays) {
  for (const Case& c : kMergePatch) {
    const Value result = apply_merge_patch(*parse(c.document), *parse(c.patch));
    EXPECT_EQ(result, *parse(c.result)) << c.document << c.patch << result.dump();
  }
}

}  // namespace
}  // namespace gs::json
