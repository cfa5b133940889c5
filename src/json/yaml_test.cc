#include "json/yaml.h"

namespace gs::json {
namespace {

TEST(Yaml, ReadsScalarsAsKubernetesDoes) {
  const auto docs = parse_yaml("a: 1\nb: \"1\"\nc: true\nd: 'yes'\ne: 1.5\nf: ~\ng: 0x10\nh: 10s\ni: yes\nj: -3\nk: 1.2.3\n");
  ASSERT_TRUE(docs) << docs.error().message;
  EXPECT_EQ((*docs)[0].dump(),
            R"({"a":1,"b":"1","c":true,"d":"yes","e":1.5,"f":null,"g":16,"h":"10s","i":true,"j":-3,"k":"1.2.3"})");
}

TEST(Yaml, ReadsSeveralDocumentsAndSkipsEmptyOnes) {
  const auto docs = parse_yaml("---\na: [1, {b: c}]\n---\n# nothing\n---\nx: |\n  two\n  lines\n");
  ASSERT_TRUE(docs);
  ASSERT_EQ(docs->size(), 2u);
  EXPECT_EQ((*docs)[0].dump(), R"({"a":[1,{"b":"c"}]})");
  EXPECT_EQ((*docs)[1].dump(), R"({"x":"two\nlines\n"})");
}

TEST(Yaml, ErrorsNameLineAndColumn) {
  const auto twice = parse_yaml("a: 1\nb: 2\na: 3\n");
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "line 3, column 1: key \"a\" already set in map");
  EXPECT_NE(parse_yaml("a: [1\nb: 2").error().message.find("line"), std::string::npos);
}

TEST(Yaml, BoundsTheExpansionOfAliases) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; ++i) {
    const std::string below = "*a" + std::to_string(i - 1);
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) bomb += (k ? "," : "") + below;
    bomb += "]\n";
  }
  const auto docs = parse_yaml(bomb);
  ASSERT_FALSE(docs);
  EXPECT_NE(docs.error().message.find("aliases"), std::string::npos);
}

TEST(Yaml, RefusesDeepNestingInsteadOfOverflowing) {
  EXPECT_FALSE(parse_yaml(std::string(100'000, '[')));
  EXPECT_FALSE(parse_yaml(std::string(100'000, '{')));
  for (const char* opening : {"- ", "? ", "[{a: ", "&a [", "!t [", "a: [", "- a: "}) {
    std::string text;
    for (int i = 0; i < 5'000; ++i) text += opening;
    EXPECT_FALSE(parse_yaml(text)) << opening;
  }
  std::string indented;
  for (size_t i = 0; i < 1'500; ++i) indented += std::string(i, ' ') + "a:\n";
  EXPECT_FALSE(parse_yaml(indented));
  // Brackets in text are not nesting, and this is a string.
  EXPECT_TRUE(parse_yaml("a: \"" + std::string(2'000, '[') + "\"\nb: " + std::string(2'000, '-')));
}

TEST(Yaml, DoesNotReadEmptyDocumentsWithoutEnd) {
  for (const char* text : {",", "]", "}", ", a: 1", "a: 1\n---\n,", "[1] ]", "---\n,\n"}) EXPECT_FALSE(parse_yaml(text)) << text;
  for (const char* text : {"", "---", "---\n---\n", "...\n...\n", "--- 1\n--- 2", "%YAML 1.1\n---\na: 1\n...\n"}) {
    EXPECT_TRUE(parse_yaml(text)) << text;
  }
}

TEST(Yaml, ReadsNumbersAsGoDoes) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"0644", "420"}, {"0o644", "420"}, {"0x1F", "31"}, {"-0x10", "-16"}, {"0b101", "5"}, {"1_000", "1000"},
      {"+7", "7"}, {"089", "89"}, {"-9223372036854775808", "-9223372036854775808"},
      {"18446744073709551615", "18446744073709551615"}, {"36893488147419103232", "36893488147419103232"},
      {".5", "0.5"}, {"1.", "1"}, {"1e3", "1000"}, {"-1.50", "-1.5"}, {"+1.5", "1.5"},
      {"1e999", "\"1e999\""}, {"0x", "\"0x\""}, {"--1", "\"--1\""}, {"-", "\"-\""}, {"1:30", "\"1:30\""},
      {"2024-05-01", "\"2024-05-01\""}, {"1.2.3", "\"1.2.3\""}, {"1e", "\"1e\""}, {".", "\".\""}, {"500m", "\"500m\""}};
  for (const auto& [yaml, json] : cases) {
    const auto docs = parse_yaml("a: " + yaml + "\n");
    if (yaml == "-") continue;  // a sequence, which is an error there
    ASSERT_TRUE(docs) << yaml << ": " << docs.error().message;
    EXPECT_EQ((*docs)[0].find("a")->dump(), json) << yaml;
  }
  EXPECT_FALSE(parse_yaml("a: .inf"));
  EXPECT_FALSE(parse_yaml("a: .nan"));
}

TEST(Yaml, ReadsBooleansAndKeysAsGoDoes) {
  const auto docs = parse_yaml("y: off\n1: N\n2.5: On\n'no': \"on\"\nempty:\n");
  ASSERT_TRUE(docs) << docs.error().message;
  EXPECT_EQ((*docs)[0].dump(), R"({"true":false,"1":false,"2.5":true,"no":"on","empty":null})");
  EXPECT_FALSE(parse_yaml("[a]: 1"));
  EXPECT_FALSE(parse_yaml("~: 1"));
}

TEST(Yaml, HonoursTags) {
  const auto docs = parse_yaml("a: !!str 1\nb: !!int 2\nc: !mine 3\nd: !!float 4\n");
  ASSERT_TRUE(docs) << docs.error().message;
  EXPECT_EQ((*docs)[0].dump(), R"({"a":"1","b":2,"c":"3","d":4})");
  EXPECT_FALSE(parse_yaml("a: !!int x"));
}

TEST(Yaml, EscapesOfTextAreUtf8) {
  const auto documents = parse_yaml("\"k\\N\": \"a\\_b\\xe9\\u20ac\xc3\xa9\\N\"");
  ASSERT_TRUE(documents.has_value());
  EXPECT_EQ((*documents)[0].dump(), "{\"k\xc2\x85\":\"a\xc2\xa0" "b\xc3\xa9\xe2\x82\xac\xc3\xa9\xc2\x85\"}");
}

TEST(Yaml, ExpandsAliasesAndMergesMaps) {
  const auto docs = parse_yaml("base: &b {x: 1, q: [2]}\nother: &o {x: 9, z: 3}\n"
                               "one: {<<: *b, x: 7}\ntwo:\n  <<: [*b, *o]\n  w: *b\n");
  ASSERT_TRUE(docs) << docs.error().message;
  EXPECT_EQ((*docs)[0].find("one")->dump(), R"({"x":7,"q":[2]})");
  EXPECT_EQ((*docs)[0].find("two")->dump(), R"({"w":{"x":1,"q":[2]},"x":1,"q":[2],"z":3})");
  EXPECT_FALSE(parse_yaml("a: &a [*a]"));
  EXPECT_FALSE(parse_yaml("a: *nothing"));
  EXPECT_FALSE(parse_yaml("a: {<<: 1}"));
}

TEST(Yaml, BoundsTheTextThatAliasesExpandTo) {
  std::string text = "a: &a " + std::string(1 << 20, 'x') + "\nb: [*a";
  for (int i = 0; i < 1'000; ++i) text += ",*a";
  const auto docs = parse_yaml(text + "]\n");
  ASSERT_FALSE(docs);
  EXPECT_NE(docs.error().message.find("aliases"), std::string::npos);
}

TEST(Yaml, ReadsManyKeysInReasonableTime) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "key" + std::to_string(i) + ": 1\n";
  EXPECT_TRUE(parse_yaml(text));
}

TEST(Yaml, BoundsTheInputAndRefusesWhatIsNotUtf8) {
  EXPECT_EQ(parse_yaml(std::string(kMaxYamlBytes + 1, ' ')).error().code, Code::kTooLarge);
  EXPECT_FALSE(parse_yaml("a: \xff\n"));
  EXPECT_EQ(parse_yaml("a: 1\nb: \x01\n").error().message, "line 2, column 4: control characters are not allowed");
  EXPECT_FALSE(parse_yaml(std::string_view("a\0:\0 \0", 6)));
}

}  // namespace
}  // namespace gs::json
