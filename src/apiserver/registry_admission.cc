// Where a write meets webhooks: what it is to them, and what of it is kept while they are asked.
#include "apiserver/registry.h"
#include "apiserver/respond.h"
#include "apiserver/version_view.h"

namespace gs::apiserver {
namespace {

using admission::GroupVersionKind;
using admission::Phase;
using json::Value;

Value options_named(const char* kind, bool dry_run) {
  Value out;
  out["kind"] = kind;
  out["apiVersion"] = "meta.k8s.io/v1";
  if (dry_run) out["dryRun"] = json::Array{Value("All")};
  return out;
}

// The options of the query; a patch has those of what it does.
Value options_of(const RestRequest& request, std::string_view operation) {
  Value out = options_named(operation == "CREATE" ? "CreateOptions" : "UpdateOptions", request.dry_run());
  for (const char* option : {"fieldManager", "fieldValidation"}) {
    if (!request.option(option).empty()) out[option] = request.option(option);
  }
  return out;
}

Value options_of(const DeleteOptions& options) {
  Value out = options_named("DeleteOptions", options.dry_run);
  constexpr const char* kPropagations[] = {"Background", "Foreground", "Orphan"};
  if (options.grace_seconds) out["gracePeriodSeconds"] = *options.grace_seconds;
  if (options.propagation) out["propagationPolicy"] = kPropagations[static_cast<size_t>(*options.propagation)];
  if (options.orphan) out["orphanDependents"] = *options.orphan;
  if (options.uid) out["preconditions"]["uid"] = *options.uid;
  if (options.resource_version) out["preconditions"]["resourceVersion"] = *options.resource_version;
  return out;
}

// What webhooks do not see of an object that is new (rest.WipeObjectMetaSystemFields).
void wipe_system_fields(Value& object) {
  for (const char* field : {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"}) object["metadata"].make_object().erase(field);
}

// An object as it is judged, in the version that was asked for.
Value as_asked(const ResourceType& type, const Value& object) {
  Value out = object;
  from_judged(type, out);
  return out;
}

}  // namespace

std::string Registry::fresh_uid() {
  if (gate_ == nullptr) return random_uuid(loop_.random());
  std::string& uid = gate_->draft().uid;
  if (uid.empty()) uid = random_uuid(loop_.random());
  return uid;
}

std::string Registry::creation_time() {
  if (gate_ == nullptr) return format_rfc3339(loop_.wall_now());
  std::string& created = gate_->draft().created;
  if (created.empty()) created = format_rfc3339(loop_.wall_now());
  return created;
}

admission::Attributes Registry::attributes_of(const RestRequest& request, std::string_view operation) const {
  admission::Attributes out;
  out.type = table_.find(request.group, request.version, request.resource);
  out.kind = GroupVersionKind(out.type->named_group(), out.type->version, out.type->kind);
  out.operation = operation;
  out.subresource = request.subresource;
  out.name = request.name;
  out.ns = is_namespace(*out.type) ? request.name : out.type->namespaced ? request.ns : "";
  return out;
}

std::optional<Answer> Registry::admit_as(Phase phase, const RestRequest& request, GroupVersionKind kind, Value& object, const Value* old) {
  if (gate_ == nullptr) return std::nullopt;
  admission::Attributes attributes = attributes_of(request, old == nullptr ? "CREATE" : "UPDATE");
  attributes.kind = std::move(kind);
  attributes.options = options_of(request, attributes.operation);
  attributes.dry_run = request.dry_run();
  if (attributes.name.empty()) {
    attributes.name = object.text("metadata.name");
    if (is_namespace(*attributes.type)) attributes.ns = attributes.name;
  }
  attributes.object = object;
  if (old != nullptr) attributes.old_object = *old;
  std::optional<Answer> stop = gate_->pass(phase, attributes);
  if (!stop && attributes.changed) object = std::move(attributes.object);
  return stop;
}

std::optional<Answer> Registry::admit(Phase phase, const RestRequest& request, Value& object, const Value* old) {
  if (gate_ == nullptr) return std::nullopt;
  const ResourceTypePtr type = table_.find(request.group, request.version, request.resource);
  const Value sent = as_asked(*type, object), before = old != nullptr ? as_asked(*type, *old) : Value();
  Value admitted = sent;
  if (auto stop = admit_as(phase, request, GroupVersionKind(type->named_group(), type->version, type->kind), admitted, old != nullptr ? &before : nullptr)) return stop;
  if (phase == Phase::kValidating || admitted == sent) return std::nullopt;
  // It is still to be the object of this address.
  Prepared changed;
  changed.object = std::move(admitted);
  Checked<Prepared> again = addressed(*type, request, std::move(changed));
  if (!again) return std::move(again).error();
  object = std::move(again->object);
  return std::nullopt;
}

std::optional<Answer> Registry::admit_update(const RestRequest& request, Value& next, const Value& old) {
  if (gate_ == nullptr) return std::nullopt;
  if (request.subresource != "scale") return admit(Phase::kValidating, request, next, &old);
  const ResourceTypePtr type = table_.find(request.group, request.version, request.resource);
  Value scale = *json::parse(scale_of(*type, next));
  const Value old_scale = *json::parse(scale_of(*type, old));
  return admit_as(Phase::kValidating, request, GroupVersionKind("autoscaling", "v1", "Scale"), scale, &old_scale);
}

// Kubernetes' own plugin for namespaces comes before webhooks.
std::optional<Answer> Registry::admit_create(const ResourceType& type, const RestRequest& request, Value& object) {
  if (gate_ == nullptr) return std::nullopt;
  Answer refusal = check_namespace(type, type.namespaced ? request.ns : "", object.text("metadata.name"));
  if (refusal.status != 200) return refusal;
  wipe_system_fields(object);
  return admit(Phase::kMutating, request, object, nullptr);
}

std::optional<Answer> Registry::admit_deletion(Phase phase, const RestRequest& request, const DeleteOptions& options, const Value& before) {
  if (gate_ == nullptr) return std::nullopt;
  admission::Attributes attributes = attributes_of(request, "DELETE");
  attributes.options = options_of(options);
  attributes.dry_run = options.dry_run;
  attributes.old_object = as_asked(*attributes.type, before);
  return gate_->pass(phase, attributes);
}

}  // namespace gs::apiserver
