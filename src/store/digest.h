// Digest: 128 bits that stand for a text or a set of texts, equal over restarts, builds and machines.
// SipHash-2-4 with 128 bits of output (Aumasson and Bernstein) under a fixed key: two different texts
// have the same digest with a chance of 2^-128, so equal digests are taken to mean equal texts.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace gs::store {

struct Digest {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Digest&) const = default;

  // Sums stand for sets: the order of adding does not matter, and what was added can be taken out.
  Digest& operator+=(const Digest& other) {
    low += other.low;
    high += other.high;
    return *this;
  }
  Digest& operator-=(const Digest& other) {
    low -= other.low;
    high -= other.high;
    return *this;
  }
  bool empty() const { return low == 0 && high == 0; }

  std::string bytes() const;  // 16, little endian
  static Digest from_bytes(std::string_view sixteen);
};

// SipHash-2-4-128 of a byte string.
Digest siphash(std::string_view bytes, uint64_t key0, uint64_t key1);

// Makes the digest of a sequence of fields. Each is marked with its length, so that ("ab","c") and
// ("a","bc") differ.
class Digester {
 public:
  Digester& text(std::string_view field) {
    number(field.size());
    buffer_.append(field);
    return *this;
  }
  Digester& number(uint64_t value);
  Digester& digest(const Digest& value) { return number(value.low).number(value.high); }
  Digest finish() const;
  void clear() { buffer_.clear(); }

 private:
  std::string buffer_;
};

}  // namespace gs::store
