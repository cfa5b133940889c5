// A cursor over the bytes of JSON that has been validated: no tree and no allocation. Internal. In text
// that is not valid JSON the answers mean nothing, but nothing outside the text is touched.
#pragma once

#include <cstring>
#include <string_view>

namespace gs::json {

inline bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  char peek() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }
  // The next value of any kind, raw. Empty at the end.
  std::string_view value() {
    const char c = peek();
    const size_t begin = at_;
    if (c == '"') {
      skip_string();
    } else if (c == '{' || c == '[') {
      skip_nested();
    } else {
      while (at_ < text_.size() && std::strchr(",]} \t\r\n", text_[at_]) == nullptr) ++at_;
    }
    return text_.substr(begin, at_ - begin);
  }

 private:
  // A quote ends the string unless an odd number of backslashes stands before it.
  void skip_string() {
    const size_t begin = ++at_;
    while (at_ < text_.size()) {
      const void* quote = std::memchr(text_.data() + at_, '"', text_.size() - at_);
      if (quote == nullptr) break;
      const size_t end = static_cast<size_t>(static_cast<const char*>(quote) - text_.data());
      size_t backslashes = 0;
      while (end - backslashes > begin && text_[end - backslashes - 1] == '\\') ++backslashes;
      at_ = end + 1;
      if (backslashes % 2 == 0) return;
    }
    at_ = text_.size();
  }
  void skip_nested() {
    int depth = 0;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        skip_string();
        continue;
      }
      ++at_;
      // '[' and '{', ']' and '}' differ in one bit.
      const char bracket = static_cast<char>(c | 0x20);
      if (bracket == '{') ++depth;
      if (bracket == '}' && --depth == 0) return;
    }
  }
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace gs::json
