#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "json/value.h"
#include "webhook/conversion_cache.h"
#include "webhook/conversion_rules.h"
#include "webhook/converted.h"
#include "webhook/review_test_util.h"

namespace gs::webhook {
namespace {

using ::testing::HasSubstr;

const std::string kV1 =
    R"({"apiVersion":"example.com/v1","kind":"CronTab","metadata":{"name":"tab","namespace":"shop","uid":"44e","resourceVersion":"177",)"
    R"("labels":{"a":"b"},"managedFields":[{"manager":"kubectl"}]},"spec":{"cron":"*","big":12345678901234567890}})";
const std::string kV2 =
    R"({"apiVersion":"example.com/v2","kind":"CronTab","metadata":{"name":"tab","namespace":"shop","uid":"44e","labels":{"a":"c"}},"spec":{"schedule":"*"}})";

json::Value value(const Result<std::string>& text) {
  EXPECT_TRUE(text.has_value()) << text.error().to_string();
  auto parsed = text ? json::parse(*text) : json::parse("null");
  EXPECT_TRUE(parsed.has_value());
  return *parsed;
}

TEST(Converted, KeepsAllOfTheOriginalsMetadataButLabelsAndAnnotations) {
  const std::string odd = replaced(kV2, R"("uid":"44e")", R"("uid":"44e","resourceVersion":"1","finalizers":["x"],"annotations":{"n":"1"})");
  const json::Value settled = value(settle_converted(kV1, odd, "example.com/v2"));
  EXPECT_EQ(settled, *json::parse(R"({"apiVersion":"example.com/v2","kind":"CronTab","metadata":{"name":"tab","namespace":"shop","uid":"44e",
      "resourceVersion":"177","managedFields":[{"manager":"kubectl"}],"labels":{"a":"c"},"annotations":{"n":"1"}},"spec":{"schedule":"*"}})"));
}

TEST(Converted, WithoutLabelsHasNone) {
  EXPECT_EQ(value(settle_converted(kV1, replaced(kV2, R"(,"labels":{"a":"c"})", ""), "example.com/v2")).at("metadata.labels"), nullptr);
}

TEST(Converted, ThatAnApiServerWouldRefuseIsRefusedWithWhatIsWrong) {
  struct Case {
    std::string converted, message;
  };
  const Case cases[] = {
      {"{", "invalid JSON"},
      {"[]", "not a JSON object"},
      {replaced(kV2, "example.com/v2", "example.com/v3"), "apiVersion must be \"example.com/v2\", not \"example.com/v3\""},
      {replaced(kV2, "CronTab", "Other"), "must have the same kind: \"CronTab\" became \"Other\""},
      {replaced(kV2, "\"tab\"", "\"tub\""), "must have the same name: \"tab\" became \"tub\""},
      {replaced(kV2, "shop", "shed"), "must have the same namespace"},
      {replaced(kV2, R"(,"uid":"44e")", ""), "must have the same uid: \"44e\" became \"\""},
      {R"({"apiVersion":"example.com/v2","kind":"CronTab"})", "metadata is missing"},
      {replaced(kV2, R"({"a":"c"})", "[]"), "metadata.labels is not an object"},
      {replaced(kV2, R"({"a":"c"})", R"({"a":1})"), "metadata.labels[\"a\"] must be a string"},
  };
  for (const Case& c : cases) {
    const auto result = settle_converted(kV1, c.converted, "example.com/v2");
    ASSERT_FALSE(result.has_value()) << c.message;
    EXPECT_EQ(result.error().code, Code::kInvalid);
    EXPECT_THAT(result.error().message, HasSubstr(c.message));
  }
}

TEST(ConversionKey, KnowsEverythingThatDecidesAndNothingElse) {
  const auto key = [](const std::string& object) { return conversion_key("scope", "r1", "example.com/v2", object); };
  const ConversionKey base = key(kV1);
  EXPECT_EQ(base, key(replaced(kV1, "177", "178")));
  EXPECT_EQ(base, key(replaced(kV1, R"([{"manager":"kubectl"}])", "[]")));
  EXPECT_EQ(base, key(replaced(kV1, R"("resourceVersion":"177",)", "")));
  EXPECT_NE(base, key(replaced(kV1, "\"*\"", "\"+\"")));
  EXPECT_NE(base, key(replaced(kV1, "44e", "44f")));
  EXPECT_NE(base, key(replaced(kV1, R"({"a":"b"})", R"({"a":"c"})")));
  // resourceVersion matters anywhere but in metadata.
  EXPECT_NE(key(replaced(kV1, "\"cron\":", "\"resourceVersion\":")), key(replaced(kV1, "\"cron\":\"*\",", "")));
  EXPECT_NE(base, conversion_key("scope", "r2", "example.com/v2", kV1));
  EXPECT_NE(base, conversion_key("other", "r1", "example.com/v2", kV1));
  EXPECT_NE(base, conversion_key("scope", "r1", "example.com/v3", kV1));
  // No part can pose as a neighbour's.
  EXPECT_NE(conversion_key("ab", "c", "v", kV1), conversion_key("a", "bc", "v", kV1));
}

TEST(ConversionCache, ForgetsWhatWasUsedLongestAgoAndNeverExceedsItsBytes) {
  const auto key = [](int i) { return conversion_key("s", std::to_string(i), "v", "{}"); };
  ConversionCache cache(3 * 1200);
  for (int i = 0; i < 3; ++i) cache.put(key(i), std::string(1000, 'a'));
  ASSERT_EQ(cache.size(), 3u);
  ASSERT_NE(cache.find(key(0)), nullptr);
  cache.put(key(3), std::string(1000, 'b'));
  EXPECT_EQ(cache.find(key(1)), nullptr);
  EXPECT_NE(cache.find(key(0)), nullptr);
  EXPECT_NE(cache.find(key(3)), nullptr);
  cache.put(key(3), "again");
  EXPECT_EQ(*cache.find(key(3)), "again");
  EXPECT_EQ(cache.size(), 3u);
  cache.put(key(4), std::string(10'000, 'x'));
  EXPECT_EQ(cache.find(key(4)), nullptr);
  EXPECT_EQ(cache.size(), 3u);
  for (int i = 0; i < 1000; ++i) {
    cache.put(key(i), std::string(static_cast<size_t>(i % 500), 'x'));
    ASSERT_LE(cache.bytes(), 3u * 1200u);
  }
}

ConversionRule rule(std::string from, std::string to, std::vector<ConversionRule::Move> moves = {}) {
  ConversionRule out;
  out.from = std::move(from);
  out.to = std::move(to);
  out.moves = std::move(moves);
  return out;
}

TEST(ConversionRules, ChangeTheVersionAndMoveFieldsAndLeadBackTheSameWay) {
  const auto rules = ConversionRules::make({rule("v1", "v2", {{"spec.cron", "spec.when.schedule"}, {"spec.gone", "spec.there"}})});
  ASSERT_TRUE(rules.has_value());
  const auto forth = rules->convert(kV1, "example.com/v2");
  const json::Value converted = value(forth);
  EXPECT_EQ(converted.text("apiVersion"), "example.com/v2");
  EXPECT_EQ(converted.text("spec.when.schedule"), "*");
  EXPECT_EQ(converted.at("spec.cron"), nullptr);
  EXPECT_EQ(converted.at("spec.there"), nullptr);
  EXPECT_THAT(*forth, HasSubstr("12345678901234567890"));
  const json::Value back = value(rules->convert(*forth, "example.com/v1"));
  EXPECT_EQ(back.text("spec.cron"), "*");
  EXPECT_EQ(back.at("spec.when.schedule"), nullptr);
}

TEST(ConversionRules, OfTheSameSchemaChangeNothingButTheVersion) {
  const auto rules = ConversionRules::make({rule("v1", "v2")});
  EXPECT_EQ(value(rules->convert(kV1, "example.com/v2")), *json::parse(replaced(kV1, "example.com/v1", "example.com/v2")));
}

TEST(ConversionRules, TakeTheRuleOfTheDirectionWhereThereIsOne) {
  const auto rules = ConversionRules::make({rule("v1", "v2", {{"spec.a", "spec.b"}}), rule("v2", "v1", {{"spec.b", "spec.c"}})});
  const json::Value back = value(rules->convert(R"({"apiVersion":"e/v2","spec":{"b":1}})", "e/v1"));
  EXPECT_EQ(back.at("spec.c")->integer(), 1);
}

TEST(ConversionRules, ThatDoNotLeadThereOrWouldLoseAFieldSaySo) {
  const auto rules = ConversionRules::make({rule("v1", "v2", {{"spec.a", "spec.b"}})});
  EXPECT_EQ(rules->convert(kV1, "example.com/v3").error().code, Code::kNotFound);
  EXPECT_EQ(rules->convert(kV1, "other.com/v2").error().code, Code::kNotFound);
  const auto lost = rules->convert(R"({"apiVersion":"e/v1","spec":{"a":1,"b":2}})", "e/v2");
  EXPECT_THAT(lost.error().message, HasSubstr("spec.a cannot move to spec.b: something else stands there"));
  EXPECT_FALSE(ConversionRules::make({rule("v1", "v2", {{"spec.a", "spec.b.c"}})})->convert(R"({"apiVersion":"e/v1","spec":{"a":1,"b":2}})", "e/v2").has_value());
}

TEST(ConversionRules, ThatMeanNothingAreRefusedWithTheField) {
  struct Case {
    ConversionRule rule;
    std::string message;
  };
  const Case cases[] = {
      {rule("", "v2"), "[0].from: is required"},
      {rule("v1", ""), "[0].to: is required"},
      {rule("v1", "v1"), "[0].to: must be another version"},
      {rule("v1", "v2", {{"", "spec.b"}}), "[0].moves[0].from: is required"},
      {rule("v1", "v2", {{"spec.a", "spec..b"}}), "[0].moves[0].to: \"spec..b\" must be names joined by dots"},
      {rule("v1", "v2", {{"spec.a", "metadata.labels.a"}}), "[0].moves[0].to: \"metadata.labels.a\" must not be metadata"},
      {rule("v1", "v2", {{"spec", "spec.inner"}}), "must not contain each other"},
  };
  for (const Case& c : cases) {
    const auto result = ConversionRules::make({c.rule});
    ASSERT_FALSE(result.has_value()) << c.message;
    EXPECT_THAT(result.error().message, HasSubstr(c.message));
  }
  EXPECT_THAT(ConversionRules::make({rule("v1", "v2"), rule("v1", "v2")}).error().message, HasSubstr("[1]: there is a rule from v1 to v2 already"));
}

}  // namespace
}  // namespace gs::webhook
