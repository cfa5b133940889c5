// A hub's Cluster resource (deploy/crds/clusters.yaml) and the Secret it names, as a ClusterSpec. The
// kubeconfig in it is a tenant's input and untrusted. Pure.
#pragma once

#include <string>

#include "fleet/cluster.h"
#include "kube/kubeconfig.h"
#include "kube/object.h"

namespace gs::control {

// Where a Cluster's kubeconfig is: in a Secret of its own namespace, never of another.
struct SecretRef {
  std::string name;  // empty: the Cluster names none
  std::string key = "kubeconfig";
};
SecretRef secret_ref_of(const kube::Object& cluster);

// What the hub says of that Secret.
struct SecretState {
  kube::ObjectRef object;  // null: there is none
  std::string problem;     // why it cannot be read; empty: it can
};

// With error and error_reason where there can be no connection. The digest covers the Cluster's uid too:
// a Cluster that was deleted and made anew is another one, whatever it is named.
fleet::ClusterSpec cluster_from_hub(const kube::Object& cluster, const SecretState& secret, const kube::KubeconfigPolicy& policy);

bool is_paused(const kube::Object& cluster);

}  // namespace gs::control
