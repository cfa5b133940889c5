#include "apiserver/registry_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "apiserver/registry.h"
#include "json/writer.h"

namespace gs::apiserver {
namespace {

template <class List>
bool among(const List& list, const ResourceType& type) {
  return std::find(std::begin(list), std::end(list), type.qualified()) != std::end(list);
}

constexpr std::string_view kCreatedByUpdate[] = {
    "leases.coordination.k8s.io", "leasecandidates.coordination.k8s.io", "endpoints", "events", "events.events.k8s.io", "limitranges", "services", "runtimeclasses.node.k8s.io",
    "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io", "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io"};

constexpr std::string_view kConditional[] = {
    "mutatingadmissionpolicies.admissionregistration.k8s.io", "mutatingadmissionpolicybindings.admissionregistration.k8s.io", "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingadmissionpolicies.admissionregistration.k8s.io", "validatingadmissionpolicybindings.admissionregistration.k8s.io", "validatingwebhookconfigurations.admissionregistration.k8s.io",
    "clustertrustbundles.certificates.k8s.io", "podcertificaterequests.certificates.k8s.io", "leases.coordination.k8s.io", "leasecandidates.coordination.k8s.io", "runtimeclasses.node.k8s.io",
    "poddisruptionbudgets.policy", "csidrivers.storage.k8s.io", "csinodes.storage.k8s.io", "csistoragecapacities.storage.k8s.io", "volumeattachments.storage.k8s.io",
    "storageversionmigrations.storagemigration.k8s.io", "customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io"};

constexpr std::string_view kReturnsObject[] = {
    "pods", "services", "serviceaccounts", "persistentvolumes", "persistentvolumeclaims", "resourcequotas", "podtemplates", "namespaces", "csidrivers.storage.k8s.io", "storageclasses.storage.k8s.io",
    "volumeattachments.storage.k8s.io", "csinodes.storage.k8s.io", "volumeattributesclasses.storage.k8s.io", "resourceclaimtemplates.resource.k8s.io", "resourceslices.resource.k8s.io",
    "resourceclaims.resource.k8s.io", "deviceclasses.resource.k8s.io", "devicetaintrules.resource.k8s.io"};

}  // namespace

bool created_by_update(const ResourceType& type) { return !type.custom && among(kCreatedByUpdate, type); }
bool updated_unconditionally(const ResourceType& type) { return !type.custom && !among(kConditional, type); }
bool deletion_returns_object(const ResourceType& type) { return !type.custom && among(kReturnsObject, type); }
bool orphans_by_default(const ResourceType& type) { return type.group == "batch" && type.resource == "jobs"; }
bool collects_garbage(const ResourceType& type) { return type.resource != "events" || (!type.group.empty() && type.group != "events.k8s.io"); }

bool may_go(const ResourceType& type, const json::Value& object) {
  if (!deleting(object) || has_entries(object, "metadata.finalizers")) return false;
  if (is_namespace(type) && has_entries(object, "spec.finalizers")) return false;
  const json::Value* grace = object.at("metadata.deletionGracePeriodSeconds");
  return grace == nullptr || grace->integer().value_or(0) == 0;
}

// Names the resource where others name the kind (kubernetes/kubernetes#18526).
Answer needs_version(const ResourceType& type, std::string_view name) {
  const std::string_view why = "Invalid value: 0: must be specified for an update";
  std::string details;
  json::Writer writer(details);
  writer.begin_object().key("name").string(name);
  if (!type.group.empty()) writer.key("group").string(type.group);
  writer.key("kind").string(type.resource).key("causes").begin_array().begin_object();
  writer.key("reason").string("FieldValueInvalid").key("message").string(why).key("field").string("metadata.resourceVersion").end_object().end_array().end_object();
  return failure(422, "Invalid", fmt::format("{} \"{}\" is invalid: metadata.resourceVersion: {}", type.qualified(), name, why), details);
}

std::string storage_key(const ResourceType& type, std::string_view ns, std::string_view name) {
  std::string out = "/registry/";
  if (type.custom) out += type.group + "/";
  // Some are older than their names (k8s.io/kubernetes/pkg/registry, and kubeapiserver's SpecialDefaultResourcePrefixes).
  constexpr std::pair<std::string_view, std::string_view> kOld[] = {{"services", "services/specs"}, {"endpoints", "services/endpoints"}, {"nodes", "minions"},
                                                                    {"replicationcontrollers", "controllers"}, {"ingresses.networking.k8s.io", "ingress"}};
  const auto* old = std::find_if(std::begin(kOld), std::end(kOld), [&](const auto& o) { return o.first == type.qualified(); });
  out += old == std::end(kOld) ? std::string_view(type.resource) : old->second;
  if (!ns.empty()) out.append("/").append(ns);
  return out.append("/").append(name);
}

}  // namespace gs::apiserver
