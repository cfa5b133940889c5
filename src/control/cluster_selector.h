// clusterSelector: which clusters a Controller means.
#pragma once

#include <optional>

#include "control/controller_spec.h"
#include "fleet/cluster.h"

namespace gs::control {

struct Desired;

// The namespace part is evaluated first and, in a hub, must be there: what a tenant can write, its Clusters'
// labels, then chooses within the namespaces that the Controller names and never beyond. `namespaces` and
// `namespaceSelector` must both hold where both are given; an empty namespaceSelector means all.
bool selects(const std::optional<ClusterSelector>& selector, const fleet::ClusterSpec& cluster, const Desired& desired);

// Why a selector selects nothing in a hub; empty: it may select something.
std::string selects_nothing_because(const std::optional<ClusterSelector>& selector, bool select_all_by_default);

}  // namespace gs::control
