#include "base/strings.h"

#include <gmock/gmock.h>

namespace gs {
namespace {

using testing::ElementsAre;

TEST(Strings, SplitKeepsEmptyParts) {
  EXPECT_THAT(split("a,,b,", ','), ElementsAre("a", "", "b", ""));
  EXPECT_THAT(split("", ','), ElementsAre(""));
}

TEST(Strings, ParseUintTakesTheWholeTextOrNothing) {
  EXPECT_EQ(parse_uint("18446744073709551615"), 18446744073709551615ull);
  for (const char* bad : {"", "-1", "+1", " 1", "1 ", "18446744073709551616", "0x1"}) {
    EXPECT_EQ(parse_uint(bad), std::nullopt) << bad;
  }
}

TEST(Strings, Base64RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    bytes += static_cast<char>(i * 7);
  }
}

TEST(Strings, Base64RefusesMalformedTextAndSkipsWhiteSpace) {
  EXPECT_EQ(base64_decode("aGVs\nbG8="), "hello");
  for (const char* bad : {"a", "a===", "aGVsbG8", "aGVs=bG8", "aG!s", "===="}) {
    EXPECT_EQ(base64_decode(bad), std::nullopt) << bad;
  }
}

TEST(Strings, PercentCodingRoundTripsAndRefusesMalformedEscapes) {
  const std::string text = "a b/c?d=é&%+";
  EXPECT_EQ(percent_decode(percent_encode(text), false), text);
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  for (const char* bad : {"%", "%1", "%zz", "a%2"}) EXPECT_EQ(percent_decode(bad, false), std::nullopt) << bad;
}

TEST(Strings, Sha256MatchesTheStandardsTestVector) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Strings, TruncationNeverCutsACharacterInTwo) {
  EXPECT_EQ(truncate_utf8("short", 10), "short");
  EXPECT_EQ(truncate_utf8("ééééé", 6), "é...");
  for (size_t max = 0; max < 12; ++max) EXPECT_LE(truncate_utf8("ééééééé", max).size(), max);
}

}  // namespace
}  // namespace gs
