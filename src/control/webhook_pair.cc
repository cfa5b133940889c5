#include "control/webhook_pair.h"

#include "base/log.h"
#include "control/pair.h"
#include "webhook/proxy_reviewer.h"

namespace gs::control {
namespace {

// What a spec's URL may show to whoever runs kubectl: where, not what comes after.
std::string shown(const kube::ServerUrl& url) { return (url.tls ? "https://" : "http://") + url.authority(); }

}  // namespace

WebhookPair::WebhookPair(WebhookDeps& deps, PairId id, std::shared_ptr<const WebhookSpec> spec, kube::ServerUrl delegate, fleet::Cluster& cluster,
                         webhook::Services& services, webhook::WebhookMetrics& metrics, Observer& observer)
    : deps_(deps),
      id_(id),
      spec_(std::move(spec)),
      delegate_(std::move(delegate)),
      cluster_(cluster),
      metrics_(metrics),
      observer_(observer),
      recorder_(deps.loop, cluster.transport(), "gulfstream") {
  make_target(nullptr);
  configs_ = std::make_unique<ConfigObjects>(deps_.loop, cluster.informers(), cluster.discovery(), deps_.hub, spec_->configs, [this] { configs_changed(); });
  webhook::ConfiguratorOptions options;
  options.webhook = spec_->name;
  options.user = fmt::format("{}#{}", spec_->name, id_.value());
  options.ref = spec_->ref;
  options.cluster_uid = cluster.spec().uid;
  options.plane = deps_.plane;
  options.timeout_seconds = spec_->timeout_seconds;
  const bool untrusted = cluster.spec().untrusted && deps_.clusters.untrusted_tcp != nullptr;
  net::Connector& tcp = untrusted ? *deps_.clusters.untrusted_tcp : deps_.clusters.tcp;
  const webhook::Configurator::Deps configurator(deps_.loop, cluster.transport(), cluster.informers(), services, deps_.clusters.tls, tcp);
  webhook::Configurator::Observer& us = *this;
  configurator_ = std::make_unique<webhook::Configurator>(configurator, std::move(options), us);
}

WebhookPair::~WebhookPair() {
  configurator_.reset();
  configs_.reset();
  session_ = nullptr;
  target_->close("the Webhook is gone");
}

void WebhookPair::adopt(std::shared_ptr<const webhook::Material> material, bool write) { configurator_->adopt(std::move(material), write); }

void WebhookPair::release(webhook::OnDelete how) {
  releasing_ = true;
  configurator_->release(how);
}

webhook::TargetOptions WebhookPair::target_options() const {
  webhook::TargetOptions out;
  const fleet::ClusterSpec& cluster = cluster_.spec();
  out.webhook = spec_->name;
  out.delegate = shown(delegate_);
  out.cluster = cluster.key();
  // Without a hub no Cluster has an identity of its own: then it is the cluster's.
  const std::string& observed = cluster_.facts().observed_id;
  out.cluster_id = !cluster.tenant.empty() || observed.empty() ? cluster.uid : observed;
  if (deps_.own_cluster) out.delegate_namespace = namespace_of_service(delegate_.host);
  out.enforcement = spec_->enforcement;
  out.on_failure = spec_->on_failure;
  out.mutating = spec_->ref.kind == webhook::ConfigurationKind::kMutating;
  out.max_concurrent = spec_->max_concurrent;
  out.conversion = spec_->conversion;
  if (!configurator_) return out;
  const webhook::ConfiguratorState& state = configurator_->state();
  if (state.timeout_seconds) out.configured_timeout = std::chrono::seconds(*state.timeout_seconds);
  // Until the CRD is known nothing of it is cached.
  if (!state.identity.empty()) out.cache_scope = fmt::format("{}|{}|{}|{}", cluster.tenant, cluster.uid, spec_->name, state.identity);
  return out;
}

// What the old one has in flight is answered by the failure choice: it had no reviewer.
void WebhookPair::make_target(std::unique_ptr<webhook::Reviewer> reviewer) {
  if (target_) target_->close("the delegate is connected");
  webhook::TargetDeps deps(deps_.loop, metrics_);
  deps.cache = deps_.cache;
  deps.events = deps_.events;
  target_ = std::make_shared<webhook::Target>(target_options(), std::move(reviewer), deps);
}

std::unique_ptr<webhook::Reviewer> WebhookPair::make_reviewer() {
  const fleet::ClusterSpec& cluster = cluster_.spec();
  if (spec_->review) {
    webhook::ReviewOrigin origin;
    origin.webhook = spec_->name;
    origin.cluster = cluster.name;
    origin.cluster_uid = cluster.uid;
    origin.tenant = cluster.tenant;
    return std::make_unique<webhook::ProxyReviewer>(deps_.loop, deps_.services->acquire(delegate_), shown(delegate_), origin);
  }
  auto gateway = std::make_unique<gateway::Gateway>(deps_.loop, cluster_.transport(), cluster_.informers(), webhook_rules_of(*spec_, configs_->resources()),
                                                    gateway::Kinds(), spec_->name, cluster.name);
  delegate::PairView view;
  view.id = id_;
  view.description.webhook = spec_->name;
  view.description.generation = spec_->generation;
  view.description.tenant = cluster.tenant;
  view.description.cluster = cluster.name;
  view.description.cluster_uid = cluster.uid;
  view.description.observed_id = cluster_.facts().observed_id;
  view.description.kubernetes_version = cluster_.facts().version;
  auto client = deps_.clients.acquire(delegate_, cluster.tenant, spec_->shared_sessions);
  auto reviewer = std::make_unique<webhook::SessionReviewer>(std::move(client), std::move(view), std::move(gateway));
  session_ = reviewer.get();
  return reviewer;
}

// Nobody is asked before all that decides is known.
void WebhookPair::configs_changed() {
  if (configs_->ready() && !reviewing_) {
    reviewing_ = true;
    make_target(make_reviewer());
    observer_.target_replaced(*this);
  }
  if (session_ != nullptr) session_->set_configs(configs_->set());
  observer_.webhook_pair_changed();
}

void WebhookPair::configurator_changed() {
  target_->update(target_options());
  observer_.webhook_pair_changed();
}

void WebhookPair::drift_mended(const kube::ObjectRef& configuration, const std::string& what) {
  log::warning("somebody changed what leads to the plane, and it was changed back", {{"webhook", spec_->name}, {"cluster", cluster_.spec().key()}, {"name", configuration->name()}, {"changed", what}});
  delegate::RecordedEvent event;
  event.type = "Warning";
  event.reason = "WebhookDrift";
  event.message = fmt::format("Webhook {}: somebody changed {}, which leads to the plane; it was changed back", spec_->name, what);
  recorder_.record(*configuration, event);
}

std::pair<std::string, std::string> WebhookPair::trouble() const {
  const webhook::ConfiguratorState& state = configurator_->state();
  if (!state.reason.empty()) return {state.reason, state.message};
  const std::string configs = configs_->problem();
  if (!configs.empty()) return {"ConfigsNotReady", configs};
  return {};
}

delegate::ClientHealth WebhookPair::delegate_health() const {
  delegate::ClientHealth out;
  if (session_ != nullptr) {
    out = session_->client().health();
  } else {
    out.reachable = true;
  }
  // What reviews have met says more than a stream that is idle.
  if (out.reachable && !target_->trouble().empty()) {
    out.reachable = false;
    out.reason = "ReviewsFail";
    out.message = target_->trouble();
  }
  return out;
}

}  // namespace gs::control
