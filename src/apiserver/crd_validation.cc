// What is wrong with a custom resource definition: k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/built_in_checks.h"
#include "apiserver/crd_parts.h"
#include "apiserver/crd_strategy.h"
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

bool same(const Value* a, const Value* b) { return (a == nullptr) == (b == nullptr) && (a == nullptr || *a == *b); }

// What all versions say alike stands once at the top in the internal type, and that is where its mistakes are told.
class Places {
 public:
  explicit Places(const Value& crd) : versions_(versions_of_crd(crd)) {}

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
  const Value& version = versions_of_crd(crd)[i];
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
  for (const Value& v : versions_of_crd(crd)) {
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
  const json::Array& versions = versions_of_crd(crd);
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
    const Value* client = crd.at("spec.conversion.webhook.clientConfig");
    if (client == nullptr) {
      errors.push_back(required("spec.conversion.webhookClientConfig", "required when strategy is set to Webhook"));
    } else {
      checks::webhook_client(client, "spec.conversion.webhookClientConfig", errors);
    }
    checks::review_versions(crd.at("spec.conversion.webhook.conversionReviewVersions"), "spec.conversion.conversionReviewVersions", "", errors);
  } else if (strategy.empty()) {
    errors.push_back(required("spec.conversion.strategy", ""));
  } else if (strategy != "None") {
    errors.push_back(schema::not_supported("spec.conversion.strategy", strategy, {"None", "Webhook"}));
  } else if (crd.at("spec.conversion.webhook") != nullptr) {
    errors.push_back(schema::forbidden("spec.conversion.webhookClientConfig", "should not be set when strategy is not set to Webhook"));
  }
}

// What a store of one version cannot do: read what was stored in another by asking.
void storage_version(const Value& crd, const Value& old, FieldErrors& errors) {
  if (crd.text("spec.conversion.strategy") != "Webhook" && old.text("spec.conversion.strategy") != "Webhook") return;
  const auto stored = [](const Value& definition) {
    for (const Value& version : versions_of_crd(definition)) {
      if (is_true(version, "storage")) return std::string(version.text("name"));
    }
    return std::string();
  };
  if (stored(crd) == stored(old)) return;
  errors.push_back(schema::forbidden("spec.versions", fmt::format("the storage version of a definition with conversion by webhook cannot be changed on this server yet; keep {}", stored(old))));
}

void stored_versions(const Value& crd, FieldErrors& errors) {
  const std::vector<std::string> stored = strings_of(crd.at("status.storedVersions"));
  if (stored.empty()) errors.push_back(invalid("status.storedVersions", Value(), "must have at least one stored version"));
  for (size_t i = 0; i < stored.size(); ++i) {
    const bool there = std::any_of(versions_of_crd(crd).begin(), versions_of_crd(crd).end(), [&](const Value& v) { return v.text("name") == stored[i]; });
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

}  // namespace

void validate_crd(const Value& crd, const Value* old, FieldErrors& errors) {
  spec(crd, errors);
  stored_versions(crd, errors);
  api_approval(crd, old, errors);
  if (is_true(crd, "spec.preserveUnknownFields") && (old == nullptr || !is_true(*old, "spec.preserveUnknownFields"))) {
    errors.push_back(invalid("spec.preserveUnknownFields", true, "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"));
  }
  if (old == nullptr) return;
  immutable(crd, *old, errors);
  storage_version(crd, *old, errors);
}

}  // namespace gs::apiserver
