// Patches: k8s.io/apiserver's endpoints/handlers/patch.go, and apply.
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/registry.h"
#include "apiserver/strategic_merge.h"
#include "apiserver/version_view.h"
#include "json/patch.h"
#include "json/yaml.h"

namespace gs::apiserver {
namespace {

using gateway::PatchType;
using json::Value;

// Takes out of `object` the leaves of `before` that `now` does not have and nobody else applied.
void take_out(Value& object, const Value& before, const Value* now, const std::vector<const Value*>& others) {
  json::Object* members = object.object();
  const json::Object* old = before.object();
  if (members == nullptr || old == nullptr) return;
  for (const auto& [key, value] : *old) {
    const Value* kept = now != nullptr ? now->find(key) : nullptr;
    Value* present = members->find(key);
    if (present == nullptr) continue;
    std::vector<const Value*> theirs;
    for (const Value* other : others) {
      if (const Value* v = other->find(key)) theirs.push_back(v);
    }
    if (value.is_object() && present->is_object()) {
      take_out(*present, value, kept, theirs);
      if (kept == nullptr && theirs.empty() && present->object()->empty()) members->erase(key);
    } else if (kept == nullptr && theirs.empty()) {
      members->erase(key);
    }
  }
}

// The first field on which another applier insists with another value; empty: none.
std::string disputed(const Value& wanted, const Value& theirs, const std::string& path) {
  if (!wanted.is_object() || !theirs.is_object()) return wanted == theirs ? "" : path;
  for (const auto& [key, value] : *wanted.object()) {
    const Value* other = theirs.find(key);
    if (other == nullptr) continue;
    std::string found = disputed(value, *other, fmt::format("{}.{}", path, key));
    if (!found.empty()) return found;
  }
  return "";
}

// Members that are null say nothing about their field.
void drop_nulls(Value& value) {
  if (json::Array* items = value.array()) {
    for (Value& item : *items) drop_nulls(item);
  }
  if (value.object() == nullptr) return;
  std::vector<std::string> nulls;
  for (auto& [key, member] : *value.object()) {
    if (member.is_null()) nulls.push_back(key);
    else drop_nulls(member);
  }
  for (const std::string& key : nulls) value.object()->erase(key);
}

// What an applier wrote, as `decoded` is named. Without defaults: whoever says nothing of a field does not manage it.
Value as_written(const ResourceType& type, Value written, const Value& decoded) {
  if (!type.custom) drop_nulls(written);
  written["kind"] = type.kind;
  written["apiVersion"] = type.api_version();
  for (const char* field : {"name", "namespace"}) {
    if (const std::string_view text = decoded.at("metadata")->text(field); !text.empty()) written["metadata"][field] = text;
  }
  return written;
}

// The library of Kubernetes takes a replace of an absent member for an add (evanphx/json-patch v4, partialDoc.get).
Result<Value> apply_loosely(Value document, const Value& patch) {
  for (const Value& operation : *patch.array()) {
    Value one = operation;
    const std::string_view path = operation.text("path");
    const size_t slash = path.rfind('/');
    const bool absent = operation.text("op") == "replace" && slash != std::string_view::npos && document.pointer(path) == nullptr;
    const Value* parent = absent ? std::as_const(document).pointer(path.substr(0, slash)) : nullptr;
    if (parent != nullptr && parent->is_object()) one["op"] = "add";
    GS_TRY(document, json::apply_json_patch(std::move(document), Value(json::Array{std::move(one)})));
  }
  return document;
}

// The object as the patch makes it.
Checked<Value> patched(const ResourceType& type, PatchType kind, Value before, const Value& patch) {
  if (kind == PatchType::kJson) {
    if (patch.array() == nullptr) return refuse(bad_request("error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"));
    if (patch.array()->size() > json::kMaxPatchOperations) {
      return refuse(failure(413, "RequestEntityTooLarge",
                            fmt::format("Request entity too large: The allowed maximum operations in a JSON patch is {}, got {}", json::kMaxPatchOperations, patch.array()->size())));
    }
    Result<Value> changed = json::apply_json_patch(before, patch);
    if (!changed) changed = apply_loosely(std::move(before), patch);
    // Kubernetes keeps to itself what was wrong with it.
    if (!changed) return refuse(failure(422, "Invalid", "the server rejected our request due to an error in our request", "{}"));
    return *std::move(changed);
  }
  if (!patch.is_object()) return refuse(bad_request("error decoding patch: json: cannot unmarshal a value that is no object into Go value of type map[string]interface {}"));
  if (kind == PatchType::kMerge) return json::apply_merge_patch(std::move(before), patch);
  Result<Value> changed = strategic_merge(type.schema.get(), std::move(before), patch);
  if (changed) return *std::move(changed);
  // interpretStrategicMergePatchError: of a few it is said that the client is at fault.
  const std::string& why = changed.error().message;
  return refuse(why.starts_with("invalid patch format") ? bad_request(why) : failure(500, "", why));
}

}  // namespace

Answer Registry::patch(const ResourceType& type, const RestRequest& request, std::string_view body) {
  if (!request.subresource.empty() && !has_subresource(type, request.subresource)) return no_such_resource();
  const StoredPtr current = find(type, request);
  if (request.patch == PatchType::kApply && request.subresource != "scale") return apply(type, request, current, body);
  if (!current) return not_found(type.judged_as(), request.name);
  Result<Value> patch = json::parse(body);
  if (!patch) return bad_request("error decoding patch: " + patch.error().message);
  if (request.subresource == "scale") return patch_scale(type, request, current, *patch);
  Checked<Value> changed = patched(type, request.patch, shown(type, *current), *patch);
  if (!changed) return changed.error();
  Checked<Prepared> object = read(type, request, *std::move(changed));
  if (!object) return object.error();
  return in_version(type, replace(type.judged_as(), request, current, *std::move(object), current->applied));
}

Answer Registry::patch_scale(const ResourceType& type, const RestRequest& request, const StoredPtr& current, const Value& patch) {
  const Answer now = scale(type, request);
  if (now.status != 200) return now;
  if (request.patch == PatchType::kApply) return failure(415, "UnsupportedMediaType", "a scale is not applied; patch or update it");
  // A Scale has nothing that a strategic merge would treat otherwise.
  Checked<Value> changed = patched(type, request.patch == PatchType::kJson ? PatchType::kJson : PatchType::kMerge, *json::parse(now.body), patch);
  if (!changed) return changed.error();
  return replace_scale(type, request, current, *changed);
}

Answer Registry::apply(const ResourceType& type, const RestRequest& request, const StoredPtr& current, std::string_view body) {
  const std::string manager(request.option("fieldManager"));
  auto documents = json::parse_yaml(body);
  if (!documents) return bad_request("error decoding YAML: " + documents.error().message);
  if (documents->size() != 1) return bad_request("error decoding YAML: one document is needed");
  if (documents->front().text("kind").empty() || documents->front().text("apiVersion").empty()) {
    return bad_request(fmt::format("invalid object type: {}{}, Kind={}", documents->front().text("apiVersion").empty() ? "/" : "", documents->front().text("apiVersion"), documents->front().text("kind")));
  }
  if (documents->front().at("metadata.managedFields") != nullptr) return bad_request("metadata.managedFields must be nil");
  Checked<Prepared> decoded = read(type, request, documents->front());
  if (!decoded) return decoded.error();
  const Value& object = decoded->object;
  const Value written = as_written(type, std::move(documents->front()), object);
  auto applied = std::make_shared<Applied>(current && current->applied ? *current->applied : Applied());
  Value mine = written;
  for (const char* field : {"resourceVersion", "uid"}) mine["metadata"].make_object().erase(field);
  const Value before = applied->contains(manager) ? applied->at(manager) : Value();
  (*applied)[manager] = mine;
  if (!current) {
    if (!request.subresource.empty()) return not_found(type.judged_as(), request.name);
    if (!object.text("metadata.uid").empty()) {
      return conflict(type, request.name, fmt::format("uid mismatch: the provided object specified uid {}, and no existing object was found", object.text("metadata.uid")));
    }
    return in_version(type, create_object(type.judged_as(), request, *std::move(decoded), std::move(applied)));
  }
  std::vector<const Value*> others;
  for (const auto& [name, config] : *applied) {
    if (name == manager) continue;
    others.push_back(&config);
    const std::string field = disputed(mine, config, "");
    if (field.empty() || request.option("force") == "true") continue;
    std::string cause = R"({"causes":[{"reason":"FieldManagerConflict","message":)";
    json::append_string(cause, fmt::format("conflict with \"{}\"", name));
    cause += ",\"field\":";
    json::append_string(cause, field);
    return failure(409, "Conflict", fmt::format("Apply failed with 1 conflict: conflict with \"{}\": {}", name, field), cause + "}]}");
  }
  Value merged = shown(type, *current);
  take_out(merged, before, &mine, others);
  Checked<Prepared> wanted = read(type, request, json::apply_merge_patch(std::move(merged), written));
  if (!wanted) return wanted.error();
  wanted->warnings = std::move(decoded->warnings);
  if (before == mine) applied = std::const_pointer_cast<Applied>(current->applied);
  return in_version(type, replace(type.judged_as(), request, current, *std::move(wanted), std::move(applied)));
}

}  // namespace gs::apiserver
