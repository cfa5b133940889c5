#include <functional>

#include "apiserver/built_in.h"
#include "base/strings.h"

namespace gs::apiserver {
namespace {

using json::Value;

// A member that nobody set gets a value, in every object at a path: "spec.ports[].protocol" looks into each item. Objects on
// the way are not made.
struct Default {
  std::string_view resource;  // "group/resource"
  std::string_view path;
  std::string_view value;  // JSON
};

constexpr Default kDefaults[] = {
    {"/secrets", "type", R"("Opaque")"},
    {"/services", "spec.sessionAffinity", R"("None")"},
    {"/services", "spec.type", R"("ClusterIP")"},
    {"/services", "spec.sessionAffinityConfig.clientIP.timeoutSeconds", "10800"},
    {"/endpoints", "subsets[].ports[].protocol", R"("TCP")"},
    {"/persistentvolumeclaims", "spec.volumeMode", R"("Filesystem")"},
    {"/persistentvolumes", "spec.persistentVolumeReclaimPolicy", R"("Retain")"},
    {"/persistentvolumes", "spec.volumeMode", R"("Filesystem")"},
    {"/replicationcontrollers", "spec.replicas", "1"},
    {"/persistentvolumes", "spec.hostPath.type", R"("")"},
    {"flowcontrol.apiserver.k8s.io/flowschemas", "spec.matchingPrecedence", "1000"},
    {"apiregistration.k8s.io/apiservices", "spec.service.port", "443"},
    {"storage.k8s.io/csidrivers", "spec.attachRequired", "true"},
    {"storage.k8s.io/csidrivers", "spec.podInfoOnMount", "false"},
    {"storage.k8s.io/csidrivers", "spec.storageCapacity", "false"},
    {"storage.k8s.io/csidrivers", "spec.fsGroupPolicy", R"("ReadWriteOnceWithFSType")"},
    {"storage.k8s.io/csidrivers", "spec.volumeLifecycleModes", R"(["Persistent"])"},
    {"storage.k8s.io/csidrivers", "spec.requiresRepublish", "false"},
    {"storage.k8s.io/csidrivers", "spec.seLinuxMount", "false"},
    {"autoscaling/horizontalpodautoscalers", "spec.metrics", R"([{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":80}}}])"},
    {"apps/deployments", "spec.replicas", "1"},
    {"apps/deployments", "spec.strategy.type", R"("RollingUpdate")"},
    {"apps/deployments", "spec.revisionHistoryLimit", "10"},
    {"apps/deployments", "spec.progressDeadlineSeconds", "600"},
    {"apps/replicasets", "spec.replicas", "1"},
    {"apps/statefulsets", "spec.podManagementPolicy", R"("OrderedReady")"},
    {"apps/statefulsets", "spec.updateStrategy.type", R"("RollingUpdate")"},
    {"apps/statefulsets", "spec.replicas", "1"},
    {"apps/statefulsets", "spec.revisionHistoryLimit", "10"},
    {"apps/statefulsets", "spec.persistentVolumeClaimRetentionPolicy", "{}"},
    {"apps/statefulsets", "spec.persistentVolumeClaimRetentionPolicy.whenDeleted", R"("Retain")"},
    {"apps/statefulsets", "spec.persistentVolumeClaimRetentionPolicy.whenScaled", R"("Retain")"},
    {"apps/statefulsets", "spec.volumeClaimTemplates[].kind", R"("PersistentVolumeClaim")"},
    {"apps/statefulsets", "spec.volumeClaimTemplates[].apiVersion", R"("v1")"},
    {"apps/statefulsets", "spec.volumeClaimTemplates[].spec.volumeMode", R"("Filesystem")"},
    {"apps/statefulsets", "spec.volumeClaimTemplates[].status", "{}"},
    {"apps/statefulsets", "spec.volumeClaimTemplates[].status.phase", R"("Pending")"},
    {"apps/daemonsets", "spec.updateStrategy.type", R"("RollingUpdate")"},
    {"apps/daemonsets", "spec.revisionHistoryLimit", "10"},
    {"batch/jobs", "spec.completionMode", R"("NonIndexed")"},
    {"batch/jobs", "spec.suspend", "false"},
    {"batch/cronjobs", "spec.concurrencyPolicy", R"("Allow")"},
    {"batch/cronjobs", "spec.suspend", "false"},
    {"batch/cronjobs", "spec.successfulJobsHistoryLimit", "3"},
    {"batch/cronjobs", "spec.failedJobsHistoryLimit", "1"},
    {"autoscaling/horizontalpodautoscalers", "spec.minReplicas", "1"},
    {"discovery.k8s.io/endpointslices", "ports[].name", R"("")"},
    {"discovery.k8s.io/endpointslices", "ports[].protocol", R"("TCP")"},
    {"networking.k8s.io/networkpolicies", "spec.ingress[].ports[].protocol", R"("TCP")"},
    {"networking.k8s.io/networkpolicies", "spec.egress[].ports[].protocol", R"("TCP")"},
    {"rbac.authorization.k8s.io/clusterrolebindings", "roleRef.apiGroup", R"("rbac.authorization.k8s.io")"},
    {"rbac.authorization.k8s.io/rolebindings", "roleRef.apiGroup", R"("rbac.authorization.k8s.io")"},
    {"scheduling.k8s.io/priorityclasses", "preemptionPolicy", R"("PreemptLowerPriority")"},
    {"storage.k8s.io/storageclasses", "reclaimPolicy", R"("Delete")"},
    {"storage.k8s.io/storageclasses", "volumeBindingMode", R"("Immediate")"},
    {"admissionregistration.k8s.io/mutatingwebhookconfigurations", "webhooks[].reinvocationPolicy", R"("Never")"},
};

constexpr Default kWebhookDefaults[] = {
    {"", "webhooks[].failurePolicy", R"("Fail")"}, {"", "webhooks[].matchPolicy", R"("Equivalent")"}, {"", "webhooks[].namespaceSelector", "{}"},
    {"", "webhooks[].objectSelector", "{}"},       {"", "webhooks[].timeoutSeconds", "10"},            {"", "webhooks[].rules[].scope", R"("*")"},
    {"", "webhooks[].clientConfig.service.port", "443"},
};

constexpr Default kPodSpecDefaults[] = {
    {"", "dnsPolicy", R"("ClusterFirst")"},
    {"", "restartPolicy", R"("Always")"},
    {"", "terminationGracePeriodSeconds", "30"},
    {"", "schedulerName", R"("default-scheduler")"},
    {"", "securityContext", "{}"},
    {"", "volumes[].secret.defaultMode", "420"},
    {"", "volumes[].configMap.defaultMode", "420"},
    {"", "volumes[].downwardAPI.defaultMode", "420"},
    {"", "volumes[].downwardAPI.items[].fieldRef.apiVersion", R"("v1")"},
    {"", "volumes[].projected.defaultMode", "420"},
    {"", "volumes[].projected.sources[].serviceAccountToken.expirationSeconds", "3600"},
    {"", "volumes[].projected.sources[].downwardAPI.items[].fieldRef.apiVersion", R"("v1")"},
    {"", "volumes[].hostPath.type", R"("")"},
    {"", "volumes[].ephemeral.volumeClaimTemplate.spec.volumeMode", R"("Filesystem")"},
};

constexpr Default kContainerDefaults[] = {
    {"", "terminationMessagePath", R"("/dev/termination-log")"},
    {"", "terminationMessagePolicy", R"("File")"},
    {"", "env[].valueFrom.fieldRef.apiVersion", R"("v1")"},
};

constexpr Default kProbeDefaults[] = {
    {"", "timeoutSeconds", "1"}, {"", "periodSeconds", "10"}, {"", "successThreshold", "1"}, {"", "failureThreshold", "3"}, {"", "grpc.service", R"("")"},
};

bool unset(const Value* v) {
  return v == nullptr || v->is_null() || (v->string() != nullptr && v->string()->empty());
}

void fill(Value& at, std::string_view path, std::string_view text) {
  json::Object* object = at.object();
  if (object == nullptr) return;
  const size_t dot = path.find('.');
  std::string_view name = path.substr(0, dot);
  const bool each = name.ends_with("[]");
  if (each) name.remove_suffix(2);
  Value* member = object->find(name);
  if (dot == std::string_view::npos) {
    if (unset(member)) (*object)[name] = *json::parse(text);
    return;
  }
  if (member == nullptr) return;
  if (!each) return fill(*member, path.substr(dot + 1), text);
  if (member->array() == nullptr) return;
  for (Value& item : *member->array()) fill(item, path.substr(dot + 1), text);
}

template <size_t N>
void fill_all(Value& at, const Default (&table)[N]) {
  for (const Default& d : table) fill(at, d.path, d.value);
}

// Structs that are always there in Go are filled in even where a body says nothing of them.
void make(Value& object, std::string_view path) {
  Value* at = &object;
  for (const std::string_view part : split(path, '.')) {
    if (!at->is_object()) return;
    Value& next = (*at)[part];
    if (next.is_null()) next = json::Object();
    at = &next;
  }
}

void each(Value* list, const std::function<void(Value&)>& f) {
  if (list == nullptr || list->array() == nullptr) return;
  for (Value& v : *list->array()) f(v);
}

void http_get(Value* handler) {
  Value* get = handler != nullptr && handler->is_object() ? handler->object()->find("httpGet") : nullptr;
  if (get == nullptr) return;
  fill(*get, "path", R"("/")");
  fill(*get, "scheme", R"("HTTP")");
}

// Always for :latest and no tag, as k8s.io/kubernetes' ParseImageName and SetDefaults_Container.
std::string_view pull_policy(std::string_view image) {
  if (image.find('@') != std::string_view::npos) return "IfNotPresent";
  const size_t colon = image.rfind(':'), slash = image.rfind('/');
  const bool tagged = colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash);
  return !tagged || image.substr(colon + 1) == "latest" ? "Always" : "IfNotPresent";
}

void container(Value& c) {
  if (!c.is_object()) return;
  fill_all(c, kContainerDefaults);
  if (c.text("imagePullPolicy").empty()) c["imagePullPolicy"] = pull_policy(c.text("image"));
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) {
    Value* p = c.object()->find(probe);
    if (p == nullptr || !p->is_object()) continue;
    for (const Default& d : kProbeDefaults) {
      // Zero is as good as nothing here.
      if (const Value* v = p->find(d.path); v != nullptr && v->integer() == 0) p->object()->erase(d.path);
      fill(*p, d.path, d.value);
    }
    http_get(p);
  }
  http_get(c.pointer("/lifecycle/postStart"));
  http_get(c.pointer("/lifecycle/preStop"));
}

// Requests that are not given are the limits.
void requests_from_limits(Value& c) {
  const Value* limits = c.at("resources.limits");
  if (limits == nullptr || limits->object() == nullptr) return;
  const json::Object copy = *limits->object();
  for (const json::Member& m : copy) {
    Value& requests = c["resources"]["requests"];
    if (requests.find(m.first) == nullptr) requests[m.first] = m.second;
  }
}

// One field under two names.
void service_account(Value& spec) {
  const std::string name(spec.text("serviceAccountName")), old(spec.text("serviceAccount"));
  if (!name.empty()) spec["serviceAccount"] = name;
  if (name.empty() && !old.empty()) spec["serviceAccountName"] = old;
}

void pod_spec(Value* spec) {
  if (spec == nullptr || !spec->is_object()) return;
  service_account(*spec);
  fill_all(*spec, kPodSpecDefaults);
  each(spec->object()->find("volumes"), [](Value& v) {
    if (v.is_object() && v.object()->size() == 1 && v.find("name") != nullptr) v["emptyDir"] = json::Object();
  });
  const Value* host = spec->find("hostNetwork");
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    each(spec->object()->find(list), [&](Value& c) {
      container(c);
      if (host == nullptr || !host->boolean().value_or(false) || !c.is_object()) return;
      each(c.object()->find("ports"), [](Value& p) {
        if (!p.is_object() || p.find("hostPort") != nullptr || p.find("containerPort") == nullptr) return;
        const Value port = *p.find("containerPort");  // a new member may move the others
        p["hostPort"] = port;
      });
    });
  }
}

// Where pods are described.
void pods(const ResourceType& type, Value& object) {
  const std::string_view r = type.resource;
  if (type.group.empty() && r == "pods") {
    make(object, "spec");
    Value& spec = object["spec"];
    pod_spec(&spec);
    fill(spec, "enableServiceLinks", "true");
    for (const char* list : {"containers", "initContainers"}) {
      if (spec.is_object()) each(spec.object()->find(list), requests_from_limits);
    }
  } else if (type.group.empty() && r == "podtemplates") {
    pod_spec(object.pointer("/template/spec"));
  } else if (r == "cronjobs") {
    make(object, "spec.jobTemplate.spec.template.spec");
    pod_spec(object.pointer("/spec/jobTemplate/spec/template/spec"));
  } else if ((type.group == "apps" && r != "controllerrevisions") || r == "jobs") {
    make(object, "spec.template.spec");
    pod_spec(object.pointer("/spec/template/spec"));
  } else if (type.group.empty() && r == "replicationcontrollers") {
    pod_spec(object.pointer("/spec/template/spec"));
  }
}

void replication_controller(Value& object) {
  const Value* labels = object.at("spec.template.metadata.labels");
  if (labels == nullptr) return;
  const Value copy = *labels;
  if (object.at("metadata.labels") == nullptr) object["metadata"]["labels"] = copy;
  if (object.at("spec.selector") == nullptr) object["spec"]["selector"] = copy;
}

void deployment(Value& spec) {
  if (spec.text("strategy.type") != "RollingUpdate") return;
  make(spec, "strategy.rollingUpdate");
  fill(spec, "strategy.rollingUpdate.maxUnavailable", R"("25%")");
  fill(spec, "strategy.rollingUpdate.maxSurge", R"("25%")");
}

void stateful_set(Value& spec) {
  if (spec.text("updateStrategy.type") != "RollingUpdate") return;
  make(spec, "updateStrategy.rollingUpdate");
  fill(spec, "updateStrategy.rollingUpdate.partition", "0");
}

void daemon_set(Value& spec) {
  if (spec.text("updateStrategy.type") != "RollingUpdate") return;
  make(spec, "updateStrategy.rollingUpdate");
  fill(spec, "updateStrategy.rollingUpdate.maxUnavailable", "1");
  fill(spec, "updateStrategy.rollingUpdate.maxSurge", "0");
}

void job(Value& spec) {
  if (spec.find("completions") == nullptr && spec.find("parallelism") == nullptr) spec["completions"] = 1;
  fill(spec, "parallelism", "1");
  if (spec.find("backoffLimit") == nullptr) spec["backoffLimit"] = spec.find("backoffLimitPerIndex") != nullptr ? 2147483647 : 6;
  if (spec.find("podReplacementPolicy") == nullptr) spec["podReplacementPolicy"] = spec.find("podFailurePolicy") != nullptr ? "Failed" : "TerminatingOrFailed";
}

void service(Value& spec) {
  const std::string type(spec.text("type"));
  const bool external = type == "NodePort" || type == "LoadBalancer";
  if (spec.text("sessionAffinity") == "None") spec.object()->erase("sessionAffinityConfig");
  if (spec.text("sessionAffinity") == "ClientIP") {
    make(spec, "sessionAffinityConfig.clientIP");
    fill(spec, "sessionAffinityConfig.clientIP.timeoutSeconds", "10800");
  }
  each(spec.object()->find("ports"), [](Value& p) {
    if (!p.is_object()) return;
    fill(p, "protocol", R"("TCP")");
    const Value* target = p.find("targetPort");
    if (p.find("port") == nullptr || !(unset(target) || target->integer() == 0)) return;
    const Value port = *p.find("port");  // a new member may move the others
    p["targetPort"] = port;
  });
  if (external) fill(spec, "externalTrafficPolicy", R"("Cluster")");
  if (external || type == "ClusterIP") fill(spec, "internalTrafficPolicy", R"("Cluster")");
  if (type == "LoadBalancer") fill(spec, "allocateLoadBalancerNodePorts", "true");
}

void secret(Value& object) {
  const Value* plain = object.find("stringData");
  if (plain == nullptr) return;
  const Value copy = *plain;
  object.object()->erase("stringData");
  if (copy.object() == nullptr) return;
  for (const json::Member& m : *copy.object()) object["data"][m.first] = base64_encode(m.second.string() != nullptr ? *m.second.string() : "");
}

void network_policy(Value& spec) {
  if (const Value* types = spec.find("policyTypes"); types != nullptr && types->array() != nullptr && !types->array()->empty()) return;
  json::Array types = {Value("Ingress")};
  const Value* egress = spec.find("egress");
  if (egress != nullptr && egress->array() != nullptr && !egress->array()->empty()) types.emplace_back("Egress");
  spec["policyTypes"] = std::move(types);
}

// A behavior that says something of one direction has the defaults of both.
void autoscaler(Value& spec) {
  Value* behavior = spec.object()->find("behavior");
  if (behavior == nullptr || !behavior->is_object()) return;
  make(*behavior, "scaleUp");
  make(*behavior, "scaleDown");
  fill(*behavior, "scaleUp.stabilizationWindowSeconds", "0");
  fill(*behavior, "scaleUp.policies", R"([{"type":"Pods","value":4,"periodSeconds":15},{"type":"Percent","value":100,"periodSeconds":15}])");
  fill(*behavior, "scaleDown.policies", R"([{"type":"Percent","value":100,"periodSeconds":15}])");
  for (const char* select : {"scaleUp.selectPolicy", "scaleDown.selectPolicy"}) fill(*behavior, select, R"("Max")");
}

void limit_range(Value& spec) {
  each(spec.object()->find("limits"), [](Value& limit) {
    if (!limit.is_object() || limit.text("type") != "Container") return;
    const auto from = [&](const char* to, const char* source) {
      const Value* values = limit.find(source);
      if (values == nullptr || values->object() == nullptr) return;
      const json::Object copy = *values->object();
      for (const json::Member& m : copy) {
        if (limit[to].find(m.first) == nullptr) limit[to][m.first] = m.second;
      }
    };
    from("default", "max");
    from("defaultRequest", "default");
    from("defaultRequest", "min");
  });
}

void subjects(Value& object) {
  each(object.object()->find("subjects"), [](Value& s) {
    const std::string kind(s.text("kind"));
    if (s.is_object() && s.text("apiGroup").empty() && (kind == "User" || kind == "Group")) s["apiGroup"] = "rbac.authorization.k8s.io";
  });
}

}  // namespace

void default_built_in(const ResourceType& type, Value& object) {
  const std::string name = type.group + "/" + type.resource;
  constexpr std::string_view kStructs[] = {"apps/deployments:spec.strategy", "apps/statefulsets:spec.updateStrategy", "apps/daemonsets:spec.updateStrategy", "/services:spec",
                                           "batch/jobs:spec", "batch/cronjobs:spec", "networking.k8s.io/networkpolicies:spec"};
  for (const std::string_view s : kStructs) {
    if (const size_t colon = s.find(':'); s.substr(0, colon) == name) make(object, s.substr(colon + 1));
  }
  for (const Default& d : kDefaults) {
    if (d.resource == name) fill(object, d.path, d.value);
  }
  if (name == "/secrets") secret(object);
  if (name == "/namespaces" && !object.text("metadata.name").empty()) object["metadata"]["labels"]["kubernetes.io/metadata.name"] = std::string(object.text("metadata.name"));
  if (type.group == "rbac.authorization.k8s.io") subjects(object);
  if (type.group == "admissionregistration.k8s.io" && type.resource.ends_with("webhookconfigurations")) fill_all(object, kWebhookDefaults);
  pods(type, object);
  if (name == "/replicationcontrollers") replication_controller(object);
  Value* spec = object.object()->find("spec");
  if (spec == nullptr || !spec->is_object()) return;
  if (name == "apps/deployments") deployment(*spec);
  if (name == "apps/statefulsets") stateful_set(*spec);
  if (name == "apps/daemonsets") daemon_set(*spec);
  if (name == "batch/jobs") job(*spec);
  if (name == "autoscaling/horizontalpodautoscalers") autoscaler(*spec);
  if (name == "/services") service(*spec);
  if (name == "/limitranges") limit_range(*spec);
  if (name == "networking.k8s.io/networkpolicies") network_policy(*spec);
}

}  // namespace gs::apiserver
