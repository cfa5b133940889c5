#include "apiserver/crd_strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/crd_parts.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "schema/crd_schema.h"
#include "schema/formats.h"
#include "schema/names.h"

namespace gs::apiserver {
namespace {

using json::Value;

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
  for (const Value& version : versions_of_crd(crd)) {
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
  if (const Value* service = spec.at("conversion.webhook.clientConfig.service"); service != nullptr && service->is_object() && service->find("port") == nullptr) {
    spec["conversion"]["webhook"]["clientConfig"]["service"]["port"] = 443;
  }
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
  for (const Value& version : versions_of_crd(crd)) {
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

void prepare_crd_deletion(Value& crd, std::string_view now) {
  if (!crd.text("metadata.deletionTimestamp").empty()) return;
  Value& finalizers = crd["metadata"]["finalizers"];
  const Value name{std::string(kCrdCleanupFinalizer)};
  if (finalizers.array() == nullptr) finalizers = json::Array();
  if (std::find(finalizers.array()->begin(), finalizers.array()->end(), name) == finalizers.array()->end()) finalizers.array()->push_back(name);
  set_crd_condition(crd, "Terminating", true, "InstanceDeletionPending", "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon", now);
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
