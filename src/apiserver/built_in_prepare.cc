#include <fmt/format.h>

#include <algorithm>

#include "apiserver/built_in.h"
#include "base/strings.h"

namespace gs::apiserver {
namespace {

using json::Value;

// Which quality of service a pod gets: k8s.io/kubernetes/pkg/apis/core/v1/helper/qos, of cpu and memory.
std::string_view qos_class(const Value& spec) {
  bool any = false, guaranteed = true;
  for (const char* list : {"containers", "initContainers"}) {
    const Value* all = spec.find(list);
    for (size_t i = 0; all != nullptr && all->array() != nullptr && i < all->array()->size(); ++i) {
      for (const char* resource : {"cpu", "memory"}) {
        const Value& c = (*all->array())[i];
        const Value *limits = c.at("resources.limits"), *requests = c.at("resources.requests");
        const Value* limit = limits != nullptr ? limits->find(resource) : nullptr;
        const Value* request = requests != nullptr ? requests->find(resource) : nullptr;
        any |= limit != nullptr || request != nullptr;
        guaranteed &= limit != nullptr && (request == nullptr || *request == *limit);
      }
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

// 10.96.0.0/12, as kubeadm has it. The address is made of the service's uid: there is no allocator that knows the others.
std::string cluster_ip(std::string_view uid) {
  uint64_t hash = 1469598103934665603ull;
  for (const char c : uid) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  const uint64_t host = 2 + hash % 0xffffc;
  return fmt::format("10.{}.{}.{}", 96 + (host >> 16), host >> 8 & 0xff, host & 0xff);
}

// Whose endpoints somebody else writes, of whatever family (pkg/registry/core/service/storage/alloc.go).
bool has_free_families(const Value& spec) {
  const Value* selector = spec.find("selector");
  return spec.text("clusterIP") == "None" && (selector == nullptr || selector->object() == nullptr || selector->object()->empty());
}

void create_service(Value& object) {
  Value& spec = object["spec"];
  if (spec.text("type") == "ExternalName") return;
  std::string ip(spec.text("clusterIP"));
  if (ip.empty()) ip = cluster_ip(object.text("metadata.uid"));
  spec["clusterIP"] = ip;
  spec["clusterIPs"] = json::Array{Value(ip)};
  const bool free = has_free_families(spec);
  if (spec.find("ipFamilyPolicy") == nullptr) spec["ipFamilyPolicy"] = free ? "RequireDualStack" : "SingleStack";
  json::Array& families = spec["ipFamilies"].make_array();
  if (families.empty()) families.emplace_back("IPv4");
  if (free && families.size() == 1 && spec.text("ipFamilyPolicy") != "SingleStack") families.emplace_back(families.front() == Value("IPv4") ? "IPv6" : "IPv4");
  const std::string_view type = spec.text("type");
  if (type != "NodePort" && type != "LoadBalancer") return;
  Value* ports = spec.object()->find("ports");
  for (size_t i = 0; ports != nullptr && ports->array() != nullptr && i < ports->array()->size(); ++i) {
    Value& port = (*ports->array())[i];
    if (const Value* given = port.find("nodePort"); given != nullptr && given->integer().value_or(0) != 0) continue;
    uint64_t hash = i;
    for (const char c : object.text("metadata.uid")) hash = hash * 131 + static_cast<unsigned char>(c);
    port["nodePort"] = static_cast<int64_t>(30000 + hash % 2768);
  }
}

// A job's pods are found by its own uid, unless it says that it knows better.
void create_job(Value& object) {
  Value& spec = object["spec"];
  const Value* manual = spec.find("manualSelector");
  if (manual != nullptr && manual->boolean().value_or(false)) return;
  const std::string uid(object.text("metadata.uid")), name(object.text("metadata.name"));
  Value& labels = spec["template"]["metadata"]["labels"];
  for (const char* key : {"batch.kubernetes.io/controller-uid", "controller-uid"}) labels[key] = uid;
  for (const char* key : {"batch.kubernetes.io/job-name", "job-name"}) labels[key] = name;
  spec["selector"]["matchLabels"]["batch.kubernetes.io/controller-uid"] = uid;
  spec["manualSelector"] = false;
  // SetDefaults_Job: a job without labels has those of its pods.
  if (object.at("metadata.labels") == nullptr) object["metadata"]["labels"] = Value(labels);
}

// What admission adds to every pod: DefaultTolerationSeconds and Priority.
void admit_pod(Value& spec) {
  Value& tolerations = spec["tolerations"];
  if (tolerations.array() == nullptr) tolerations = json::Array();
  for (const char* key : {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}) {
    bool tolerated = false;
    for (const Value& t : *tolerations.array()) {
      const std::string_view effect = t.text("effect");
      tolerated |= (t.text("key") == key || t.text("key").empty()) && (effect == "NoExecute" || effect.empty());
    }
    if (tolerated) continue;
    Value& added = tolerations.array()->emplace_back();
    added["key"] = key;
    added["operator"] = "Exists";
    added["effect"] = "NoExecute";
    added["tolerationSeconds"] = 300;
  }
  if (!spec.text("priorityClassName").empty()) return;
  spec["priority"] = 0;
  spec["preemptionPolicy"] = "PreemptLowerPriority";
}

void add_finalizer(Value& object, const char* name) {
  Value& finalizers = object["metadata"]["finalizers"];
  if (finalizers.array() == nullptr) finalizers = json::Array();
  json::Array& all = *finalizers.array();
  if (std::find(all.begin(), all.end(), Value(name)) == all.end()) all.emplace_back(name);
}

void keep(Value& object, const Value& old, std::string_view path) {
  const size_t dot = path.rfind('.');
  const Value* before = old.at(path);
  Value* parent = dot == std::string_view::npos ? &object : object.pointer("/" + std::string(path.substr(0, dot)));
  if (parent == nullptr || !parent->is_object() || before == nullptr || before->is_null()) return;
  const std::string_view name = path.substr(dot == std::string_view::npos ? 0 : dot + 1);
  const Value* now = parent->find(name);
  if (now == nullptr || now->is_null() || (now->string() != nullptr && now->string()->empty())) (*parent)[name] = *before;
}

// Families that nobody names are chosen again, but where somebody else writes the endpoints.
void keep_families(Value& object, const Value& old) {
  if (has_free_families(object["spec"])) return keep(object, old, "spec.ipFamilies");
  json::Array& families = object["spec"]["ipFamilies"].make_array();
  if (families.empty()) families.emplace_back("IPv4");
}

}  // namespace

void prepare_built_in(const ResourceType& type, Value& object, const Value* old) {
  const std::string name = type.group + "/" + type.resource;
  if (old != nullptr) {
    // What the server gave stays where an update does not speak of it.
    if (name == "/services" && object.text("spec.type") != "ExternalName") {
      for (const char* path : {"spec.clusterIP", "spec.clusterIPs", "spec.ipFamilyPolicy"}) keep(object, *old, path);
      keep_families(object, *old);
    }
    if (name == "/namespaces") keep(object, *old, "spec.finalizers");
    if (name == "batch/jobs") keep(object, *old, "spec.selector");
    return;
  }
  if (name == "/namespaces") {
    object["status"]["phase"] = "Active";
    Value& finalizers = object["spec"]["finalizers"];
    if (finalizers.array() == nullptr) finalizers = json::Array();
    json::Array& all = *finalizers.array();
    if (std::find(all.begin(), all.end(), Value("kubernetes")) == all.end()) all.emplace_back("kubernetes");
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = std::string(object.text("metadata.name"));
  }
  if (name == "/pods") {
    object["status"]["phase"] = "Pending";
    object["status"]["qosClass"] = qos_class(object["spec"]);
    admit_pod(object["spec"]);
  }
  if (name == "/persistentvolumeclaims" || name == "/persistentvolumes") object["status"]["phase"] = "Pending";
  if (name == "/persistentvolumes") object["status"]["lastPhaseTransitionTime"] = std::string(object.text("metadata.creationTimestamp"));
  // Admission: StorageObjectInUseProtection.
  if (name == "/persistentvolumeclaims") add_finalizer(object, "kubernetes.io/pvc-protection");
  if (name == "/persistentvolumes") add_finalizer(object, "kubernetes.io/pv-protection");
  if (name == "/services") create_service(object);
  if (name == "batch/jobs") create_job(object);
  if (name == "apps/daemonsets") object["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = "1";
}

}  // namespace gs::apiserver
