#include "store/digest.h"

#include <bit>
#include <cstring>

#include "base/check.h"

namespace gs::store {
namespace {

// The key is no secret: a cluster that lies about its versions deceives itself only.
constexpr uint64_t kKey0 = 0x67756C6673747265ull;
constexpr uint64_t kKey1 = 0x616D2D7374617465ull;

uint64_t load(const char* at, size_t size) {
  uint64_t out = 0;
  for (size_t i = 0; i < size; ++i) out |= uint64_t{static_cast<unsigned char>(at[i])} << (8 * i);
  return out;
}

struct SipState {
  uint64_t v0, v1, v2, v3;
  void rounds(int count) {
    for (int i = 0; i < count; ++i) {
      v0 += v1;
      v1 = std::rotl(v1, 13) ^ v0;
      v0 = std::rotl(v0, 32);
      v2 += v3;
      v3 = std::rotl(v3, 16) ^ v2;
      v0 += v3;
      v3 = std::rotl(v3, 21) ^ v0;
      v2 += v1;
      v1 = std::rotl(v1, 17) ^ v2;
      v2 = std::rotl(v2, 32);
    }
  }
  void word(uint64_t m) {
    v3 ^= m;
    rounds(2);
    v0 ^= m;
  }
};

}  // namespace

Digest siphash(std::string_view bytes, uint64_t key0, uint64_t key1) {
  SipState s{key0 ^ 0x736F6D6570736575ull, key1 ^ 0x646F72616E646F6Dull ^ 0xEE, key0 ^ 0x6C7967656E657261ull, key1 ^ 0x7465646279746573ull};
  size_t at = 0;
  for (; at + 8 <= bytes.size(); at += 8) {
    if constexpr (std::endian::native == std::endian::little) {
      uint64_t word;
      std::memcpy(&word, bytes.data() + at, 8);
      s.word(word);
    } else {
      s.word(load(bytes.data() + at, 8));
    }
  }
  s.word(load(bytes.data() + at, bytes.size() - at) | uint64_t{bytes.size()} << 56);
  Digest out;
  s.v2 ^= 0xEE;
  s.rounds(4);
  out.low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  s.v1 ^= 0xDD;
  s.rounds(4);
  out.high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
  return out;
}

Digester& Digester::number(uint64_t value) {
  char bytes[8];
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  buffer_.append(bytes, 8);
  return *this;
}

Digest Digester::finish() const { return siphash(buffer_, kKey0, kKey1); }

std::string Digest::bytes() const {
  std::string out(16, '\0');
  for (int i = 0; i < 8; ++i) {
    out[i] = static_cast<char>(low >> (8 * i));
    out[8 + i] = static_cast<char>(high >> (8 * i));
  }
  return out;
}

Digest Digest::from_bytes(std::string_view sixteen) {
  GS_CHECK(sixteen.size() == 16);
  Digest out;
  out.low = load(sixteen.data(), 8);
  out.high = load(sixteen.data() + 8, 8);
  return out;
}

}  // namespace gs::store
