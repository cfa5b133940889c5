#include "schema/protobuf/reader.h"

#include <fmt/format.h>

#include <limits>

namespace gs::schema::protobuf {

void Reader::fail(const char* error) {
  if (error_.empty()) error_ = error;
  in_ = {};
}

uint64_t Reader::varint() {
  uint64_t out = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (in_.empty()) return fail("unexpected EOF"), 0;
    const auto byte = static_cast<unsigned char>(in_.front());
    in_.remove_prefix(1);
    out |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return out;
  }
  return fail("proto: integer overflow"), 0;
}

uint64_t Reader::fixed64() {
  constexpr size_t kSize = 8;
  if (in_.size() < kSize) return fail("unexpected EOF"), 0;
  uint64_t out = 0;
  for (size_t i = kSize; i-- > 0;) out = out << 8 | static_cast<unsigned char>(in_[i]);
  in_.remove_prefix(kSize);
  return out;
}

std::string_view Reader::bytes() {
  const uint64_t size = varint();
  if (!error_.empty()) return {};
  if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return fail("proto: negative length found during unmarshaling"), std::string_view();
  if (size > in_.size()) return fail("unexpected EOF"), std::string_view();
  const std::string_view out = in_.substr(0, size);
  in_.remove_prefix(size);
  return out;
}

bool Reader::next() {
  if (in_.empty()) return false;
  const uint64_t tag = varint();
  if (!error_.empty()) return false;
  number_ = static_cast<uint32_t>(tag >> 3);
  const auto wire = static_cast<uint8_t>(tag & 7);
  wire_ = static_cast<Wire>(wire);
  if (wire_ == Wire::kEndGroup) return fail("proto: wiretype end group for non-group"), false;
  if (number_ == 0 || number_ > static_cast<uint32_t>(std::numeric_limits<int32_t>::max())) {
    return fail(fmt::format("proto: illegal tag {} (wire type {})", static_cast<int32_t>(number_), wire).c_str()), false;
  }
  return true;
}

void Reader::skip() {
  switch (wire_) {
    case Wire::kVarint: varint(); return;
    case Wire::kFixed64: fixed64(); return;
    case Wire::kBytes: bytes(); return;
    case Wire::kStartGroup: return skip_group();
    case Wire::kEndGroup: return;
    case Wire::kFixed32:
      if (in_.size() < 4) return fail("unexpected EOF");
      in_.remove_prefix(4);
      return;
  }
  fail(fmt::format("proto: illegal wireType {}", static_cast<int>(wire_)).c_str());
}

// Without recursion: groups may be as deep as there are bytes.
void Reader::skip_group() {
  for (size_t depth = 1; depth > 0;) {
    const uint64_t tag = varint();
    if (!error_.empty()) return;
    wire_ = static_cast<Wire>(tag & 7);
    if (wire_ == Wire::kStartGroup) {
      ++depth;
    } else if (wire_ == Wire::kEndGroup) {
      --depth;
    } else {
      skip();
      if (!error_.empty()) return;
    }
  }
}

}  // namespace gs::schema::protobuf
