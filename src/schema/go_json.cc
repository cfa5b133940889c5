#include "schema/go_json.h"

#include <fmt/format.h>

#include <vector>

#include "schema/go_text.h"

namespace gs::schema {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// scanner.go's quoteChar: a byte is taken for the character of that number.
std::string quote_char(char c) {
  if (c == '\'') return R"('\'')";
  if (c == '"') return R"('"')";
  const auto byte = static_cast<unsigned char>(c);
  if (byte >= 0x80 && byte <= 0xa0) return fmt::format("'\\u{:04x}'", byte);
  if (byte == 0xad) return "'\\u00ad'";
  std::string text(1, c);
  if (byte >= 0x80) text = {static_cast<char>(0xc0 | byte >> 6), static_cast<char>(0x80 | (byte & 0x3f))};
  const std::string inner = quoted(text);
  return "'" + inner.substr(1, inner.size() - 2) + "'";
}

// encoding/json/scanner.go, as a reader of one text.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  std::string run() {
    value();
    if (problem_.empty()) {
      spaces();
      if (!at_end()) wrong("after top-level value");
    }
    return std::move(problem_);
  }

 private:
  static constexpr int kMaxDepth = 10000;

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void spaces() {
    while (!at_end() && is_space(text_[at_])) ++at_;
  }

  // False, always: what comes next does not belong there.
  bool wrong(std::string_view context) {
    if (!problem_.empty()) return false;
    problem_ = at_end() ? "unexpected end of JSON input" : fmt::format("invalid character {} {}", quote_char(peek()), context);
    return false;
  }

  bool value() {
    spaces();
    const char c = peek();
    if (at_end()) return wrong("");
    if (c == '{') return object();
    if (c == '[') return array();
    if (c == '"') return string();
    if (c == '-' || is_digit(c)) return number();
    if (c == 't') return literal("true");
    if (c == 'f') return literal("false");
    if (c == 'n') return literal("null");
    return wrong("looking for beginning of value");
  }

  bool deeper() {
    if (++depth_ <= kMaxDepth) return true;
    problem_ = "exceeded max depth";
    return false;
  }

  bool object() {
    ++at_;
    if (!deeper()) return false;
    spaces();
    if (peek() == '}' && !at_end()) return close();
    while (true) {
      spaces();
      if (at_end() || peek() != '"') return wrong("looking for beginning of object key string");
      if (!string()) return false;
      spaces();
      if (at_end() || peek() != ':') return wrong("after object key");
      ++at_;
      if (!value()) return false;
      spaces();
      if (!at_end() && peek() == '}') return close();
      if (at_end() || peek() != ',') return wrong("after object key:value pair");
      ++at_;
    }
  }

  bool array() {
    ++at_;
    if (!deeper()) return false;
    spaces();
    if (!at_end() && peek() == ']') return close();
    while (true) {
      if (!value()) return false;
      spaces();
      if (!at_end() && peek() == ']') return close();
      if (at_end() || peek() != ',') return wrong("after array element");
      ++at_;
    }
  }

  bool close() {
    ++at_;
    --depth_;
    return true;
  }

  bool string() {
    ++at_;
    while (true) {
      if (at_end()) return wrong("");
      const char c = peek();
      if (static_cast<unsigned char>(c) < 0x20) return wrong("in string literal");
      ++at_;
      if (c == '"') return true;
      if (c == '\\' && !escape()) return false;
    }
  }

  bool escape() {
    const char c = peek();
    if (at_end() || std::string_view("bfnrt\\/\"u").find(c) == std::string_view::npos) return wrong("in string escape code");
    ++at_;
    for (int i = 0; c == 'u' && i < 4; ++i, ++at_) {
      if (at_end() || !is_hex(peek())) return wrong("in \\u hexadecimal character escape");
    }
    return true;
  }

  void digits() {
    while (!at_end() && is_digit(peek())) ++at_;
  }

  bool number() {
    if (peek() == '-') ++at_;
    if (at_end() || !is_digit(peek())) return wrong("in numeric literal");
    if (peek() == '0') ++at_;
    else digits();
    if (!at_end() && peek() == '.') {
      ++at_;
      if (at_end() || !is_digit(peek())) return wrong("after decimal point in numeric literal");
      digits();
    }
    if (!at_end() && (peek() == 'e' || peek() == 'E')) {
      ++at_;
      if (!at_end() && (peek() == '+' || peek() == '-')) ++at_;
      if (at_end() || !is_digit(peek())) return wrong("in exponent of numeric literal");
      digits();
    }
    return true;
  }

  bool literal(std::string_view word) {
    for (size_t i = 0; i < word.size(); ++i, ++at_) {
      if (at_end() || peek() != word[i]) return wrong(fmt::format("in literal {} (expecting '{}')", word, word[i]));
    }
    return true;
  }

  std::string_view text_;
  std::string problem_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

std::string go_json_problem(std::string_view text) { return Scanner(text).run(); }

Result<json::Value> parse_as_go(std::string_view text) {
  Result<json::Value> value = json::parse(text);
  if (value) return value;
  const std::string problem = go_json_problem(text);
  if (problem.empty()) return value;
  return fail(Code::kInvalid, "{}", problem);
}

std::string_view go_json_kind(const json::Value& value) {
  const std::string_view name = value.type_name();
  return name == "boolean" ? "bool" : name;
}

}  // namespace gs::schema
