#include "apiserver/crd_strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "schema/crd_schema.h"
#include "schema/formats.h"
#include "schema/names.h"

namespace gs::apiserver {
namespace {

using json::Value;
using schema::child;
using schema::FieldError;
using schema::FieldErrors;
using schema::index;
using schema::invalid;
using schema::required;

constexpr size_t kMaxSelectableFields = 8;

const json::Array& versions_of(const Value& crd) {
  static const json::Array none;
  const Value* list = crd.at("spec.versions");
  return list != nullptr && list->array() != nullptr ? *list->array() : none;
}

bool is_true(const Value& object, std::string_view path) {
  const Value* value = object.at(path);
  return value != nullptr && value->boolean().value_or(false);
}

bool same(const Value* a, const Value* b) { return (a == nullptr) == (b == nullptr) && (a == nullptr || *a == *b); }

// What all versions say alike stands once at the top in the internal type, and that is where its mistakes are told.
class Places {
 public:
  explicit Places(const Value& crd) : versions_(versions_of(crd)) {}

  bool shared(std::string_view member) const {
    return std::all_of(versions_.begin(), versions_.end(), [&](const Value& v) {
      const Value* value = v.find(member);
      return value != nullptr && same(value, versions_[0].find(member));
    });
  }
  std::string of(size_t i, std::string_view member, std::string_view top) const {
    return shared(member) ? child("spec", top) : child(index("spec.versions", i), member);
  }

 private:
  const json::Array& versions_;
};

void names_at(const Value* names, const std::string& path, FieldErrors& errors) {
  if (names == nullptr) return;
  for (const char* field : {"plural", "singular", "kind", "listKind"}) {
    const std::string name(names->text(field));
    const bool mixed = std::string_view(field) == "kind" || std::string_view(field) == "listKind";
    const schema::Problems problems = schema::dns1035_label(mixed ? to_lower(name) : name);
    if (name.empty() || problems.empty()) continue;
    errors.push_back(invalid(child(path, field), name, fmt::format("{}{}", mixed ? "may have mixed case, but should otherwise match: " : "", fmt::join(problems, ","))));
  }
  if (!names->text("kind").empty() && names->text("kind") == names->text("listKind")) {
    errors.push_back(invalid(child(path, "listKind"), std::string(names->text("listKind")), "kind and listKind may not be the same"));
  }
  for (const char* field : {"shortNames", "categories"}) {
    const std::vector<std::string> all = strings_of(names->find(field));
    for (size_t i = 0; i < all.size(); ++i) {
      const schema::Problems problems = schema::dns1035_label(all[i]);
      if (!problems.empty()) errors.push_back(invalid(index(child(path, field), i), all[i], fmt::format("{}", fmt::join(problems, ","))));
    }
  }
}

void json_path(const std::string& path, const std::string& text, std::initializer_list<std::string_view> roots, std::string_view words, FieldErrors& errors) {
  if (text[0] != '.') {
    errors.push_back(invalid(path, text, "must be a simple json path starting with ."));
  } else if (std::none_of(roots.begin(), roots.end(), [&](std::string_view root) { return text.starts_with(root); })) {
    errors.push_back(invalid(path, text, words));
  }
}

void subresources(const Value* subs, const std::string& path, FieldErrors& errors) {
  const Value* scale = subs != nullptr ? subs->find("scale") : nullptr;
  if (scale == nullptr || !scale->is_object()) return;
  const auto check = [&](const char* field, std::initializer_list<std::string_view> roots, std::string_view words, bool needed) {
    const std::string text(scale->text(field)), at = child(path, std::string("scale.") + field);
    if (!text.empty()) {
      json_path(at, text, roots, words, errors);
    } else if (needed) {
      errors.push_back(required(at, ""));
    }
  };
  check("specReplicasPath", {".spec."}, "should be a json path under .spec", true);
  check("statusReplicasPath", {".status."}, "should be a json path under .status", true);
  check("labelSelectorPath", {".spec.", ".status."}, "should be a json path under either .spec or .status", false);
}

void columns(const Value* list, const std::string& path, FieldErrors& errors) {
  if (list == nullptr || list->array() == nullptr) return;
  const std::set<std::string_view> types = {"boolean", "date", "integer", "number", "string"};
  const std::set<std::string_view> formats = {"byte", "date", "date-time", "double", "float", "int32", "int64", "password"};
  for (size_t i = 0; i < list->array()->size(); ++i) {
    const Value& column = (*list->array())[i];
    const std::string at = index(path, i), type(column.text("type")), format(column.text("format")), where(column.text("jsonPath"));
    if (column.text("name").empty()) errors.push_back(required(child(at, "name"), ""));
    const std::string one_of = fmt::format("must be one of {}", fmt::join(types, ","));
    if (type.empty()) {
      errors.push_back(required(child(at, "type"), one_of));
    } else if (!types.contains(type)) {
      errors.push_back(invalid(child(at, "type"), type, one_of));
    }
    if (!format.empty() && !formats.contains(format)) errors.push_back(invalid(child(at, "format"), format, fmt::format("must be one of {}", fmt::join(formats, ","))));
    if (where.empty()) {
      errors.push_back(required(child(at, "JSONPath"), ""));
    } else {
      json_path(child(at, "JSONPath"), where, {"."}, "", errors);
    }
  }
}

// The schema at a path of simple fields; null where there is none.
const schema::Schema* schema_at(const schema::Schema& root, std::string_view path) {
  const schema::Schema* at = &root;
  for (const std::string_view part : split(path.substr(1), '.')) {
    const schema::Property* property = at->find(part);
    if (property == nullptr) return nullptr;
    at = property->slot.schema;
  }
  return at;
}

void selectable(const Value& version, const std::string& path, FieldErrors& errors) {
  const Value* list = version.find("selectableFields");
  const Value* props = version.at("schema.openAPIV3Schema");
  if (list == nullptr || list->array() == nullptr || list->array()->empty() || props == nullptr) return;
  const schema::SchemaPtr root = schema::build_crd_schema(*props);
  std::set<std::string> seen;
  for (size_t i = 0; i < list->array()->size(); ++i) {
    const std::string where((*list->array())[i].text("jsonPath")), at = child(index(path, i), "jsonPath");
    if (where.empty()) {
      errors.push_back(required(at, ""));
      continue;
    }
    const schema::Schema* found = where[0] == '.' ? schema_at(*root, where) : nullptr;
    if (found == nullptr) {
      errors.push_back(invalid(at, where, "is an invalid path: does not refer to a valid field"));
      continue;
    }
    if (where.starts_with(".metadata")) errors.push_back(invalid(at, where, "must not point to fields in metadata"));
    const bool scalar = found->type == schema::Type::kString || found->type == schema::Type::kBoolean || found->type == schema::Type::kInteger;
    if (!scalar) errors.push_back(invalid(at, where, "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."));
    if (!seen.insert(where).second) errors.push_back(schema::duplicate(at, where));
  }
  if (seen.size() > kMaxSelectableFields) errors.push_back(schema::too_many(path, static_cast<int64_t>(seen.size()), kMaxSelectableFields));
}

void version_at(const Value& crd, size_t i, const Places& places, FieldErrors& errors) {
  const Value& version = versions_of(crd)[i];
  const std::string at = index("spec.versions", i);
  const bool first = i == 0;
  if (const auto problems = schema::dns1035_label(version.text("name")); !problems.empty()) {
    errors.push_back(invalid(child(at, "name"), std::string(version.text("name")), fmt::format("{}", fmt::join(problems, ","))));
  }
  const Value* warning = version.find("deprecationWarning");
  if (warning != nullptr && warning->string() != nullptr) {
    const std::string path = child(at, "deprecationWarning");
    if (!is_true(version, "deprecated")) errors.push_back(invalid(path, *warning, "can only be set for deprecated versions"));
    else if (warning->string()->empty()) errors.push_back(invalid(path, *warning, "must not be an empty string"));
    else if (warning->string()->size() > 256) errors.push_back(invalid(path, *warning, "must be <= 256 characters long"));
  }
  const Value* props = version.at("schema.openAPIV3Schema");
  if (props == nullptr || !props->is_object()) {
    errors.push_back(required(child(at, "schema.openAPIV3Schema"), ""));
  } else if (first || !places.shared("schema")) {
    const bool status = version.at("subresources.status") != nullptr;
    for (auto& e : schema::check_crd_schema(*props, child(places.of(i, "schema", "validation"), "openAPIV3Schema"), status)) errors.push_back(std::move(e));
  }
  if (first || !places.shared("subresources")) subresources(version.find("subresources"), places.of(i, "subresources", "subresources"), errors);
  if (first || !places.shared("additionalPrinterColumns")) {
    columns(version.find("additionalPrinterColumns"), places.of(i, "additionalPrinterColumns", "additionalPrinterColumns"), errors);
  }
  if (first || !places.shared("selectableFields")) selectable(version, places.of(i, "selectableFields", "selectableFields"), errors);
}

// Of the internal type, in which what all versions share stands elsewhere. Enough to know them by.
std::string versions_text(const Value& crd) {
  const Value* given = crd.at("spec.versions");
  if (given == nullptr || given->array() == nullptr) return "null";
  std::string out;
  for (const Value& v : versions_of(crd)) {
    const Value* warning = v.find("deprecationWarning");
    out += fmt::format(R"({}{{"Name":{},"Served":{},"Storage":{},"Deprecated":{},"DeprecationWarning":{},"Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}})",
                       out.empty() ? "" : ",", schema::quoted(v.text("name")), is_true(v, "served"), is_true(v, "storage"), is_true(v, "deprecated"),
                       warning != nullptr ? schema::go_json(*warning) : "null");
  }
  return "[" + out + "]";
}

void spec(const Value& crd, FieldErrors& errors) {
  const std::string group(crd.text("spec.group")), scope(crd.text("spec.scope"));
  if (group.empty()) {
    errors.push_back(required("spec.group", ""));
  } else if (const auto problems = schema::dns1123_subdomain(group); !problems.empty()) {
    errors.push_back(invalid("spec.group", group, fmt::format("{}", fmt::join(problems, ","))));
  } else if (group.find('.') == std::string::npos) {
    errors.push_back(invalid("spec.group", group, "should be a domain with at least one dot"));
  }
  if (scope.empty()) {
    errors.push_back(required("spec.scope", ""));
  } else if (scope != "Cluster" && scope != "Namespaced") {
    errors.push_back(schema::not_supported("spec.scope", scope, {"Cluster", "Namespaced"}));
  }
  const Places places(crd);
  const json::Array& versions = versions_of(crd);
  std::set<std::string_view> names;
  size_t storage = 0;
  for (size_t i = 0; i < versions.size(); ++i) {
    storage += is_true(versions[i], "storage") ? 1 : 0;
    names.insert(versions[i].text("name"));
    version_at(crd, i, places, errors);
  }
  const std::string all = versions_text(crd);
  if (names.size() != versions.size()) errors.push_back(raw_error(FieldError::Type::kInvalid, "spec.versions", all, "must contain unique version names"));
  if (storage != 1) errors.push_back(raw_error(FieldError::Type::kInvalid, "spec.versions", all, "must have exactly one version marked as storage version"));
  for (const char* field : {"plural", "singular", "kind", "listKind"}) {
    if (crd.text(fmt::format("spec.names.{}", field)).empty()) errors.push_back(required(fmt::format("spec.names.{}", field), ""));
  }
  names_at(crd.at("spec.names"), "spec.names", errors);
  const std::string strategy(crd.text("spec.conversion.strategy"));
  if (strategy == "Webhook") {
    errors.push_back(schema::forbidden("spec.conversion.strategy", "conversion by webhook is not served yet; None is"));
  } else if (strategy.empty()) {
    errors.push_back(required("spec.conversion.strategy", ""));
  } else if (strategy != "None") {
    errors.push_back(schema::not_supported("spec.conversion.strategy", strategy, {"None", "Webhook"}));
  } else if (crd.at("spec.conversion.webhook") != nullptr) {
    errors.push_back(schema::forbidden("spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook"));
  }
}

void stored_versions(const Value& crd, FieldErrors& errors) {
  const std::vector<std::string> stored = strings_of(crd.at("status.storedVersions"));
  if (stored.empty()) errors.push_back(invalid("status.storedVersions", Value(), "must have at least one stored version"));
  for (size_t i = 0; i < stored.size(); ++i) {
    const bool there = std::any_of(versions_of(crd).begin(), versions_of(crd).end(), [&](const Value& v) { return v.text("name") == stored[i]; });
    if (there) continue;
    errors.push_back(invalid(index("status.storedVersions", i), stored[i],
                             fmt::format("missing from spec.versions; {0} was previously a storage version, and must remain in spec.versions until a storage migration ensures no "
                                         "data remains persisted in {0} and removes {0} from status.storedVersions",
                                         stored[i])));
  }
}

// Groups of the community need a reference to their review.
void api_approval(const Value& crd, const Value* old, FieldErrors& errors) {
  const std::string group(crd.text("spec.group"));
  const bool guarded = group == "k8s.io" || group == "kubernetes.io" || group.ends_with(".k8s.io") || group.ends_with(".kubernetes.io");
  constexpr std::string_view kKey = "api-approved.kubernetes.io";
  const auto approval = [&](const Value& object) {
    const Value* annotations = object.at("metadata.annotations");
    const Value* value = annotations != nullptr ? annotations->find(kKey) : nullptr;
    return value != nullptr && value->string() != nullptr ? *value->string() : std::string();
  };
  const std::string given = approval(crd);
  const std::string path = fmt::format("metadata.annotations[{}]", kKey);
  if (!guarded || given.starts_with("unapproved") || (old != nullptr && given == approval(*old))) return;
  if (given.empty()) {
    errors.push_back(required(path, "protected groups must have approval annotation \"api-approved.kubernetes.io\", see https://github.com/kubernetes/enhancements/pull/1111"));
  } else if (!given.starts_with("https://") && !given.starts_with("http://")) {
    errors.push_back(invalid(path, given, "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a reason starting with \"unapproved\", see "
                                          "https://github.com/kubernetes/enhancements/pull/1111"));
  }
}

void immutable(const Value& crd, const Value& old, FieldErrors& errors) {
  const auto fixed = [&](const char* path) {
    if (crd.text(path) != old.text(path)) errors.push_back(invalid(path, std::string(crd.text(path)), "field is immutable"));
  };
  if (crd_condition(old, "Established")) {
    fixed("spec.scope");
    fixed("spec.names.kind");
  }
  fixed("spec.group");
  fixed("spec.names.plural");
}

PrinterColumn column(const Value& c) {
  PrinterColumn out;
  out.name = c.text("name");
  out.type = c.text("type");
  out.format = c.text("format");
  out.description = c.text("description");
  out.json_path = c.text("jsonPath");
  if (out.description.empty()) out.description = "Custom resource definition column (in JSONPath format): " + out.json_path;
  if (const Value* priority = c.find("priority")) out.priority = static_cast<int>(priority->integer().value_or(0));
  return out;
}

ResourceType type_of(const Value& crd, const Value& version) {
  ResourceType out(std::string(crd.text("spec.group")), std::string(version.text("name")), std::string(crd.text("status.acceptedNames.plural")),
                   std::string(crd.text("status.acceptedNames.kind")), crd.text("spec.scope") == "Namespaced");
  out.custom = true;
  out.has_generation = true;
  // In the order in which discovery tells them.
  out.verbs = {"delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"};
  out.storage = is_true(version, "storage");
  out.has_status = version.at("subresources.status") != nullptr;
  if (out.has_status) out.subresources.push_back({"status", std::string(crd.text("status.acceptedNames.kind")), out.group, out.version, {"get", "patch", "update"}});
  out.list_kind = crd.text("status.acceptedNames.listKind");
  out.singular = crd.text("status.acceptedNames.singular");
  out.short_names = strings_of(crd.at("status.acceptedNames.shortNames"));
  out.categories = strings_of(crd.at("status.acceptedNames.categories"));
  out.deprecated = is_true(version, "deprecated");
  if (out.deprecated) {
    out.deprecation_warning = version.text("deprecationWarning");
    if (out.deprecation_warning.empty()) out.deprecation_warning = fmt::format("{} {} is deprecated", out.api_version(), out.kind);
  }
  if (const Value* scale = version.at("subresources.scale")) {
    out.has_scale = true;
    out.scale = {std::string(scale->text("specReplicasPath")), std::string(scale->text("statusReplicasPath")), std::string(scale->text("labelSelectorPath"))};
    out.subresources.push_back({"scale", "Scale", "autoscaling", "v1", {"get", "patch", "update"}});
  }
  const Value* columns = version.find("additionalPrinterColumns");
  for (size_t i = 0; columns != nullptr && columns->array() != nullptr && i < columns->array()->size(); ++i) out.columns.push_back(column((*columns->array())[i]));
  const Value* fields = version.find("selectableFields");
  for (size_t i = 0; fields != nullptr && fields->array() != nullptr && i < fields->array()->size(); ++i) out.selectable_fields.emplace_back((*fields->array())[i].text("jsonPath"));
  if (const Value* props = version.at("schema.openAPIV3Schema")) out.schema = schema::build_crd_schema(*props);
  return out;
}

// Formats that nobody checks, of all schemas.
void unrecognized_formats(const Value& props, std::vector<std::string>& out) {
  const std::string type(props.text("type")), format(props.text("format"));
  if (!format.empty()) {
    const bool known = type.empty() || type == "string" ? schema::known_format(format)
                       : type == "integer"              ? format == "int32" || format == "int64"
                       : type == "number"               ? format == "float" || format == "double"
                                                        : false;
    if (!known) out.push_back(fmt::format("unrecognized format {}", schema::quoted(format)));
  }
  for (const char* part : {"items", "additionalProperties", "not"}) {
    if (const Value* inner = props.find(part)) unrecognized_formats(*inner, out);
  }
  if (const Value* all = props.find("properties"); all != nullptr && all->object() != nullptr) {
    for (const json::Member& m : *all->object()) unrecognized_formats(m.second, out);
  }
}

std::vector<std::string> formats_of(const Value& crd) {
  std::vector<std::string> out;
  for (const Value& version : versions_of(crd)) {
    if (const Value* props = version.at("schema.openAPIV3Schema")) unrecognized_formats(*props, out);
  }
  return out;
}

}  // namespace

bool is_crd(const ResourceType& type) { return type.group == "apiextensions.k8s.io" && type.resource == "customresourcedefinitions"; }

std::string decode_crd(Value& crd) {
  Value* list = crd.pointer("/spec/versions");
  for (size_t i = 0; list != nullptr && list->array() != nullptr && i < list->array()->size(); ++i) {
    Value* props = (*list->array())[i].pointer("/schema/openAPIV3Schema");
    if (props == nullptr) continue;
    if (std::string problem = schema::decode_schema_props(*props); !problem.empty()) return problem;
  }
  return "";
}

void default_crd(Value& crd) {
  Value& spec = crd["spec"];
  if (!spec.is_object()) return;
  const std::string kind(spec.text("names.kind"));
  Value& names = spec["names"];
  if (names.text("singular").empty() && !kind.empty()) names["singular"] = to_lower(kind);
  if (names.text("listKind").empty() && !kind.empty()) names["listKind"] = kind + "List";
  if (spec.find("conversion") == nullptr) spec["conversion"]["strategy"] = "None";
  // Served resources with no column show their age.
  Value* list = spec.object()->find("versions");
  for (size_t i = 0; list != nullptr && list->array() != nullptr && i < list->array()->size(); ++i) {
    Value& version = (*list->array())[i];
    for (const char* flag : {"served", "storage"}) {
      if (version.find(flag) == nullptr) version[flag] = false;
    }
  }
}

void prepare_crd(Value& crd, const Value* old) {
  if (old == nullptr) crd["status"] = json::Object();
  if (!crd["status"].is_object()) crd["status"] = json::Object();
  Value& status = crd["status"];
  Value& stored = status["storedVersions"];
  if (stored.array() == nullptr) stored = json::Array();
  for (const Value& version : versions_of(crd)) {
    const Value name{std::string(version.text("name"))};
    if (!is_true(version, "storage")) continue;
    if (std::find(stored.array()->begin(), stored.array()->end(), name) == stored.array()->end()) stored.array()->push_back(name);
    break;
  }
}

std::vector<std::string> warnings_of_crd(const Value& crd, const Value* old) {
  std::vector<std::string> out = formats_of(crd);
  if (old == nullptr) return out;
  const std::vector<std::string> before = formats_of(*old);
  std::erase_if(out, [&](const std::string& w) { return std::find(before.begin(), before.end(), w) != before.end(); });
  return out;
}

void validate_crd(const Value& crd, const Value* old, FieldErrors& errors) {
  spec(crd, errors);
  stored_versions(crd, errors);
  api_approval(crd, old, errors);
  if (is_true(crd, "spec.preserveUnknownFields") && (old == nullptr || !is_true(*old, "spec.preserveUnknownFields"))) {
    errors.push_back(invalid("spec.preserveUnknownFields", true, "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"));
  }
  if (old != nullptr) immutable(crd, *old, errors);
}

void prepare_crd_deletion(Value& crd, std::string_view now) {
  if (!crd.text("metadata.deletionTimestamp").empty()) return;
  Value& finalizers = crd["metadata"]["finalizers"];
  const Value name{std::string(kCrdCleanupFinalizer)};
  if (finalizers.array() == nullptr) finalizers = json::Array();
  if (std::find(finalizers.array()->begin(), finalizers.array()->end(), name) == finalizers.array()->end()) finalizers.array()->push_back(name);
  set_crd_condition(crd, "Terminating", true, "InstanceDeletionPending", "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon", now);
}

std::vector<ResourceType> types_of_crd(const Value& crd) {
  std::vector<ResourceType> out;
  for (const Value& version : versions_of(crd)) {
    if (is_true(version, "served")) out.push_back(type_of(crd, version));
  }
  return out;
}

bool crd_condition(const Value& crd, std::string_view type) {
  const Value* all = crd.at("status.conditions");
  for (size_t i = 0; all != nullptr && all->array() != nullptr && i < all->array()->size(); ++i) {
    if ((*all->array())[i].text("type") == type) return (*all->array())[i].text("status") == "True";
  }
  return false;
}

void set_crd_condition(Value& crd, std::string_view type, bool status, std::string_view reason, std::string_view message, std::string_view now) {
  Value& all = crd["status"]["conditions"];
  if (all.array() == nullptr) all = json::Array();
  Value* found = nullptr;
  for (Value& c : *all.array()) {
    if (c.text("type") == type) found = &c;
  }
  const std::string_view word = status ? "True" : "False";
  const bool turned = found == nullptr || found->text("status") != word;
  Value& condition = found != nullptr ? *found : all.array()->emplace_back();
  condition["type"] = type;
  condition["status"] = word;
  if (turned) condition["lastTransitionTime"] = now;
  condition["reason"] = reason;
  condition["message"] = message;
}

}  // namespace gs::apiserver
