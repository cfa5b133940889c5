#include "json/writer.h"

#include <rapidcheck.h>

#include <cmath>

#include "json/value.h"

namespace gs::json {
namespace {

TEST(Writer, PlacesCommasAtEveryLevel) {
  std::string out = "data: ";
  Writer w(out);
  w.begin_object().key("a").integer(-1).key("b").begin_array().string("x").begin_object().end_object().null();
  w.begin_array().end_array().boolean(true).end_array().key("c").raw(R"({"d":1})").key("e").number(0.5).end_object();
  EXPECT_EQ(out, R"(data: {"a":-1,"b":["x",{},null,[],true],"c":{"d":1},"e":0.5})");
}

TEST(Writer, WritesNoNumberThatJsonDoesNotHave) {
  std::string out;
  Writer(out).begin_array().number(INFINITY).number(NAN).integer(INT64_MIN).number(1e300).end_array();
  EXPECT_EQ(out, "[null,null,-9223372036854775808,1e+300]");
  EXPECT_TRUE(parse(out));
}

TEST(Writer, EveryStringComesBack) {
  EXPECT_TRUE(rc::check([](const std::vector<uint8_t>& bytes) {
    std::string text;
    for (const uint8_t b : bytes) text += static_cast<char>(b & 0x7F);
    std::string out;
    Writer(out).string(text + "é😀");
    const auto back = parse(out);
    RC_ASSERT(back.has_value());
    RC_ASSERT(*back->string() == text + "é😀");
  }));
}

}  // namespace
}  // namespace gs::json
