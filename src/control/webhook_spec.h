// A Webhook resource (deploy/crds/webhooks.yaml, design: section 3), read and checked. What its schema cannot say
// is checked here; every error names the field.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "control/controller_spec.h"
#include "webhook/configuration.h"
#include "webhook/target.h"

namespace gs::control {

// On a Webhook that is being deleted: what becomes of configurations whose former endpoint does not answer.
inline constexpr const char* kOnDeleteAnnotation = "gulfstream.dev/on-delete";
inline constexpr const char* kWebhookFinalizer = "gulfstream.dev/webhook";
inline constexpr int64_t kLongestWebhookTimeout = 30;  // seconds; Kubernetes allows 1 to 30
inline constexpr int64_t kMostConcurrent = 10'000;

struct WebhookSpec {
  std::string name;
  std::string uid;
  int64_t generation = 0;
  bool deleting = false;
  bool finalizer = false;  // ours is there: configurations may be written
  webhook::OnDelete on_delete = webhook::OnDelete::kAsk;
  webhook::ConfigurationRef ref;
  std::vector<AuthorizedSpec> authorized;
  std::vector<ConfigSpec> configs;
  std::string delegate;  // URL
  std::optional<ClusterSelector> cluster_selector;
  bool shared_sessions = false;  // sessionIsolation: Shared
  bool review = false;           // protocol: Review
  webhook::Enforcement enforcement = webhook::Enforcement::kEnforce;
  webhook::OnFailure on_failure = webhook::OnFailure::kRefuse;
  std::optional<int64_t> timeout_seconds;
  size_t max_concurrent = 100;
  webhook::ConversionRules conversion;  // what needs no delegate

  // Differs where the pairs of the Webhook must begin anew.
  bool same_work(const WebhookSpec& other) const { return uid == other.uid && generation == other.generation; }
};

// From the whole resource. kInvalid: "spec.ref.kind: is required".
Result<WebhookSpec> parse_webhook(const json::Value& resource);

// What a Webhook's delegate may read: `authorized`, never writes. `config_resources` as for rules_of().
gateway::Rules webhook_rules_of(const WebhookSpec& spec, const std::vector<std::string>& config_resources);

// Of a name in a cluster's DNS: "policy" of web.policy.svc and web.policy.svc.cluster.local; empty where it is none.
std::string namespace_of_service(std::string_view host);

}  // namespace gs::control
