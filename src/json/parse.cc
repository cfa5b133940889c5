// The strict parser into a tree. It is also the arbiter of validity: simdjson refuses numbers beyond
// 64 bits that API servers do write, and gives no offsets, so what it refuses is read again here.
#include <fmt/format.h>

#include <charconv>
#include <unordered_map>

#include "base/strings.h"
#include "json/simd.h"
#include "json/value.h"

namespace gs::json {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

void append_utf8(std::string& out, uint32_t code) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | ((code >> shift) & 0x3F)); };
  if (code < 0x80) {
    out += static_cast<char>(code);
  } else if (code < 0x800) {
    out += static_cast<char>(0xC0 | (code >> 6));
    tail(0);
  } else if (code < 0x10000) {
    out += static_cast<char>(0xE0 | (code >> 12));
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xF0 | (code >> 18));
    tail(12), tail(6), tail(0);
  }
}

// Collects an object's members; a table of keys only where a search from the front would be slow.
class Members {
 public:
  Value& slot(std::string key) {
    if (members_.size() < kFew) return find_or_add(std::move(key));
    if (places_.empty()) {
      for (size_t i = 0; i < members_.size(); ++i) places_.emplace(members_[i].first, i);
    }
    const auto [place, added] = places_.emplace(key, members_.size());
    if (added) members_.emplace_back(std::move(key), Value());
    return members_[place->second].second;
  }
  Object take() { return Object(std::move(members_)); }

 private:
  static constexpr size_t kFew = 24;
  Value& find_or_add(std::string key) {
    for (Member& member : members_) {
      if (member.first == key) return member.second;
    }
    return members_.emplace_back(std::move(key), Value()).second;
  }
  std::vector<Member> members_;
  std::unordered_map<std::string, size_t> places_;
};

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Value> document() {
    Value root;
    if (value(root, 0)) {
      if (peek() == '\0' && at_ == text_.size()) return root;
      refuse("unexpected text behind the value");
    }
    return fail(Code::kInvalid, "invalid JSON at offset {}: {}", at_, why_);
  }

 private:
  bool refuse(const char* why) {
    why_ = why;
    return false;
  }
  char current() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
    return current();
  }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

  // `depth`: the objects and arrays around it.
  bool value(Value& out, size_t depth) {
    switch (peek()) {
      case '{': return object(out, depth);
      case '[': return array(out, depth);
      case '"': return string(out.emplace_string());
      case 't': out = true; return word("true");
      case 'f': out = false; return word("false");
      case 'n': out = Value(); return word("null");
      default: return number(out);
    }
  }

  bool word(std::string_view expected) {
    if (text_.substr(at_, expected.size()) != expected) return refuse("expected a value");
    at_ += expected.size();
    return true;
  }

  bool object(Value& out, size_t depth) {
    ++at_;
    out = Object();
    if (take('}')) return true;
    if (depth >= kMaxDepth) return refuse("nested too deeply");
    Members members;
    do {
      if (peek() != '"') return refuse("expected a key");
      std::string key;
      if (!string(key)) return false;
      if (!take(':')) return refuse("expected ':'");
      if (!value(members.slot(std::move(key)), depth + 1)) return false;
    } while (take(','));
    if (!take('}')) return refuse("expected ',' or '}'");
    out = members.take();
    return true;
  }

  bool array(Value& out, size_t depth) {
    ++at_;
    Array& elements = (out = Array(), *out.array());
    if (take(']')) return true;
    if (depth >= kMaxDepth) return refuse("nested too deeply");
    do {
      if (!value(elements.emplace_back(), depth + 1)) return false;
    } while (take(','));
    return take(']') || refuse("expected ',' or ']'");
  }

  bool string(std::string& out) {
    ++at_;
    out.clear();
    while (true) {
      const size_t plain = at_;
      while (at_ < text_.size() && static_cast<unsigned char>(text_[at_]) >= 0x20 && text_[at_] != '"' &&
             text_[at_] != '\\') {
        ++at_;
      }
      out.append(text_, plain, at_ - plain);
      if (at_ >= text_.size()) return refuse("a string does not end");
      if (text_[at_] == '"') return ++at_, true;
      if (text_[at_] != '\\') return refuse("a control character in a string");
      if (!escape(out)) return false;
    }
  }

  bool escape(std::string& out) {
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    ++at_;
    if (current() == 'u') {
      ++at_;
      return unicode(out);
    }
    const size_t which = at_ < text_.size() ? kNames.find(text_[at_]) : std::string_view::npos;
    if (which == std::string_view::npos) return refuse("an unknown escape in a string");
    out += kMeanings[which];
    ++at_;
    return true;
  }

  bool unicode(std::string& out) {
    uint32_t code = 0;
    if (!hex4(code)) return refuse("a malformed \\u escape");
    if (code >= 0xD800 && code < 0xE000) {
      const size_t behind = at_;
      uint32_t low = 0;
      const bool pair = code < 0xDC00 && text_.substr(at_, 2) == "\\u" && (at_ += 2, hex4(low)) && low >= 0xDC00 &&
                        low < 0xE000;
      code = pair ? 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00) : 0xFFFD;
      if (!pair) at_ = behind;
    }
    append_utf8(out, code);
    return true;
  }

  bool hex4(uint32_t& out) {
    const std::string_view digits = text_.substr(std::min(at_, text_.size()), 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), out, 16);
    if (digits.size() != 4 || error != std::errc() || end != digits.data() + 4) return false;
    at_ += 4;
    return true;
  }

  bool digits() {
    const size_t begin = at_;
    while (is_digit(current())) ++at_;
    return at_ > begin;
  }

  bool number(Value& out) {
    const size_t begin = at_;
    if (current() == '-') ++at_;
    if (!is_digit(current())) return refuse(at_ == begin ? "expected a value" : "a malformed number");
    if (current() == '0') {
      ++at_;
    } else {
      digits();
    }
    if (current() == '.' && (++at_, !digits())) return refuse("a malformed number");
    if (current() == 'e' || current() == 'E') {
      ++at_;
      if (current() == '+' || current() == '-') ++at_;
      if (!digits()) return refuse("a malformed number");
    }
    if (is_digit(current())) return refuse("a number begins with 0");
    out = number_value(text_.substr(begin, at_ - begin));
    return true;
  }

  std::string_view text_;
  size_t at_ = 0;
  const char* why_ = "";
};

// The offset of the first byte that is not UTF-8: the end of the longest valid beginning.
size_t bad_utf8_offset(std::string_view text) {
  size_t at = 0;
  while (at < text.size()) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t size = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (size > 1 && !is_utf8(text.substr(at, size))) return at;
    at += size;
  }
  return at;
}

}  // namespace

Value number_value(std::string_view text) {
  const char* const end = text.data() + text.size();
  if (text != "-0") {
    int64_t integer = 0;
    const auto as_integer = std::from_chars(text.data(), end, integer);
    if (as_integer.ec == std::errc() && as_integer.ptr == end) return integer;
  }
  double number = 0;
  const auto as_double = std::from_chars(text.data(), end, number);
  if (as_double.ec == std::errc() && fmt::format("{}", number) == text) return number;
  return RawNumber{std::string(text)};
}

Result<Value> parse(std::string_view text) {
  if (!is_utf8(text)) return fail(Code::kInvalid, "invalid JSON at offset {}: not UTF-8", bad_utf8_offset(text));
  return Parser(text).document();
}

}  // namespace gs::json
