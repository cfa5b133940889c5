#include "apiserver/cluster_objects.h"

#include <fmt/format.h>

namespace gs::apiserver {
namespace {

constexpr const char* kRootCa = "kube-root-ca.crt";
constexpr const char* kRootCaAbout =
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. "
    "No other usage is guaranteed across distributions of Kubernetes clusters.";

RestRequest request_for(gateway::Verb verb, const ResourceType& type, const std::string& ns, const std::string& name = {}) {
  RestRequest out;
  out.verb = verb;
  out.group = type.group;
  out.version = type.version;
  out.resource = type.resource;
  out.ns = ns;
  out.name = name;
  return out;
}

}  // namespace

ClusterObjects::ClusterObjects(Loop& loop, ResourceTable& table, Store& store, Registry& registry, ClusterObjectsOptions options)
    : loop_(loop), table_(table), store_(store), registry_(registry), options_(std::move(options)), wake_(loop), scope_(loop) {
  registry_.add_follower(*this);
}

void ClusterObjects::create(const char* group, const char* resource, const std::string& ns, const std::string& json) {
  const ResourceTypePtr type = table_.find(group, resource);
  if (!type) return;
  // There already, or its namespace is on its way out: both are well.
  registry_.create(*type, request_for(gateway::Verb::kCreate, *type, ns), json);
}

void ClusterObjects::start() {
  const ResourceTypePtr namespaces = table_.find("", "namespaces");
  for (const char* ns : {"kube-system", "kube-public", "kube-node-lease", "default"}) {
    if (!store_.get(*namespaces, "", ns)) create("", "namespaces", "", fmt::format(R"({{"metadata":{{"name":"{}"}}}})", ns));
  }
  if (options_.kubernetes_service && !store_.get(*table_.find("", "services"), "default", "kubernetes")) {
    create("", "services", "default",
           R"({"metadata":{"name":"kubernetes","labels":{"component":"apiserver","provider":"kubernetes"}},"spec":{"type":"ClusterIP","clusterIP":"10.96.0.1","clusterIPs":["10.96.0.1"],)"
           R"("ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack","sessionAffinity":"None","internalTrafficPolicy":"Cluster","ports":[{"name":"https","port":443,"protocol":"TCP","targetPort":6443}]}})");
  }
  if (!options_.service_accounts && options_.root_ca.empty()) return;
  for (const StoredPtr& ns : store_.list(*namespaces, "")) queue_.insert(std::string(ns->name));
  scope_.spawn(run());
}

void ClusterObjects::changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) {
  if (!options_.service_accounts && options_.root_ca.empty()) return;
  if (is_namespace(type) && !before) queue_.insert(std::string(after->name));
  // Both are made again where somebody deletes them, and the ConfigMap says again what it should.
  if (type.group.empty() && type.resource == "serviceaccounts" && !after) queue_.insert(std::string(before->ns));
  if (type.group.empty() && type.resource == "configmaps" && before && before->name == kRootCa) queue_.insert(std::string(before->ns));
  if (!queue_.empty()) wake_.wake_all();
}

Task<void> ClusterObjects::run() {
  while (true) {
    if (queue_.empty()) {
      co_await wake_.wait();
      continue;
    }
    co_await yield_turn(loop_);
    const std::string ns = *queue_.begin();
    queue_.erase(queue_.begin());
    furnish(ns);
  }
}

void ClusterObjects::furnish(const std::string& ns) {
  if (options_.service_accounts && !store_.get(*table_.find("", "serviceaccounts"), ns, "default")) {
    create("", "serviceaccounts", ns, R"({"metadata":{"name":"default"}})");
  }
  if (!options_.root_ca.empty()) publish_root_ca(ns);
}

// As kube-controller-manager's root-ca-cert-publisher.
void ClusterObjects::publish_root_ca(const std::string& ns) {
  const ResourceTypePtr type = table_.find("", "configmaps");
  const StoredPtr current = store_.get(*type, ns, kRootCa);
  json::Value wanted = current ? current->value(*type) : json::Value(json::Object());
  json::Value data{json::Object()};
  data["ca.crt"] = options_.root_ca;
  json::Value& metadata = wanted["metadata"];
  json::Value& about = metadata["annotations"]["kubernetes.io/description"];
  if (current && wanted["data"] == data && about.string() != nullptr && !about.string()->empty()) return;
  about = kRootCaAbout;
  metadata["name"] = kRootCa;
  wanted["data"] = std::move(data);
  // An immutable one stays as it is, in a real cluster too.
  if (current) registry_.update(*type, request_for(gateway::Verb::kUpdate, *type, ns, kRootCa), wanted.dump());
  else create("", "configmaps", ns, wanted.dump());
}

}  // namespace gs::apiserver
