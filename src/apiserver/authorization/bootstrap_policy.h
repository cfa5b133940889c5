// The roles and bindings that a kube-apiserver makes for itself, from cluster-admin to those of the controllers
// (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
#pragma once

#include "apiserver/registry.h"

namespace gs::apiserver {

// Makes those that are missing; gives those that are there what they lack, unless they are annotated with
// rbac.authorization.kubernetes.io/autoupdate=false. The namespaces are there.
void ensure_bootstrap_policy(ResourceTable& table, Store& store, Registry& registry);

}  // namespace gs::apiserver
