#include "apiserver/object_meta.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "schema/names.h"

namespace gs::apiserver {
namespace {

using json::Value;
using schema::child;
using schema::FieldErrors;
using schema::Problems;

constexpr size_t kMaxAnnotations = 256 * 1024;
constexpr std::string_view kOrphan = "orphan", kForeground = "foregroundDeletion";

using NameRule = Problems (*)(std::string_view);

// Names are DNS subdomains but for these.
NameRule name_rule(const ResourceType& type) {
  if (type.group == "rbac.authorization.k8s.io") return schema::path_segment_name;
  if (type.group.empty() && (type.resource == "namespaces" || type.resource == "services")) return schema::dns1123_label;
  if (type.group == "flowcontrol.apiserver.k8s.io" || type.group == "certificates.k8s.io") return schema::path_segment_name;
  return schema::dns1123_subdomain;
}

// CRDs and APIServices have names made of their specs.
void required_name(const ResourceType& type, const Value& object, const std::string& name, Problems& problems) {
  if (type.group == "apiextensions.k8s.io" && name != fmt::format("{}.{}", object.text("spec.names.plural"), object.text("spec.group"))) {
    problems.push_back("must be spec.names.plural+\".\"+spec.group");
  }
  if (type.group == "apiregistration.k8s.io" && name != fmt::format("{}.{}", object.text("spec.version"), object.text("spec.group"))) {
    problems.push_back(fmt::format("must be `spec.version+\".\"+spec.group`: \"{}.{}\"", object.text("spec.version"), object.text("spec.group")));
  }
}

void check_name(const ResourceType& type, const Value& object, FieldErrors& errors) {
  const NameRule rule = name_rule(type);
  // A prefix may end in a dash, since more comes.
  std::string prefix(object.text("metadata.generateName"));
  if (!prefix.empty()) {
    std::string masked = prefix;
    if (masked.size() > 1 && masked.ends_with('-') && rule != schema::path_segment_name) masked.back() = 'a';
    for (const std::string& p : rule(masked)) errors.push_back(schema::invalid("metadata.generateName", prefix, p));
  }
  const std::string name(object.text("metadata.name"));
  if (name.empty()) {
    errors.push_back(schema::required("metadata.name", "name or generateName is required"));
    return;
  }
  Problems problems = rule(name);
  required_name(type, object, name, problems);
  for (const std::string& p : problems) errors.push_back(schema::invalid("metadata.name", name, p));
}

void check_annotations(const Value* annotations, FieldErrors& errors) {
  if (annotations == nullptr || annotations->object() == nullptr) return;
  size_t size = 0;
  for (const json::Member& m : *annotations->object()) {
    for (const std::string& p : schema::label_key(to_lower(m.first))) errors.push_back(schema::invalid("metadata.annotations", m.first, p));
    size += m.first.size() + (m.second.string() != nullptr ? m.second.string()->size() : 0);
  }
  if (size > kMaxAnnotations) errors.push_back(schema::too_long("metadata.annotations", kMaxAnnotations));
}

// In the order of Go's struct.
std::string owners_text(const Value& owners) {
  std::string out = "[";
  for (const Value& owner : *owners.array()) {
    out += out.size() > 1 ? ",{" : "{";
    bool first = true;
    for (const char* field : {"apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"}) {
      const Value* value = owner.find(field);
      if (value == nullptr) continue;
      out += fmt::format("{}\"{}\":{}", first ? "" : ",", field, schema::go_json(*value));
      first = false;
    }
    out += '}';
  }
  return out + "]";
}

void check_owners(const Value* owners, FieldErrors& errors) {
  if (owners == nullptr || owners->array() == nullptr) return;
  const std::string path = "metadata.ownerReferences";
  std::string controller;
  for (const Value& owner : *owners->array()) {
    const std::string version(owner.text("apiVersion"));
    if (version.empty() || version.ends_with('/')) errors.push_back(schema::invalid(child(path, "apiVersion"), version, "version must not be empty"));
    for (const char* field : {"kind", "name", "uid"}) {
      if (owner.text(field).empty()) errors.push_back(schema::invalid(child(path, field), std::string(), "must not be empty"));
    }
    if (version == "v1" && owner.text("kind") == "Event") errors.push_back(schema::invalid(path, owner, "/v1, Kind=Event is disallowed from being an owner"));
    const Value* controls = owner.find("controller");
    if (controls == nullptr || !controls->boolean().value_or(false)) continue;
    const std::string me = fmt::format("{}/{}", owner.text("kind"), owner.text("name"));
    if (!controller.empty()) {
      errors.push_back(schema::raw_error(schema::FieldError::Type::kInvalid, path, owners_text(*owners), fmt::format("Only one reference can have Controller set to true. Found \"true\" in references for {} and {}", controller, me)));
    } else {
      controller = me;
    }
  }
}

bool standard_finalizer(std::string_view name) { return name == "kubernetes" || name == kOrphan || name == kForeground; }

// core's validateKubeFinalizerName.
void check_kube_finalizers(const Value& object, FieldErrors& errors) {
  const std::vector<std::string> finalizers = strings_of(object.at("metadata.finalizers"));
  for (size_t i = 0; i < finalizers.size(); ++i) {
    const std::string& name = finalizers[i];
    if (standard_finalizer(name) || name.find('/') != std::string::npos) continue;
    errors.push_back(schema::invalid(schema::index("metadata.finalizers", i), name, "name is neither a standard finalizer name nor is it fully qualified"));
  }
}

void check_finalizers(const Value& object, FieldErrors& errors) {
  const std::string path = "metadata.finalizers";
  const std::vector<std::string> finalizers = strings_of(object.at(path));
  for (const std::string& name : finalizers) {
    for (const std::string& p : schema::label_key(name)) errors.push_back(schema::invalid(path, name, p));
  }
  const auto has = [&](std::string_view f) { return std::find(finalizers.begin(), finalizers.end(), f) != finalizers.end(); };
  if (has(kOrphan) && has(kForeground)) {
    errors.push_back(schema::invalid(path, *object.at(path), fmt::format("finalizer {} and {} cannot be both set", kOrphan, kForeground)));
  }
}

// Those that `old` does not have, by name.
std::vector<std::string> added_finalizers(const Value& object, const Value* old) {
  const std::vector<std::string> before = old != nullptr ? strings_of(old->at("metadata.finalizers")) : std::vector<std::string>();
  std::vector<std::string> added;
  for (const std::string& f : strings_of(object.at("metadata.finalizers"))) {
    if (std::find(before.begin(), before.end(), f) == before.end()) added.push_back(f);
  }
  std::sort(added.begin(), added.end());
  added.erase(std::unique(added.begin(), added.end()), added.end());
  return added;
}

void check_new_finalizers(const Value& object, const Value& old, FieldErrors& errors) {
  if (old.text("metadata.deletionTimestamp").empty()) return;
  std::vector<std::string> added = added_finalizers(object, &old);
  if (added.empty()) return;
  for (std::string& name : added) name = schema::quoted(name);
  errors.push_back(schema::forbidden("metadata.finalizers", fmt::format("no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}", fmt::join(added, ", "))));
}

void check_parts(const Value& object, FieldErrors& errors) {
  validate_labels(object.at("metadata.labels"), "metadata.labels", errors);
  check_annotations(object.at("metadata.annotations"), errors);
  check_owners(object.at("metadata.ownerReferences"), errors);
}

// ValidateObjectMetaAccessor without the name, which cannot have changed.
void accessor(const Value& object, FieldErrors& errors) {
  check_parts(object, errors);
  check_finalizers(object, errors);
}

void accessor_update(const Value& object, const Value& old, FieldErrors& errors) {
  check_new_finalizers(object, old, errors);
  for (const char* field : {"metadata.uid", "metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds"}) {
    const Value *now = object.at(field), *before = old.at(field);
    if ((now == nullptr) == (before == nullptr) && (now == nullptr || *now == *before)) continue;
    errors.push_back(schema::invalid(field, now != nullptr ? *now : Value(), "field is immutable"));
  }
  check_parts(object, errors);
}

// Types whose validation is apimachinery's alone.
bool plain(const ResourceType& type) {
  constexpr std::string_view kPlain[] = {"coordination.k8s.io", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io"};
  return type.custom || type.schema == nullptr || std::find(std::begin(kPlain), std::end(kPlain), type.group) != std::end(kPlain);
}

template <class List>
bool among(const List& list, const ResourceType& type) {
  return std::find(std::begin(list), std::end(list), type.qualified()) != std::end(list);
}

// Whose Validate<Kind>Update (pkg/apis/*/validation) judges the whole object once more, as one that is created,
constexpr std::string_view kJudgedAgain[] = {
    "controllerrevisions.apps", "certificatesigningrequests.certificates.k8s.io", "clustertrustbundles.certificates.k8s.io", "configmaps", "endpoints", "nodes", "persistentvolumeclaims", "pods",
    "secrets", "serviceaccounts", "ingresses.networking.k8s.io", "ingressclasses.networking.k8s.io", "clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io", "rolebindings.rbac.authorization.k8s.io", "deviceclasses.resource.k8s.io", "resourceclaims.resource.k8s.io", "volumeattributesclasses.storage.k8s.io",
    "storageversionmigrations.storagemigration.k8s.io", "apiservices.apiregistration.k8s.io"};
// and whose does so alone.
constexpr std::string_view kJudgedAnew[] = {"persistentvolumes", "endpointslices.discovery.k8s.io", "flowschemas.flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
                                            "csinodes.storage.k8s.io", "volumeattachments.storage.k8s.io"};

}  // namespace

std::vector<std::string> strings_of(const Value* list) {
  std::vector<std::string> out;
  if (list == nullptr || list->array() == nullptr) return out;
  for (const Value& v : *list->array()) {
    if (v.string() != nullptr) out.push_back(*v.string());
  }
  return out;
}

void validate_labels(const Value* labels, const std::string& path, FieldErrors& errors) {
  if (labels == nullptr || labels->object() == nullptr) return;
  for (const json::Member& m : *labels->object()) {
    for (const std::string& p : schema::label_key(m.first)) errors.push_back(schema::invalid(path, m.first, p));
    const std::string value = m.second.string() != nullptr ? *m.second.string() : std::string();
    for (const std::string& p : schema::label_value(value)) errors.push_back(schema::invalid(path, value, p));
  }
}

void validate_object_meta(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors) {
  if (old == nullptr) {
    check_name(type, object, errors);
    accessor(object, errors);
  } else {
    accessor_update(object, *old, errors);
  }
  if (!plain(type)) check_kube_finalizers(object, errors);
}

void validate_object_meta_update(const ResourceType& type, const Value& object, const Value& old, bool status, FieldErrors& errors) {
  accessor(object, errors);
  accessor_update(object, old, errors);
  const bool anew = type.group == "admissionregistration.k8s.io" || among(kJudgedAnew, type);
  const bool own = type.resource == "events";  // event_validation.cc does it where it is done
  if (!own && (status || !anew)) validate_object_meta(type, object, &old, errors);
  // Of volumes both pkg/registry/core/persistentvolume and ValidatePersistentVolumeUpdate do it.
  const int again = status ? 0 : type.qualified() == "persistentvolumes" ? 2 : anew || among(kJudgedAgain, type) ? 1 : 0;
  for (int i = 0; i < again; ++i) {
    accessor(object, errors);
    if (!plain(type)) check_kube_finalizers(object, errors);
  }
}

std::vector<std::string> finalizer_warnings(const Value& object, const Value* old) {
  std::vector<std::string> out;
  for (const std::string& name : added_finalizers(object, old)) {
    if (standard_finalizer(name) || name.find('/') != std::string::npos) continue;
    const std::string_view path = name.find('.') != std::string::npos ? " including a path (/)" : "";
    out.push_back(fmt::format("metadata.finalizers: {}: prefer a domain-qualified finalizer name{} to avoid accidental conflicts with other finalizer writers", schema::quoted(name), path));
  }
  return out;
}

}  // namespace gs::apiserver
