#include "schema/protobuf/decode.h"

#include <fmt/format.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <map>

#include "base/strings.h"
#include "base/time.h"
#include "json/simd.h"
#include "schema/decode.h"
#include "schema/formats.h"
#include "schema/protobuf/reader.h"

namespace gs::schema::protobuf {
namespace {

using json::Value;

constexpr std::string_view kPrefix("k8s\0", 4);
// Of messages within each other; each is two of JSON's levels at most, and JSON has 512.
constexpr size_t kMaxDepth = 200;
// Two bytes may be an object: what a body of the largest size may become is bounded by this.
constexpr size_t kMaxValues = 1'000'000;

// The entries of maps are gathered by their fields until the message ends: they may come in any order, and many times.
using Maps = std::map<const Property*, std::map<std::string, Value>>;

std::string go_duration(int64_t nanoseconds) {
  if (nanoseconds >= 0) return format_go_duration(Duration(nanoseconds));
  return '-' + format_go_duration(Duration(nanoseconds == INT64_MIN ? INT64_MAX : -nanoseconds));
}

// Go looks at no string's bytes before it writes JSON; then each that is not UTF-8 becomes U+FFFD.
std::string text(std::string_view bytes) {
  if (json::is_utf8(bytes)) return std::string(bytes);
  std::string out;
  while (!bytes.empty()) {
    size_t size = 1;
    while (size <= 4 && !json::is_utf8(bytes.substr(0, size))) ++size;
    const bool good = size <= 4;
    out += good ? bytes.substr(0, size) : std::string_view("\xef\xbf\xbd");
    bytes.remove_prefix(good ? std::min(size, bytes.size()) : 1);
  }
  return out;
}

// Go writes no null where a field that is nothing is left out.
void drop_nulls(const Schema& schema, Value& value) {
  if (json::Array* items = value.array()) {
    if (schema.items) {
      for (Value& v : *items) drop_nulls(*schema.items.schema, v);
    }
    return;
  }
  json::Object* members = value.object();
  if (members == nullptr) return;
  if (schema.additional) {
    for (json::Member& m : *members) drop_nulls(*schema.additional.schema, m.second);
    return;
  }
  std::vector<std::string_view> drop;
  for (json::Member& m : *members) {
    const Property* property = schema.find(m.first);
    if (property == nullptr) continue;
    m.second.is_null() ? drop.push_back(property->name) : drop_nulls(*property->slot.schema, m.second);
  }
  for (const std::string_view name : drop) members->erase(name);
}

void as_go_writes(const Schema& schema, Value& value) {
  drop_nulls(schema, value);
  normalise(schema, value);
}

class Decoder {
 public:
  std::string take_error() { return std::move(error_); }

  void message(const Schema& schema, std::string_view bytes, Value& out) {
    Maps maps;
    if (!out.is_object()) out.make_object();
    fields(message_of(schema), bytes, out, maps);
    for (auto& [property, entries] : maps) put_map(*property, std::move(entries), out);
  }

 private:
  void fail(std::string error) {
    if (error_.empty()) error_ = std::move(error);
  }

  void fields(const Message& message, std::string_view bytes, Value& out, Maps& maps) {
    if (++depth_ > kMaxDepth) fail("proto: messages are nested too deep");
    Reader reader(bytes);
    while (error_.empty() && reader.next()) {
      const Field* field = message.find(reader.number());
      if (field == nullptr) {
        reader.skip();
      } else if (field->embedded != nullptr) {
        if (expect(reader, Wire::kBytes, "an embedded struct")) fields(*field->embedded, reader.bytes(), out, maps);
      } else {
        property(*field->property, reader, out, maps);
      }
    }
    if (!reader.error().empty()) fail(reader.error());
    --depth_;
  }

  bool expect(const Reader& reader, Wire wanted, std::string_view field) {
    if (reader.wire() == wanted) return true;
    std::string name(field == "metadata" ? "objectMeta" : field);
    if (!name.empty() && name[0] >= 'a' && name[0] <= 'z') name[0] = static_cast<char>(name[0] - 'a' + 'A');
    fail(fmt::format("proto: wrong wireType = {} for field {}", static_cast<int>(reader.wire()), name));
    return false;
  }

  void property(const Property& property, Reader& reader, Value& out, Maps& maps) {
    const Schema& schema = *property.slot.schema;
    if (schema.additional) {
      if (expect(reader, Wire::kBytes, property.name)) entry(*schema.additional.schema, reader.bytes(), maps[&property]);
      return;
    }
    if (!schema.items) return single(schema, property.name, reader, out[property.name]);
    Value& list = out[property.name];
    if (list.array() == nullptr) list.make_array();
    const Schema& item = *schema.items.schema;
    const bool packed = reader.wire() == Wire::kBytes && wire_of(item) != Wire::kBytes;
    if (!packed) return single(item, property.name, reader, list.array()->emplace_back());
    Reader values(reader.bytes());
    unpack(item, values, *list.array());
  }

  void unpack(const Schema& item, Reader& values, json::Array& out) {
    while (error_.empty() && values.more()) {
      if (++values_ > kMaxValues) return fail("proto: too many values");
      out.push_back(wire_of(item) == Wire::kVarint ? integer(item, values.varint()) : number(values.fixed64()));
    }
    if (!values.error().empty()) fail(values.error());
  }

  void entry(const Schema& schema, std::string_view bytes, std::map<std::string, Value>& out) {
    std::string key;
    Value value;
    bool valued = false;
    Reader reader(bytes);
    while (error_.empty() && reader.next()) {
      if (reader.number() == 1 && reader.wire() == Wire::kBytes) {
        key = text(reader.bytes());
      } else if (reader.number() == 2) {
        valued = true;
        map_value(schema, reader, value);
      } else {
        reader.skip();
      }
    }
    if (!reader.error().empty()) fail(reader.error());
    if (!valued) value = nothing(schema);
    out.insert_or_assign(std::move(key), std::move(value));
  }

  void map_value(const Schema& schema, Reader& reader, Value& out) {
    if (!schema.items) return single(schema, "value", reader, out);
    // A list in a map is a message around it: authentication.v1.ExtraValue.
    if (!expect(reader, Wire::kBytes, "value")) return;
    out.make_array();
    Reader items(reader.bytes());
    while (error_.empty() && items.next()) {
      if (items.number() == 1) {
        single(*schema.items.schema, "items", items, out.array()->emplace_back());
      } else {
        items.skip();
      }
    }
    if (!items.error().empty()) fail(items.error());
  }

  // What a map's entry has that names no value.
  static Value nothing(const Schema& schema) {
    if (is_struct(schema)) return Value(json::Object());
    if (schema.items) return Value(json::Array());
    if (schema.form == Form::kQuantity) return Value("0");
    return schema.type == Type::kString ? Value("") : Value();
  }

  void single(const Schema& schema, std::string_view name, Reader& reader, Value& out) {
    if (++values_ > kMaxValues) return fail("proto: too many values");
    const Wire wire = wire_of(schema);
    if (!expect(reader, wire, name)) return;
    if (wire == Wire::kVarint) {
      out = integer(schema, reader.varint());
    } else if (wire == Wire::kFixed64) {
      out = number(reader.fixed64());
    } else {
      const std::string_view bytes = reader.bytes();
      if (!reader.error().empty()) return;
      is_struct(schema) ? message(schema, bytes, out) : special(schema, bytes, out);
    }
  }

  Value number(uint64_t bits) {
    const auto number = std::bit_cast<double>(bits);
    if (!std::isfinite(number)) fail("json: unsupported value: " + std::string(std::isnan(number) ? "NaN" : number > 0 ? "+Inf" : "-Inf"));
    return number;
  }

  static Value integer(const Schema& schema, uint64_t number) {
    if (schema.type == Type::kBoolean) return number != 0;
    if (schema.form == Form::kInt32) return static_cast<int>(static_cast<int32_t>(number));
    return static_cast<int64_t>(number);
  }

  void special(const Schema& schema, std::string_view bytes, Value& out) {
    switch (schema.message) {
      case MessageForm::kJson: return raw(bytes, out);
      case MessageForm::kEmpty: return void(out.make_object());
      case MessageForm::kPropsOrArray:
      case MessageForm::kPropsOrBool:
      case MessageForm::kPropsOrStrings: return props_or(schema.message, bytes, out);
      case MessageForm::kNone: break;
    }
    switch (schema.form) {
      case Form::kBytes: out = base64_encode(bytes); return;
      case Form::kQuantity: return quantity(bytes, out);
      case Form::kTime:
      case Form::kMicroTime: return time(bytes, schema.form == Form::kMicroTime, out);
      case Form::kDuration: return duration(bytes, out);
      case Form::kIntOrString: return int_or_string(bytes, out);
      default: out = text(bytes);
    }
  }

  // Calls `each` for each field of a small message; what it does not read is skipped.
  template <class Each>
  void small(std::string_view bytes, Each each) {
    Reader reader(bytes);
    while (error_.empty() && reader.next()) {
      if (!each(reader)) reader.skip();
    }
    if (!reader.error().empty()) fail(reader.error());
  }

  void quantity(std::string_view bytes, Value& out) {
    std::string amount;
    small(bytes, [&](Reader& r) { return r.number() == 1 && expect(r, Wire::kBytes, "string") && (amount = text(r.bytes()), true); });
    if (!error_.empty()) return;
    if (amount.empty()) return void(out = "0");
    if (!is_quantity(amount)) return fail("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
    out = canonical_quantity(amount);
  }

  void time(std::string_view bytes, bool micro, Value& out) {
    out = Value();
    if (bytes.empty()) return;
    int64_t seconds = 0, nanos = 0;
    small(bytes, [&](Reader& r) {
      if (r.number() == 1 && expect(r, Wire::kVarint, "seconds")) return seconds = static_cast<int64_t>(r.varint()), true;
      return r.number() == 2 && expect(r, Wire::kVarint, "nanos") && (nanos = static_cast<int32_t>(r.varint()), true);
    });
    if (!error_.empty()) return;
    constexpr int64_t kFirst = -8'520'336'000, kLast = 8'800'000'000;  // from 1700 on, as from JSON (parse_rfc3339)
    if (seconds < kFirst || seconds > kLast) return fail("Time.MarshalJSON: year outside of range [0,9999]");
    const WallTime at = WallTime(std::chrono::seconds(seconds)) + Duration(micro ? nanos / 1000 * 1000 : 0);
    out = micro ? format_rfc3339_micro(at) : format_rfc3339(at);
  }

  void duration(std::string_view bytes, Value& out) {
    int64_t nanoseconds = 0;
    small(bytes, [&](Reader& r) { return r.number() == 1 && expect(r, Wire::kVarint, "duration") && (nanoseconds = static_cast<int64_t>(r.varint()), true); });
    out = go_duration(nanoseconds);
  }

  void int_or_string(std::string_view bytes, Value& out) {
    int64_t type = 0;
    int32_t number = 0;
    std::string string;
    small(bytes, [&](Reader& r) {
      if (r.number() == 1 && expect(r, Wire::kVarint, "type")) return type = static_cast<int64_t>(r.varint()), true;
      if (r.number() == 2 && expect(r, Wire::kVarint, "intVal")) return number = static_cast<int32_t>(r.varint()), true;
      return r.number() == 3 && expect(r, Wire::kBytes, "strVal") && (string = text(r.bytes()), true);
    });
    if (type != 0 && type != 1) return fail("impossible IntOrString.Type");
    out = type == 1 ? Value(std::move(string)) : Value(int{number});
  }

  // JSON within protobuf: RawExtension, FieldsV1 and apiextensions' JSON.
  void raw(std::string_view bytes, Value& out) {
    std::string_view inner;
    small(bytes, [&](Reader& r) { return r.number() == 1 && expect(r, Wire::kBytes, "raw") && (inner = r.bytes(), true); });
    out = Value();
    if (!error_.empty() || inner.empty()) return;
    auto parsed = json::parse(inner);
    if (!parsed) return fail("json: error calling MarshalJSON for type runtime.RawExtension: " + parsed.error().message);
    out = *std::move(parsed);
  }

  void props_or(MessageForm form, std::string_view bytes, Value& out) {
    Value props, others{json::Array()};
    bool allows = false;
    small(bytes, [&](Reader& r) {
      const bool is_bool = form == MessageForm::kPropsOrBool;
      if (r.number() == (is_bool ? 2u : 1u)) return single(schema_props(), "schema", r, props), true;
      if (is_bool) return r.number() == 1 && expect(r, Wire::kVarint, "allows") && (allows = r.varint() != 0, true);
      if (r.number() != 2) return false;
      if (form == MessageForm::kPropsOrArray) return single(schema_props(), "jSONSchemas", r, others.array()->emplace_back()), true;
      return expect(r, Wire::kBytes, "property") && (others.array()->emplace_back(text(r.bytes())), true);
    });
    if (form != MessageForm::kPropsOrBool && !others.array()->empty()) {
      out = std::move(others);
    } else if (!props.is_null()) {
      out = std::move(props);
    } else {
      out = form == MessageForm::kPropsOrBool ? Value(allows) : Value();
    }
    // These have no schema that could be followed from outside.
    if (json::Array* items = out.array()) {
      for (Value& item : *items) as_go_writes(schema_props(), item);
    } else {
      as_go_writes(schema_props(), out);
    }
  }

  static void put_map(const Property& property, std::map<std::string, Value> entries, Value& out) {
    Value& at = out[property.name];
    // Of a message that came in two parts.
    if (json::Object* before = at.object()) {
      for (json::Member& m : *before) entries.emplace(std::move(m.first), std::move(m.second));
    }
    std::vector<json::Member> members;
    members.reserve(entries.size());
    while (!entries.empty()) {
      auto node = entries.extract(entries.begin());
      members.push_back({std::move(node.key()), std::move(node.mapped())});
    }
    at = json::Object(std::move(members));
  }

  std::string error_;
  size_t depth_ = 0;
  size_t values_ = 0;
};

}  // namespace

std::string read_envelope(std::string_view bytes, Envelope& out) {
  if (bytes.empty()) return "empty data";
  if (!bytes.starts_with(kPrefix)) return "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]";
  if (bytes.size() == kPrefix.size()) return "empty body";
  Reader unknown(bytes.substr(kPrefix.size()));
  while (unknown.next()) {
    if (unknown.wire() != Wire::kBytes || unknown.number() > 2) {
      unknown.skip();
    } else if (unknown.number() == 2) {
      out.raw = unknown.bytes();
    } else {
      Reader meta(unknown.bytes());
      while (meta.next()) {
        if (meta.wire() == Wire::kBytes && meta.number() <= 2) {
          (meta.number() == 1 ? out.api_version : out.kind) = meta.bytes();
        } else {
          meta.skip();
        }
      }
      if (!meta.error().empty()) return meta.error();
    }
  }
  if (!unknown.error().empty()) return unknown.error();
  return json::is_utf8(out.api_version) && json::is_utf8(out.kind) ? "" : "proto: a string is not valid UTF-8";
}

std::string decode(const Schema& schema, std::string_view bytes, Value& value) {
  Decoder decoder;
  decoder.message(schema, bytes, value);
  std::string error = decoder.take_error();
  if (!error.empty()) return error;
  as_go_writes(schema, value);
  return "";
}

}  // namespace gs::schema::protobuf
