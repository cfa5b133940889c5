// What an Engine tells of itself for status.
#include "control/cluster_selector.h"
#include "control/engine_internal.h"

namespace gs::control {

Report Engine::report() const {
  Report out;
  for (const auto& controller : controllers_) {
    if (controller->going) continue;
    ControllerReport& report = out.controllers[controller->name];
    if (controller->spec) {
      report.uid = controller->spec->uid;
      report.generation = controller->spec->generation;
      report.selects_nothing = selects_nothing_because(controller->spec->cluster_selector, desired_.select_all_by_default);
    }
    report.error = controller->error;
    const delegate::ClientHealth health = delegate_health(*controller);
    if (!health.reachable) {
      report.delegate_reason = health.reason;
      report.delegate_error = health.message;
    }
  }
  for (const auto& [id, slot] : pairs_) {
    if (slot->retired || slot->controller->going) continue;
    const PairState& state = slot->pair->state();
    ControllerReport& report = out.controllers[slot->controller_name];
    ++report.desired;
    report.synced += state.synced;
    report.ready += state.synced && state.reason.empty();
    report.failing += slot->pair->failing() > 0;
    if (!state.reason.empty()) report.note_trouble(slot->cluster_key, state.reason, state.message);
  }
  for (const fleet::ClusterSpec& spec : paused_) {
    out.clusters[spec.key()].uid = spec.uid;
    out.clusters[spec.key()].paused = true;
  }
  for (const auto& slot : clusters_) {
    if (slot->going) continue;
    out.clusters[slot->spec.key()] = report_of(*slot);
    if (!slot->cluster) report_unattached(*slot, out);
  }
  webhooks_->report(out, webhook_views(), desired_);
  return out;
}

// A cluster that could not be attached has no pairs, and is wanted all the same.
void Engine::report_unattached(const ClusterSlot& slot, Report& out) const {
  for (const auto& controller : controllers_) {
    if (controller->going || !controller->error.empty() || !controller->spec) continue;
    if (!selects(controller->spec->cluster_selector, slot.spec, desired_)) continue;
    ControllerReport& report = out.controllers[controller->name];
    ++report.desired;
    report.note_trouble(slot.spec.key(), slot.spec.error_reason.empty() ? "KubeconfigInvalid" : slot.spec.error_reason, slot.error);
  }
}

ClusterReport Engine::report_of(const ClusterSlot& slot) const {
  ClusterReport out;
  out.uid = slot.spec.uid;
  out.error = slot.error;
  out.error_reason = slot.spec.error_reason;
  if (!slot.cluster) return out;
  const fleet::ClusterFacts& facts = slot.cluster->facts();
  out.reachable = facts.reachable;
  out.version = facts.version;
  out.observed_id = facts.observed_id;
  out.connect_error = facts.error;
  if (facts.last_seen != MonoTime{}) out.last_seen = loop_.wall_now() - (loop_.now() - facts.last_seen);
  return out;
}

// Of the worst of its clients: with isolated tenants there are several.
delegate::ClientHealth Engine::delegate_health(const Controller& controller) const {
  delegate::ClientHealth out;
  out.reason = "Idle";
  for (const auto& [id, slot] : pairs_) {
    if (slot->controller != &controller || slot->retired) continue;
    delegate::ClientHealth health = slot->client->health();
    if (!health.reachable) return health;
    if (out.message.empty()) out = std::move(health);
  }
  return out;
}

}  // namespace gs::control
