#include "json/value.h"

#include "json/scan.h"

namespace gs::json {
namespace {

TEST(Value, ParsesAndDumpsTheSameText) {
  for (const char* text : {R"({"a":[1,-2,true,null,"x"],"b":{"c":1.5}})", "[]", "{}", "\"\\u0001é\\\"\""}) {
    const auto value = parse(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(value->dump(), text);
  }
}

TEST(Value, RefusesWhatIsNotStrictJson) {
  for (const char* text : {"", "{", "{\"a\":[1,2}]", "{\"a\":1,}", "nul", "[1] 2", "\"\xff\"", "{a:1}", "01"}) {
    const auto value = parse(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(value.error().code, Code::kInvalid);
  }
  EXPECT_FALSE(parse(std::string(2000, '[') + std::string(2000, ']')));
}

std::string nested(size_t depth) { return std::string(depth, '[') + "1" + std::string(depth, ']'); }

TEST(Value, NestsToTheLimitAndNoDeeperForParsingAndValidatingAlike) {
  EXPECT_TRUE(parse(nested(kMaxDepth)));
  EXPECT_TRUE(validate(nested(kMaxDepth)));
  EXPECT_FALSE(parse(nested(kMaxDepth + 1)));
  EXPECT_FALSE(validate(nested(kMaxDepth + 1)));
  // Also once buffers have grown.
  EXPECT_TRUE(validate(nested(kMaxDepth) + std::string(100'000, ' ')));
  EXPECT_FALSE(validate(nested(kMaxDepth + 1) + std::string(100'000, ' ')));
}

TEST(Value, ErrorsNameTheOffset) {
  EXPECT_EQ(parse("{\"a\":[1,2}]").error().message, "invalid JSON at offset 9: expected ',' or ']'");
  EXPECT_EQ(parse("[1] 2").error().message, "invalid JSON at offset 4: unexpected text behind the value");
  EXPECT_EQ(parse("[\"a\xff\"]").error().message, "invalid JSON at offset 3: not UTF-8");
  EXPECT_EQ(validate("{\"a\" 1}").error().message, "invalid JSON at offset 5: expected ':'");
}

TEST(Value, KeepsNumbersAsTheyWereWritten) {
  for (const char* text : {"0", "-0", "-1", "9223372036854775807", "-9223372036854775808", "9223372036854775808",
                           "18446744073709551616", "100000000000000000000", "1.0", "1.10", "1e5", "1E+5", "0.1", "1e400"}) {
    const auto value = parse(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(value->dump(), text);
    EXPECT_TRUE(validate(text)) << text;
    EXPECT_TRUE(value->is_number());
  }
  EXPECT_EQ(parse("9223372036854775807")->integer(), INT64_MAX);
  EXPECT_EQ(parse("18446744073709551616")->integer(), std::nullopt);
  EXPECT_EQ(parse("18446744073709551616")->number(), 18446744073709551616.0);
  EXPECT_EQ(parse("1e400")->number(), std::nullopt);
  EXPECT_EQ(Value(UINT64_MAX).dump(), "18446744073709551615");
}

TEST(Value, ComparesNumbersByValue) {
  EXPECT_EQ(*parse("1"), *parse("1.0"));
  EXPECT_EQ(*parse("100"), *parse("1e2"));
  EXPECT_EQ(*parse("1.10"), *parse("1.1"));
  EXPECT_FALSE(*parse("9223372036854775807") == *parse("9223372036854775808"));
  EXPECT_FALSE(*parse("18446744073709551616") == *parse("18446744073709551617"));
  EXPECT_FALSE(*parse("1") == *parse("\"1\""));
  EXPECT_FALSE(*parse("1") == *parse("true"));
}

TEST(Value, UnescapesStringsAndReplacesLoneSurrogates) {
  EXPECT_EQ(*parse(R"("\"\\\/\b\f\n\r\té\ud83d\ude00")")->string(), "\"\\/\b\f\n\r\té😀");
  for (const char* lone : {R"("\ud800")", R"("\udc00")", R"("\ud800\ud800")", R"("\ud800\n")"}) {
    ASSERT_TRUE(parse(lone)) << lone;
    EXPECT_TRUE(validate(lone)) << lone;
    EXPECT_EQ(parse(lone)->string()->substr(0, 3), "\xEF\xBF\xBD");
  }
  for (const char* bad : {R"("\x")", R"("\u12")", R"("\u12g4")", "\"\n\"", "\"abc", "\"\\"}) {
    EXPECT_FALSE(parse(bad)) << bad;
    EXPECT_FALSE(validate(bad)) << bad;
  }
}

TEST(Value, TheLastOfEqualKeysWins) {
  EXPECT_EQ(parse(R"({"a":{"x":1},"b":2,"a":[3]})")->dump(), R"({"a":[3],"b":2})");
  std::string many = "{";
  for (int i = 0; i < 100; ++i) many += "\"k" + std::to_string(i % 50) + "\":" + std::to_string(i) + ",";
  const auto value = parse(many + "\"end\":0}");
  ASSERT_TRUE(value);
  EXPECT_EQ(value->object()->size(), 51u);
  EXPECT_EQ(value->find("k7")->integer(), 57);
}

TEST(Value, WalksJsonPointers) {
  const auto v = *parse(R"({"a/b":[10,{"m~n":1}],"":2})");
  EXPECT_EQ(v.pointer("/a~1b/0")->integer(), 10);
  EXPECT_EQ(v.pointer("/a~1b/1/m~0n")->integer(), 1);
  EXPECT_EQ(v.pointer("/")->integer(), 2);
  EXPECT_EQ(v.pointer(""), &v);
  for (const char* absent : {"x", "/x", "/a~1b/2", "/a~1b/00", "/a~1b/-", "/a~1b/0/x"}) EXPECT_EQ(v.pointer(absent), nullptr);
}

TEST(Value, FindsByPathAndComparesMembersInAnyOrder) {
  const auto a = *parse(R"({"spec":{"x":"1","y":2}})");
  EXPECT_EQ(a.text("spec.x"), "1");
  EXPECT_EQ(a.text("spec.z.q"), "");
  EXPECT_EQ(a.at("spec.y")->integer(), 2);
  EXPECT_EQ(a, *parse(R"({"spec":{"y":2,"x":"1"}})"));
  EXPECT_FALSE(a == *parse(R"({"spec":{"y":2}})"));
}

TEST(Value, IsBuiltByAssignment) {
  Value v;
  v["metadata"]["name"] = "x";
  v["metadata"]["labels"]["a"] = "b";
  v["n"] = 3;
  EXPECT_EQ(v.dump(), R"({"metadata":{"name":"x","labels":{"a":"b"}},"n":3})");
}

}  // namespace
}  // namespace gs::json
