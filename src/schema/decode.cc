#include "schema/decode.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "base/strings.h"
#include "base/time.h"
#include "schema/field_error.h"
#include "schema/formats.h"
#include "schema/go_json.h"

namespace gs::schema {
namespace {

using json::Value;

bool is_struct(const Schema& schema) { return schema.type == Type::kObject && !schema.name.empty(); }

// "v1.PodSpec" of "core.v1.PodSpec".
std::string_view qualified_go_name(std::string_view name) {
  const size_t last = name.rfind('.'), before = name.rfind('.', last - 1);
  return name.substr(before == std::string_view::npos ? 0 : before + 1);
}

std::string go_type(const Schema& schema, const Property* property) {
  if (is_struct(schema)) return std::string(qualified_go_name(schema.name));
  if (schema.items) return "[]" + go_type(*schema.items.schema, nullptr);
  if (schema.additional) return "map[string]" + go_type(*schema.additional.schema, nullptr);
  if (property != nullptr && !property->go_type.empty()) return std::string(property->go_type);
  switch (schema.form) {
    case Form::kInt32: return "int32";
    case Form::kInt64: return "int64";
    case Form::kBytes: return "[]uint8";
    case Form::kIntOrString: return "intstr.IntOrString";
    default: break;
  }
  switch (schema.type) {
    case Type::kString: return "string";
    case Type::kBoolean: return "bool";
    case Type::kNumber: return "float64";
    default: return "interface {}";
  }
}

// reflect.Kind of what encoding/json made of it.
std::string_view reflect_kind(const Value& value) {
  if (value.is_object()) return "map";
  if (value.array() != nullptr) return "slice";
  if (value.is_number()) return value.integer() ? "int64" : "float64";
  return go_json_kind(value);
}

// "int32" of a field whose type has a name of its own too: reflect.Kind.
std::string_view reflect_kind(const Schema& schema) {
  switch (schema.type) {
    case Type::kString: return "string";
    case Type::kBoolean: return "bool";
    case Type::kNumber: return "float64";
    default: return schema.form == Form::kInt64 ? "int64" : "int32";
  }
}

// What the converter says of a value that does not fit.
std::string unconvertible(const Schema& schema, const Property* property, const Value& v) {
  if (schema.form == Form::kIntOrString) return fmt::format("json: cannot unmarshal {} into Go value of type {}", go_json_kind(v), v.is_number() ? "int32" : "string");
  const std::string_view kind = reflect_kind(v);
  if (is_struct(schema)) return fmt::format("cannot restore struct from: {}", kind);
  if (schema.items || schema.form == Form::kBytes) return fmt::format("cannot restore slice from {}", kind);
  if (schema.additional) return fmt::format("cannot restore map from {}", kind);
  // Go converts integers to strings and floats to integers, which the converter refuses in words of its own.
  const bool refused = (kind == "int64" && schema.type == Type::kString) || (kind == "float64" && schema.type == Type::kInteger);
  if (refused) return fmt::format("cannot convert {} to {}", kind, go_type(schema, property));
  return fmt::format("unrecognized type: {}", reflect_kind(schema));
}

class Decoder {
 public:
  Decoder(std::vector<std::string>& unknown, Reader reader) : unknown_(unknown), reader_(reader) {}
  std::string take_error() { return std::move(error_); }

  void value(const Schema& schema, const Property* property, Value& v, const std::string& path) {
    if (is_struct(schema)) return object(schema, v, path);
    if (schema.items) return array(schema, property, v, path);
    if (schema.additional) return map(schema, property, v, path);
    if (std::string problem = scalar(schema, v); !problem.empty()) {
      fail(schema.form == Form::kBytes && reader_ == Reader::kConverter ? "error decoding from json: " + problem : std::move(problem));
    }
    if (mismatch(schema, v)) return wrong_type(schema, property, v);
    if (schema.form == Form::kQuantity) v = canonical_quantity(v.string() != nullptr ? *v.string() : v.dump());
    // Bytes are bytes: written back in the one way that Go writes them.
    if (schema.form == Form::kBytes) {
      if (const auto bytes = base64_decode(*v.string())) v = base64_encode(*bytes);
    }
  }

 private:
  void object(const Schema& schema, Value& v, const std::string& path) {
    json::Object* members = v.object();
    if (members == nullptr) return wrong_type(schema, nullptr, v);
    std::vector<std::string> drop;
    for (json::Member& m : *members) {
      const Property* property = schema.find(m.first);
      if (property == nullptr) {
        unknown_.push_back(child(path, m.first));
        drop.push_back(m.first);
        continue;
      }
      if (m.second.is_null()) {
        if (property->slot.schema->type != Type::kAny || property->slot.schema->form != Form::kPlain) drop.push_back(m.first);
        continue;
      }
      const Schema* outer = std::exchange(struct_, &schema);
      fields_.push_back(property->name);
      value(*property->slot.schema, property, m.second, child(path, m.first));
      fields_.pop_back();
      struct_ = outer;
    }
    for (const std::string& name : drop) members->erase(name);
  }

  void array(const Schema& schema, const Property* property, Value& v, const std::string& path) {
    json::Array* items = v.array();
    if (items == nullptr) return wrong_type(schema, property, v);
    for (size_t i = 0; i < items->size(); ++i) inner(*schema.items.schema, (*items)[i], index(path, i));
  }

  void map(const Schema& schema, const Property* property, Value& v, const std::string& path) {
    json::Object* members = v.object();
    if (members == nullptr) return wrong_type(schema, property, v);
    for (json::Member& m : *members) inner(*schema.additional.schema, m.second, child(path, m.first));
  }

  // null in a list or map is the zero value of its type.
  void inner(const Schema& schema, Value& v, const std::string& path) {
    if (v.is_null()) {
      if (is_struct(schema)) v.make_object();
      if (schema.type == Type::kString) v = "";
      return;
    }
    value(schema, nullptr, v, path);
  }

  // What types with a reader of their own say; empty: nothing.
  static std::string scalar(const Schema& schema, const Value& v) {
    const std::string* text = v.string();
    switch (schema.form) {
      case Form::kQuantity:
        if ((text != nullptr && !is_quantity(*text)) || (text == nullptr && !v.is_number())) {
          return "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
        }
        return "";
      case Form::kTime:
      case Form::kMicroTime:
        if (text == nullptr) return fmt::format("json: cannot unmarshal {} into Go value of type string", go_json_kind(v));
        return parse_rfc3339(*text) ? "" : time_problem(*text, schema.form == Form::kMicroTime);
      case Form::kDuration:
        if (text == nullptr) return fmt::format("json: cannot unmarshal {} into Go value of type string", go_json_kind(v));
        return is_go_duration(*text) ? "" : fmt::format("time: invalid duration {}", quoted(*text));
      case Form::kBytes:
        if (text == nullptr) return "";
        return base64_decode(*text) ? "" : fmt::format("illegal base64 data at input byte {}", base64_problem(*text));
      default: return "";
    }
  }

  static std::string time_problem(const std::string& text, bool micro) {
    return fmt::format("parsing time {} as \"2006-01-02T15:04:05{}Z07:00\": cannot parse {} as \"2006\"", quoted(text), micro ? ".000000" : "", quoted(text));
  }

  // By type alone; forms with a reader of their own are judged there.
  static bool mismatch(const Schema& schema, const Value& v) {
    switch (schema.form) {
      case Form::kQuantity:
      case Form::kTime:
      case Form::kMicroTime:
      case Form::kDuration: return false;
      case Form::kIntOrString: return !v.is_string() && !in_range(v, Form::kInt32);
      default: break;
    }
    switch (schema.type) {
      case Type::kString: return !v.is_string();
      case Type::kBoolean: return !v.boolean().has_value();
      case Type::kInteger: return !in_range(v, schema.form);
      case Type::kNumber: return !v.is_number();
      default: return false;
    }
  }

  static bool in_range(const Value& v, Form form) {
    const auto integer = v.integer();
    if (!v.is_number() || !integer) return false;
    return form != Form::kInt32 || (*integer >= std::numeric_limits<int32_t>::min() && *integer <= std::numeric_limits<int32_t>::max());
  }

  void wrong_type(const Schema& schema, const Property* property, const Value& v) {
    if (reader_ == Reader::kConverter) return fail(unconvertible(schema, property, v));
    const bool number = v.is_number() && (schema.type == Type::kInteger || schema.form == Form::kIntOrString);
    const std::string got = number ? fmt::format("number {}", v.dump()) : std::string(go_json_kind(v));
    const std::string type = schema.form == Form::kIntOrString ? "int32" : go_type(schema, property);
    if (struct_ == nullptr) return fail(fmt::format("json: cannot unmarshal {} into Go value of type {}", got, type));
    fail(fmt::format("json: cannot unmarshal {} into Go struct field {}.{} of type {}", got, struct_->go_name(), fmt::join(fields_, "."), type));
  }

  void fail(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }

  std::vector<std::string>& unknown_;
  Reader reader_;
  std::string error_;
  const Schema* struct_ = nullptr;
  std::vector<std::string_view> fields_;
};

bool is_zero(const Schema& schema, const Value& v) {
  if (v.is_null()) return true;
  if (const json::Array* items = v.array()) return items->empty();
  if (const json::Object* members = v.object()) return members->empty() && !is_struct(schema);
  if (schema.form == Form::kIntOrString || schema.form == Form::kQuantity) return false;
  if (const std::string* text = v.string()) return text->empty();
  if (const auto boolean = v.boolean()) return !*boolean;
  return v.is_number() && v.number() == 0.0;
}

// What Go writes of a field that nobody set; nullopt: nothing.
std::optional<Value> zero(const Property& property) {
  const Schema& schema = *property.slot.schema;
  if (property.pointer) return property.omit_empty ? std::nullopt : std::optional(Value());
  if (property.omit_zero) return std::nullopt;
  // Structs are never empty to encoding/json.
  if (is_struct(schema)) return Value(json::Object());
  switch (schema.form) {
    case Form::kQuantity: return Value("0");
    case Form::kTime:
    case Form::kMicroTime: return Value();
    case Form::kDuration: return Value("0s");
    case Form::kIntOrString: return Value(0);
    default: break;
  }
  if (property.omit_empty) return std::nullopt;
  switch (schema.type) {
    case Type::kString: return schema.form == Form::kBytes ? Value() : Value("");
    case Type::kBoolean: return Value(false);
    case Type::kInteger:
    case Type::kNumber: return Value(0);
    default: return Value();
  }
}

}  // namespace

std::string decode(const Schema& schema, Value& value, std::vector<std::string>& unknown, Reader reader) {
  Decoder decoder(unknown, reader);
  decoder.value(schema, nullptr, value, "");
  return decoder.take_error();
}

void fill_defaults(const Schema& schema, Value& value) {
  if (json::Array* items = value.array()) {
    if (schema.items) {
      for (Value& v : *items) fill_defaults(*schema.items.schema, v);
    }
    return;
  }
  json::Object* members = value.object();
  if (members == nullptr) return;
  if (schema.additional) {
    for (json::Member& m : *members) fill_defaults(*schema.additional.schema, m.second);
  }
  for (const Property& property : schema.properties) {
    Value* present = members->find(property.name);
    const bool unset = present == nullptr || (!property.pointer && is_zero(*property.slot.schema, *present));
    if (unset && property.slot.initial != nullptr) (*members)[property.name] = *property.slot.initial;
    if (present != nullptr) fill_defaults(*property.slot.schema, *present);
  }
}

void normalise(const Schema& schema, Value& value) {
  if (json::Array* items = value.array()) {
    if (schema.items) {
      for (Value& v : *items) normalise(*schema.items.schema, v);
    }
    return;
  }
  json::Object* members = value.object();
  if (members == nullptr) return;
  if (schema.additional) {
    for (json::Member& m : *members) normalise(*schema.additional.schema, m.second);
  }
  for (const Property& property : schema.properties) {
    Value* present = members->find(property.name);
    if (present == nullptr) {
      std::optional<Value> written = zero(property);
      if (!written) continue;
      present = &(*members)[property.name];
      *present = *std::move(written);
    }
    normalise(*property.slot.schema, *present);
    const Schema& inner = *property.slot.schema;
    // To encoding/json structs and times are never empty; omitzero is for them.
    const bool time = inner.form == Form::kTime || inner.form == Form::kMicroTime;
    const bool empty_struct = (is_struct(inner) && present->is_object() && present->object()->empty()) || (time && present->is_null());
    if (!property.pointer && ((property.omit_empty && !time && is_zero(inner, *present)) || (property.omit_zero && empty_struct))) {
      members->erase(property.name);
    }
  }
}

}  // namespace gs::schema
