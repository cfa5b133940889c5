#include "json/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "base/strings.h"

namespace gs::json {
namespace {

void append(std::string& out, const Value& value);

void append_members(std::string& out, const Object& object) {
  out += '{';
  bool first = true;
  for (const auto& [key, value] : object) {
    if (!first) out += ',';
    first = false;
    append_string(out, key);
    out += ':';
    append(out, value);
  }
  out += '}';
}

void append_elements(std::string& out, const Array& array) {
  out += '[';
  for (size_t i = 0; i < array.size(); ++i) {
    if (i > 0) out += ',';
    append(out, array[i]);
  }
  out += ']';
}

void append(std::string& out, const Value& value) {
  if (const Object* object = value.object()) return append_members(out, *object);
  if (const Array* array = value.array()) return append_elements(out, *array);
  if (const std::string* text = value.string()) return append_string(out, *text);
  if (const auto integer = value.integer()) {
    out += std::to_string(*integer);
  } else if (const RawNumber* raw = value.raw_number()) {
    out += raw->text;
  } else if (const auto number = value.number()) {
    out += std::isfinite(*number) ? fmt::format("{}", *number) : "null";
  } else if (const auto boolean = value.boolean()) {
    out += *boolean ? "true" : "false";
  } else {
    out += "null";
  }
}

bool is_integer_text(std::string_view text) { return text.find_first_of(".eE") == std::string_view::npos; }

bool equals(int64_t integer, double number) {
  // 2^63 itself is beyond int64_t; below it the conversion is defined, and exact where there is no fraction.
  return number >= -0x1p63 && number < 0x1p63 && std::trunc(number) == number &&
         static_cast<int64_t>(number) == integer;
}

bool numbers_equal(const Value& a, const Value& b) {
  if (a.integer() && b.integer()) return a.integer() == b.integer();
  const RawNumber* x = a.raw_number();
  const RawNumber* y = b.raw_number();
  if (x != nullptr && y != nullptr && (x->text == y->text || (is_integer_text(x->text) && is_integer_text(y->text)))) {
    return x->text == y->text;
  }
  if (!a.number() || !b.number()) return false;
  if (a.integer()) return equals(*a.integer(), *b.number());
  if (b.integer()) return equals(*b.integer(), *a.number());
  return *a.number() == *b.number();
}

// The index that a token of a JSON pointer names in an array.
std::optional<size_t> index_of(std::string_view token) {
  if (token.size() > 1 && token.front() == '0') return std::nullopt;
  return parse_uint(token);
}

}  // namespace

Object::Object(std::vector<Member> members_with_different_keys) : members_(std::move(members_with_different_keys)) {}

Object::Object(const Object&) = default;
Object& Object::operator=(const Object&) = default;

Value* Object::find(std::string_view key) {
  const auto at = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.first == key; });
  return at == members_.end() ? nullptr : &at->second;
}

const Value* Object::find(std::string_view key) const { return const_cast<Object*>(this)->find(key); }

Value& Object::operator[](std::string_view key) {
  if (Value* found = find(key)) return *found;
  return members_.emplace_back(std::string(key), Value()).second;
}

bool Object::erase(std::string_view key) {
  return std::erase_if(members_, [&](const Member& m) { return m.first == key; }) > 0;
}

Value::Value(uint64_t v) {
  if (v <= INT64_MAX) {
    data_ = static_cast<int64_t>(v);
  } else {
    data_ = RawNumber{std::to_string(v)};
  }
}

std::optional<int64_t> Value::integer() const {
  const auto* v = std::get_if<int64_t>(&data_);
  return v != nullptr ? std::optional(*v) : std::nullopt;
}

std::optional<bool> Value::boolean() const {
  const auto* v = std::get_if<bool>(&data_);
  return v != nullptr ? std::optional(*v) : std::nullopt;
}

std::optional<double> Value::number() const {
  if (const auto v = integer()) return static_cast<double>(*v);
  if (const auto* v = std::get_if<double>(&data_)) return *v;
  const RawNumber* raw = raw_number();
  if (raw == nullptr) return std::nullopt;
  double value = 0;
  const auto [end, error] = std::from_chars(raw->text.data(), raw->text.data() + raw->text.size(), value);
  return error == std::errc() ? std::optional(value) : std::nullopt;
}

std::string_view Value::type_name() const {
  constexpr std::string_view kNames[] = {"null",   "boolean", "number", "number",
                                         "number", "string",  "array",  "object"};
  return kNames[data_.index()];
}

const Value* Value::find(std::string_view key) const {
  const Object* o = object();
  return o != nullptr ? o->find(key) : nullptr;
}

const Value* Value::at(std::string_view path) const {
  const Value* value = this;
  while (value != nullptr && !path.empty()) {
    const size_t dot = path.find('.');
    value = value->find(path.substr(0, dot));
    path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
  }
  return value;
}

const Value* Value::pointer(std::string_view json_pointer) const {
  const Value* value = this;
  while (value != nullptr && !json_pointer.empty()) {
    if (json_pointer.front() != '/') return nullptr;
    json_pointer.remove_prefix(1);
    const size_t slash = std::min(json_pointer.find('/'), json_pointer.size());
    const std::string token = unescape_pointer_token(json_pointer.substr(0, slash));
    json_pointer.remove_prefix(slash);
    if (const Array* array = value->array()) {
      const auto index = index_of(token);
      value = index && *index < array->size() ? &(*array)[*index] : nullptr;
    } else {
      value = value->find(token);
    }
  }
  return value;
}

Value* Value::pointer(std::string_view json_pointer) {
  return const_cast<Value*>(std::as_const(*this).pointer(json_pointer));
}

std::string_view Value::text(std::string_view path) const {
  const Value* value = at(path);
  const std::string* found = value != nullptr ? value->string() : nullptr;
  return found != nullptr ? std::string_view(*found) : std::string_view();
}

Object& Value::make_object() {
  if (!is_object()) data_ = Object();
  return *object();
}

Array& Value::make_array() {
  if (!is_array()) data_ = Array();
  return *array();
}

std::string Value::dump() const {
  std::string out;
  append(out, *this);
  return out;
}

bool operator==(const Value& a, const Value& b) {
  const Object* x = a.object();
  const Object* y = b.object();
  if (x == nullptr || y == nullptr) {
    if (a.is_number() && b.is_number()) return numbers_equal(a, b);
    if (a.data_.index() != b.data_.index()) return false;
    if (a.is_array()) return *a.array() == *b.array();
    if (a.is_string()) return *a.string() == *b.string();
    return a.boolean() == b.boolean();
  }
  if (x->size() != y->size()) return false;
  return std::all_of(x->begin(), x->end(), [&](const Member& m) {
    const Value* other = y->find(m.first);
    return other != nullptr && *other == m.second;
  });
}

std::string unescape_pointer_token(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    const bool escape = token[i] == '~' && i + 1 < token.size() && (token[i + 1] == '0' || token[i + 1] == '1');
    out += escape ? (token[++i] == '0' ? '~' : '/') : token[i];
  }
  return out;
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  size_t plain = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte >= 0x20 && byte != '"' && byte != '\\') continue;
    out.append(text, plain, i - plain);
    plain = i + 1;
    switch (byte) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      default: fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

}  // namespace gs::json
