#include "json/split.h"

#include <gmock/gmock.h>

#include "json/value.h"

namespace gs::json {
namespace {

using testing::ElementsAre;

template <class Splitter>
std::vector<std::string> pieces(Splitter& splitter, std::string_view text, size_t chunk) {
  std::vector<std::string> out;
  for (size_t i = 0; i < text.size(); i += chunk) {
    const Status status = splitter.feed(text.substr(i, chunk), [&](std::string_view piece) {
      out.emplace_back(piece);
      return ok();
    });
    EXPECT_TRUE(status);
  }
  return out;
}

TEST(ValueSplitter, GivesTheSameObjectsHoweverTheyArrive) {
  const std::string text = "{\"a\":\"}\\\"{\"}\n{\"b\":[{},[1]]}{}\r\n";
  for (size_t chunk = 1; chunk <= text.size(); ++chunk) {
    ValueSplitter splitter(1000);
    EXPECT_THAT(pieces(splitter, text, chunk), ElementsAre("{\"a\":\"}\\\"{\"}", "{\"b\":[{},[1]]}", "{}"));
    EXPECT_FALSE(splitter.mid_value());
  }
}

TEST(ValueSplitter, BoundsAnObjectAndRefusesOtherText) {
  const Each ignore = [](std::string_view) { return ok(); };
  ValueSplitter small(10);
  EXPECT_EQ(small.feed("{\"a\":\"0123456789", ignore).error().code, Code::kTooLarge);
  ValueSplitter html(1000);
  EXPECT_EQ(html.feed("<html>", ignore).error().code, Code::kInvalid);
  ValueSplitter half(1000);
  EXPECT_TRUE(half.feed("{\"a\":", ignore));
  EXPECT_TRUE(half.mid_value());
}

TEST(ValueSplitter, DoesNotCopyAValueThatLiesInOneChunk) {
  const std::string text = "{\"a\":1}\n{\"b\":2}";
  std::vector<const char*> places;
  ValueSplitter splitter(100);
  ASSERT_TRUE(splitter.feed(text, [&](std::string_view piece) { return places.push_back(piece.data()), ok(); }));
  EXPECT_THAT(places, ElementsAre(text.data(), text.data() + 8));
}

TEST(ValueSplitter, BoundsAValueThatLiesInOneChunkAndRefusesAStrayBracket) {
  const Each ignore = [](std::string_view) { return ok(); };
  ValueSplitter small(4);
  EXPECT_EQ(small.feed("{\"a\":1}", ignore).error().code, Code::kTooLarge);
  ValueSplitter stray(100);
  EXPECT_EQ(stray.feed("{}}", ignore).error().code, Code::kInvalid);
}

TEST(ValueSplitter, StopsAtTheErrorOfTheCaller) {
  int calls = 0;
  ValueSplitter splitter(100);
  const Status status = splitter.feed("{}{}", [&](std::string_view) -> Status {
    ++calls;
    return fail(Code::kCancelled, "enough");
  });
  EXPECT_EQ(status.error().code, Code::kCancelled);
  EXPECT_EQ(calls, 1);
}

TEST(ListSplitter, GivesItemsOneByOneAndKeepsTheRest) {
  const std::string text =
      R"( {"kind":"PodList","x":{"items":[1]},"items": [ {"a":"]}"}, {"b":[{"items":[]}]} ],"metadata":{"resourceVersion":"7","continue":"items"}} )";
  for (size_t chunk = 1; chunk <= text.size(); ++chunk) {
    ListSplitter splitter(1000);
    EXPECT_THAT(pieces(splitter, text, chunk), ElementsAre(R"({"a":"]}"})", R"({"b":[{"items":[]}]})"));
    const auto rest = parse(splitter.finish().value());
    ASSERT_TRUE(rest);
    EXPECT_EQ(rest->text("metadata.resourceVersion"), "7");
    EXPECT_EQ(rest->text("kind"), "PodList");
  }
}

TEST(ListSplitter, ANullOrMissingListOfItemsIsEmpty) {
  for (const char* text : {R"({"items":null,"metadata":{}})", R"({"metadata":{}})", R"({"items":[]})"}) {
    ListSplitter splitter(1000);
    EXPECT_TRUE(pieces(splitter, text, 3).empty());
    EXPECT_TRUE(splitter.finish());
  }
}

TEST(ListSplitter, RefusesWhatIsNotAListAndBoundsItsParts) {
  const Each ignore = [](std::string_view) { return ok(); };
  for (const char* text : {"[]", "x", R"({"items":[1]})", R"({"items":[{}{}]})", R"({"items":[,{}]})", R"({"items":[{},]})",
                           R"({"items":[]}})", R"({"items":[]} x)"}) {
    ListSplitter splitter(1000);
    EXPECT_EQ(splitter.feed(text, ignore).error().code, Code::kInvalid) << text;
  }
  ListSplitter item(20);
  EXPECT_EQ(item.feed(R"({"items":[{"a":"01234567890123456789"}]})", ignore).error().code, Code::kTooLarge);
  ListSplitter rest(20);
  EXPECT_EQ(rest.feed(R"({"kind":"01234567890123456789"})", ignore).error().code, Code::kTooLarge);
}

TEST(ListSplitter, ReadsTheMetadataAndChecksItsTypes) {
  ListSplitter good(1000);
  pieces(good, R"({"metadata":{"resourceVersion":"9"},"items":[{}]})", 5);
  ASSERT_TRUE(good.meta());
  EXPECT_EQ(good.meta()->resource_version, "9");
  EXPECT_EQ(good.meta()->remaining_item_count, std::nullopt);
  ListSplitter bad(1000);
  pieces(bad, R"({"metadata":{"resourceVersion":9}})", 5);
  EXPECT_EQ(bad.meta().error().code, Code::kInvalid);
}

TEST(ListSplitter, AListThatEndsInTheMiddleIsAnError) {
  ListSplitter splitter(1000);
  pieces(splitter, R"({"items":[{"a":1},)", 4);
  EXPECT_FALSE(splitter.finish());
}

}  // namespace
}  // namespace gs::json
