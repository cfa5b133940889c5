// json::Writer: writes JSON straight to the end of a string, for hot paths. It borrows the string,
// keeps one flag of state and allocates nothing itself. It places commas; that members have keys and
// that objects and arrays are closed is the caller's part. Strings are expected to be UTF-8.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace gs::json {

class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  Writer& begin_object() { return open('{'); }
  Writer& end_object() { return close('}'); }
  Writer& begin_array() { return open('['); }
  Writer& end_array() { return close(']'); }
  Writer& key(std::string_view name);

  Writer& string(std::string_view text);
  Writer& integer(int64_t value);
  Writer& number(double value);  // null where it is not finite
  Writer& boolean(bool value) { return raw(value ? "true" : "false"); }
  Writer& null() { return raw("null"); }
  // One value that is JSON already; not looked at.
  Writer& raw(std::string_view json);

 private:
  void comma() {
    if (comma_) out_ += ',';
    comma_ = true;
  }
  Writer& open(char bracket) {
    comma();
    out_ += bracket;
    comma_ = false;
    return *this;
  }
  Writer& close(char bracket) {
    out_ += bracket;
    comma_ = true;
    return *this;
  }

  std::string& out_;
  bool comma_ = false;  // a value stands before, at this level
};

}  // namespace gs::json
