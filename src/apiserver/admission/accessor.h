// One entry of a webhook configuration, read (k8s.io/apiserver/pkg/admission/plugin/webhook/accessors.go).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/time.h"
#include "json/value.h"
#include "kube/selector.h"

namespace gs::apiserver::admission {

struct Rule {
  std::vector<std::string> operations, groups, versions, resources;
  std::string scope;  // "*", "Namespaced", "Cluster"
};

// Of an admission webhook or of a conversion webhook.
struct ClientConfig {
  std::string url;  // empty: a service
  std::string ns, name, path;
  int64_t port = 443;
  std::string ca_bundle;  // base64, as it is written; empty: the machine's authorities
  bool tells_timeout = true;  // in the query; conversion webhooks are not told

  bool is_service() const { return url.empty(); }
  // What is dialled and named in errors: of a service "https://name.ns.svc:443/path".
  std::string address() const;
};
ClientConfig read_client_config(const json::Value& client_config);

struct WebhookAccessor {
  std::string configuration;
  std::string name;
  std::string uid;  // "configuration/name/0": tells entries with the same name apart
  std::vector<Rule> rules;
  bool equivalent = true;    // matchPolicy
  bool ignore_failures = false;
  bool reinvocable = false;  // reinvocationPolicy IfNeeded
  bool dry_runnable = false;
  Duration timeout = std::chrono::seconds(10);
  std::vector<std::string> review_versions;
  ClientConfig client;
  Result<kube::LabelSelector> namespace_selector = kube::LabelSelector();
  Result<kube::LabelSelector> object_selector = kube::LabelSelector();
};
using WebhookPtr = std::shared_ptr<const WebhookAccessor>;

// The entries of a stored configuration, whose defaults are filled in.
std::vector<WebhookPtr> read_webhooks(const json::Value& configuration);

}  // namespace gs::apiserver::admission
