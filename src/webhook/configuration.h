// A webhook configuration or CRD as the plane sees it: what of it is the plane's, what it should be, and the JSON Patch
// that makes it so. The plane owns the endpoint and its CA bundle, and timeoutSeconds where asked; everything else is the
// author's and is not in any patch. Pure functions of what an API server showed.
//
// Patches replace metadata.resourceVersion with the one they were made for, which API servers check as they check it in
// an update (409 where it is not the latest): indexes of entries mean what they meant, and nobody's edit is lost.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <vector>

#include "cache/resource.h"
#include "json/value.h"

namespace gs::webhook {

// The endpoint that was there before, so that it can be given back: {"webhook": name, "entries": {entry: {...}}}.
inline constexpr const char* kPreviousAnnotation = "gulfstream.dev/previous-endpoint";
// The one entry of a CRD.
inline constexpr const char* kConversionEntry = "conversion";
inline constexpr int64_t kDefaultServicePort = 443;

enum class ConfigurationKind { kMutating, kValidating, kConversion };
// What becomes of configurations whose former endpoint does not answer when the Webhook goes.
enum class OnDelete { kAsk, kRestore, kRemoveWebhook };

struct ConfigurationRef {
  ConfigurationKind kind = ConfigurationKind::kMutating;
  std::string name;            // or
  std::string label_selector;  // as in a query
  bool operator==(const ConfigurationRef&) const = default;
};

const cache::GroupVersionResource& resource_of(ConfigurationKind kind);
const char* kind_name(ConfigurationKind kind);
// "/admissionwebhooks/<name>" or "/conversionwebhooks/<name>".
std::string path_of(ConfigurationKind kind, const std::string& webhook);

// What API servers are told to call.
struct Endpoint {
  std::string webhook;   // name of the Webhook
  std::string base;      // "https://host:port"
  std::string host;      // of the same; of a Service that leads to the plane by itself: "name.ns.svc"
  int64_t port = 443;    // of the same
  std::string path;      // "/<prefix>/admissionwebhooks/<name>"
  std::string ca_bundle; // PEM; empty: API servers trust it by their own authorities
  // Services lead to EndpointSlices that map ports, so the author's port stays. Otherwise (ExternalName) the API
  // server dials the port that the entry says.
  bool keep_service_port = false;
  std::optional<int64_t> timeout_seconds;
};

struct ServiceRef {
  std::string ns, name;
  int64_t port = kDefaultServicePort;  // as the entry has it
  std::string key() const { return ns + "/" + name; }
  std::string host() const { return name + "." + ns + ".svc"; }
  auto operator<=>(const ServiceRef&) const = default;
};

struct ConfigurationPlan {
  json::Value patch;                 // null: nothing differs
  std::vector<std::string> changes;  // what the patch changes, for people: "webhooks[0].clientConfig.caBundle"
  bool drift = false;                // it was ours before: somebody changed it back
  std::vector<ServiceRef> services;  // that its entries name, each once
  std::optional<int64_t> timeout_seconds;  // the shortest of its entries' after the patch, where they say one
};
// kForbidden: it must not be configured, because the plane would lock itself out; kConflict: another Webhook has it;
// kInvalid: it cannot be served as it is (a CRD without strategy: Webhook). Each says what to do.
Result<ConfigurationPlan> plan_configuration(ConfigurationKind kind, const json::Value& configuration, const Endpoint& endpoint);

// The Webhook whose annotation it carries; empty: none.
std::string owner_of(const json::Value& configuration);

// An endpoint that was there before.
struct PreviousEndpoint {
  std::string entry;
  bool known = false;     // false: it is not known what it was
  std::string host;       // what a probe dials
  int64_t port = 443;
  std::string server_name;
  std::string ca_bundle;  // PEM, or empty for the machine's own authorities
};
std::vector<PreviousEndpoint> previous_endpoints(ConfigurationKind kind, const json::Value& configuration);

// Gives the former endpoint back, or takes the entries out (a CRD then converts by strategy None). Null: nothing of it
// is ours. Entries that somebody pointed elsewhere meanwhile stay as they are.
json::Value release_patch(ConfigurationKind kind, const json::Value& configuration, const std::string& webhook, OnDelete how);

}  // namespace gs::webhook
