// The tool itself: a comparison that cannot see is worse than none.
#include <gtest/gtest.h>

#include "test/differential/compare.h"
#include "test/differential/normal.h"
#include "test/differential/sequence.h"

namespace gs::differential {
namespace {

Outcome answered(const char* body, int status = 200) {
  Outcome out;
  out.reply.status = status;
  out.reply.body = body;
  out.body = *json::parse(body);
  return out;
}

Sequence steps(size_t count) {
  Sequence out;
  out.name = "s";
  for (size_t i = 0; i < count; ++i) {
    Step step;
    step.method = "GET";
    step.target = "/x";
    out.steps.push_back(step);
  }
  return out;
}

std::vector<std::string> fields(Transcript theirs, Transcript ours) {
  Normaliser::apply(theirs);
  Normaliser::apply(ours);
  std::vector<std::string> out;
  for (const Difference& d : compare(steps(theirs.size()), theirs, ours)) out.push_back(std::to_string(d.step) + " " + d.field);
  return out;
}

using Fields = std::vector<std::string>;

TEST(Differential, SequencesAreReadFromTextAndWrittenAgain) {
  const std::string text =
      "# remark\n## one\nPOST /a\nas: made\nmetadata: {name: x}\n\nGET /b?c=$(made/metadata/name)\naccept: text/html\nuser: nobody\nuntil: /a/b c\n"
      "## two\nPUT /c\ncontent-type: text/plain\n!{broken\n";
  auto parsed = parse_sequences("f", text);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  ASSERT_EQ(parsed->size(), 2u);
  const Sequence& one = parsed->front();
  EXPECT_EQ(one.steps[0].body, R"({"metadata":{"name":"x"}})");
  EXPECT_EQ(one.steps[0].as, "made");
  EXPECT_TRUE(one.steps[1].anonymous);
  EXPECT_EQ(one.steps[1].until_value, "c");
  EXPECT_EQ((*parsed)[1].steps[0].body, "{broken");
  auto again = parse_sequences("f", to_text(one) + to_text((*parsed)[1]));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->front().steps, one.steps);
  EXPECT_EQ((*again)[1].steps, (*parsed)[1].steps);
}

TEST(Differential, WhatIsNoSequenceIsRefusedWithItsLine) {
  EXPECT_EQ(parse_sequences("f", "GET /a\n").error().message, "f:1: a request before the first \"## name\"");
  EXPECT_EQ(parse_sequences("f", "## a\nnonsense\n").error().message, "f:2: \"nonsense\" belongs to no request");
  EXPECT_EQ(parse_sequences("f", "## a\nGET /a\nuntil: x\n").error().message, "f:2: until: needs a JSON pointer and a value");
}

TEST(Differential, PlaceholdersAreFilledIn) {
  const auto value = [](const std::string& label, const std::string& pointer) { return label + "@" + pointer; };
  EXPECT_EQ(substitute("/$ns/$(a/b/c)/$x(3)$", "n-1", value), "/n-1/a@/b/c/xxx$");
}

TEST(Differential, UidsTimesAndVersionsMayDiffer) {
  const Outcome theirs = answered(R"({"metadata":{"name":"a","uid":"00000000-0000-0000-0000-00000000000a","resourceVersion":"500","creationTimestamp":"2026-01-01T00:00:00Z"}})");
  const Outcome ours = answered(R"({"metadata":{"name":"a","uid":"11111111-0000-0000-0000-00000000000b","resourceVersion":"7","creationTimestamp":"2026-02-02T00:00:00Z"}})");
  EXPECT_EQ(fields({theirs, theirs}, {ours, ours}), Fields());
}

TEST(Differential, AVersionThatIsNewOnlyOnOneSideIsSeen) {
  const auto at = [](int version) { return answered(fmt::format(R"({{"metadata":{{"name":"a","resourceVersion":"{}"}}}})", version).c_str()); };
  EXPECT_EQ(fields({at(5), at(5)}, {at(7), at(8)}), Fields({"2 body.metadata.resourceVersion"}));
  EXPECT_EQ(fields({at(5), at(6)}, {at(8), at(7)}), Fields({"2 body.metadata.resourceVersion"})) << "the order is compared too";
  EXPECT_EQ(fields({at(5), at(6)}, {at(7), at(70)}), Fields());
}

TEST(Differential, AListsVersionIsComparedByWhatIsBehindIt) {
  const Outcome object = answered(R"({"metadata":{"name":"a","resourceVersion":"5"}})");
  const auto list = [](int version) { return answered(fmt::format(R"({{"metadata":{{"resourceVersion":"{}"}},"items":[]}})", version).c_str()); };
  EXPECT_EQ(fields({object, list(9)}, {object, list(5)}), Fields());
  EXPECT_EQ(fields({object, list(9)}, {object, list(4)}), Fields({"2 body.metadata.resourceVersion"}));
}

TEST(Differential, AnotherUidUnderTheSameNameIsSeen) {
  const auto with = [](char last) { return answered(fmt::format(R"({{"metadata":{{"name":"a","uid":"00000000-0000-0000-0000-00000000000{}"}}}})", last).c_str()); };
  EXPECT_EQ(fields({with('a'), with('a')}, {with('a'), with('b')}), Fields({"2 body.metadata.uid"}));
}

TEST(Differential, GeneratedNamesMayDifferInTheirEnd) {
  const auto named = [](const char* end) { return answered(fmt::format(R"({{"metadata":{{"generateName":"g-","name":"g-{}"}}}})", end).c_str()); };
  EXPECT_EQ(fields({named("abcde")}, {named("vwxyz")}), Fields());
  EXPECT_EQ(fields({named("abcde")}, {named("vwxyz0")}), Fields({"1 body.metadata.name"}));
}

TEST(Differential, StatusHeadersMessagesAndMissingElementsAreSeen) {
  EXPECT_EQ(fields({answered("{}", 200)}, {answered("{}", 201)}), Fields({"1 status"}));
  EXPECT_EQ(fields({answered(R"({"message":"a"})")}, {answered(R"({"message":"b"})")}), Fields({"1 body.message"}));
  EXPECT_EQ(fields({answered(R"({"items":[{"name":"a"},{"name":"b"}]})")}, {answered(R"({"items":[{"name":"b"}]})")}), Fields({"1 body.items[a]"}));
  EXPECT_EQ(fields({answered(R"({"items":[{"name":"a"},{"name":"b"}]})")}, {answered(R"({"items":[{"name":"b"},{"name":"a"}]})")}), Fields({"1 body.items order"}));
  Outcome warned = answered("{}");
  warned.reply.headers.emplace_back("warning", "299 - \"x\"");
  EXPECT_EQ(fields({warned}, {answered("{}")}), Fields({"1 header warning"}));
}

TEST(Differential, EventsOfWatchesAreComparedInOrder) {
  const auto watch = [](std::vector<const char*> events) {
    Outcome out;
    out.reply.status = 200;
    for (const char* event : events) out.events.push_back(*json::parse(event));
    return out;
  };
  const char* added = R"({"type":"ADDED","object":{"metadata":{"name":"a"},"data":1}})";
  const char* other = R"({"type":"ADDED","object":{"metadata":{"name":"a"},"data":2}})";
  const char* deleted = R"({"type":"DELETED","object":{"metadata":{"name":"a"}}})";
  EXPECT_EQ(fields({watch({added, deleted})}, {watch({added, deleted})}), Fields());
  EXPECT_EQ(fields({watch({added, deleted})}, {watch({deleted, added})}), Fields({"1 events"}));
  EXPECT_EQ(fields({watch({added})}, {watch({other})}), Fields({"1 events[1].object.data"}));
}

TEST(Differential, KnownDifferencesAreSkippedAndThoseThatAreGoneAreNamed) {
  auto known = KnownDifferences::parse("# words\n- `s > GET /x > body.*` why\n- `gone > * > *`\n");
  ASSERT_TRUE(known.has_value());
  Difference difference;
  difference.sequence = "s";
  difference.request = "GET /x";
  difference.field = "body.metadata.uid";
  EXPECT_TRUE(known->known(difference));
  auto precise = KnownDifferences::parse("- `s > * > body.metadata.uid > \"a*`\n");
  ASSERT_TRUE(precise.has_value());
  difference.theirs = "\"b\"";
  EXPECT_FALSE(precise->known(difference));
  difference.theirs = "\"ab\"";
  EXPECT_TRUE(precise->known(difference));
  difference.field = "status";
  EXPECT_FALSE(known->known(difference));
  EXPECT_EQ(known->unseen(), std::vector<std::string>({"gone > * > *"}));
  EXPECT_FALSE(KnownDifferences::parse("- `no pattern`\n").has_value());
}

}  // namespace
}  // namespace gs::differential
