#include "store/digest.h"

#include <gmock/gmock.h>

namespace gs::store {
namespace {

// Key 00 01 .. 0f, input 00 01 .. (n-1): vectors_sip128 of the reference implementation.
TEST(DigestTest, IsSipHash128OfTheReference) {
  std::string input;
  const uint64_t key0 = 0x0706050403020100ull, key1 = 0x0F0E0D0C0B0A0908ull;
  const auto hex = [&](const Digest& d) {
    std::string out;
    for (const char c : d.bytes()) {
      char two[3];
      snprintf(two, sizeof two, "%02x", static_cast<unsigned char>(c));
      out += two;
    }
    return out;
  };
  EXPECT_EQ(hex(siphash(input, key0, key1)), "a3817f04ba25a8e66df67214c7550293");
  input.push_back('\0');
  EXPECT_EQ(hex(siphash(input, key0, key1)), "da87c1d86b99af44347659119b22fc45");
}

TEST(DigestTest, FieldsDoNotRunTogether) {
  EXPECT_NE(Digester().text("ab").text("c").finish(), Digester().text("a").text("bc").finish());
  EXPECT_NE(Digester().text("").finish(), Digester().finish());
  EXPECT_EQ(Digester().text("ab").number(7).finish(), Digester().text("ab").number(7).finish());
}

TEST(DigestTest, SumsStandForSets) {
  const Digest a = Digester().text("a").finish(), b = Digester().text("b").finish();
  Digest one, other;
  one += a;
  one += b;
  other += b;
  other += a;
  EXPECT_EQ(one, other);
  one -= b;
  EXPECT_EQ(one, a);
  EXPECT_EQ(Digest::from_bytes(a.bytes()), a);
}

}  // namespace
}  // namespace gs::store
