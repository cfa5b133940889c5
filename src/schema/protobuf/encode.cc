#include "schema/protobuf/encode.h"

#include <algorithm>
#include <bit>
#include <vector>

#include "base/strings.h"
#include "base/time.h"
#include "schema/protobuf/message.h"

namespace gs::schema::protobuf {
namespace {

using json::Value;

void put_varint(uint64_t number, std::string& out) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>(number | 0x80);
  out += static_cast<char>(number);
}

void put_tag(uint32_t number, Wire wire, std::string& out) { put_varint(uint64_t{number} << 3 | static_cast<uint8_t>(wire), out); }

void put_integer(uint32_t number, int64_t value, std::string& out) {
  put_tag(number, Wire::kVarint, out);
  put_varint(static_cast<uint64_t>(value), out);
}

// A message whose length is known when it is written: most are short, so one byte is kept for it.
template <class Write>
void put_message(uint32_t number, std::string& out, Write write) {
  put_tag(number, Wire::kBytes, out);
  const size_t at = out.size();
  out += '\0';
  write(out);
  std::string size;
  put_varint(out.size() - at - 1, size);
  out.replace(at, 1, size);
}

void put_message_of(const Message& message, const Value& object, std::string& out);
void put_value(uint32_t number, const Schema& schema, const Value& value, std::string& out);

const std::string& string_of(const Value& value) {
  static const std::string kNone;
  return value.string() != nullptr ? *value.string() : kNone;
}

int64_t duration_of(std::string_view text) {
  const bool negative = text.starts_with('-');
  const auto duration = parse_go_duration(text.substr(negative ? 1 : 0));
  return duration ? (negative ? -duration->count() : duration->count()) : 0;
}

void put_time(uint32_t number, const Value& value, bool micro, std::string& out) {
  const auto time = value.string() != nullptr ? parse_rfc3339(*value.string()) : std::nullopt;
  put_message(number, out, [&](std::string& o) {
    if (!time) return;  // Go's zero time
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time->time_since_epoch());
    const auto rest = std::chrono::floor<std::chrono::microseconds>(time->time_since_epoch() - seconds);
    put_integer(1, seconds.count(), o);
    put_integer(2, micro ? Duration(rest).count() : 0, o);
  });
}

void put_int_or_string(uint32_t number, const Value& value, std::string& out) {
  put_message(number, out, [&](std::string& o) {
    put_integer(1, value.is_string() ? 1 : 0, o);
    put_integer(2, value.integer().value_or(0), o);
    write_bytes(3, string_of(value), o);
  });
}

void put_props_or(uint32_t number, MessageForm form, const Value& value, std::string& out) {
  put_message(number, out, [&](std::string& o) {
    const bool is_bool = form == MessageForm::kPropsOrBool;
    // A schema is as good as true to Go's reader of JSON.
    if (is_bool) put_integer(1, value.is_object() || value.boolean().value_or(false) ? 1 : 0, o);
    if (value.is_object()) put_value(is_bool ? 2 : 1, schema_props(), value, o);
    if (value.array() == nullptr) return;
    for (const Value& item : *value.array()) {
      form == MessageForm::kPropsOrArray ? put_value(2, schema_props(), item, o) : write_bytes(2, string_of(item), o);
    }
  });
}

// One value of a schema that is neither list nor map.
void put_value(uint32_t number, const Schema& schema, const Value& value, std::string& out) {
  if (is_struct(schema)) return put_message(number, out, [&](std::string& o) { put_message_of(message_of(schema), value, o); });
  if (schema.message == MessageForm::kJson) {
    return put_message(number, out, [&](std::string& o) {
      if (!value.is_null()) write_bytes(1, value.dump(), o);
    });
  }
  if (schema.message == MessageForm::kEmpty) return write_bytes(number, "", out);
  if (schema.message != MessageForm::kNone) return put_props_or(number, schema.message, value, out);
  switch (schema.form) {
    case Form::kBytes: return write_bytes(number, base64_decode(string_of(value)).value_or(""), out);
    case Form::kQuantity: return put_message(number, out, [&](std::string& o) { write_bytes(1, value.is_null() ? "0" : string_of(value), o); });
    case Form::kTime:
    case Form::kMicroTime: return put_time(number, value, schema.form == Form::kMicroTime, out);
    case Form::kDuration: return put_message(number, out, [&](std::string& o) { put_integer(1, duration_of(string_of(value)), o); });
    case Form::kIntOrString: return put_int_or_string(number, value, out);
    default: break;
  }
  switch (wire_of(schema)) {
    case Wire::kVarint: return put_integer(number, schema.type == Type::kBoolean ? value.boolean().value_or(false) : value.integer().value_or(0), out);
    case Wire::kFixed64: {
      put_tag(number, Wire::kFixed64, out);
      auto bits = std::bit_cast<uint64_t>(value.number().value_or(0));
      for (size_t i = 0; i < sizeof bits; ++i, bits >>= 8) out += static_cast<char>(bits);
      return;
    }
    default: return write_bytes(number, string_of(value), out);
  }
}

void put_map(uint32_t number, const Schema& schema, const Value& value, std::string& out) {
  if (value.object() == nullptr) return;
  std::vector<const json::Member*> members;
  for (const json::Member& m : *value.object()) members.push_back(&m);
  std::sort(members.begin(), members.end(), [](const json::Member* a, const json::Member* b) { return a->first < b->first; });
  for (const json::Member* m : members) {
    put_message(number, out, [&](std::string& o) {
      write_bytes(1, m->first, o);
      if (!schema.items) {
        // Bytes that are nil are not there; empty ones are.
        if (schema.form != Form::kBytes || !m->second.is_null()) put_value(2, schema, m->second, o);
        return;
      }
      // A list in a map is a message around it: authentication.v1.ExtraValue.
      put_message(2, o, [&](std::string& list) {
        if (m->second.array() == nullptr) return;
        for (const Value& item : *m->second.array()) put_value(1, *schema.items.schema, item, list);
      });
    });
  }
}

void put_property(uint32_t number, const Property& property, const Value* value, std::string& out) {
  static const Value kNothing;
  const Schema& schema = *property.slot.schema;
  const bool nothing = value == nullptr || value->is_null();
  if (schema.items) {
    if (nothing || value->array() == nullptr) return;
    for (const Value& item : *value->array()) put_value(number, *schema.items.schema, item, out);
  } else if (schema.additional) {
    if (!nothing) put_map(number, *schema.additional.schema, *value, out);
  } else if (!nothing || (!property.pointer && schema.form != Form::kBytes)) {
    put_value(number, schema, nothing ? kNothing : *value, out);
  }
}

void put_message_of(const Message& message, const Value& object, std::string& out) {
  for (const Field& field : message.fields) {
    if (field.embedded != nullptr) {
      put_message(field.number, out, [&](std::string& o) { put_message_of(*field.embedded, object, o); });
    } else {
      put_property(field.number, *field.property, object.find(field.property->name), out);
    }
  }
}

}  // namespace

void write_bytes(uint32_t number, std::string_view bytes, std::string& out) {
  put_tag(number, Wire::kBytes, out);
  put_varint(bytes.size(), out);
  out += bytes;
}

void encode(const Schema& schema, const Value& value, std::string& out) { put_message_of(message_of(schema), value, out); }

void write_envelope(std::string_view api_version, std::string_view kind, std::string_view raw, std::string& out) {
  out.append("k8s\0", 4);
  std::string meta;
  write_bytes(1, api_version, meta);
  write_bytes(2, kind, meta);
  write_bytes(1, meta, out);
  write_bytes(2, raw, out);
  write_bytes(3, "", out);
  write_bytes(4, "", out);
}

}  // namespace gs::schema::protobuf
