#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <set>

#include "schema/crd_schema.h"

namespace gs::schema {
namespace {

using json::Value;

enum class Level { kRoot, kItem, kField };

const Value* part(const Value& props, std::string_view name) {
  const Value* value = props.find(name);
  return value != nullptr && !value->is_null() ? value : nullptr;
}
const Value* object_part(const Value& props, std::string_view name) {
  const Value* value = part(props, name);
  return value != nullptr && value->is_object() ? value : nullptr;
}
bool flag(const Value& props, std::string_view name) {
  const Value* value = props.find(name);
  return value != nullptr && value->boolean().value_or(false);
}
std::string text(const Value& props, std::string_view name) {
  const Value* value = props.find(name);
  return value != nullptr && value->string() != nullptr ? *value->string() : std::string();
}
const json::Object& properties(const Value& props) {
  static const json::Object none;
  const Value* value = props.find("properties");
  return value != nullptr && value->object() != nullptr ? *value->object() : none;
}
const json::Array& list(const Value& props, std::string_view name) {
  static const json::Array none;
  const Value* value = props.find(name);
  return value != nullptr && value->array() != nullptr ? *value->array() : none;
}
bool set(const Value& props, std::string_view name) {
  const Value* value = part(props, name);
  if (value == nullptr) return false;
  if (const auto boolean = value->boolean()) return *boolean;
  if (value->string() != nullptr) return !value->string()->empty();
  if (value->array() != nullptr) return !value->array()->empty();
  return true;
}

// k8s.io/apiextensions-apiserver/pkg/apiserver/schema: ValidateStructural.
class Structural {
 public:
  FieldErrors errors;

  void invariants(const Value& s, Level level, const std::string& path) {
    const std::string type = text(s, "type");
    const Value* items = object_part(s, "items");
    if (type == "array" && items == nullptr) errors.push_back(required(child(path, "items"), "must be specified"));
    if (items != nullptr) invariants(*items, Level::kItem, child(path, "items"));
    for (const json::Member& m : properties(s)) invariants(m.second, Level::kField, key(child(path, "properties"), m.first));
    const Value* additional = part(s, "additionalProperties");
    if (additional != nullptr) {
      if (level == Level::kRoot) errors.push_back(forbidden(child(path, "additionalProperties"), "must not be used at the root"));
      if (additional->is_object()) invariants(*additional, Level::kField, child(path, "additionalProperties"));
    }
    extensions(s, path);
    const bool any_of = int_or_string_any_of(s);
    const json::Array& all = list(s, "allOf");
    values(s, any_of, !all.empty() && int_or_string_any_of(all[0]), path);
    types(s, level, path, type, additional != nullptr);
    metadata(s, level, path);
  }

  // Whatever is said of a field in value validation is said of a field that the structure has.
  void complete(const Value& v, const Value* s, const std::string& structure, const std::string& path) {
    if (const Value* no = object_part(v, "not")) nested_complete(*no, s, structure, child(path, "not"));
    for (const char* name : {"allOf", "anyOf", "oneOf"}) {
      const json::Array& all = list(v, name);
      for (size_t i = 0; i < all.size(); ++i) nested_complete(all[i], s, structure, index(child(path, name), i));
    }
  }

 private:
  static bool int_or_string_any_of(const Value& s) {
    const json::Array& any = list(s, "anyOf");
    const auto only_type = [](const Value& v, std::string_view type) {
      const json::Object* o = v.object();
      return o != nullptr && o->size() == 1 && v.text("type") == type;
    };
    return any.size() == 2 && only_type(any[0], "integer") && only_type(any[1], "string");
  }

  void extensions(const Value& s, const std::string& path) {
    if (!flag(s, "x-kubernetes-int-or-string")) return;
    for (const char* name : {"x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource"}) {
      if (flag(s, name)) errors.push_back(invalid(child(path, name), true, "must be false if x-kubernetes-int-or-string is true"));
    }
  }

  void types(const Value& s, Level level, const std::string& path, const std::string& type, bool additional) {
    const bool embedded = flag(s, "x-kubernetes-embedded-resource"), preserve = flag(s, "x-kubernetes-preserve-unknown-fields");
    const std::string at = child(path, "type");
    if (embedded && type != "object") {
      constexpr std::string_view kWords = "must be object if x-kubernetes-embedded-resource is true";
      errors.push_back(type.empty() ? required(at, kWords) : invalid(at, type, kWords));
    } else if (type.empty() && !flag(s, "x-kubernetes-int-or-string") && !preserve) {
      errors.push_back(required(at, level == Level::kRoot   ? "must not be empty at the root"
                                    : level == Level::kItem ? "must not be empty for specified array items"
                                                            : "must not be empty for specified object fields"));
    }
    if (embedded && additional) errors.push_back(forbidden(child(path, "additionalProperties"), "must not be used if x-kubernetes-embedded-resource is set"));
    if (level == Level::kRoot && !type.empty() && type != "object") errors.push_back(invalid(at, type, "must be object at the root"));
    if (embedded && !preserve && properties(s).empty()) {
      errors.push_back(required(child(path, "properties"), "must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields"));
    }
  }

  void metadata(const Value& s, Level level, const std::string& path) {
    const bool check = level == Level::kRoot || flag(s, "x-kubernetes-embedded-resource");
    const std::string at = child(path, "properties");
    for (const char* name : {"kind", "apiVersion"}) {
      const Value* property = properties(s).find(name);
      if (check && property != nullptr && text(*property, "type") != "string") {
        errors.push_back(invalid(child(key(at, name), "type"), text(*property, "type"), "must be string"));
      }
    }
    const Value* meta = properties(s).find("metadata");
    if (meta == nullptr) return;
    if (check && text(*meta, "type") != "object") errors.push_back(invalid(child(key(at, "metadata"), "type"), text(*meta, "type"), "must be object"));
    if (level != Level::kRoot) return;
    bool only_names = true;
    for (const json::Member& m : properties(*meta)) only_names &= m.first == "name" || m.first == "generateName";
    for (const json::Member& m : *meta->object()) only_names &= m.first == "type" || m.first == "properties" || m.first == "default" || m.first == "description" || !set(*meta, m.first);
    if (set(*meta, "description")) only_names = false;
    if (!only_names) {
      errors.push_back(forbidden(key(at, "metadata"), "must not specify anything other than name and generateName, but metadata is implicitly specified"));
    }
  }

  void values(const Value& v, bool skip_any_of, bool skip_first_all_of, const std::string& path) {
    const json::Array &any = list(v, "anyOf"), &all = list(v, "allOf"), &one = list(v, "oneOf");
    for (size_t i = 0; i < any.size() && !skip_any_of; ++i) nested(any[i], false, index(child(path, "anyOf"), i));
    for (size_t i = 0; i < all.size(); ++i) nested(all[i], skip_first_all_of && i == 0, index(child(path, "allOf"), i));
    for (size_t i = 0; i < one.size(); ++i) nested(one[i], false, index(child(path, "oneOf"), i));
    if (const Value* no = object_part(v, "not")) nested(*no, false, child(path, "not"));
    const std::string pattern = text(v, "pattern");
    if (pattern.empty()) return;
    re2::RE2::Options options;
    options.set_log_errors(false);
    const re2::RE2 re(pattern, options);
    if (re.ok()) return;
    errors.push_back(invalid(child(path, "pattern"), pattern, fmt::format("must be a valid regular expression, but isn't: error parsing regexp: {}", re.error())));
  }

  void nested(const Value& v, bool skip_any_of, const std::string& path) {
    if (!v.is_object()) return;
    values(v, skip_any_of, false, path);
    if (const Value* items = object_part(v, "items")) nested(*items, false, child(path, "items"));
    for (const json::Member& m : properties(v)) nested(m.second, false, key(child(path, "properties"), m.first));
    struct Empty {
      const char* name;
      const char* word;
    };
    constexpr Empty kEmpty[] = {{"type", "empty"}, {"additionalProperties", "undefined"}, {"default", "undefined"}, {"title", "empty"}, {"description", "empty"},
                                {"nullable", "false"}, {"x-kubernetes-preserve-unknown-fields", "false"}, {"x-kubernetes-embedded-resource", "false"},
                                {"x-kubernetes-int-or-string", "false"}, {"x-kubernetes-list-map-keys", "empty"}, {"x-kubernetes-list-type", "undefined"},
                                {"x-kubernetes-map-type", "undefined"}, {"x-kubernetes-validations", "empty"}};
    for (const Empty& e : kEmpty) {
      const bool present = std::string_view(e.word) == "undefined" ? part(v, e.name) != nullptr : set(v, e.name);
      if (present) errors.push_back(forbidden(child(path, e.name), fmt::format("must be {} to be structural", e.word)));
    }
    if (properties(v).find("metadata") != nullptr) {
      errors.push_back(forbidden(key(child(path, "properties"), "metadata"), "must not be specified in a nested context"));
    }
  }

  void nested_complete(const Value& v, const Value* s, const std::string& structure, const std::string& path) {
    if (s == nullptr) {
      errors.push_back(required(structure, "because it is defined in " + path));
      return;
    }
    complete(v, s, structure, path);
    if (const Value* items = object_part(v, "items")) nested_complete(*items, object_part(*s, "items"), child(structure, "items"), child(path, "items"));
    for (const json::Member& m : properties(v)) {
      const Value* property = properties(*s).find(m.first);
      nested_complete(m.second, property, key(child(structure, "properties"), m.first), key(child(path, "properties"), m.first));
    }
  }
};

// k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation: ValidateCustomResourceDefinitionOpenAPISchema.
class OpenApi {
 public:
  FieldErrors errors;

  struct Context {
    bool root = false;
    bool inside_meta = false;
    std::string no_defaults;  // why a default is refused; empty: it is not
  };

  void check(const Value& s, const std::string& path, const Context& context) {
    if (!s.is_object()) return;
    standard(s, path, context);
    if (flag(s, "uniqueItems")) {
      errors.push_back(forbidden(child(path, "uniqueItems"), "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"));
    }
    Context below = context;
    below.root = false;
    if (const Value* more = part(s, "additionalProperties")) {
      const bool open = more->boolean().value_or(false);
      if (!properties(s).empty() && !open) errors.push_back(forbidden(child(path, "additionalProperties"), "additionalProperties and properties are mutual exclusive"));
      Context inner = below;
      if (context.inside_meta) inner.no_defaults = "inside additionalProperties applying to object metadata";
      check(*more, child(path, "additionalProperties"), inner);
    }
    for (const json::Member& m : properties(s)) {
      Context inner = below;
      const bool meta = m.first == "metadata" || m.first == "kind" || m.first == "apiVersion";
      if (meta && (context.root || flag(s, "x-kubernetes-embedded-resource"))) inner.inside_meta = true;
      if (meta && context.root) inner.no_defaults = "in top-level " + m.first;
      check(m.second, key(child(path, "properties"), m.first), inner);
    }
    if (const Value* no = object_part(s, "not")) check(*no, child(path, "not"), below);
    for (const char* name : {"allOf", "oneOf", "anyOf"}) {
      const json::Array& all = list(s, name);
      for (size_t i = 0; i < all.size(); ++i) check(all[i], index(child(path, name), i), below);
    }
    if (const Value* items = object_part(s, "items")) check(*items, child(path, "items"), below);
    maps_and_lists(s, path);
    // Rules in CEL are never ignored: a CRD with them is refused until they are evaluated.
    if (set(s, "x-kubernetes-validations")) {
      errors.push_back(forbidden(child(path, "x-kubernetes-validations"), "validation rules are not evaluated by this server yet; remove them, or use a cluster that evaluates them"));
    }
  }

 private:
  void standard(const Value& s, const std::string& path, const Context& context) {
    const std::string type = text(s, "type");
    const std::vector<std::string> types = {"array", "boolean", "integer", "number", "object", "string"};
    if (!type.empty() && std::find(types.begin(), types.end(), type) == types.end()) errors.push_back(not_supported(child(path, "type"), type, types));
    if (part(s, "default") != nullptr && !context.no_defaults.empty()) errors.push_back(forbidden(child(path, "default"), "must not be set " + context.no_defaults));
    for (const char* name : {"id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref"}) {
      const Value* value = part(s, name);
      const bool empty = value == nullptr || (value->object() != nullptr && value->object()->empty()) || (value->string() != nullptr && value->string()->empty());
      if (!empty) errors.push_back(forbidden(child(path, name), fmt::format("{} is not supported", name)));
    }
    if (type == "null") errors.push_back(forbidden(child(path, "type"), "type cannot be set to null, use nullable as an alternative"));
    if (const Value* items = part(s, "items"); items != nullptr && items->array() != nullptr && !items->array()->empty()) {
      errors.push_back(forbidden(child(path, "items"), "items must be a schema object and not an array"));
    }
    if (context.inside_meta && flag(s, "x-kubernetes-embedded-resource")) {
      errors.push_back(forbidden(child(path, "x-kubernetes-embedded-resource"), "must not be used inside of resource meta"));
    }
  }

  void of_type(const Value& s, const std::string& path, const char* extension, const char* wanted) {
    const std::string type = text(s, "type"), words = fmt::format("must be {} if {} is specified", wanted, extension);
    if (part(s, extension) == nullptr || type == wanted) return;
    errors.push_back(type.empty() ? required(child(path, "type"), words) : invalid(child(path, "type"), type, words));
  }

  void maps_and_lists(const Value& s, const std::string& path) {
    const Value* preserve = part(s, "x-kubernetes-preserve-unknown-fields");
    if (preserve != nullptr && preserve->boolean() == false) {
      errors.push_back(invalid(child(path, "x-kubernetes-preserve-unknown-fields"), false, "must be true or undefined"));
    }
    of_type(s, path, "x-kubernetes-map-type", "object");
    one_of(s, path, "x-kubernetes-map-type", {"atomic", "granular"});
    of_type(s, path, "x-kubernetes-list-type", "array");
    const Value* items = object_part(s, "items");
    const std::string list_type = text(s, "x-kubernetes-list-type");
    if (list_type == "set" && items != nullptr && text(s, "type") == "array") set_items(*items, path);
    one_of(s, path, "x-kubernetes-list-type", {"atomic", "set", "map"});
    const json::Array& keys = list(s, "x-kubernetes-list-map-keys");
    if (!keys.empty() && list_type != "map") {
      constexpr std::string_view kWords = "must be map if x-kubernetes-list-map-keys is non-empty";
      const std::string at = child(path, "x-kubernetes-list-type");
      errors.push_back(part(s, "x-kubernetes-list-type") == nullptr ? required(at, kWords) : invalid(at, list_type, kWords));
    }
    if (list_type == "map") map_list(s, items, keys, path);
    if (items != nullptr && (list_type == "map" || list_type == "set")) nullable_items(*items, list_type, keys, path);
  }

  void one_of(const Value& s, const std::string& path, const char* name, const std::vector<std::string>& values) {
    const std::string value = text(s, name);
    if (part(s, name) != nullptr && std::find(values.begin(), values.end(), value) == values.end()) errors.push_back(not_supported(child(path, name), value, values));
  }

  void set_items(const Value& items, const std::string& path) {
    constexpr std::string_view kWords = "must be atomic as item of a list with x-kubernetes-list-type=set";
    const std::string at = child(path, "items"), list_type = text(items, "x-kubernetes-list-type");
    if (text(items, "type") == "array" && !list_type.empty() && list_type != "atomic") {
      errors.push_back(invalid(child(at, "x-kubernetes-list-type"), list_type, kWords));
    }
    if (text(items, "type") == "object" && text(items, "x-kubernetes-map-type") != "atomic") {
      errors.push_back(invalid(child(at, "x-kubernetes-map-type"), list_type.empty() ? Value() : Value(list_type), kWords));
    }
  }

  void map_list(const Value& s, const Value* items, const json::Array& keys, const std::string& path) {
    const std::string at = child(path, "x-kubernetes-list-map-keys"), below = child(path, "items");
    if (keys.empty()) errors.push_back(required(at, "must not be empty if x-kubernetes-list-type is map"));
    if (part(s, "items") == nullptr) errors.push_back(required(below, "must have a schema if x-kubernetes-list-type is map"));
    if (items == nullptr) return;
    if (text(*items, "type") != "object") {
      errors.push_back(invalid(child(below, "type"), text(*items, "type"), "must be object if parent array's x-kubernetes-list-type is map"));
      return;
    }
    std::set<std::string> seen;
    for (const Value& k : keys) {
      const std::string name = k.string() != nullptr ? *k.string() : std::string();
      const Value* property = properties(*items).find(name);
      if (property == nullptr) {
        errors.push_back(invalid(at, *s.find("x-kubernetes-list-map-keys"), "entries must all be names of item properties"));
      } else if (text(*property, "type") == "array" || text(*property, "type") == "object") {
        errors.push_back(invalid(child(key(child(below, "properties"), name), "type"), "object", "must be a scalar type if parent array's x-kubernetes-list-type is map"));
      }
      if (!seen.insert(name).second) errors.push_back(invalid(at, *s.find("x-kubernetes-list-map-keys"), "must not contain duplicate entries"));
    }
  }

  void nullable_items(const Value& items, const std::string& list_type, const json::Array& keys, const std::string& path) {
    const std::string below = child(path, "items");
    if (flag(items, "nullable")) errors.push_back(forbidden(child(below, "nullable"), "cannot be nullable when x-kubernetes-list-type is " + list_type));
    const json::Array& needed = list(items, "required");
    for (const Value& k : list_type == "map" ? keys : json::Array()) {
      const Value* property = k.string() != nullptr ? properties(items).find(*k.string()) : nullptr;
      if (property == nullptr) continue;
      const std::string at = key(child(below, "properties"), *k.string());
      if (std::find(needed.begin(), needed.end(), k) == needed.end() && part(*property, "default") == nullptr) {
        errors.push_back(required(child(at, "default"), "this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property"));
      }
      if (flag(*property, "nullable")) errors.push_back(forbidden(child(at, "nullable"), "this property is in x-kubernetes-list-map-keys, so it cannot be nullable"));
    }
  }
};

}  // namespace

FieldErrors check_crd_schema(const Value& props, const std::string& path, bool status_subresource) {
  FieldErrors errors;
  if (!props.is_object()) return {required(path, "")};
  if (status_subresource && text(props, "type") != "object") {
    errors.push_back(invalid(child(path, "type"), text(props, "type"), "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled"));
  }
  if (flag(props, "nullable")) errors.push_back(forbidden(child(path, "nullable"), "nullable cannot be true at the root"));
  Structural structural;
  structural.invariants(props, Level::kRoot, path);
  structural.complete(props, &props, path, path);
  std::sort(structural.errors.begin(), structural.errors.end(), [](const FieldError& a, const FieldError& b) { return a.to_string() < b.to_string(); });
  const bool sound = structural.errors.empty();
  std::move(structural.errors.begin(), structural.errors.end(), std::back_inserter(errors));
  if (sound) {
    FieldErrors defaults = check_crd_defaults(props, path);
    std::move(defaults.begin(), defaults.end(), std::back_inserter(errors));
  }
  OpenApi open_api;
  OpenApi::Context root;
  root.root = true;
  open_api.check(props, path, root);
  std::move(open_api.errors.begin(), open_api.errors.end(), std::back_inserter(errors));
  return errors;
}

}  // namespace gs::schema
