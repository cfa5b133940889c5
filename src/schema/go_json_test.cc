// Go's words for what is no JSON, each as encoding/json of Go 1.26 says it.
#include <gtest/gtest.h>

#include "schema/go_json.h"

namespace gs::schema {
namespace {

TEST(GoJsonTest, SaysWhatGosScannerSays) {
  const std::pair<std::string, const char*> table[] = {
      {"", "unexpected end of JSON input"},
      {"{\"metadata\":", "unexpected end of JSON input"},
      {"[1", "unexpected end of JSON input"},
      {"\"a", "unexpected end of JSON input"},
      {"nul", "unexpected end of JSON input"},
      {"-", "unexpected end of JSON input"},
      {"nonsense", "invalid character 'o' in literal null (expecting 'u')"},
      {"x", "invalid character 'x' looking for beginning of value"},
      {"{} x", "invalid character 'x' after top-level value"},
      {"{x", "invalid character 'x' looking for beginning of object key string"},
      {"{\"a\":1,}", "invalid character '}' looking for beginning of object key string"},
      {"{\"a\" 1}", "invalid character '1' after object key"},
      {"{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"},
      {"[1 2]", "invalid character '2' after array element"},
      {"[1,]", "invalid character ']' looking for beginning of value"},
      {"\"\x01\"", "invalid character '\\x01' in string literal"},
      {"\"\\x\"", "invalid character 'x' in string escape code"},
      {"\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape"},
      {"-a", "invalid character 'a' in numeric literal"},
      {"01", "invalid character '1' after top-level value"},
      {"1.x", "invalid character 'x' after decimal point in numeric literal"},
      {"1ex", "invalid character 'x' in exponent of numeric literal"},
      {"'", "invalid character '\\'' looking for beginning of value"},
      {"\x9e", "invalid character '\\u009e' looking for beginning of value"},
      {"\xe9", "invalid character '\xc3\xa9' looking for beginning of value"}};
  for (const auto& [text, problem] : table) EXPECT_EQ(go_json_problem(text), problem) << text;
}

TEST(GoJsonTest, TakesWhatGoTakes) {
  for (const char* text : {"null", " {\"a\":[1,-0.5e+3,\"\\u00e9\\n\",true,{},[]]} ", "\"\xff\"", "0"}) EXPECT_EQ(go_json_problem(text), "") << text;
  EXPECT_TRUE(parse_as_go("[1]"));
  EXPECT_EQ(parse_as_go("[1").error().message, "unexpected end of JSON input");
  EXPECT_FALSE(parse_as_go("\"\xff\"")) << "ours must be UTF-8";
}

}  // namespace
}  // namespace gs::schema
