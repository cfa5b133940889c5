#include "schema/crd_schema.h"

#include <re2/re2.h>

#include <algorithm>
#include <functional>

#include "schema/decode.h"
#include "schema/kubernetes.h"
#include "schema/prune.h"
#include "schema/validate.h"

namespace gs::schema {
namespace {

using json::Value;

bool flagged(const Value& props, std::string_view name) {
  const Value* value = props.find(name);
  return value != nullptr && value->boolean().value_or(false);
}

const json::Object* members(const Value& props, std::string_view name) {
  const Value* value = props.find(name);
  return value != nullptr ? value->object() : nullptr;
}

class Builder {
 public:
  explicit Builder(Arena& arena) : arena_(arena) {}

  Schema* build(const Value& props) {
    Schema& out = arena_.schemas.emplace_back();
    constexpr std::pair<std::string_view, Type> kTypes[] = {{"object", Type::kObject},   {"array", Type::kArray},   {"string", Type::kString},
                                                            {"integer", Type::kInteger}, {"number", Type::kNumber}, {"boolean", Type::kBoolean}};
    for (const auto& [name, type] : kTypes) {
      if (props.text("type") == name) out.type = type;
    }
    out.format = arena_.text(props.text("format"));
    out.nullable = flagged(props, "nullable");
    out.preserve_unknown = flagged(props, "x-kubernetes-preserve-unknown-fields");
    out.embedded = flagged(props, "x-kubernetes-embedded-resource");
    out.int_or_string = flagged(props, "x-kubernetes-int-or-string");
    out.atomic_map = text(props, "x-kubernetes-map-type") == "atomic";
    out.list_type_given = props.find("x-kubernetes-list-type") != nullptr;
    const std::string_view list = text(props, "x-kubernetes-list-type");
    out.list_type = list == "map" ? ListType::kMap : list == "set" ? ListType::kSet : ListType::kAtomic;
    for (const std::string_view key : texts(props, "x-kubernetes-list-map-keys")) out.map_keys.push_back(arena_.text(key));
    for (const std::string_view name : texts(props, "required")) out.required.push_back(arena_.text(name));
    if (const Value* items = props.find("items"); items != nullptr && items->is_object()) out.items = slot(*items);
    if (const Value* more = props.find("additionalProperties")) {
      if (more->is_object()) out.additional = slot(*more);
      if (more->boolean().value_or(false)) out.additional.schema = anything();
    }
    properties(props, out);
    rules(props, out);
    return &out;
  }

 private:
  static std::string_view text(const Value& props, std::string_view name) {
    const Value* value = props.find(name);
    return value != nullptr && value->string() != nullptr ? std::string_view(*value->string()) : std::string_view();
  }

  static std::vector<std::string_view> texts(const Value& props, std::string_view name) {
    std::vector<std::string_view> out;
    const Value* list = props.find(name);
    for (size_t i = 0; list != nullptr && list->array() != nullptr && i < list->array()->size(); ++i) {
      if (const std::string* s = (*list->array())[i].string()) out.push_back(*s);
    }
    return out;
  }

  // additionalProperties: true.
  const Schema* anything() {
    Schema& out = arena_.schemas.emplace_back();
    out.preserve_unknown = true;
    return &out;
  }

  Slot slot(const Value& props) {
    Slot out;
    out.schema = build(props);
    const Value* initial = props.find("default");
    if (initial != nullptr && !initial->is_null()) out.initial = &arena_.values.emplace_back(*initial);
    return out;
  }

  void properties(const Value& props, Schema& out) {
    const json::Object* all = members(props, "properties");
    if (all == nullptr) return;
    for (const json::Member& m : *all) {
      Property property;
      property.name = arena_.text(m.first);
      property.slot = slot(m.second);
      property.required = std::find(out.required.begin(), out.required.end(), property.name) != out.required.end();
      out.properties.push_back(std::move(property));
    }
    std::sort(out.properties.begin(), out.properties.end(), [](const Property& a, const Property& b) { return a.name < b.name; });
  }

  std::vector<const Schema*> several(const Value& props, std::string_view name) {
    std::vector<const Schema*> out;
    const Value* list = props.find(name);
    for (size_t i = 0; list != nullptr && list->array() != nullptr && i < list->array()->size(); ++i) out.push_back(build((*list->array())[i]));
    return out;
  }

  void rules(const Value& props, Schema& out) {
    auto rules = std::make_unique<Rules>();
    const auto number = [&](std::string_view name) { return props.find(name) != nullptr ? props.find(name)->number() : std::nullopt; };
    const auto integer = [&](std::string_view name) { return props.find(name) != nullptr ? props.find(name)->integer() : std::nullopt; };
    rules->minimum = number("minimum");
    rules->maximum = number("maximum");
    rules->multiple_of = number("multipleOf");
    rules->exclusive_minimum = flagged(props, "exclusiveMinimum");
    rules->exclusive_maximum = flagged(props, "exclusiveMaximum");
    rules->min_length = integer("minLength");
    rules->max_length = integer("maxLength");
    rules->min_items = integer("minItems");
    rules->max_items = integer("maxItems");
    rules->min_properties = integer("minProperties");
    rules->max_properties = integer("maxProperties");
    rules->unique_items = flagged(props, "uniqueItems");
    rules->pattern = text(props, "pattern");
    if (!rules->pattern.empty()) {
      re2::RE2::Options options;
      options.set_log_errors(false);
      auto re = std::make_shared<const re2::RE2>(rules->pattern, options);
      if (re->ok()) rules->pattern_re = std::move(re);
    }
    if (const Value* values = props.find("enum"); values != nullptr && values->array() != nullptr) rules->enumeration = *values->array();
    rules->all_of = several(props, "allOf");
    rules->any_of = several(props, "anyOf");
    rules->one_of = several(props, "oneOf");
    if (const Value* negated = props.find("not"); negated != nullptr && negated->is_object()) rules->negated = build(*negated);
    out.rules = std::move(rules);
  }

  Arena& arena_;
};

void each_part(Value& props, const std::function<void(Value&, std::string_view)>& each) {
  json::Object* all = props.object();
  if (all == nullptr) return;
  for (json::Member& m : *all) {
    const std::string_view name = m.first;
    if (name == "items" || name == "additionalProperties" || name == "not") {
      if (m.second.is_object()) each(m.second, name);
    } else if ((name == "properties") && m.second.is_object()) {
      for (json::Member& inner : *m.second.object()) each(inner.second, name);
    } else if ((name == "allOf" || name == "anyOf" || name == "oneOf") && m.second.array() != nullptr) {
      for (Value& inner : *m.second.array()) each(inner, name);
    }
  }
}

void defaults(const Value& props, const Schema& schema, const std::string& path, bool inside_meta, FieldErrors& errors) {
  const Value* initial = props.find("default");
  if (initial != nullptr && !initial->is_null() && !inside_meta) {
    Value pruned = *initial;
    const std::string at = child(path, "default");
    // An embedded resource keeps its metadata; anything else is no root of a resource.
    Value wrapped{json::Object()};
    if (!schema.embedded) {
      Arena arena;
      Schema& around = arena.schemas.emplace_back();
      around.type = Type::kObject;
      Property property;
      property.name = "v";
      property.slot.schema = &schema;
      around.properties.push_back(property);
      wrapped["v"] = pruned;
      if (!prune(around, wrapped).empty()) errors.push_back(invalid(at, *initial, "must not have unknown fields"));
    } else if (!prune(schema, pruned).empty()) {
      errors.push_back(invalid(at, *initial, "must not have unknown fields"));
    }
    for (FieldError& e : validate(schema, *initial, nullptr)) {
      e.field = e.field == "<nil>" ? at : child(at, e.field);
      errors.push_back(std::move(e));
    }
  }
  if (const Value* items = props.find("items"); items != nullptr && schema.items) defaults(*items, *schema.items.schema, child(path, "items"), inside_meta, errors);
  const json::Object* all = members(props, "properties");
  if (all == nullptr) return;
  for (const json::Member& m : *all) {
    const Property* property = schema.find(m.first);
    const bool meta = schema.embedded && (m.first == "metadata" || m.first == "apiVersion" || m.first == "kind");
    if (property != nullptr) defaults(m.second, *property->slot.schema, key(child(path, "properties"), m.first), inside_meta || meta, errors);
  }
}

}  // namespace

std::string decode_schema_props(Value& props) {
  static const SchemaPtr own = kubernetes_schema("apiextensions.v1.JSONSchemaProps");
  std::string problem;
  each_part(props, [&](Value& part, std::string_view name) {
    if (!problem.empty()) return;
    std::vector<std::string> unknown;
    if (name == "items" || name == "additionalProperties") problem = decode(*own, part, unknown);
    if (problem.empty()) problem = decode_schema_props(part);
  });
  return problem;
}

SchemaPtr build_crd_schema(const Value& props) {
  auto arena = std::make_shared<Arena>();
  const Schema* root = Builder(*arena).build(props);
  return SchemaPtr(arena, root);
}

FieldErrors check_crd_defaults(const Value& props, const std::string& path) {
  FieldErrors errors;
  const SchemaPtr schema = build_crd_schema(props);
  defaults(props, *schema, path, false, errors);
  return errors;
}

}  // namespace gs::schema
