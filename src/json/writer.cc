#include "json/writer.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>

#include "json/value.h"

namespace gs::json {

Writer& Writer::key(std::string_view name) {
  comma();
  append_string(out_, name);
  out_ += ':';
  comma_ = false;
  return *this;
}

Writer& Writer::string(std::string_view text) {
  comma();
  append_string(out_, text);
  return *this;
}

Writer& Writer::integer(int64_t value) {
  char digits[24];
  const auto [end, error] = std::to_chars(digits, digits + sizeof digits, value);
  return raw(std::string_view(digits, static_cast<size_t>(end - digits)));
}

Writer& Writer::number(double value) {
  if (!std::isfinite(value)) return null();
  comma();
  fmt::format_to(std::back_inserter(out_), "{}", value);
  return *this;
}

Writer& Writer::raw(std::string_view json) {
  comma();
  out_ += json;
  return *this;
}

}  // namespace gs::json
