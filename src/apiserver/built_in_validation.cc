#include "apiserver/built_in.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/built_in_checks.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"
#include "schema/formats.h"

namespace gs::apiserver {
namespace {

using namespace checks;  // NOLINT: this file is made of them
using schema::child;
using schema::forbidden;
using schema::index;
using schema::invalid;
using schema::key;
using schema::required;
using Type = schema::FieldError::Type;

constexpr size_t kMaxData = 1024 * 1024;

size_t bytes(const Value* data) {
  size_t size = 0;
  if (data == nullptr || data->object() == nullptr) return 0;
  for (const json::Member& m : *data->object()) size += m.second.string() != nullptr ? m.second.string()->size() : 0;
  return size;
}

void data_keys(const Value* data, const std::string& path, FieldErrors& errors) {
  if (data == nullptr || data->object() == nullptr) return;
  for (const json::Member& m : *data->object()) named(key(path, m.first), m.first, schema::config_map_key, errors);
}

// ConfigMaps and Secrets that were made immutable.
void frozen(const Value& object, const Value* old, std::initializer_list<const char*> fields, FieldErrors& errors) {
  if (old == nullptr || !truth(*old, "immutable")) return;
  constexpr std::string_view kWords = "field is immutable when `immutable` is set";
  if (!truth(object, "immutable")) errors.push_back(forbidden("immutable", kWords));
  for (const char* field : fields) {
    if (differs(object, *old, field)) errors.push_back(forbidden(field, kWords));
  }
}

void config_map(const Value& object, const Value* old, FieldErrors& errors) {
  const Value *data = object.find("data"), *binary = object.find("binaryData");
  data_keys(data, "data", errors);
  if (data != nullptr && data->object() != nullptr && binary != nullptr) {
    for (const json::Member& m : *data->object()) {
      if (binary->find(m.first) != nullptr) errors.push_back(invalid(key("data", m.first), m.first, "duplicate of key present in binaryData"));
    }
  }
  data_keys(binary, "binaryData", errors);
  if (bytes(data) + bytes(binary) * 3 / 4 > kMaxData) errors.push_back(schema::too_long("[]", kMaxData));
  frozen(object, old, {"data", "binaryData"}, errors);
}

void secret(const Value& object, const Value* old, FieldErrors& errors) {
  const Value* data = object.find("data");
  const std::string type = text(object, "type");
  if (old != nullptr) immutable(object, *old, "type", errors);
  data_keys(data, "data", errors);
  if (bytes(data) * 3 / 4 > kMaxData) errors.push_back(schema::too_long("data", kMaxData));
  const auto has = [&](const char* name) { return data != nullptr && data->find(name) != nullptr; };
  const auto need = [&](const char* name) {
    if (!has(name)) errors.push_back(required(key("data", name), ""));
  };
  if (type == "kubernetes.io/tls") need("tls.crt"), need("tls.key");
  if (type == "kubernetes.io/dockercfg") need(".dockercfg");
  if (type == "kubernetes.io/dockerconfigjson") need(".dockerconfigjson");
  for (const char* name : {".dockercfg", ".dockerconfigjson"}) {
    if (!type.starts_with("kubernetes.io/docker") || !has(name)) continue;
    const std::string plain = base64_decode(*data->find(name)->string()).value_or("");
    if (json::parse(plain)) continue;
    const std::string why = plain.empty() ? "unexpected end of JSON input" : fmt::format("invalid character '{}' looking for beginning of value", plain[0]);
    errors.push_back(invalid(key("data", name), Value("<secret contents redacted>"), why));
  }
  if (type == "kubernetes.io/ssh-auth") need("ssh-privatekey");
  if (type == "kubernetes.io/basic-auth" && !has("username") && !has("password")) need("username"), need("password");
  if (type == "kubernetes.io/service-account-token") {
    const Value* annotations = object.at("metadata.annotations");
    if (annotations == nullptr || annotations->find("kubernetes.io/service-account.name") == nullptr) {
      errors.push_back(required("metadata.annotations[kubernetes.io/service-account.name]", ""));
    }
  }
  frozen(object, old, {"data"}, errors);
}

void service_ports(const Value& spec, FieldErrors& errors) {
  const json::Array& ports = items(spec.find("ports"));
  const bool headless = text(spec, "clusterIP") == "None";
  if (ports.empty() && !headless && text(spec, "type") != "ExternalName") errors.push_back(required("spec.ports", ""));
  std::set<std::string> names, numbers;
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string at = index("spec.ports", i), name = text(ports[i], "name");
    if (name.empty() && ports.size() > 1) errors.push_back(required(child(at, "name"), ""));
    if (!name.empty()) named(child(at, "name"), name, schema::dns1123_label, errors);
    if (!name.empty() && !names.insert(name).second) errors.push_back(schema::duplicate(child(at, "name"), name));
    const int64_t number = integer(ports[i], "port").value_or(0);
    for (const std::string& p : schema::port_number(number)) errors.push_back(invalid(child(at, "port"), number, p));
    one_of(ports[i], "protocol", at, {"SCTP", "TCP", "UDP"}, true, errors);
    const Value* target = ports[i].find("targetPort");
    if (target != nullptr && target->string() != nullptr) named(child(at, "targetPort"), *target->string(), schema::port_name, errors);
    if (target != nullptr && target->integer()) {
      for (const std::string& p : schema::port_number(*target->integer())) errors.push_back(invalid(child(at, "targetPort"), *target, p));
    }
    if (!numbers.insert(fmt::format("{}/{}", text(ports[i], "protocol"), number)).second) {
      errors.push_back(schema::raw_error(Type::kDuplicate, at, fmt::format(R"({{"Name":"","Protocol":{},"AppProtocol":null,"Port":{},"TargetPort":0,"NodePort":0}})",
                                                                           schema::quoted(text(ports[i], "protocol")), number), ""));
    }
  }
}

// There is one family of addresses (pkg/registry/core/service/storage/alloc.go); told where nothing else is wrong.
void service_families(const Value& spec, FieldErrors& errors) {
  const Value* selector = spec.find("selector");
  const bool free = text(spec, "clusterIP") == "None" && (selector == nullptr || selector->object() == nullptr || selector->object()->empty());
  if (!errors.empty() || free || text(spec, "type") == "ExternalName") return;
  const std::string policy = text(spec, "ipFamilyPolicy");
  if (policy == "RequireDualStack") errors.push_back(invalid("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services"));
  const json::Array& families = items(spec.find("ipFamilies"));
  for (size_t i = 0; i < families.size(); ++i) {
    if (!(families[i] == Value("IPv4"))) errors.push_back(invalid(index("spec.ipFamilies", i), families[i], "not configured on this cluster"));
  }
}

void service(const Value& object, const Value* old, FieldErrors& errors) {
  static const Value none{json::Object()};
  const Value& spec = object.find("spec") != nullptr ? *object.find("spec") : none;
  const std::string type = text(spec, "type"), ip = text(spec, "clusterIP");
  service_ports(spec, errors);
  validate_labels(spec.find("selector"), "spec.selector", errors);
  one_of(spec, "sessionAffinity", "spec", {"ClientIP", "None"}, true, errors);
  constexpr std::string_view kTimeout = "sessionAffinityConfig.clientIP.timeoutSeconds";
  if (const auto seconds = integer(spec, kTimeout); text(spec, "sessionAffinity") == "ClientIP" && seconds && (*seconds <= 0 || *seconds > 86400)) {
    errors.push_back(invalid(child("spec", kTimeout), *seconds, "must be greater than 0 and less than 86400"));
  }
  one_of(spec, "type", "spec", {"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"}, true, errors);
  if (type == "ExternalName") {
    const std::string name = text(spec, "externalName");
    if (name.empty()) {
      errors.push_back(required("spec.externalName", ""));
    } else {
      named("spec.externalName", name.ends_with('.') ? name.substr(0, name.size() - 1) : name, schema::dns1123_subdomain, errors);
    }
  } else if (!ip.empty() && ip != "None" && !schema::has_format("ipv4", ip) && !schema::has_format("ipv6", ip)) {
    errors.push_back(invalid("spec.clusterIPs[0]", ip, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"));
  }
  if (ip == "None" && (type == "NodePort" || type == "LoadBalancer")) errors.push_back(invalid("spec.clusterIPs[0]", ip, fmt::format("may not be set to 'None' for {} services", type)));
  one_of(spec, "externalTrafficPolicy", "spec", {"Cluster", "Local"}, false, errors);
  one_of(spec, "internalTrafficPolicy", "spec", {"Cluster", "Local"}, false, errors);
  if (old == nullptr || type == "ExternalName" || text(*old, "spec.type") == "ExternalName") return service_families(spec, errors);
  const std::string before = text(*old, "spec.clusterIP");
  if (!before.empty() && ip != before) {
    // Normalised before: the first of the list follows the single address (pkg/registry/core/service/storage/alloc.go).
    json::Array addresses = items(spec.find("clusterIPs"));
    if (ip.empty()) addresses.clear();
    else if (addresses.empty()) addresses.emplace_back(ip);
    else addresses.front() = Value(ip);
    errors.push_back(invalid("spec.clusterIPs[0]", Value(std::move(addresses)), "may not change once set"));
  }
  service_families(spec, errors);
}

void namespace_finalizers(const Value& object, FieldErrors& errors) {
  for (const std::string& name : strings_of(object.at("spec.finalizers"))) {
    if (name == "kubernetes" || name.find('/') != std::string::npos) continue;
    errors.push_back(invalid("spec.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified"));
  }
}

void lease(const Value& object, FieldErrors& errors) {
  if (const auto seconds = integer(object, "spec.leaseDurationSeconds"); seconds && *seconds <= 0) {
    errors.push_back(invalid("spec.leaseDurationSeconds", *seconds, "must be greater than 0"));
  }
  non_negative(object, "spec.leaseTransitions", "", errors);
}

void disruption_budget(const Value& object, FieldErrors& errors) {
  const Value* spec = object.find("spec");
  if (spec == nullptr) return;
  int_or_percent(*spec, "minAvailable", "spec", errors);
  int_or_percent(*spec, "maxUnavailable", "spec", errors);
  label_selector(spec->find("selector"), "spec.selector", errors);
  if (!there(*spec, "minAvailable") || !there(*spec, "maxUnavailable")) return;
  const std::string shown = fmt::format(R"({{"MinAvailable":{},"Selector":{},"MaxUnavailable":{},"UnhealthyPodEvictionPolicy":null}})", spec->find("minAvailable")->dump(),
                                        there(*spec, "selector") ? schema::go_json(*spec->find("selector")) : "null", spec->find("maxUnavailable")->dump());
  errors.push_back(schema::raw_error(Type::kInvalid, "spec", shown, "minAvailable and maxUnavailable cannot be both set"));
}

bool qualified(const std::string& name) { return name.find('/') != std::string::npos; }

void quota(const Value& object, FieldErrors& errors) {
  const Value* hard = object.at("spec.hard");
  if (hard == nullptr || hard->object() == nullptr) return;
  const std::set<std::string_view> standard = {"cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage", "limits.cpu",
                                               "limits.memory", "limits.ephemeral-storage", "pods", "resourcequotas", "services", "replicationcontrollers", "secrets",
                                               "persistentvolumeclaims", "configmaps", "services.nodeports", "services.loadbalancers"};
  for (const json::Member& m : *hard->object()) {
    const std::string at = key("spec.hard", m.first);
    if (!qualified(m.first) && !standard.contains(m.first)) {
      errors.push_back(invalid(at, m.first, "must be a standard resource type or fully qualified"));
      errors.push_back(invalid(at, m.first, "must be a standard resource for quota"));
    }
    const std::string amount = m.second.string() != nullptr ? *m.second.string() : m.second.dump();
    if (amount.starts_with('-')) errors.push_back(invalid(at, amount, "must be greater than or equal to 0"));
  }
  const std::set<std::string_view> scopes = {"Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"};
  for (const Value& scope : items_at(object, "spec.scopes")) {
    if (scope.string() == nullptr || !scopes.contains(*scope.string())) errors.push_back(invalid("spec.scopes", *object.at("spec.scopes"), "unsupported scope"));
  }
}

// min <= default request <= default <= max, for each resource.
void limits_in_order(const Value& limit, const std::string& path, FieldErrors& errors) {
  struct Pair {
    const char *small, *large, *small_name, *large_name, *told;
  };
  constexpr Pair kPairs[] = {{"min", "max", "min", "max", "min"},
                             {"min", "defaultRequest", "min", "default request", "defaultRequest"},
                             {"defaultRequest", "max", "default request", "max", "defaultRequest"},
                             {"defaultRequest", "default", "default request", "default", "defaultRequest"},
                             {"min", "default", "min", "default", "default"},
                             {"default", "max", "default", "max", "default"}};
  for (const Pair& p : kPairs) {
    const Value* small = limit.find(p.small);
    if (small == nullptr || small->object() == nullptr) continue;
    for (const json::Member& m : *small->object()) {
      const Value* large = limit.find(p.large) != nullptr ? limit.find(p.large)->find(m.first) : nullptr;
      if (large == nullptr || quantity(m.second) <= quantity(*large)) continue;
      const std::string a = quantity_text(m.second), b = quantity_text(*large);
      errors.push_back(invalid(key(child(path, p.told), m.first), std::string_view(p.told) == "defaultRequest" && std::string_view(p.small) == "min" ? b : a,
                               fmt::format("{} value {} is greater than {} value {}", p.small_name, a, p.large_name, b)));
    }
  }
}

void limit_range(const Value& object, FieldErrors& errors) {
  const json::Array& limits = items_at(object, "spec.limits");
  std::set<std::string> seen;
  for (size_t i = 0; i < limits.size(); ++i) {
    const std::string at = child(index("spec.limits", i), "type"), type = text(limits[i], "type");
    if (type != "Container" && type != "Pod" && type != "PersistentVolumeClaim" && !qualified(type)) {
      errors.push_back(invalid(at, type, "must be a standard limit type or fully qualified"));
    }
    if (!seen.insert(type).second) errors.push_back(schema::duplicate(at, type));
    limits_in_order(limits[i], index("spec.limits", i), errors);
  }
}

void claim(const Value& object, const Value* old, FieldErrors& errors) {
  if (old != nullptr) return;
  const json::Array& modes = items_at(object, "spec.accessModes");
  if (modes.empty()) errors.push_back(required("spec.accessModes", "at least 1 access mode is required"));
  for (const Value& mode : modes) {
    const std::vector<std::string> words = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"};
    const std::string word = mode.string() != nullptr ? *mode.string() : "";
    if (std::find(words.begin(), words.end(), word) == words.end()) errors.push_back(schema::not_supported("spec.accessModes", word, words));
  }
  if (!there(object, "spec.resources.requests.storage")) errors.push_back(required("spec.resources[storage]", ""));
}

// Of the many sources only that there is one, and no more than one.
void volume(const Value& object, const Value* old, FieldErrors& errors) {
  static const Value none{json::Object()};
  const Value& spec = object.find("spec") != nullptr ? *object.find("spec") : none;
  const json::Array& modes = items(spec.find("accessModes"));
  if (modes.empty()) errors.push_back(required("spec.accessModes", ""));
  const std::vector<std::string> words = {"ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"};
  for (const Value& mode : modes) {
    const std::string word = mode.string() != nullptr ? *mode.string() : "";
    if (std::find(words.begin(), words.end(), word) == words.end()) errors.push_back(schema::not_supported("spec.accessModes", word, words));
  }
  const Value* capacity = spec.find("capacity");
  const bool some = capacity != nullptr && capacity->object() != nullptr && !capacity->object()->empty();
  if (!some) errors.push_back(required("spec.capacity", ""));
  if (!some || capacity->find("storage") == nullptr || capacity->object()->size() > 1) {
    errors.push_back(schema::not_supported("spec.capacity", some ? *capacity : Value(), {"storage"}));
  }
  for (const json::Member& m : some ? *capacity->object() : json::Object()) {
    if (quantity(m.second) < 0) errors.push_back(schema::raw_error(Type::kInvalid, key("spec.capacity", m.first), fmt::format("{:.0f}", quantity(m.second)), "must be a valid resource quantity"));
    if (quantity(m.second) <= 0) errors.push_back(invalid(key("spec.capacity", m.first), quantity_text(m.second), "must be greater than zero"));
  }
  one_of(spec, "persistentVolumeReclaimPolicy", "spec", {"Delete", "Recycle", "Retain"}, false, errors);
  constexpr const char* kSources[] = {"hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte", "cephfs", "iscsi", "cinder", "fc", "flexVolume",
                                      "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi"};
  size_t sources = 0;
  for (const char* source : kSources) {
    if (there(spec, source) && ++sources > 1) errors.push_back(forbidden(child("spec", source), "may not specify more than 1 volume type"));
  }
  if (sources == 0) errors.push_back(required("spec", "must specify a volume type"));
  if (there(spec, "local") && !there(spec, "nodeAffinity.required")) errors.push_back(required("spec.nodeAffinity", "Local volume requires node affinity"));
  if (const std::string name = text(spec, "storageClassName"); !name.empty()) named("spec.storageClassName", name, schema::dns1123_subdomain, errors);
  one_of(spec, "volumeMode", "spec", {"Block", "Filesystem"}, false, errors);
  const auto is = [](const Value& mode) { return mode == Value("ReadWriteOncePod"); };
  if (std::any_of(modes.begin(), modes.end(), is) && !std::all_of(modes.begin(), modes.end(), is)) {
    errors.push_back(forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes"));
  }
  if (old == nullptr) return;
  const std::string mode = text(spec, "volumeMode");
  if (mode != text(*old, "spec.volumeMode")) errors.push_back(invalid("volumeMode", mode, "field is immutable"));
}

}  // namespace

// k8s.io/kubernetes/pkg/api/service/warnings.go.
std::vector<std::string> warnings_of_built_in(const ResourceType& type, const Value& object) {
  std::vector<std::string> out;
  if (!type.group.empty() || type.resource != "services") return out;
  static const Value none{json::Object()};
  const Value& spec = object.find("spec") != nullptr ? *object.find("spec") : none;
  const bool external = text(spec, "type") == "ExternalName", ips = !items(spec.find("externalIPs")).empty();
  const bool headless = text(spec, "clusterIP") == "None";
  if (headless && !text(spec, "loadBalancerIP").empty()) out.emplace_back("spec.loadBalancerIP is ignored for headless services");
  if (headless && ips) out.emplace_back("spec.externalIPs is ignored for headless services");
  if (headless && text(spec, "sessionAffinity") != "None") out.emplace_back("spec.SessionAffinity is ignored for headless services");
  if (ips && !headless && !external) out.emplace_back("spec.externalIPs is deprecated and may no longer be implemented in some clusters");
  if (external && ips) out.emplace_back("spec.externalIPs is ignored when spec.type is \"ExternalName\"");
  if (!external && !text(spec, "externalName").empty()) out.emplace_back("spec.externalName is ignored when spec.type is not \"ExternalName\"");
  if (text(spec, "trafficDistribution") == "PreferClose") out.emplace_back("spec.trafficDistribution: \"PreferClose\" is deprecated; use \"PreferSameZone\"");
  return out;
}

void validate_built_in(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors) {
  const std::string& r = type.resource;
  const std::string& g = type.group;
  if (g.empty()) {
    if (r == "namespaces") namespace_finalizers(object, errors);
    if (r == "configmaps") config_map(object, old, errors);
    if (r == "secrets") secret(object, old, errors);
    if (r == "services") service(object, old, errors);
    if (r == "pods") workloads(type, object, old, errors);
    if (r == "events") event(type, object, old, errors);
    if (r == "resourcequotas") quota(object, errors);
    if (r == "limitranges") limit_range(object, errors);
    if (r == "persistentvolumeclaims") claim(object, old, errors);
    if (r == "persistentvolumes") volume(object, old, errors);
  } else if ((g == "apps" && r != "controllerrevisions") || g == "batch") {
    workloads(type, object, old, errors);
  } else if (g == "autoscaling") {
    autoscaler(object, old, errors);
  } else if (g == "discovery.k8s.io") {
    endpoint_slice(object, old, errors);
  } else if (r == "ingresses") {
    ingress(object, old, errors);
  } else if (g == "rbac.authorization.k8s.io" || g == "networking.k8s.io" || g == "admissionregistration.k8s.io") {
    access(type, object, old, errors);
  } else if (g == "coordination.k8s.io") {
    lease(object, errors);
  } else if (g == "policy") {
    disruption_budget(object, errors);
  } else if (g == "certificates.k8s.io" && old == nullptr) {
    const std::string request = base64_decode(text(object, "spec.request")).value_or("");
    if (request.find("-----BEGIN CERTIFICATE REQUEST-----") == std::string::npos) {
      errors.push_back(invalid("spec.request", text(object, "spec.request"), "PEM block type must be CERTIFICATE REQUEST"));
    }
  } else if (g == "storage.k8s.io" && r == "storageclasses") {
    needed(object, "provisioner", "", errors);
  } else if (g == "scheduling.k8s.io") {
    if (const auto value = integer(object, "value"); value && *value > 1000000000) {
      errors.push_back(forbidden("value", "maximum allowed value of a user defined priority is 1000000000"));
    }
  }
}

}  // namespace gs::apiserver
