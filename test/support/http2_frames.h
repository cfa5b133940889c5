// HTTP/2 frames by hand, for peers that do what no library would.
#pragma once

#include <cstdint>
#include <string>

namespace gs::test::h2 {

inline std::string number(uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8), static_cast<char>(value)};
}
inline std::string frame(uint8_t type, uint8_t flags, uint32_t stream, const std::string& payload = {}) {
  std::string out = number(static_cast<uint32_t>(payload.size())).substr(1);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  return out + number(stream) + payload;
}
inline std::string settings(const std::string& payload = {}) { return frame(4, 0, 0, payload); }
inline std::string head200(uint32_t stream, uint8_t flags = 4) { return frame(1, flags, stream, "\x88"); }
inline std::string data(uint32_t stream, const std::string& bytes, bool end) { return frame(0, end ? 1 : 0, stream, bytes); }
inline std::string goaway(uint32_t last, uint32_t code = 0) { return frame(7, 0, 0, number(last) + number(code)); }
inline std::string reset(uint32_t stream, uint32_t code) { return frame(3, 0, stream, number(code)); }

}  // namespace gs::test::h2
