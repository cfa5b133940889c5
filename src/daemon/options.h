// What flags mean together: checked, with the defaults that hang on each other. Reads files and the
// environment, so only at the start.
#pragma once

#include "daemon/flags.h"
#include "kube/kubeconfig.h"
#include "net/cidr.h"

namespace gs::daemon {

// kInvalid names the flags that do not go together.
Status check_flags(const McpFlags& flags);

// --namespace, POD_NAMESPACE, the service account's namespace, or "gulfstream".
std::string own_namespace(const McpFlags& flags);

// The API server that --hub-kubeconfig, --kubeconfig or --in-cluster names. Errors name the flag.
Result<kube::ConnectionConfig> source_connection(const McpFlags& flags);

// --cluster-deny-cidrs, read.
struct DenyRules {
  std::vector<net::Cidr> cidrs;
  bool hub = false;  // also the addresses of the hub
};
// `untrusted`: for kubeconfigs from Secrets, else for an operator's own.
Result<DenyRules> deny_rules(const McpFlags& flags, bool untrusted);

}  // namespace gs::daemon
