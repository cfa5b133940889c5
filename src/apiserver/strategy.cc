#include "apiserver/strategy.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "apiserver/built_in.h"
#include "apiserver/built_in_checks.h"
#include "apiserver/crd_strategy.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "json/writer.h"
#include "schema/decode.h"
#include "schema/go_json.h"
#include "schema/kubernetes.h"
#include "schema/prune.h"
#include "schema/strict.h"
#include "schema/validate.h"

namespace gs::apiserver {
namespace {

using json::Value;
using schema::FieldErrors;


// Built-in types whose metadata a write of their status does not touch (metav1.ResetObjectMetaForStatus and the like).
constexpr std::string_view kStatusAlone[] = {"customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io", "flowschemas.flowcontrol.apiserver.k8s.io",
                                             "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io", "servicecidrs.networking.k8s.io", "resourceclaims.resource.k8s.io",
                                             "volumeattachments.storage.k8s.io", "validatingadmissionpolicies.admissionregistration.k8s.io"};

void copy_member(Value& to, const Value& from, std::string_view key) {
  if (const Value* value = from.find(key)) {
    to[key] = *value;
  } else {
    to.make_object().erase(key);
  }
}

// What an update cannot set (rest.BeforeUpdate): some of it is ignored, some refused where it is another value.
void keep_system_fields(Value& metadata, const Value& old) {
  for (const std::string_view field : {"creationTimestamp", "generation", "namespace", "name"}) copy_member(metadata, old, field);
  if (metadata.text("uid").empty()) copy_member(metadata, old, "uid");
  if (!old.text("deletionTimestamp").empty()) copy_member(metadata, old, "deletionTimestamp");
  const Value* grace = metadata.find("deletionGracePeriodSeconds");
  if (grace == nullptr || grace->is_null()) copy_member(metadata, old, "deletionGracePeriodSeconds");
}

// Everything but metadata (and status), compared.
bool same_intent(const Value& a, const Value& b, bool without_status) {
  const auto skip = [&](const std::string& key) { return key == "metadata" || (without_status && key == "status"); };
  const auto within = [&](const json::Object& left, const Value& right) {
    return std::all_of(left.begin(), left.end(), [&](const json::Member& m) {
      const Value* other = right.find(m.first);
      return skip(m.first) || (other != nullptr && *other == m.second);
    });
  };
  return within(*a.object(), b) && within(*b.object(), a);
}

// `Deployment in version "v1" cannot be handled as a Deployment: why`.
Answer cannot_handle(const ResourceType& type, std::string_view kind, std::string_view version, std::string_view why) {
  return bad_request(fmt::format("{} in version {} cannot be handled as a {}: {}", kind, schema::quoted(version), type.kind, why));
}

bool registered(std::string_view api_version, std::string_view kind) {
  for (const schema::KubernetesResource& r : schema::kubernetes_resources()) {
    const std::string version = r.group.empty() ? std::string(r.version) : fmt::format("{}/{}", r.group, r.version);
    if (r.kind == kind && version == api_version) return true;
  }
  return false;
}

// What is said of a body of another kind, as the registered types of k8s.io/kubernetes' scheme have it. `patched`: the answer
// is the problem alone.
std::optional<Answer> wrong_kind(const ResourceType& type, const Value& object, bool patched) {
  const std::string kind(object.text("kind")), version(object.text("apiVersion"));
  if ((kind.empty() || kind == type.kind) && (version.empty() || version == type.api_version())) return std::nullopt;
  const bool same_version = version.empty() || version == type.api_version();
  if (type.custom) {
    if (same_version) {
      ResourceType named = type;
      named.kind = kind;
      return invalid(named, object.text("metadata.name"), {schema::invalid("kind", kind, "must be " + type.kind)});
    }
    return bad_request(fmt::format("the API version in the data ({}) does not match the expected API version ({})", version, type.api_version()));
  }
  const std::string wanted = kind.empty() ? type.kind : kind, in = version.empty() ? type.api_version() : version;
  const std::string_view short_version = std::string_view(in).substr(in.rfind('/') + 1);
  const auto refusal = [&](const std::string& why) { return patched ? Answer(422, why) : cannot_handle(type, wanted, short_version, why); };
  if (!registered(in, wanted)) {
    return refusal(fmt::format("no kind {} is registered for version {} in scheme \"pkg/runtime/scheme.go:111\"", schema::quoted(wanted), schema::quoted(in)));
  }
  if (!same_version) return bad_request(fmt::format("the API version in the data ({}) does not match the expected API version ({})", version, type.api_version()));
  const std::string internal = type.group.empty() ? "core" : type.group.substr(0, type.group.find('.'));
  return refusal(fmt::format("converting ({}.{}) to ({}.{}): unknown conversion", short_version, wanted, internal, type.kind));
}

// handlers.summarizeData.
std::string summary(std::string_view body) {
  constexpr size_t kMost = 30;
  if (body.empty()) return "<empty>";
  std::string out(body.substr(0, kMost));
  if (body[0] != '{') {
    std::string hex;
    for (const char c : out) hex += fmt::format("{:02x}", static_cast<unsigned char>(c));
    out = std::move(hex);
  }
  return body.size() > kMost ? out + " ..." : out;
}

// What apimachinery's meta.DefaultMetaFactory says of what is no object.
Answer no_object(const ResourceType& type, const Value& value, std::string_view body) {
  return unrecognized(type, fmt::format(R"(json: cannot unmarshal {} into Go value of type struct {{ APIVersion string "json:\"apiVersion,omitempty\""; Kind string "json:\"kind,omitempty\"" }})",
                                        schema::go_json_kind(value)), body);
}

// A body of a custom resource says what it is; built-in types may leave it out.
std::optional<Answer> missing_kind(const ResourceType& type, const Value& object, std::string_view body) {
  if (!type.custom || type.schema == nullptr || body.empty()) return std::nullopt;
  const std::string_view field = object.text("kind").empty() ? "Kind" : object.text("apiVersion").empty() ? "apiVersion" : "";
  if (field.empty()) return std::nullopt;
  return bad_request(fmt::format("the object provided is unrecognized (must be of type {}): Object '{}' is missing in '{}' ({})", type.kind, field, body, summary(body)));
}

// A built-in type's struct.
std::string decode_built_in(const ResourceType& type, Value& object, std::string_view body, std::vector<std::string>& strict, schema::Reader reader = schema::Reader::kJson) {
  std::vector<std::string> unknown;
  std::string problem = schema::decode(*type.schema, object, unknown, reader);
  if (reader == schema::Reader::kConverter) std::sort(unknown.begin(), unknown.end());
  if (problem.empty() && is_crd(type)) problem = decode_crd(object);
  if (!problem.empty()) return problem;
  if (body.empty()) {
    for (const std::string& path : unknown) strict.push_back("unknown field " + schema::quoted(path));
  } else {
    strict = schema::strict_errors(body, type.schema.get());
  }
  schema::fill_defaults(*type.schema, object);
  // What is stored in another version has its defaults there.
  if (!type.stored_as) is_crd(type) ? default_crd(object) : default_built_in(type, object);
  schema::normalise(*type.schema, object);
  return problem;
}

// A custom resource: its metadata is a struct, the rest is what its schema says. Without a schema everything stays.
std::string decode_custom(const ResourceType& type, Value& object, std::string_view body, std::vector<std::string>& strict) {
  static const schema::SchemaPtr meta = schema::kubernetes_schema("meta.v1.ObjectMeta");
  if (!body.empty()) strict = schema::strict_errors(body, nullptr);
  std::vector<std::string> unknown;
  if (std::string problem = schema::decode(*meta, object["metadata"], unknown); !problem.empty()) return problem;
  schema::normalise(*meta, object["metadata"]);
  for (std::string& path : unknown) path = "metadata." + path;
  if (type.schema != nullptr) {
    std::vector<std::string> pruned = schema::prune(*type.schema, object);
    unknown.insert(unknown.begin(), pruned.begin(), pruned.end());
    std::sort(unknown.begin(), unknown.end());
    schema::apply_defaults(*type.schema, object);
  }
  for (const std::string& path : unknown) strict.push_back("unknown field " + schema::quoted(path));
  return "";
}

// Says of the object what it is.
void take_type(const ResourceType& type, Value& object) {
  object["kind"] = type.kind;
  object["apiVersion"] = type.api_version();
  if (Value* metadata = object.object()->find("metadata"); metadata == nullptr || metadata->is_null()) object["metadata"] = json::Object();
  if (Value& metadata = object["metadata"]; metadata.is_object()) metadata.object()->erase("managedFields");
}

void set_generation(const ResourceType& type, Operation operation, Value& object, const Value* old) {
  Value& metadata = object["metadata"];
  if (old == nullptr) {
    if (type.has_generation) {
      metadata["generation"] = 1;
    } else {
      metadata.object()->erase("generation");
    }
    return;
  }
  // A custom resource without the subresource has its status in what counts.
  bool counts = operation == Operation::kUpdate && !same_intent(*old, object, type.has_status || !type.custom);
  if (type.group == "apps" && type.resource == "deployments" && operation == Operation::kUpdate) {
    const Value *now = object.at("metadata.annotations"), *before = old->at("metadata.annotations");
    counts |= (now == nullptr) != (before == nullptr) || (now != nullptr && !(*now == *before));
  }
  if (!type.has_generation || !counts) return;
  const Value* generation = old->at("metadata.generation");
  metadata["generation"] = generation != nullptr ? generation->integer().value_or(0) + 1 : 1;
}

std::string_view go_type(const Value& value) {
  if (value.is_number()) return value.integer() ? "int64" : "float64";
  if (value.is_string()) return "string";
  if (value.boolean()) return "bool";
  return value.is_object() ? "map[string]interface {}" : "[]interface {}";
}

// What scale reads and writes must be a number that makes sense (apiextensions' customResourceValidator.validateScale).
void validate_scale(const ResourceType& type, const Value& object, FieldErrors& errors) {
  if (!type.has_scale) return;
  for (const std::string& path : {type.scale.spec, type.scale.status}) {
    if (path.size() < 2) continue;
    const Value* value = &object;
    for (const std::string_view part : split(std::string_view(path).substr(1), '.')) {
      if (!value->is_object()) {
        errors.push_back(schema::invalid(path, 0, fmt::format("{} accessor error: {} is of the type {}, expected map[string]interface{{}}", path, schema::go_print(*value), go_type(*value))));
        value = nullptr;
      } else {
        value = value->find(part);
      }
      if (value == nullptr) break;
    }
    if (value == nullptr) continue;
    const auto number = value->integer();
    if (!value->is_number() || !number) {
      errors.push_back(schema::invalid(path, 0, fmt::format("{} accessor error: {} is of the type {}, expected int64", path, schema::go_print(*value), go_type(*value))));
    } else if (*number < 0) {
      errors.push_back(schema::invalid(path, *value, "should be a non-negative integer"));
    } else if (*number > std::numeric_limits<int32_t>::max()) {
      errors.push_back(schema::invalid(path, *value, fmt::format("should be less than or equal to {}", std::numeric_limits<int32_t>::max())));
    }
  }
}

// A status that is written alone is judged alone, by its part of the schema.
void validate_status(const schema::Schema& schema, const Value& object, const Value* old, FieldErrors& errors) {
  const schema::Property* part = schema.find("status");
  const Value* status = object.find("status");
  if (part == nullptr || status == nullptr) return;
  for (schema::FieldError& e : schema::validate(*part->slot.schema, *status, old != nullptr ? old->find("status") : nullptr)) {
    e.field = e.field == "<nil>" ? "status" : schema::child("status", e.field);
    errors.push_back(std::move(e));
  }
}

// What the schema of a custom resource knows how to judge.
void validate_custom(const ResourceType& type, Operation operation, const Value& object, const Value* old, FieldErrors& errors) {
  if (operation == Operation::kUpdateStatus) {
    validate_status(*type.schema, object, old, errors);
  } else {
    for (schema::FieldError& e : schema::validate(*type.schema, object, old)) errors.push_back(std::move(e));
  }
  validate_scale(type, object, errors);
  for (schema::FieldError& e : schema::validate_embedded(*type.schema, object)) errors.push_back(std::move(e));
  for (schema::FieldError& e : schema::validate_list_types(*type.schema, object)) errors.push_back(std::move(e));
}

Value merged_parts(const ResourceType& type, Operation operation, Value object, const Value& old) {
  if (operation == Operation::kUpdateStatus) {
    Value next = old;
    copy_member(next, object, "status");
    if (type.custom || type.schema == nullptr) return next;
    // Of most built-in types metadata may change along, but for what the system keeps.
    const std::string name = type.qualified();
    if (std::find(std::begin(kStatusAlone), std::end(kStatusAlone), name) != std::end(kStatusAlone)) return next;
    Value metadata = object["metadata"];
    keep_system_fields(metadata, *old.find("metadata"));
    if (name == "deployments.apps") copy_member(metadata, *old.find("metadata"), "labels");
    if (name == "pods") copy_member(metadata, *old.find("metadata"), "ownerReferences");
    next["metadata"] = std::move(metadata);
    return next;
  }
  if (type.has_status) copy_member(object, old, "status");
  keep_system_fields(object["metadata"], *old.find("metadata"));
  return object;
}

}  // namespace

Answer invalid(const ResourceType& type, std::string_view name, const FieldErrors& errors) {
  std::string details;
  std::vector<std::string> messages;
  json::Writer writer(details);
  writer.begin_object();
  if (!name.empty()) writer.key("name").string(name);
  if (!type.group.empty()) writer.key("group").string(type.group);
  if (!type.kind.empty()) writer.key("kind").string(type.kind);
  writer.key("causes").begin_array();
  for (const schema::FieldError& e : errors) {
    writer.begin_object().key("reason").string(e.reason()).key("message").string(e.body).key("field").string(e.field).end_object();
    messages.push_back(e.to_string());
  }
  writer.end_array().end_object();
  return failure(422, "Invalid", fmt::format("{} {} is invalid: {}", type.qualified_kind(), schema::quoted(name), schema::aggregate(messages)), details);
}

Checked<FieldValidation> field_validation(const ResourceType& type, std::string_view option) {
  if (option.empty() || option == "Warn") return FieldValidation::kWarn;
  if (option == "Ignore") return FieldValidation::kIgnore;
  if (option == "Strict") return FieldValidation::kStrict;
  return refuse(invalid(type, "", {schema::not_supported("fieldValidation", option, {"Ignore", "Strict", "Warn"})}));
}

Answer unrecognized(const ResourceType& type, const std::string& why, std::string_view body) {
  return bad_request(fmt::format("the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {} ({})", type.kind, why, summary(body)));
}

Checked<Prepared> decode(const ResourceType& type, Value object, std::string_view body, FieldValidation validation) {
  // To encoding/json null is an object with nothing in it.
  if (object.is_null() && !type.custom) object = json::Object();
  if (!object.is_object()) return refuse(no_object(type, object, body));
  if (std::optional<Answer> missing = missing_kind(type, object, body)) return refuse(*std::move(missing));
  if (std::optional<Answer> wrong = wrong_kind(type, object, false)) return refuse(*std::move(wrong));
  take_type(type, object);
  Prepared out;
  std::vector<std::string> strict;
  const bool built_in = !type.custom && type.schema != nullptr;
  const std::string problem = built_in ? decode_built_in(type, object, body, strict) : decode_custom(type, object, body, strict);
  if (!problem.empty()) return refuse(cannot_handle(type, type.kind, type.version, problem));
  if (validation == FieldValidation::kStrict && !strict.empty()) {
    return refuse(cannot_handle(type, type.kind, type.version, fmt::format("strict decoding error: {}", fmt::join(strict, ", "))));
  }
  if (validation == FieldValidation::kWarn) out.warnings = std::move(strict);
  out.object = std::move(object);
  return out;
}

Checked<Prepared> decode_patched(const ResourceType& type, Value object, PatchSource source, FieldValidation validation) {
  const auto refused = [&](const std::string& why) {
    const std::string shown = source.strategic != nullptr ? schema::go_print(*source.strategic) : source.object();
    return refuse(invalid(ResourceType(), "", {schema::invalid("patch", shown, why)}));
  };
  if (!object.is_object()) return refused(fmt::format("json: cannot unmarshal {} into Go value of type {}", schema::go_json_kind(object), type.kind));
  if (std::optional<Answer> wrong = source.strategic != nullptr ? std::nullopt : wrong_kind(type, object, true)) {
    if (wrong->status == 422 && !wrong->body.starts_with('{')) return refused(wrong->body);
    return refuse(*std::move(wrong));
  }
  take_type(type, object);
  const bool built_in = !type.custom && type.schema != nullptr;
  const schema::Reader reader = source.strategic != nullptr ? schema::Reader::kConverter : schema::Reader::kJson;
  std::vector<std::string>& strict = source.strict;
  const std::string problem = built_in ? decode_built_in(type, object, "", strict, reader) : decode_custom(type, object, "", strict);
  if (!problem.empty()) return refused(problem);
  if (validation == FieldValidation::kStrict && !strict.empty()) return refused(fmt::format("strict decoding error: {}", fmt::join(strict, ", ")));
  Prepared out;
  if (validation == FieldValidation::kWarn) out.warnings = std::move(strict);
  out.object = std::move(object);
  return out;
}

Checked<Prepared> prepare(const ResourceType& type, Operation operation, Value object, const Value* old) {
  FieldErrors errors;
  Prepared out;
  out.object = old == nullptr ? std::move(object) : merged_parts(type, operation, std::move(object), *old);
  Value& next = out.object;
  const bool built_in = !type.custom && type.schema != nullptr;
  if (old == nullptr && type.has_status) next.object()->erase("status");
  if (operation != Operation::kUpdateStatus && built_in) is_crd(type) ? prepare_crd(next, old) : prepare_built_in(type, next, old);
  set_generation(type, operation, next, old);
  if (old == nullptr) {
    validate_object_meta(type, next, nullptr, errors);
  } else {
    validate_object_meta_update(type, next, *old, operation == Operation::kUpdateStatus, errors);
  }
  if (operation != Operation::kUpdateStatus && is_crd(type)) validate_crd(next, old, errors);
  if (operation != Operation::kUpdateStatus && built_in && !is_crd(type)) validate_built_in(type, next, old, errors);
  if (operation == Operation::kUpdateStatus && built_in) checks::status(type, next, old, errors);
  if (type.custom && type.schema != nullptr) validate_custom(type, operation, next, old, errors);
  if (!errors.empty()) return refuse(invalid(type, next.text("metadata.name"), errors));
  if (built_in) schema::normalise(*type.schema, next);
  if (is_crd(type) && operation != Operation::kUpdateStatus) out.warnings = warnings_of_crd(next, old);
  if (type.custom) out.warnings = finalizer_warnings(next, old);
  if (built_in && operation != Operation::kUpdateStatus && !is_crd(type)) out.warnings = warnings_of_built_in(type, next);
  return out;
}

void prepare_deletion(const ResourceType& type, Value& object, std::string_view now) {
  if (is_crd(type)) prepare_crd_deletion(object, now);
}

}  // namespace gs::apiserver
