#include "control/webhook_pairs.h"

#include <algorithm>

#include "base/log.h"
#include "control/cluster_selector.h"

namespace gs::control {
namespace {

constexpr size_t kSaltBytes = 32;

webhook::ReviewKind review_kind(const WebhookSpec& spec) {
  return spec.ref.kind == webhook::ConfigurationKind::kConversion ? webhook::ReviewKind::kConversion : webhook::ReviewKind::kAdmission;
}

}  // namespace

// A Webhook as it is wanted now.
struct WebhookPairs::Wanted {
  std::string name;
  std::shared_ptr<const WebhookSpec> spec;
  std::string error;
  std::optional<kube::ServerUrl> delegate;  // where the spec is good
};

// One pair. Retired ones give back what they configured; their successor may be beside them.
struct WebhookPairs::Slot {
  std::string webhook;
  std::string cluster_key;
  fleet::Cluster* cluster = nullptr;
  std::unique_ptr<WebhookPair> pair;
  bool finalizer = false;  // stands, so that configurations may be written
  bool retired = false;
  MonoTime until = kNoDeadline;            // of a retired one
  std::optional<MonoTime> released_at;
  std::vector<std::string> prefixes;       // under which it is in the table
};

WebhookPairs::WebhookPairs(Loop& loop, Deps deps)
    : loop_(loop), deps_(std::move(deps)), table_(webhook::random_bytes(kSaltBytes)), sweep_(loop, [this] { sweep(); }) {
  deps_.webhooks.cache = &cache_;
}

WebhookPairs::~WebhookPairs() {
  for (auto& slot : slots_) unlist(*slot);
  slots_.clear();
}

void WebhookPairs::apply(const std::vector<Desired::Webhook>& wanted, const std::vector<ClusterView>& clusters, const Desired& desired) {
  apply_webhooks(wanted);
  if (deps_.serving) apply_slots(clusters, desired);
  sweep();
}

void WebhookPairs::apply_webhooks(const std::vector<Desired::Webhook>& wanted) {
  std::erase_if(wanted_, [&](const auto& entry) { return std::none_of(wanted.begin(), wanted.end(), [&](const auto& w) { return w.name == entry.first; }); });
  for (const Desired::Webhook& one : wanted) {
    std::unique_ptr<Wanted>& present = wanted_[one.name];
    if (!present) present = std::make_unique<Wanted>();
    const std::string before = present->error;
    present->name = one.name;
    // One that cannot be read any more is served as it was: a mistake in an edit must not unprotect a fleet.
    if (one.spec || !present->spec) present->spec = one.spec;
    present->error = one.error;
    present->delegate.reset();
    if (present->spec) {
      auto url = deps_.delegate_url(present->spec->delegate);
      if (url) present->delegate = *std::move(url);
      if (!url && present->error.empty()) present->error = url.error().message;
    }
    if (!present->error.empty() && present->error != before) log::warning("Webhook is not valid", {{"webhook", one.name}, {"err", present->error}});
  }
}

void WebhookPairs::apply_slots(const std::vector<ClusterView>& clusters, const Desired& desired) {
  const auto view_of = [&](const Slot& slot) -> const ClusterView* {
    const auto found = std::find_if(clusters.begin(), clusters.end(), [&](const ClusterView& v) { return v.cluster == slot.cluster; });
    return found == clusters.end() ? nullptr : &*found;
  };
  for (auto& slot : slots_) {
    if (slot->retired) continue;
    const ClusterView* view = view_of(*slot);
    const auto found = wanted_.find(slot->webhook);
    if (view == nullptr || (view->going && !view->gone_for_good)) {
      retire(*slot, webhook::OnDelete::kAsk, Duration::zero());  // its successor goes on from where it was
    } else if (view->gone_for_good) {
      retire(*slot, webhook::OnDelete::kAsk, kReleaseTime);
    } else if (found == wanted_.end()) {
      retire(*slot, slot->pair->spec().on_delete, kReleaseTime);
    } else if (!selects(found->second->spec->cluster_selector, *view->spec, desired)) {
      retire(*slot, found->second->spec->on_delete, Duration::max());
    } else if (found->second->spec->deleting) {
      if (write_) slot->pair->release(found->second->spec->on_delete);
    } else if (!found->second->spec->same_work(slot->pair->spec())) {
      const bool same_place = found->second->spec->ref == slot->pair->spec().ref && found->second->spec->uid == slot->pair->spec().uid;
      retire(*slot, found->second->spec->on_delete, same_place ? Duration::zero() : kReleaseTime);
    } else if (slot->finalizer != found->second->spec->finalizer) {
      slot->finalizer = found->second->spec->finalizer;
      slot->pair->adopt(material_, write_ && slot->finalizer);
    }
  }
  sweep();  // what ends at once makes room for its successor
  for (auto& [name, wanted] : wanted_) {
    if (!wanted->spec || !wanted->delegate) continue;
    for (const ClusterView& view : clusters) {
      if (view.going || view.cluster == nullptr || !selects(wanted->spec->cluster_selector, *view.spec, desired)) continue;
      const bool present = std::any_of(slots_.begin(), slots_.end(), [&](const auto& s) { return !s->retired && s->webhook == name && s->cluster == view.cluster; });
      if (!present) start(*wanted, *view.cluster);
    }
  }
}

void WebhookPairs::start(Wanted& wanted, fleet::Cluster& cluster) {
  std::unique_ptr<webhook::Services>& services = services_[&cluster];
  if (!services) {
    webhook::ServiceEndpoint endpoint;
    endpoint.mode = deps_.webhooks.plane.services;
    endpoint.host = deps_.webhooks.plane.host;
    endpoint.port = deps_.webhooks.plane.port;
    services = std::make_unique<webhook::Services>(loop_, cluster.transport(), cluster.informers(), endpoint);
  }
  std::unique_ptr<webhook::WebhookMetrics>& metrics = metrics_[wanted.name];
  if (!metrics) metrics = std::make_unique<webhook::WebhookMetrics>(deps_.metrics, wanted.name);
  auto slot = std::make_unique<Slot>();
  slot->webhook = wanted.name;
  slot->cluster_key = cluster.spec().key();
  slot->cluster = &cluster;
  WebhookPair::Observer& us = *this;
  slot->pair = std::make_unique<WebhookPair>(deps_.webhooks, deps_.new_id(), wanted.spec, *wanted.delegate, cluster, *services, *metrics, us);
  // Nothing is written before the finalizer stands that will give it back.
  slot->finalizer = wanted.spec->finalizer;
  slot->pair->adopt(material_, write_ && slot->finalizer);
  if (wanted.spec->deleting && write_) slot->pair->release(wanted.spec->on_delete);
  list(*slot);
  slots_.push_back(std::move(slot));
}

void WebhookPairs::retire(Slot& slot, webhook::OnDelete how, Duration within) {
  slot.retired = true;
  slot.pair->adopt(material_, write_ && slot.finalizer && within > Duration::zero());
  if (within == Duration::zero()) unlist(slot);  // its successor is listed in the same turn
  slot.until = within == Duration::max() ? kNoDeadline : saturating_add(loop_.now(), write_ ? within : Duration::zero());
  if (within > Duration::zero() && write_) slot.pair->release(how);
  sweep_.arm_after(Duration::zero());
}

// Frees what has ended.
void WebhookPairs::sweep() {
  MonoTime next = kNoDeadline;
  const MonoTime now = loop_.now();
  std::erase_if(slots_, [&](const std::unique_ptr<Slot>& slot) {
    if (!slot->retired) return false;
    if (slot->pair->released() && !slot->released_at) slot->released_at = now;
    const bool lingered = slot->released_at && now >= *slot->released_at + kLinger;
    if (now < slot->until && !lingered) {
      next = std::min({next, slot->until, slot->released_at ? *slot->released_at + kLinger : kNoDeadline});
      return false;
    }
    if (slot->pair->target()->in_flight() > 0 && now < saturating_add(slot->until, kLastReviews)) {
      unlist(*slot);
      next = std::min(next, now + kLookAgain);
      return false;
    }
    if (slot->pair->releasing() && !slot->pair->released()) {
      log::warning("what was configured in a cluster could not be given back", {{"webhook", slot->webhook}, {"cluster", slot->cluster_key}, {"why", slot->pair->trouble().second}});
    }
    departed_drifts_ += slot->pair->configurator().drifts();
    departed_writes_ += slot->pair->configurator().writes();
    unlist(*slot);
    return true;
  });
  std::erase_if(services_, [&](const auto& entry) { return !uses(entry.first); });
  sweep_.arm_at(next);
  deps_.changed();
}

bool WebhookPairs::uses(const fleet::Cluster* cluster) const {
  return std::any_of(slots_.begin(), slots_.end(), [&](const auto& slot) { return slot->cluster == cluster; });
}

void WebhookPairs::adopt(std::shared_ptr<const webhook::Material> material, bool write) {
  material_ = std::move(material);
  write_ = write;
  for (auto& slot : slots_) {
    slot->pair->adopt(material_, write_ && slot->finalizer && !slot->retired);
    list(*slot);
  }
}

// Under each prefix that is accepted. A successor's entry is the one that counts.
void WebhookPairs::list(Slot& slot) {
  if (slot.retired && !slot.pair->releasing()) return;
  std::vector<std::string> prefixes;
  if (!deps_.webhooks.plane.prefixes) prefixes.emplace_back();
  if (deps_.webhooks.plane.prefixes && material_) {
    for (const auto& [id, key] : material_->keys) prefixes.push_back(webhook::Material::prefix(key, slot.cluster->spec().uid));
  }
  const bool replaced = slot.retired && std::any_of(slots_.begin(), slots_.end(), [&](const auto& s) {
                          return !s->retired && s->webhook == slot.webhook && s->cluster_key == slot.cluster_key;
                        });
  if (replaced) return;
  const webhook::ReviewKind kind = review_kind(slot.pair->spec());
  for (const std::string& old : slot.prefixes) {
    if (std::find(prefixes.begin(), prefixes.end(), old) == prefixes.end()) table_.erase(old, kind, slot.webhook);
  }
  for (const std::string& prefix : prefixes) table_.set(prefix, kind, slot.webhook, slot.pair->target());
  slot.prefixes = std::move(prefixes);
}

void WebhookPairs::unlist(Slot& slot) {
  const webhook::ReviewKind kind = review_kind(slot.pair->spec());
  for (const std::string& prefix : slot.prefixes) {
    if (table_.find(prefix, kind, slot.webhook) == slot.pair->target()) table_.erase(prefix, kind, slot.webhook);
  }
  slot.prefixes.clear();
}

void WebhookPairs::webhook_pair_changed() {
  deps_.changed();
  // From a turn of its own: what is swept may be the caller.
  const bool retired = std::any_of(slots_.begin(), slots_.end(), [](const auto& slot) { return slot->retired; });
  if (retired) sweep_.arm_after(Duration::zero());
}

void WebhookPairs::target_replaced(WebhookPair& pair) {
  for (auto& slot : slots_) {
    if (slot->pair.get() == &pair) list(*slot);
  }
}

void WebhookPairs::hub_configs_changed() {
  for (auto& slot : slots_) slot->pair->hub_configs_changed();
}

bool WebhookPairs::settled() const {
  return std::all_of(slots_.begin(), slots_.end(), [](const auto& slot) {
    const webhook::ConfiguratorState& state = slot->pair->configured();
    return slot->retired || state.synced || (!state.reason.empty() && state.reason != "Syncing");
  });
}

void WebhookPairs::report(Report& out, const std::vector<ClusterView>& clusters, const Desired& desired) const {
  for (const auto& [name, wanted] : wanted_) {
    WebhookReport& report = out.webhooks[name];
    report.error = wanted->error;
    if (!deps_.serving) report.not_served = "this plane serves no webhooks: it was started without --listen";
    if (!wanted->spec) continue;
    report.uid = wanted->spec->uid;
    report.generation = wanted->spec->generation;
    report.deleting = wanted->spec->deleting;
    report.selects_nothing = selects_nothing_because(wanted->spec->cluster_selector, desired.select_all_by_default);
    if (!deps_.serving) continue;
    for (const ClusterView& view : clusters) {
      if (view.cluster != nullptr || view.going || !selects(wanted->spec->cluster_selector, *view.spec, desired)) continue;
      ++report.desired;
      ++report.failing;
      ++out.certificates.unknown;
      report.note_trouble(view.spec->key(), view.spec->error_reason.empty() ? "KubeconfigInvalid" : view.spec->error_reason, view.spec->error);
    }
  }
  for (const auto& slot : slots_) {
    const webhook::ConfiguratorState& state = slot->pair->configured();
    out.certificates.services.insert(state.services.begin(), state.services.end());
    if (state.carried) {
      CertificateFacts one;
      one.carried = state.carried;
      out.certificates.merge(one);
    } else if (!slot->pair->releasing()) {
      ++out.certificates.unknown;
    }
    const auto found = out.webhooks.find(slot->webhook);
    if (found == out.webhooks.end()) continue;
    WebhookReport& report = found->second;
    const auto [reason, message] = slot->pair->trouble();
    const bool held = slot->pair->releasing() && !slot->pair->released();
    report.held += held;
    if (slot->retired && !held) continue;
    if (!slot->retired) {
      ++report.desired;
      report.ready += reason.empty();
      report.failing += !reason.empty();
    }
    if (!reason.empty()) report.note_trouble(slot->cluster_key, reason, message);
    const delegate::ClientHealth health = slot->pair->delegate_health();
    if (health.reachable || !report.delegate_error.empty()) continue;
    report.delegate_reason = health.reason;
    report.delegate_error = health.message;
  }
}

void WebhookPairs::count(MetricSums& out) const {
  uint64_t drifts = departed_drifts_, writes = departed_writes_;
  size_t ready = 0;
  for (const auto& slot : slots_) {
    drifts += slot->pair->configurator().drifts();
    writes += slot->pair->configurator().writes();
    ready += slot->pair->trouble().first.empty();
  }
  out.gauge("gulfstream_webhook_targets", "Webhooks in clusters.", {{"state", "ready"}}, double(ready));
  out.gauge("gulfstream_webhook_targets", "Webhooks in clusters.", {{"state", "not_ready"}}, double(slots_.size() - ready));
  out.count("gulfstream_webhook_configuration_writes_total", "Writes of configurations in clusters.", writes);
  out.count("gulfstream_webhook_drifts_total", "Configurations that somebody changed, and that were changed back.", drifts);
}

}  // namespace gs::control
