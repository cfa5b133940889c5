// OpenAPI v3 as far as kubectl needs it: which paths take fieldValidation, and the fields of types
// for `kubectl explain`. Without the prose, which the schema table does not hold.
#include <fmt/format.h>

#include <set>

#include "apiserver/discovery.h"
#include "base/strings.h"
#include "json/writer.h"
#include "schema/schema.h"

namespace gs::apiserver {
namespace {

using schema::Schema;
using schema::Type;

std::string_view type_name(Type type) {
  switch (type) {
    case Type::kObject: return "object";
    case Type::kArray: return "array";
    case Type::kString: return "string";
    case Type::kInteger: return "integer";
    case Type::kNumber: return "number";
    case Type::kBoolean: return "boolean";
    case Type::kAny: break;
  }
  return "";
}

// Scalars that Kubernetes writes in two ways have a component each, by whose name kubectl explains them.
constexpr std::string_view kQuantity = "api.resource.Quantity", kIntOrString = "util.intstr.IntOrString";
std::string_view scalar_component(const Schema& schema) {
  if (schema.form == schema::Form::kQuantity) return kQuantity;
  return schema.form == schema::Form::kIntOrString ? kIntOrString : "";
}

class Document {
 public:
  explicit Document(std::string& out) : writer_(out) {}

  void write(const std::vector<const ResourceType*>& types) {
    writer_.begin_object().key("openapi").string("3.0.0").key("info").begin_object().key("title").string("Kubernetes").key("version").string(kKubernetesVersion).end_object();
    writer_.key("paths").begin_object();
    for (const ResourceType* type : types) {
      if (type->schema && !type->schema->name.empty()) met_.insert(type->schema->name);
      write_path(*type);
    }
    writer_.end_object().key("components").begin_object().key("schemas").begin_object();
    for (const ResourceType* type : types) write_type(*type);
    // Structs refer to others, which are written as they are met.
    while (!waiting_.empty()) {
      const Schema* next = waiting_.back();
      waiting_.pop_back();
      writer_.key(next->name).begin_object();
      write_fields(*next);
      writer_.end_object();
    }
    for (const std::string_view scalar : scalars_) {
      writer_.key(scalar).begin_object().key("oneOf").raw(scalar == kQuantity ? R"([{"type":"string"},{"type":"number"}])" : R"([{"type":"integer"},{"type":"string"}])");
      writer_.end_object();
    }
    writer_.end_object().end_object().end_object();
  }

 private:
  void write_kind(const ResourceType& type) {
    writer_.begin_object().key("group").string(type.group).key("version").string(type.version).key("kind").string(type.kind).end_object();
  }

  void write_path(const ResourceType& type) {
    if (!type.serves("patch") && !type.serves("create")) return;
    std::string path = type.group.empty() ? "/api/" + type.version : fmt::format("/apis/{}/{}", type.group, type.version);
    if (type.namespaced) path += "/namespaces/{namespace}";
    path += "/" + type.resource;
    writer_.key(type.serves("patch") ? path + "/{name}" : path).begin_object().key(type.serves("patch") ? "patch" : "post").begin_object();
    writer_.key("parameters").begin_array();
    for (const char* name : {"dryRun", "fieldManager", "fieldValidation"}) {
      writer_.begin_object().key("name").string(name).key("in").string("query").key("schema").raw(R"({"type":"string","uniqueItems":true})").end_object();
    }
    writer_.end_array().key("responses").raw(R"({"200":{"description":"OK"}})").key("x-kubernetes-group-version-kind");
    write_kind(type);
    writer_.end_object().end_object();
    if (!type.serves("get")) return;
    writer_.key(path).begin_object().key("get").begin_object().key("responses").raw(R"({"200":{"description":"OK"}})").key("x-kubernetes-group-version-kind");
    write_kind(type);
    writer_.end_object().end_object();
  }

  void write_type(const ResourceType& type) {
    writer_.key(component(type)).begin_object();
    if (type.schema) {
      write_fields(*type.schema);
    } else {
      writer_.key("type").string("object").key("x-kubernetes-preserve-unknown-fields").boolean(true);
    }
    writer_.key("x-kubernetes-group-version-kind").begin_array();
    write_kind(type);
    writer_.end_array().end_object();
  }

  // "com.example.v1.Widget"; a built-in struct has a name already.
  static std::string component(const ResourceType& type) {
    if (type.schema && !type.schema->name.empty()) return std::string(type.schema->name);
    const std::vector<std::string_view> parts = split(type.group, '.');
    std::string name;
    for (size_t i = parts.size(); i-- > 0;) name.append(parts[i]).append(".");
    return name + type.version + "." + type.kind;
  }

  // The members of a schema's own object, which is open.
  void write_fields(const Schema& schema) {
    if (schema.int_or_string) {
      writer_.key("x-kubernetes-int-or-string").boolean(true).key("oneOf").raw(R"([{"type":"integer"},{"type":"string"}])");
      return;
    }
    if (const std::string_view type = type_name(schema.type); !type.empty()) writer_.key("type").string(type);
    if (schema.preserve_unknown) writer_.key("x-kubernetes-preserve-unknown-fields").boolean(true);
    if (!schema.properties.empty()) {
      std::vector<std::string_view> required(schema.required);
      writer_.key("properties").begin_object();
      for (const schema::Property& property : schema.properties) {
        if (property.required && schema.required.empty()) required.push_back(property.name);
        writer_.key(property.name);
        write_slot(property.slot);
      }
      writer_.end_object();
      if (!required.empty()) {
        writer_.key("required").begin_array();
        for (const std::string_view name : required) writer_.string(name);
        writer_.end_array();
      }
    }
    if (schema.additional) {
      writer_.key("additionalProperties");
      write_slot(schema.additional);
    }
    if (schema.items) {
      writer_.key("items");
      write_slot(schema.items);
    }
  }

  void write_slot(const schema::Slot& slot) {
    writer_.begin_object();
    if (slot.schema != nullptr && !slot.schema->name.empty() && !slot.schema->properties.empty()) {
      // Struct members are wrapped in allOf, as kube-apiserver does.
      writer_.key("allOf").begin_array().begin_object().key("$ref").string(fmt::format("#/components/schemas/{}", slot.schema->name)).end_object().end_array();
      if (met_.insert(slot.schema->name).second) waiting_.push_back(slot.schema);
    } else if (const std::string_view scalar = slot.schema != nullptr ? scalar_component(*slot.schema) : ""; !scalar.empty()) {
      writer_.key("allOf").begin_array().begin_object().key("$ref").string(fmt::format("#/components/schemas/{}", scalar)).end_object().end_array();
      scalars_.insert(scalar);
    } else if (slot.schema != nullptr && !is_anything(*slot.schema)) {
      write_fields(*slot.schema);
    } else {
      // Never empty: kubectl explain takes an empty schema for none, and fails.
      writer_.key("x-kubernetes-preserve-unknown-fields").boolean(true);
    }
    writer_.end_object();
  }

  static bool is_anything(const Schema& schema) {
    return schema.type == Type::kAny && !schema.int_or_string && schema.properties.empty() && !schema.additional && !schema.items;
  }

  json::Writer writer_;
  std::set<std::string_view> met_, scalars_;
  std::vector<const Schema*> waiting_;
};

}  // namespace

std::optional<Answer> openapi(const ResourceTable& table, std::string_view path) {
  constexpr std::string_view kRoot = "/openapi/v3";
  if (!path.starts_with(kRoot)) return std::nullopt;
  path.remove_prefix(kRoot.size());
  const auto name = [](const ResourceType& type) { return type.group.empty() ? "api/" + type.version : fmt::format("apis/{}/{}", type.group, type.version); };
  Answer answer;
  if (path.empty() || path == "/") {
    std::set<std::string> documents;
    table.for_each([&](const ResourceType& type) { documents.insert(name(type)); });
    json::Writer writer(answer.body);
    writer.begin_object().key("paths").begin_object();
    for (const std::string& document : documents) writer.key(document).begin_object().key("serverRelativeURL").string(fmt::format("{}/{}", kRoot, document)).end_object();
    writer.end_object().end_object();
    // Its handler names none, and Go's net/http takes it for text.
    answer.content_type = "text/plain; charset=utf-8";
    return answer;
  }
  std::vector<const ResourceType*> types;
  table.for_each([&](const ResourceType& type) {
    if (name(type) == path.substr(1)) types.push_back(&type);
  });
  if (types.empty()) return page_not_found();
  Document(answer.body).write(types);
  return answer;
}

}  // namespace gs::apiserver
