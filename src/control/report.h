// What one loop's engine knows of Controllers and clusters, as plain data that may cross loops and be merged,
// and the conditions that are made of it. Counts, never a list that grows with the fleet.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"

namespace gs::control {

enum class ConditionStatus { kFalse, kTrue, kUnknown };
const char* to_string(ConditionStatus status);

// Knative's condition, without lastTransitionTime, which belongs to whoever writes it.
struct Condition {
  Condition(std::string t, ConditionStatus s, std::string r, std::string m)
      : type(std::move(t)), status(s), reason(std::move(r)), message(std::move(m)) {}
  std::string type;
  ConditionStatus status;
  std::string reason;  // CamelCase
  std::string message;
};

// The first cluster, by key, that is not well.
struct TroubledCluster {
  std::string troubled_cluster;
  std::string trouble_reason;
  std::string trouble;
  void note_trouble(const std::string& cluster, const std::string& reason, const std::string& message);
  void note_trouble(const TroubledCluster& other) {
    if (!other.troubled_cluster.empty()) note_trouble(other.troubled_cluster, other.trouble_reason, other.trouble);
  }
  bool operator==(const TroubledCluster&) const = default;
};

struct ControllerReport : TroubledCluster {
  std::string uid;
  int64_t generation = 0;
  std::string error;            // why it is not valid
  std::string selects_nothing;  // why its selector cannot select a cluster
  std::string delegate_reason;  // why the delegate cannot be reached, in a word and in words; empty: it can,
  std::string delegate_error;   // or there has been no need to
  // Clusters: selected; with caches synced; synced and nothing wrong; with keys that fail.
  size_t desired = 0;
  size_t synced = 0;
  size_t ready = 0;
  size_t failing = 0;
  void merge(const ControllerReport& other);
  // "Ready" first, then what it rests on.
  std::vector<Condition> conditions() const;
  bool operator==(const ControllerReport&) const = default;
};

struct WebhookReport : TroubledCluster {
  std::string uid;
  int64_t generation = 0;
  std::string error;               // why it is not valid
  std::string selects_nothing;     // why its selector cannot select a cluster
  std::string not_served;          // why this plane serves no webhooks at all
  std::string certificate_reason;  // why there is nothing to serve with, or it cannot be renewed; empty: all is well
  std::string certificate_error;
  std::string delegate_reason;     // as of a Controller
  std::string delegate_error;
  bool deleting = false;  // on all loops
  // Clusters: selected; configured as they should be; not so; being deleted, with something of ours left.
  size_t desired = 0;
  size_t ready = 0;
  size_t failing = 0;
  size_t held = 0;

  void merge(const WebhookReport& other);
  // "Ready" first, then what it rests on.
  std::vector<Condition> conditions() const;
  bool operator==(const WebhookReport&) const = default;
};

// What the certificates of webhooks hang on, over all clusters.
struct CertificateFacts {
  std::set<std::string> services;  // by which configurations call the plane
  size_t unknown = 0;              // targets whose configurations are not known to carry anything
  std::optional<uint64_t> carried; // the least that one of the others carries
  void merge(const CertificateFacts& other);
};

struct ClusterReport {
  std::string uid;  // of the Cluster object
  bool paused = false;
  std::string error_reason;  // why there is no connection
  std::string error;
  bool reachable = false;
  std::string version;      // of Kubernetes
  std::string observed_id;  // UID of kube-system
  std::string connect_error;
  WallTime last_seen{};

  std::vector<Condition> conditions() const;
  bool operator==(const ClusterReport&) const = default;
};

struct Report {
  std::map<std::string, ControllerReport> controllers;  // by name
  std::map<std::string, ClusterReport> clusters;        // by key: "namespace/name"
  std::map<std::string, WebhookReport> webhooks;        // by name
  CertificateFacts certificates;
  void merge(Report other);
  // For a person.
  std::string to_text() const;
};

}  // namespace gs::control
