#include "control/report.h"

#include <fmt/format.h>

#include <algorithm>

namespace gs::control {
namespace {

constexpr ConditionStatus kTrue = ConditionStatus::kTrue;
constexpr ConditionStatus kFalse = ConditionStatus::kFalse;
constexpr ConditionStatus kUnknown = ConditionStatus::kUnknown;

// False where one of them is, else unknown where one of them is; with the reason of the first such.
void put_ready_first(std::vector<Condition>& rests_on) {
  for (const ConditionStatus worst : {kFalse, kUnknown}) {
    const auto why = std::find_if(rests_on.begin(), rests_on.end(), [&](const Condition& c) { return c.status == worst; });
    if (why == rests_on.end()) continue;
    rests_on.insert(rests_on.begin(), Condition("Ready", worst, why->reason, why->message));
    return;
  }
  rests_on.insert(rests_on.begin(), Condition("Ready", kTrue, "Ready", ""));
}

void append(std::string& out, const std::vector<Condition>& conditions) {
  for (const Condition& c : conditions) {
    out += fmt::format("  {}={} {}{}{}\n", c.type, to_string(c.status), c.reason, c.message.empty() ? "" : ": ", c.message);
  }
}

}  // namespace

const char* to_string(ConditionStatus status) { return status == kTrue ? "True" : status == kFalse ? "False" : "Unknown"; }

void TroubledCluster::note_trouble(const std::string& cluster, const std::string& reason, const std::string& message) {
  if (!troubled_cluster.empty() && troubled_cluster <= cluster) return;
  troubled_cluster = cluster;
  trouble_reason = reason;
  trouble = message;
}

void ControllerReport::merge(const ControllerReport& other) {
  desired += other.desired;
  synced += other.synced;
  ready += other.ready;
  failing += other.failing;
  if (delegate_error.empty()) {
    delegate_error = other.delegate_error;
    delegate_reason = other.delegate_reason;
  }
  note_trouble(other);
}

std::vector<Condition> ControllerReport::conditions() const {
  std::vector<Condition> out;
  if (!error.empty()) {
    out.emplace_back("Valid", kFalse, "Invalid", error);
    out.emplace_back("DelegateReachable", kUnknown, "Invalid", "");
    out.emplace_back("ClustersSynced", kUnknown, "Invalid", "");
    put_ready_first(out);
    return out;
  }
  out.emplace_back("Valid", kTrue, "Valid", "");
  const bool reached = delegate_error.empty();
  out.emplace_back("DelegateReachable", reached ? kTrue : kFalse, reached ? "Reachable" : delegate_reason, delegate_error);
  if (!troubled_cluster.empty()) {
    out.emplace_back("ClustersSynced", kFalse, trouble_reason, troubled_cluster + ": " + trouble);
  } else {
    out.emplace_back("ClustersSynced", kTrue, selects_nothing.empty() ? "Synced" : "NothingSelected", selects_nothing);
  }
  put_ready_first(out);
  // Nothing is wrong, but somebody who waits for it should see why nothing happens.
  if (out.front().status == kTrue && !selects_nothing.empty()) out.front() = Condition("Ready", kTrue, "NothingSelected", selects_nothing);
  return out;
}

void WebhookReport::merge(const WebhookReport& other) {
  desired += other.desired;
  ready += other.ready;
  failing += other.failing;
  held += other.held;
  // A loop that has not been told yet may still have something of it.
  deleting = deleting && other.deleting;
  if (delegate_error.empty()) {
    delegate_error = other.delegate_error;
    delegate_reason = other.delegate_reason;
  }
  note_trouble(other);
}

std::vector<Condition> WebhookReport::conditions() const {
  std::vector<Condition> out;
  if (!error.empty() || !not_served.empty()) {
    const bool invalid = !error.empty();
    const char* why = invalid ? "Invalid" : "NotServed";
    out.emplace_back("Valid", invalid ? kFalse : kTrue, invalid ? "Invalid" : "Valid", error);
    out.emplace_back("CertificateReady", invalid ? kUnknown : kFalse, why, not_served);
    out.emplace_back("DelegateReachable", kUnknown, why, "");
    out.emplace_back("Configured", kUnknown, why, "");
    put_ready_first(out);
    return out;
  }
  out.emplace_back("Valid", kTrue, "Valid", "");
  const bool certified = certificate_error.empty();
  out.emplace_back("CertificateReady", certified ? kTrue : kFalse, certified ? "Ready" : certificate_reason, certificate_error);
  const bool reached = delegate_error.empty();
  out.emplace_back("DelegateReachable", reached ? kTrue : kFalse, reached ? "Reachable" : delegate_reason, delegate_error);
  if (deleting) {
    out.emplace_back("Configured", kFalse, held > 0 && !trouble_reason.empty() ? trouble_reason : "Deleting",
                     troubled_cluster.empty() ? "what was configured is given back" : troubled_cluster + ": " + trouble);
  } else if (!troubled_cluster.empty()) {
    out.emplace_back("Configured", kFalse, trouble_reason, troubled_cluster + ": " + trouble);
  } else {
    out.emplace_back("Configured", kTrue, selects_nothing.empty() ? "Configured" : "NothingSelected", selects_nothing);
  }
  put_ready_first(out);
  if (out.front().status == kTrue && !selects_nothing.empty()) out.front() = Condition("Ready", kTrue, "NothingSelected", selects_nothing);
  return out;
}

void CertificateFacts::merge(const CertificateFacts& other) {
  services.insert(other.services.begin(), other.services.end());
  unknown += other.unknown;
  if (other.carried) carried = std::min(*other.carried, carried.value_or(*other.carried));
}

std::vector<Condition> ClusterReport::conditions() const {
  std::vector<Condition> out;
  if (paused) {
    out.emplace_back("Ready", kFalse, "Paused", "spec.paused is true: the plane is not connected and does nothing here");
    out.emplace_back("KubeconfigAccepted", kUnknown, "Paused", "");
    out.emplace_back("Connected", kUnknown, "Paused", "");
    return out;
  }
  if (!error.empty()) {
    out.emplace_back("KubeconfigAccepted", kFalse, error_reason.empty() ? "KubeconfigInvalid" : error_reason, error);
    out.emplace_back("Connected", kUnknown, "NotConnected", "");
  } else {
    out.emplace_back("KubeconfigAccepted", kTrue, "Accepted", "");
    if (reachable) {
      out.emplace_back("Connected", kTrue, "Connected", "");
    } else if (connect_error.empty()) {
      out.emplace_back("Connected", kUnknown, "Connecting", "");
    } else {
      out.emplace_back("Connected", kFalse, "Unreachable", connect_error);
    }
  }
  put_ready_first(out);
  return out;
}

void Report::merge(Report other) {
  for (auto& [name, report] : other.controllers) {
    const auto [found, is_new] = controllers.try_emplace(name, report);
    if (!is_new) found->second.merge(report);
  }
  clusters.merge(other.clusters);
  for (auto& [name, report] : other.webhooks) {
    const auto [found, is_new] = webhooks.try_emplace(name, report);
    if (!is_new) found->second.merge(report);
  }
  certificates.merge(other.certificates);
}

std::string Report::to_text() const {
  std::string out;
  for (const auto& [name, c] : controllers) {
    out += fmt::format("Controller {} desired={} synced={} ready={} failing={}\n", name, c.desired, c.synced, c.ready, c.failing);
    append(out, c.conditions());
  }
  for (const auto& [name, w] : webhooks) {
    out += fmt::format("Webhook {} desired={} ready={} failing={}\n", name, w.desired, w.ready, w.failing);
    append(out, w.conditions());
  }
  for (const auto& [key, c] : clusters) {
    const auto conditions = c.conditions();
    out += fmt::format("Cluster {} ready={} version={} id={}\n", key, to_string(conditions.front().status), c.version, c.observed_id);
    append(out, conditions);
  }
  return out;
}

}  // namespace gs::control
