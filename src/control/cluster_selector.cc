#include "control/cluster_selector.h"

#include <algorithm>

#include "control/engine.h"

namespace gs::control {
namespace {

bool names_namespaces(const ClusterSelector& selector) { return !selector.namespaces.empty() || selector.namespace_labels; }

bool selects_namespace(const ClusterSelector& selector, const std::string& ns, const Desired& desired) {
  const auto& names = selector.namespaces;
  if (!names.empty() && std::find(names.begin(), names.end(), ns) == names.end()) return false;
  if (!selector.namespace_labels) return true;
  const auto labels = desired.namespace_labels.find(ns);
  // Of a namespace that is not known yet only "all" is true: it may have the label that excludes it.
  if (labels == desired.namespace_labels.end()) return selector.namespace_labels->empty();
  return selector.namespace_labels->matches(labels->second.empty() ? "{}" : labels->second);
}

}  // namespace

bool selects(const std::optional<ClusterSelector>& selector, const fleet::ClusterSpec& cluster, const Desired& desired) {
  if (!selects_nothing_because(selector, desired.select_all_by_default).empty()) return false;
  if (!selector) return true;
  if (names_namespaces(*selector) && !selects_namespace(*selector, cluster.tenant, desired)) return false;
  return !selector->labels || selector->labels->matches(cluster.labels);
}

std::string selects_nothing_because(const std::optional<ClusterSelector>& selector, bool select_all_by_default) {
  if (select_all_by_default) return "";
  if (!selector) return "spec.clusterSelector: is absent, which selects nothing in a hub";
  if (names_namespaces(*selector)) return "";
  return "spec.clusterSelector: names no namespaces, which selects nothing in a hub; add namespaces, or namespaceSelector: {} for all";
}

}  // namespace gs::control
