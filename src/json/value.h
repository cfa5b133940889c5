// json::Value: an owned, mutable JSON tree, for what is small and edited: manifests, kubeconfigs,
// status, bodies that we compose. Cached objects stay raw bytes (kube/object.h) and are scanned.
// Values own what they hold and belong to one thread at a time. Nothing here throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace gs::json {

class Value;
using Array = std::vector<Value>;
struct Member;

// Members in the order they were added; the last of two equal keys wins when parsing, as in Go.
class Object {
 public:
  Object();
  explicit Object(std::vector<Member> members_with_different_keys);
  // Defined where Member is complete.
  Object(const Object&);
  Object(Object&&) noexcept;
  Object& operator=(const Object&);
  Object& operator=(Object&&) noexcept;
  ~Object();

  Value* find(std::string_view key);
  const Value* find(std::string_view key) const;
  Value& operator[](std::string_view key);  // null is added where it is missing
  bool erase(std::string_view key);
  bool empty() const;
  size_t size() const;
  std::vector<Member>::iterator begin();
  std::vector<Member>::iterator end();
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;

 private:
  std::vector<Member> members_;
};

// A number that neither int64_t nor double gives back as it was written: 18446744073709551616, 1.10.
// Its text is kept, so that what is read and not edited is written unchanged.
struct RawNumber {
  std::string text;  // a JSON number
};

class Value {
 public:
  Value() = default;  // null
  Value(bool v) : data_(v) {}
  Value(int v) : data_(int64_t{v}) {}
  Value(int64_t v) : data_(v) {}
  Value(uint64_t v);
  Value(double v) : data_(v) {}
  Value(RawNumber v) : data_(std::move(v)) {}
  Value(std::string v) : data_(std::move(v)) {}
  Value(std::string_view v) : data_(std::string(v)) {}
  Value(const char* v) : data_(std::string(v)) {}
  Value(Array v) : data_(std::move(v)) {}
  Value(Object v) : data_(std::move(v)) {}

  bool is_null() const { return std::holds_alternative<std::monostate>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_number() const { return data_.index() >= 2 && data_.index() <= 4; }

  // nullptr or nullopt where it is of another type.
  Object* object() { return std::get_if<Object>(&data_); }
  const Object* object() const { return std::get_if<Object>(&data_); }
  Array* array() { return std::get_if<Array>(&data_); }
  const Array* array() const { return std::get_if<Array>(&data_); }
  const std::string* string() const { return std::get_if<std::string>(&data_); }
  std::optional<int64_t> integer() const;
  std::optional<bool> boolean() const;
  // The nearest double of any number; nullopt beyond a double's range.
  std::optional<double> number() const;
  const RawNumber* raw_number() const { return std::get_if<RawNumber>(&data_); }
  // "object", "array", "string", "number", "boolean" or "null", for messages.
  std::string_view type_name() const;

  // The member of an object; nullptr where this is no object or has no such member.
  const Value* find(std::string_view key) const;
  // find() along "a.b.c".
  const Value* at(std::string_view dotted_path) const;
  // The value at a JSON pointer (RFC 6901): "" is this value, "/a~1b/0" walks members and indexes.
  const Value* pointer(std::string_view json_pointer) const;
  Value* pointer(std::string_view json_pointer);
  // The string at a path, or empty.
  std::string_view text(std::string_view dotted_path) const;
  // As an object; whatever it was becomes an empty one.
  Object& make_object();
  Array& make_array();
  std::string& emplace_string() { return data_.emplace<std::string>(); }
  Value& operator[](std::string_view key) { return make_object()[key]; }

  // Compact. What is not a number in JSON (infinity, not-a-number) becomes null.
  std::string dump() const;
  // Members in any order; numbers by value (1 == 1.0), but integers beyond int64_t by their digits.
  friend bool operator==(const Value& a, const Value& b);

 private:
  std::variant<std::monostate, bool, int64_t, double, RawNumber, std::string, Array, Object> data_;
};

struct Member {
  std::string first;
  Value second;
};

inline Object::Object() = default;
inline Object::Object(Object&&) noexcept = default;
inline Object& Object::operator=(Object&&) noexcept = default;
inline Object::~Object() = default;
inline bool Object::empty() const { return members_.empty(); }
inline size_t Object::size() const { return members_.size(); }
inline std::vector<Member>::iterator Object::begin() { return members_.begin(); }
inline std::vector<Member>::iterator Object::end() { return members_.end(); }
inline std::vector<Member>::const_iterator Object::begin() const { return members_.begin(); }
inline std::vector<Member>::const_iterator Object::end() const { return members_.end(); }

// Strict JSON (RFC 8259, valid UTF-8), at most `kMaxDepth` objects and arrays deep (empty ones are not
// counted). The last of equal keys wins and an escaped lone surrogate becomes U+FFFD, both as in Go.
// kInvalid with what is wrong and the offset. About 150 MB/s.
inline constexpr size_t kMaxDepth = 512;
Result<Value> parse(std::string_view text);

// The value of a text that is a JSON number: an integer, a double, or the text itself (RawNumber).
Value number_value(std::string_view text);

// "a~1b~0" -> "a/b~".
std::string unescape_pointer_token(std::string_view token);

// `text` as a JSON string, quotes included, appended to `out`.
void append_string(std::string& out, std::string_view text);

}  // namespace gs::json
