// The shape of objects: what Kubernetes publishes of its own types, and what CRDs say of theirs, in one model. A schema and
// all it refers to live in one arena and are immutable; a SchemaPtr keeps the arena. Shared by loops.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"
#include "schema/schema_ptr.h"

namespace re2 {
class RE2;
}

namespace gs::schema {

enum class Type : uint8_t { kAny, kObject, kArray, kString, kInteger, kNumber, kBoolean };
// Types of Kubernetes with a form of their own in JSON.
enum class Form : uint8_t { kPlain, kInt32, kInt64, kIntOrString, kQuantity, kTime, kMicroTime, kDuration, kBytes };
// What has no form in JSON but a message of its own in protobuf: JSON as bytes, a struct without fields, apiextensions' alternatives.
enum class MessageForm : uint8_t { kNone, kJson, kEmpty, kPropsOrArray, kPropsOrBool, kPropsOrStrings };
enum class ListType : uint8_t { kAtomic, kSet, kMap };

struct Schema;

// A place where a value of a schema stands: a property, an item, the value of a map.
struct Slot {
  const Schema* schema = nullptr;
  const json::Value* initial = nullptr;  // the default; null: none
  explicit operator bool() const { return schema != nullptr; }
};

struct Property {
  std::string_view name;
  Slot slot;
  bool required = false;
  // Of built-in types, as Go writes them to JSON.
  bool pointer = false;     // nothing and zero are two things
  bool omit_empty = false;  // zero is not written
  bool omit_zero = false;   // the same for structs and times
  // In protobuf: the numbers of the embedded structs that it stands in, then its own; zeros behind.
  std::array<uint8_t, 4> numbers{};
  std::string_view go_type;         // of a named scalar: "v1.Protocol"
  std::string_view patch_strategy;  // "merge", "retainKeys", "merge,retainKeys", or empty
  std::string_view merge_key;
};

// What a CRD's schema says beyond types. Absent bounds are nullopt.
struct Rules {
  std::optional<double> minimum, maximum, multiple_of;
  bool exclusive_minimum = false, exclusive_maximum = false;
  std::optional<int64_t> min_length, max_length, min_items, max_items, min_properties, max_properties;
  bool unique_items = false;
  std::string pattern;
  std::shared_ptr<const re2::RE2> pattern_re;
  std::vector<json::Value> enumeration;
  std::vector<const Schema*> all_of, any_of, one_of;
  const Schema* negated = nullptr;
};

struct Schema {
  Type type = Type::kAny;
  Form form = Form::kPlain;
  MessageForm message = MessageForm::kNone;
  ListType list_type = ListType::kAtomic;
  bool list_type_given = false;
  bool atomic_map = false;  // x-kubernetes-map-type: atomic
  bool nullable = false;
  bool preserve_unknown = false;
  bool embedded = false;  // x-kubernetes-embedded-resource
  bool int_or_string = false;
  std::string_view name;    // of a built-in struct: "apps.v1.DeploymentSpec"
  std::string_view format;  // of a CRD, as it stands there
  std::vector<Property> properties;           // by name
  std::vector<std::string_view> required;     // of a CRD, in its order
  Slot additional;                            // the values of a map
  Slot items;
  std::vector<std::string_view> map_keys;  // of a list of type map
  std::unique_ptr<const Rules> rules;      // null: none

  const Property* find(std::string_view property) const;
  // "DeploymentSpec", as Go calls it within its package.
  std::string_view go_name() const { return name.substr(name.rfind('.') + 1); }
};

// Where schemas of one type live. Texts that they view too.
struct Arena {
  std::deque<Schema> schemas;
  std::deque<std::string> texts;
  std::deque<json::Value> values;

  std::string_view text(std::string_view copied) { return texts.emplace_back(copied); }
};

}  // namespace gs::schema
