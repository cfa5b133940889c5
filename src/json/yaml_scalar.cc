#include "json/yaml_scalar.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>

namespace gs::json {
namespace {

constexpr std::array<std::string_view, 11> kTrue = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                                    "True", "TRUE", "on",  "On",  "ON"};
constexpr std::array<std::string_view, 11> kFalse = {"n",     "N",     "no",  "No",  "NO", "false",
                                                     "False", "FALSE", "off", "Off", "OFF"};
constexpr std::array<std::string_view, 5> kNull = {"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 12> kNotFinite = {".nan",  ".NaN",  ".NAN",  ".inf",  ".Inf",  ".INF",
                                                         "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF"};

template <size_t N>
bool is_one_of(const std::array<std::string_view, N>& words, std::string_view text) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// The base that a prefix names, which is taken off: 0x, 0o, 0b, or a leading 0 for octal.
int take_base(std::string_view& digits) {
  if (digits.size() < 2 || digits.front() != '0') return 10;
  const char c = static_cast<char>(digits[1] | 0x20);
  const int base = c == 'x' ? 16 : c == 'o' ? 8 : c == 'b' ? 2 : 0;
  digits.remove_prefix(base == 0 ? 1 : 2);
  return base == 0 ? 8 : base;
}

// Go's strconv.ParseInt with base 0, then ParseUint; beyond both the decimal digits are kept.
std::optional<Value> integer(std::string_view text) {
  const bool negative = text.front() == '-';
  const bool sign = negative || text.front() == '+';
  std::string_view digits = text.substr(sign ? 1 : 0);
  const int base = take_base(digits);
  uint64_t magnitude = 0;
  const char* const end = digits.data() + digits.size();
  const auto parsed = std::from_chars(digits.data(), end, magnitude, base);
  if (parsed.ptr != end || digits.empty()) return std::nullopt;
  constexpr uint64_t kLowest = uint64_t{1} << 63;
  if (parsed.ec == std::errc::result_out_of_range || (negative && magnitude > kLowest)) {
    if (base != 10) return std::nullopt;
    return number_value(negative ? text : digits);
  }
  if (parsed.ec != std::errc()) return std::nullopt;
  if (negative) return Value(static_cast<int64_t>(~magnitude + 1));
  return Value(magnitude);
}

// [-+]? ( .digits | digits [.digits?] ) [exponent], as a JSON number: a digit on both sides of the dot.
std::optional<Value> decimal(std::string_view text) {
  std::string json;
  size_t at = 0;
  const auto take_digits = [&] {
    const size_t begin = at;
    while (at < text.size() && is_digit(text[at])) ++at;
    return text.substr(begin, at - begin);
  };
  if (text[at] == '-') json += '-';
  if (text[at] == '-' || text[at] == '+') ++at;
  std::string_view whole = take_digits();
  while (whole.size() > 1 && whole.front() == '0') whole.remove_prefix(1);
  const bool dot = at < text.size() && text[at] == '.';
  if (dot) ++at;
  const std::string_view fraction = dot ? take_digits() : std::string_view();
  if (whole.empty() && fraction.empty()) return std::nullopt;
  json += whole.empty() ? std::string_view("0") : whole;
  if (!fraction.empty()) json.append(".").append(fraction);
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    json += text[at++];
    if (at < text.size() && (text[at] == '-' || text[at] == '+')) json += text[at++];
    const std::string_view exponent = take_digits();
    if (exponent.empty()) return std::nullopt;
    json += exponent;
  }
  if (at != text.size()) return std::nullopt;
  // What is beyond a double is a string, as in Go; what was only written differently is a double.
  Value value = number_value(json);
  return value.number() ? std::optional<Value>(*value.number()) : std::nullopt;
}

}  // namespace

Result<Value> resolve_plain_scalar(std::string_view text) {
  if (is_one_of(kNull, text)) return Value();
  if (is_one_of(kTrue, text)) return Value(true);
  if (is_one_of(kFalse, text)) return Value(false);
  if (is_one_of(kNotFinite, text)) return fail(Code::kInvalid, "\"{}\" has no form in JSON", text);
  const char first = text.front();
  if (!is_digit(first) && first != '-' && first != '+' && first != '.') return Value(text);
  std::string plain;
  std::copy_if(text.begin(), text.end(), std::back_inserter(plain), [](char c) { return c != '_'; });
  if (first != '.') {
    if (auto value = integer(plain)) return *std::move(value);
  }
  if (auto value = decimal(plain)) return *std::move(value);
  return Value(text);
}

}  // namespace gs::json
