#include "control/hub_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/log.h"
#include "json/scan.h"

namespace gs::control {
namespace {

const cache::GroupVersionResource kControllers(kGroup, kVersion, "controllers");
const cache::GroupVersionResource kWebhooks(kGroup, kVersion, "webhooks");
const cache::GroupVersionResource kClusters(kGroup, kVersion, "clusters");
const cache::GroupVersionResource kSecrets("", "v1", "secrets");
const cache::GroupVersionResource kNamespaces("", "v1", "namespaces");
const cache::GroupVersionResource kConfigMaps("", "v1", "configmaps");

// Status is what we write ourselves; nothing that is wanted hangs on it.
bool only_status_changed(const kube::Object& before, const kube::Object& after) {
  return before.generation() != 0 && before.generation() == after.generation() && before.labels() == after.labels() &&
         before.annotations() == after.annotations() && before.finalizers() == after.finalizers() && before.deleting() == after.deleting();
}

cache::ReflectorOptions reflector_options(Semaphore& permits) {
  cache::ReflectorOptions out;
  out.list_permits = &permits;
  return out;
}

}  // namespace

// One informer and what it tells us.
class HubSource::Watched final : public cache::InformerHandler {
 public:
  Watched(HubSource& source, const cache::InformerKey& key) : source_(source), handle(source.informers_.acquire(key, *this)) {}
  // The content is known, or why it cannot be is.
  bool settled() const { return handle->synced() || parked(); }
  bool parked() const { return handle->health() == cache::Health::kMissing || handle->health() == cache::Health::kForbidden; }

  void on_added(const kube::ObjectRef&, bool) override { source_.changed(); }
  void on_updated(const kube::ObjectRef& before, const kube::ObjectRef& after) override {
    if (!only_status_changed(*before, *after)) source_.changed();
  }
  void on_deleted(const kube::ObjectRef&, bool) override { source_.changed(); }
  void on_synced() override { source_.changed(); }
  void on_health(cache::Health, const std::string&) override { source_.changed(); }

 private:
  HubSource& source_;

 public:
  cache::InformerHandle handle;  // last: calls end before anything else goes
};

// What was made of a Cluster, and of which objects; a kubeconfig is not read anew for each change of the hub.
struct HubSource::ClusterEntry {
  kube::ObjectRef cluster;
  SecretState secret;
  fleet::ClusterSpec spec;
  bool seen = false;
};

HubSource::HubSource(Loop& loop, kube::KubeTransport& hub, HubOptions options, Sink sink)
    : options_(std::move(options)),
      sink_(std::move(sink)),
      list_permits_(loop, kConcurrentLists),
      informers_(loop, hub, reflector_options(list_permits_)),
      settle_(loop, [this] { rebuild(); }),
      kick_(loop, [this] { kick(); }) {
  controllers_ = watch(kControllers, "", "");
  webhooks_ = watch(kWebhooks, "", "");
  if (!options_.self) clusters_ = watch(kClusters, "", "");
  kick_.arm_after(kKick);
}

HubSource::~HubSource() = default;

std::unique_ptr<HubSource::Watched> HubSource::watch(cache::GroupVersionResource resource, std::string ns, std::string name) {
  cache::InformerKey key;
  key.resource = std::move(resource);
  key.ns = std::move(ns);
  if (!name.empty()) key.field_selector = "metadata.name=" + name;
  return std::make_unique<Watched>(*this, key);
}

const cache::Store& HubSource::controllers_store() const { return controllers_->handle->store(); }
const cache::Store& HubSource::webhooks_store() const { return webhooks_->handle->store(); }
const cache::Store* HubSource::clusters_store() const { return clusters_ ? &clusters_->handle->store() : nullptr; }

void HubSource::changed() {
  if (!settle_.armed()) settle_.arm_after(kSettle);
}

void HubSource::kick() {
  for (Watched* watched : {controllers_.get(), webhooks_.get(), clusters_.get(), namespaces_.get(), configs_.get()}) {
    if (watched != nullptr && watched->parked()) watched->handle->kick();
  }
  for (auto& [key, watched] : secrets_) {
    if (watched->parked()) watched->handle->kick();
  }
  kick_.arm_after(kKick);
}

std::string HubSource::problem() const {
  const char* where = options_.self ? "this cluster" : "the hub";
  for (const Watched* watched : {controllers_.get(), clusters_.get(), namespaces_.get(), configs_.get()}) {
    if (watched == nullptr) continue;
    const cache::InformerKey& key = watched->handle->key();
    const std::string& reason = watched->handle->reason();
    switch (watched->handle->health()) {
      case cache::Health::kMissing:
        return fmt::format("the CRD {}.{} is not installed in {}: kubectl apply --server-side -f deploy/crds", key.resource.resource, key.resource.group, where);
      case cache::Health::kForbidden: return fmt::format("{} cannot be read in {}: {}", key.resource.to_string(), where, reason);
      case cache::Health::kRetrying: return fmt::format("{} cannot be reached: {}", where, reason);
      case cache::Health::kStarting:
      case cache::Health::kLive: break;
    }
  }
  return "";
}

void HubSource::tell_problem() {
  const std::string now = problem();
  if (now == told_problem_) return;
  if (now.empty()) {
    log::info("Controllers and Clusters can be read again");
  } else {
    log::warning("Controllers and Clusters cannot be read", {{"err", now}});
  }
  told_problem_ = now;
}

// Nothing is handed on before Controllers and Clusters are known: a hub that is half read wants nothing removed.
// A Cluster follows when its Secret is there.
void HubSource::rebuild() {
  tell_problem();
  if (!controllers_->handle->synced() || (clusters_ && !clusters_->handle->synced()) || !webhooks_->settled()) return;
  Desired out;
  out.select_all_by_default = options_.self.has_value();
  read_controllers(out);
  read_webhooks(out);
  if (!read_optional(out)) return;
  read_clusters(out);
  if (!complete_ && pending_ == 0) {
    complete_ = true;
    log::info("the hub is read", {{"controllers", out.controllers.size()}, {"clusters", out.clusters.size()}});
  }
  sink_(std::move(out));
}

void HubSource::read_controllers(Desired& out) {
  controllers_store().for_each({}, [&](const kube::ObjectRef& object) {
    Desired::Controller controller;
    controller.name = object->name();
    const auto value = json::parse(object->json());
    auto spec = value ? parse_controller(*value) : Result<ControllerSpec>(fail(value.error()));
    if (spec) {
      controller.spec = std::make_shared<const ControllerSpec>(*std::move(spec));
    } else {
      controller.error = spec.error().message;
    }
    out.controllers.push_back(std::move(controller));
  });
}

void HubSource::read_webhooks(Desired& out) {
  // Without a CRD, or the right to read, what was known of them stays: nothing is given back for that.
  webhooks_store().for_each({}, [&](const kube::ObjectRef& object) {
    const auto value = json::parse(object->json());
    out.webhooks.push_back(Desired::Webhook::read(std::string(object->name()), value ? parse_webhook(*value) : Result<WebhookSpec>(fail(value.error()))));
  });
}

// Namespaces and ConfigMaps, if a Controller or a Webhook needs them. False: they are not known yet.
bool HubSource::read_optional(Desired& out) {
  bool labels = false, configs = false;
  const auto look = [&](const auto& spec) {
    labels |= spec.cluster_selector && spec.cluster_selector->namespace_labels;
    configs |= std::any_of(spec.configs.begin(), spec.configs.end(), [](const ConfigSpec& c) { return c.from_hub; });
  };
  for (const Desired::Controller& controller : out.controllers) {
    if (controller.spec) look(*controller.spec);
  }
  for (const Desired::Webhook& webhook : out.webhooks) {
    if (webhook.spec) look(*webhook.spec);
  }
  if (!labels || options_.self) namespaces_.reset();
  if (!configs) configs_.reset();
  if (labels && !options_.self && !namespaces_) namespaces_ = watch(kNamespaces, "", "");
  if (configs && !configs_) configs_ = watch(kConfigMaps, options_.ns, "");
  if (namespaces_ && !namespaces_->settled()) return false;
  if (configs_ && !configs_->settled()) return false;
  if (namespaces_) {
    namespaces_->handle->store().for_each({}, [&](const kube::ObjectRef& ns) { out.namespace_labels[std::string(ns->name())] = ns->labels(); });
  }
  if (configs_) {
    configs_->handle->store().for_each({}, [&](const kube::ObjectRef& map) { out.hub_configs[std::string(map->name())] = map->json(); });
  }
  return true;
}

void HubSource::read_clusters(Desired& out) {
  if (options_.self) {
    out.clusters.push_back(*options_.self);
    return;
  }
  std::set<std::pair<std::string, std::string>> named;
  pending_ = 0;
  for (auto& [key, entry] : entries_) entry.seen = false;
  clusters_store()->for_each({}, [&](const kube::ObjectRef& cluster) {
    const bool needs_secret = read_cluster(cluster, out);
    if (needs_secret) named.emplace(cluster->ns(), secret_ref_of(*cluster).name);
  });
  std::erase_if(entries_, [](const auto& e) { return !e.second.seen; });
  std::erase_if(secrets_, [&](const auto& e) { return !named.contains(e.first); });
}

// True: it needs its Secret. A Cluster whose Secret is not known yet stays what it was.
bool HubSource::read_cluster(const kube::ObjectRef& cluster, Desired& out) {
  const std::string name = secret_ref_of(*cluster).name;
  const bool needs_secret = !name.empty() && !is_paused(*cluster);
  ClusterEntry& entry = entries_[{std::string(cluster->ns()), std::string(cluster->name())}];
  entry.seen = true;
  SecretState secret;
  if (needs_secret) {
    std::unique_ptr<Watched>& watched = secrets_[{std::string(cluster->ns()), name}];
    if (!watched) watched = watch(kSecrets, std::string(cluster->ns()), name);
    if (!watched->settled()) {
      ++pending_;
      const bool same = entry.cluster && entry.cluster->uid() == cluster->uid();
      if (same) out.clusters.push_back(entry.spec);
      return true;
    }
    secret.object = watched->handle->store().get(cluster->ns(), name);
    if (!watched->handle->synced()) secret.problem = watched->handle->reason();
  }
  const bool known = entry.cluster.get() == cluster.get() && entry.secret.object.get() == secret.object.get() && entry.secret.problem == secret.problem;
  if (!known) {
    entry.cluster = cluster;
    entry.secret = secret;
    entry.spec = cluster_from_hub(*cluster, secret, options_.policy);
  }
  out.clusters.push_back(entry.spec);
  return needs_secret;
}

}  // namespace gs::control
