// What Kubernetes says of an object apart from its validation: lists that are sets or maps, and embedded resources.
#include <fmt/format.h>

#include <set>

#include "schema/formats.h"
#include "schema/list_keys.h"
#include "schema/validate.h"

namespace gs::schema {
namespace {

using json::Value;

// The positions at which an item is there for the second time.
std::vector<size_t> repeated(const std::vector<std::string>& keys) {
  std::set<std::string> seen, told;
  std::vector<size_t> out;
  for (size_t i = 0; i < keys.size(); ++i) {
    if (!seen.insert(keys[i]).second && told.insert(keys[i]).second) out.push_back(i);
  }
  return out;
}

void list_types(const Schema& schema, const Value& v, const std::string& path, FieldErrors& errors) {
  if (const json::Array* items = v.array()) {
    std::vector<std::string> keys;
    if (schema.list_type == ListType::kMap) {
      for (size_t i = 0; i < items->size(); ++i) {
        if ((*items)[i].is_object() || (*items)[i].is_null()) continue;
        errors.push_back(invalid(index(path, i), (*items)[i], "must be an object for an array of list-type map"));
        return;
      }
    }
    if (schema.list_type_given && schema.list_type != ListType::kAtomic) {
      const bool map = schema.list_type == ListType::kMap;
      for (const Value& item : *items) keys.push_back(go_json(map ? list_key(schema, item) : item));
      for (const size_t i : repeated(keys)) errors.push_back(duplicate(index(path, i), map ? list_key(schema, (*items)[i]) : (*items)[i]));
    }
    if (!schema.items) return;
    for (size_t i = 0; i < items->size(); ++i) list_types(*schema.items.schema, (*items)[i], index(path, i), errors);
  } else if (const json::Object* members = v.object()) {
    for (const json::Member& m : *members) {
      if (const Property* property = schema.find(m.first)) {
        list_types(*property->slot.schema, m.second, child(path, m.first), errors);
      } else if (schema.additional) {
        list_types(*schema.additional.schema, m.second, key(path, m.first), errors);
      }
    }
  }
}

void embedded(const Schema& schema, const Value& v, const std::string& path, FieldErrors& errors) {
  if (const json::Array* items = v.array()) {
    for (size_t i = 0; schema.items && i < items->size(); ++i) embedded(*schema.items.schema, (*items)[i], index(path, i), errors);
    return;
  }
  const json::Object* members = v.object();
  if (members == nullptr) return;
  if (schema.embedded) {
    for (const char* field : {"apiVersion", "kind"}) {
      const Value* value = members->find(field);
      if (value == nullptr) {
        errors.push_back(required(child(path, field), ""));
      } else if (value->string() == nullptr) {
        errors.push_back(invalid(child(path, field), *value, "must be a string"));
      } else if (value->string()->empty()) {
        errors.push_back(invalid(child(path, field), *value, "must not be empty"));
      }
    }
  }
  for (const json::Member& m : *members) {
    if (const Property* property = schema.find(m.first)) {
      embedded(*property->slot.schema, m.second, child(path, m.first), errors);
    } else if (schema.additional) {
      embedded(*schema.additional.schema, m.second, key(path, m.first), errors);
    }
  }
}

}  // namespace

FieldErrors validate_embedded(const Schema& schema, const Value& object) {
  FieldErrors errors;
  embedded(schema, object, "", errors);
  return errors;
}

FieldErrors validate_list_types(const Schema& schema, const Value& object) {
  FieldErrors errors;
  list_types(schema, object, "", errors);
  return errors;
}

}  // namespace gs::schema
