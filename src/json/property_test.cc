// Properties over generated documents: what one part of src/json writes the others read alike.
#include <rapidcheck.h>

#include "json/scan.h"
#include "json/split.h"
#include "json/value.h"

namespace gs::json {
namespace {

std::string generated_string() {
  const auto letters = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("ab\"\\{}[],: \n\x01")));
  return *rc::gen::inRange(0, 4) == 0 ? letters + "é😀" : letters;
}

Value generated_value(int depth) {
  switch (*rc::gen::inRange(0, depth > 0 ? 8 : 6)) {
    case 0: return Value();
    case 1: return *rc::gen::arbitrary<bool>();
    case 2: return *rc::gen::arbitrary<int64_t>();
    case 3: return *rc::gen::arbitrary<double>();
    case 4: return RawNumber{"18446744073709551616"};
    case 5: return generated_string();
    case 6: {
      Array array;
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) array.push_back(generated_value(depth - 1));
      return array;
    }
    default: {
      Object object;
      for (int i = *rc::gen::inRange(0, 4); i > 0; --i) object[generated_string()] = generated_value(depth - 1);
      return object;
    }
  }
}

Value generated_object(int depth) {
  Value value;
  value.make_object();
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i) value[generated_string()] = generated_value(depth - 1);
  return value;
}

TEST(Property, WhatIsDumpedIsValidAndParsesToTheSameValue) {
  EXPECT_TRUE(rc::check([] {
    const Value value = generated_value(4);
    const std::string text = value.dump();
    RC_ASSERT(validate(text).has_value());
    const auto back = parse(text);
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back == value);
    RC_ASSERT(back->dump() == text);
  }));
}

TEST(Property, ParsingAndValidatingAgreeOnDamagedText) {
  EXPECT_TRUE(rc::check([] {
    std::string text = generated_value(4).dump();
    const auto at = *rc::gen::inRange<size_t>(0, text.size());
    text[at] = *rc::gen::elementOf(std::string("{}[]\",:\\0123456789.eE+-untf \n\xff\xc3", 32));
    RC_ASSERT(validate(text).has_value() == parse(text).has_value());
  }));
}

// Splits `text` at random places; the pieces that come out must not depend on where.
template <class Splitter>
std::vector<std::string> feed_in_random_chunks(Splitter& splitter, std::string_view text) {
  std::vector<std::string> pieces;
  while (!text.empty()) {
    const auto size = std::min(*rc::gen::inRange<size_t>(1, 40), text.size());
    const Status status = splitter.feed(std::string(text.substr(0, size)), [&](std::string_view piece) {
      pieces.emplace_back(piece);
      return ok();
    });
    RC_ASSERT(status.has_value());
    text.remove_prefix(size);
  }
  return pieces;
}

TEST(Property, AStreamSplitsIntoTheSameValuesHoweverItArrives) {
  EXPECT_TRUE(rc::check([] {
    std::vector<std::string> written;
    std::string body;
    for (int i = *rc::gen::inRange(0, 5); i > 0; --i) {
      written.push_back(generated_object(3).dump());
      body += written.back() + *rc::gen::elementOf(std::vector<std::string>{"", "\n", " \r\n"});
    }
    ValueSplitter splitter(1 << 20);
    RC_ASSERT(feed_in_random_chunks(splitter, body) == written);
    RC_ASSERT(!splitter.mid_value());
  }));
}

TEST(Property, AListGivesTheSameItemsHoweverItArrivesAndIsOrdered) {
  EXPECT_TRUE(rc::check([] {
    std::vector<std::string> items;
    for (int i = *rc::gen::inRange(0, 4); i > 0; --i) items.push_back(generated_object(3).dump());
    std::string joined;
    for (const std::string& item : items) joined += (joined.empty() ? " " : " ,\n") + item;
    std::vector<std::string> members = {R"("kind": "PodList")", R"("apiVersion":"v1")", "\"items\" : [" + joined + "]",
                                        R"("metadata":{"resourceVersion":"7","continue":"items","remainingItemCount":3})"};
    std::rotate(members.begin(), members.begin() + *rc::gen::inRange(0, 4), members.end());
    std::string body = "{";
    for (const std::string& member : members) body += (body.size() > 1 ? "," : "") + member;
    ListSplitter splitter(1 << 20);
    RC_ASSERT(feed_in_random_chunks(splitter, body + "}\n") == items);
    const auto meta = splitter.meta();
    RC_ASSERT(meta.has_value());
    RC_ASSERT(meta->kind == "PodList" && meta->api_version == "v1" && meta->resource_version == "7");
    RC_ASSERT(meta->continue_token == "items" && meta->remaining_item_count == 3);
  }));
}

}  // namespace
}  // namespace gs::json
