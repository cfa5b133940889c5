// Patches: k8s.io/apiserver's endpoints/handlers/patch.go, and apply.
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/registry.h"
#include "apiserver/strategic_merge.h"
#include "apiserver/version_view.h"
#include "base/strings.h"
#include "json/patch.h"
#include "json/yaml.h"
#include "schema/go_json.h"
#include "schema/strict.h"

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

std::string cannot_unmarshal(const Value& value, std::string_view into) { return fmt::format("json: cannot unmarshal {} into Go {}", schema::go_json_kind(value), into); }

// What Go says of a JSON patch that is none; empty: nothing.
std::string problem_of_operations(const Value& patch) {
  if (patch.is_null()) return "";
  if (patch.array() == nullptr) return cannot_unmarshal(patch, "value of type []handlers.jsonPatchOp");
  for (const Value& operation : *patch.array()) {
    if (!operation.is_object() && !operation.is_null()) return cannot_unmarshal(operation, "value of type handlers.jsonPatchOp");
    for (const char* field : {"op", "path", "from"}) {
      const Value* word = operation.find(field);
      if (word != nullptr && !word->is_null() && !word->is_string()) return cannot_unmarshal(*word, fmt::format("struct field jsonPatchOp.{} of type string", field));
    }
  }
  return "";
}

// The patch itself, before there is a question of what it does.
Checked<Value> read_patch(PatchType kind, std::string_view body, FieldValidation validation) {
  // Of these Kubernetes says where it was.
  const std::string prefix = kind == PatchType::kStrategicMerge ? "" : "error decoding patch: ";
  Result<Value> patch = schema::parse_as_go(body);
  if (!patch && kind == PatchType::kMerge && validation == FieldValidation::kIgnore) return refuse(bad_request("Invalid JSON Patch"));
  if (!patch) return refuse(bad_request(prefix + patch.error().message));
  if (kind == PatchType::kJson) {
    if (const std::string problem = problem_of_operations(*patch); !problem.empty()) return refuse(bad_request(prefix + problem));
    return patch->is_null() ? Value(json::Array()) : *std::move(patch);
  }
  if (patch->is_null() && kind == PatchType::kMerge) return refuse(bad_request("Invalid JSON Patch"));
  if (patch->is_null()) return Value(json::Object());
  if (!patch->is_object()) return refuse(bad_request(prefix + cannot_unmarshal(*patch, "value of type map[string]interface {}")));
  return *std::move(patch);
}

// What is unknown or twice there in the patch's own text.
std::vector<std::string> strict_errors_of(PatchType kind, const Value& patch, std::string_view body) {
  std::vector<std::string> out = schema::strict_errors(body, nullptr);
  if (kind != PatchType::kJson) return out;
  constexpr std::string_view kKnown[] = {"op", "path", "from", "value"};
  for (size_t i = 0; i < patch.array()->size(); ++i) {
    const json::Object* operation = (*patch.array())[i].object();
    if (operation == nullptr) continue;
    for (const json::Member& m : *operation) {
      if (std::find(std::begin(kKnown), std::end(kKnown), m.first) == std::end(kKnown)) out.push_back("unknown field " + schema::quoted(fmt::format("[{}].{}", i, m.first)));
    }
  }
  // In the order of the operations: each error names one ("duplicate field \"[1].value\"").
  const auto place = [](const std::string& error) {
    const size_t begin = error.find('[') + 1;
    return parse_uint(std::string_view(error).substr(begin, error.find(']') - begin)).value_or(0);
  };
  std::stable_sort(out.begin(), out.end(), [&](const std::string& a, const std::string& b) { return place(a) < place(b); });
  for (std::string& error : out) error = "json patch " + error;
  return out;
}

// What a forced apply takes from another applier: the fields on which it insists with another value.
void give_up(Value& theirs, const Value& mine) {
  json::Object* members = theirs.object();
  if (members == nullptr || !mine.is_object()) return;
  std::vector<std::string> lost;
  for (auto& [key, value] : *members) {
    const Value* other = mine.find(key);
    if (other == nullptr) continue;
    if (value.is_object() && other->is_object()) give_up(value, *other);
    else if (!(value == *other)) lost.push_back(key);
  }
  for (const std::string& key : lost) members->erase(key);
}

// typed.ValidationErrors of structured-merge-diff, of what `unknown` tells as warnings.
std::string untyped(const std::vector<std::string>& unknown) {
  std::vector<std::string> errors;
  for (const std::string& told : unknown) {
    const size_t begin = told.find('"'), end = told.rfind('"');
    if (told.starts_with("unknown field ")) errors.push_back(fmt::format(".{}: field not declared in schema", told.substr(begin + 1, end - begin - 1)));
  }
  if (errors.size() == 1) return errors.front();
  return fmt::format("errors:\n  {}", fmt::join(errors, "\n  "));
}

}  // namespace

Checked<Value> apply_patch(const ResourceType& type, PatchType kind, Value before, const Value& patch) {
  if (kind == PatchType::kJson) {
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
  if (kind == PatchType::kMerge) return json::apply_merge_patch(std::move(before), patch);
  Result<Value> changed = strategic_merge(type.schema.get(), std::move(before), patch);
  if (changed) return *std::move(changed);
  // interpretStrategicMergePatchError: of a few it is said that the client is at fault.
  const std::string& why = changed.error().message;
  return refuse(why.starts_with("invalid patch format") ? bad_request(why) : failure(500, "", why));
}

Answer Registry::patch(const ResourceType& type, const RestRequest& request, std::string_view body) {
  if (!request.subresource.empty() && !has_subresource(type, request.subresource)) return no_such_resource();
  const StoredPtr current = find(type, request);
  if (request.patch == PatchType::kApply && request.subresource != "scale") return apply(type, request, current, body);
  if (!current) return not_found(type.judged_as(), request.name);
  const Checked<FieldValidation> validation = field_validation(type, request.option("fieldValidation"));
  if (!validation) return validation.error();
  const Checked<Value> patch = read_patch(request.patch, body, *validation);
  if (!patch) return patch.error();
  PatchSource source;
  if (request.patch == PatchType::kStrategicMerge) source.strategic = &*patch;
  source.strict = strict_errors_of(request.patch, *patch, body);
  if (request.subresource == "scale") {
    const Checked<Prepared> scale = patched_scale(type, request, current, *patch, std::move(source), *validation);
    if (!scale) return scale.error();
    return with_warnings(replace_scale(type, request, current, scale->object), scale->warnings);
  }
  Checked<Value> changed = apply_patch(type, request.patch, shown(type, *current), *patch);
  if (!changed) return changed.error();
  source.object = [&] { return apply_patch(type, request.patch, shown(type, *current), *patch)->dump(); };
  Checked<Prepared> object = addressed(type, request, decode_patched(type, *std::move(changed), std::move(source), *validation));
  if (!object) return object.error();
  const Warnings warnings = std::exchange(object->warnings, {});
  return with_warnings(in_version(type, replace(type.judged_as(), request, current, *std::move(object), current->applied)), warnings);
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
  RestRequest lenient = request;
  lenient.options["fieldValidation"] = "Warn";
  Checked<Prepared> decoded = read(type, lenient, documents->front());
  if (!decoded) return decoded.error();
  // Whatever fieldValidation says: what is applied must be typed to be merged.
  if (!decoded->warnings.empty()) {
    return failure(500, "", fmt::format("failed to create typed patch object ({}/{}; {}/{}, Kind={}): {}", documents->front().text("metadata.namespace"), documents->front().text("metadata.name"),
                                        type.group, type.version, type.kind, untyped(decoded->warnings)));
  }
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
  for (auto& [name, config] : *applied) {
    if (name == manager) continue;
    const std::string field = disputed(mine, config, "");
    if (request.option("force") == "true") give_up(config, mine);
    others.push_back(&config);
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
  if (current->applied && *applied == *current->applied) applied = std::const_pointer_cast<Applied>(current->applied);
  return in_version(type, replace(type.judged_as(), request, current, *std::move(wanted), std::move(applied)));
}

}  // namespace gs::apiserver
