#include "schema/prune.h"

#include <algorithm>

#include "schema/decode.h"
#include "schema/field_error.h"
#include "schema/kubernetes.h"

namespace gs::schema {
namespace {

using json::Value;

bool is_meta(std::string_view name) { return name == "apiVersion" || name == "kind" || name == "metadata"; }

class Pruner {
 public:
  std::vector<std::string> unknown;

  // `schema` null: nothing is known below. `keep`: unknown fields stay here, though not in what the schema specifies.
  void prune(const Schema* schema, Value& v, const std::string& path, bool embedded, bool keep) {
    if (json::Array* items = v.array()) {
      const Schema* inner = schema != nullptr ? schema->items.schema : nullptr;
      if (keep && inner == nullptr) return;
      for (size_t i = 0; i < items->size(); ++i) prune(inner, (*items)[i], index(path, i), is_embedded(inner), keep || preserves(inner));
      return;
    }
    json::Object* members = v.object();
    if (members == nullptr) return;
    std::vector<std::string> drop;
    for (json::Member& m : *members) {
      if (embedded && m.first == "metadata" && !path.empty()) metadata(m.second, child(path, m.first));
      if (embedded && is_meta(m.first)) continue;
      const Property* property = schema != nullptr ? schema->find(m.first) : nullptr;
      if (property != nullptr || (schema != nullptr && schema->additional)) {
        const Schema* inner = property != nullptr ? property->slot.schema : schema->additional.schema;
        prune(inner, m.second, child(path, m.first), inner->embedded, inner->preserve_unknown);
      } else if (!keep) {
        if (!is_meta(m.first) || !path.empty()) unknown.push_back(child(path, m.first));
        drop.push_back(m.first);
      }
    }
    for (const std::string& name : drop) members->erase(name);
  }

 private:
  // Of an embedded resource: a struct, of which what is unknown goes (objectmeta.Coerce).
  void metadata(Value& v, const std::string& path) {
    static const SchemaPtr meta = kubernetes_schema("meta.v1.ObjectMeta");
    if (!v.is_object()) return;
    std::vector<std::string> found;
    if (!decode(*meta, v, found).empty()) return;
    for (const std::string& name : found) unknown.push_back(child(path, name));
  }
  static bool is_embedded(const Schema* schema) { return schema != nullptr && schema->embedded; }
  static bool preserves(const Schema* schema) { return schema != nullptr && schema->preserve_unknown; }
};

const Slot* slot_of(const Schema& schema, std::string_view name) {
  if (const Property* property = schema.find(name)) return &property->slot;
  return schema.additional ? &schema.additional : nullptr;
}

// PruneNonNullableNullsWithoutDefaults.
void drop_nulls(const Schema& schema, Value& v) {
  if (json::Array* items = v.array()) {
    if (!schema.items) return;
    for (Value& item : *items) drop_nulls(*schema.items.schema, item);
    return;
  }
  json::Object* members = v.object();
  if (members == nullptr) return;
  std::vector<std::string> drop;
  for (json::Member& m : *members) {
    const Slot* slot = slot_of(schema, m.first);
    if (slot == nullptr) continue;
    if (m.second.is_null() && !slot->schema->nullable && slot->initial == nullptr) {
      drop.push_back(m.first);
    } else {
      drop_nulls(*slot->schema, m.second);
    }
  }
  for (const std::string& name : drop) members->erase(name);
}

void fill(const Schema& schema, Value& v) {
  const auto replace_null = [](const Slot& slot, Value& at) {
    if (at.is_null() && !slot.schema->nullable && slot.initial != nullptr) at = *slot.initial;
  };
  if (json::Array* items = v.array()) {
    if (!schema.items) return;
    for (Value& item : *items) {
      replace_null(schema.items, item);
      fill(*schema.items.schema, item);
    }
    return;
  }
  json::Object* members = v.object();
  if (members == nullptr) return;
  for (const Property& property : schema.properties) {
    if (property.slot.initial == nullptr) continue;
    const Value* present = members->find(property.name);
    if (present == nullptr || (present->is_null() && !property.slot.schema->nullable)) (*members)[property.name] = *property.slot.initial;
  }
  for (json::Member& m : *members) {
    const Slot* slot = slot_of(schema, m.first);
    if (slot == nullptr) continue;
    replace_null(*slot, m.second);
    fill(*slot->schema, m.second);
  }
}

}  // namespace

std::vector<std::string> prune(const Schema& schema, Value& object) {
  Pruner pruner;
  pruner.prune(&schema, object, "", true, schema.preserve_unknown);
  std::sort(pruner.unknown.begin(), pruner.unknown.end());
  return std::move(pruner.unknown);
}

void apply_defaults(const Schema& schema, Value& object) {
  drop_nulls(schema, object);
  fill(schema, object);
}

}  // namespace gs::schema
