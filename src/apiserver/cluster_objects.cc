#include "apiserver/cluster_objects.h"

#include <fmt/format.h>

namespace gs::apiserver {

ClusterObjects::ClusterObjects(Loop& loop, ResourceTable& table, Store& store, Registry& registry, ClusterObjectsOptions options)
    : loop_(loop), table_(table), store_(store), registry_(registry), options_(std::move(options)), wake_(loop), scope_(loop) {
  registry_.add_follower(*this);
}

void ClusterObjects::create(const char* group, const char* resource, const std::string& ns, const std::string& json) {
  const ResourceTypePtr type = table_.find(group, resource);
  if (!type) return;
  RestRequest request;
  request.verb = gateway::Verb::kCreate;
  request.group = group;
  request.version = type->version;
  request.resource = resource;
  request.ns = ns;
  // There already, or its namespace is on its way out: both are well.
  registry_.create(*type, request, json);
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
  // Both are made again where somebody deletes them.
  if (type.group.empty() && !after && (type.resource == "serviceaccounts" || type.resource == "configmaps")) queue_.insert(std::string(before->ns));
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
  if (options_.root_ca.empty() || store_.get(*table_.find("", "configmaps"), ns, "kube-root-ca.crt")) return;
  std::string json = R"({"metadata":{"name":"kube-root-ca.crt","annotations":{"kubernetes.io/description":)";
  json::append_string(json, "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc.");
  json += R"(}},"data":{"ca.crt":)";
  json::append_string(json, options_.root_ca);
  create("", "configmaps", ns, json + "}}");
}

}  // namespace gs::apiserver
