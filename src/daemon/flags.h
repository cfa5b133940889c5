// The command line, in the style of Kubernetes components.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"

namespace gs::daemon {

struct LeaderElectionFlags {
  std::optional<bool> enabled;  // unset: as the source has it
  Duration lease_duration = std::chrono::seconds(15);
  Duration renew_deadline = std::chrono::seconds(10);
  Duration retry_period = std::chrono::seconds(2);
  std::string resource_name = "gulfstream-mcp";
  std::string resource_namespace;  // empty: the plane's own
};

struct McpFlags {
  // The source: exactly one of these four.
  std::string config;          // --config DIR
  std::string hub_kubeconfig;  // --hub-kubeconfig FILE
  std::string kubeconfig;      // --kubeconfig FILE
  bool in_cluster = false;     // --in-cluster
  std::string context;         // of --hub-kubeconfig or --kubeconfig
  std::string ns;              // --namespace; empty: see own_namespace()

  std::optional<std::string> cluster_deny_cidrs;  // unset: as the source has it
  bool cluster_allow_insecure_skip_tls_verify = false;
  bool cluster_allow_proxy_url = false;

  std::string delegate_ca_file;
  std::string delegate_credentials;
  bool allow_insecure_delegates = false;
  // Reconciles in flight at once; 0: as many as delegates take.
  uint32_t max_concurrent_reconciles = 0;              // of one Controller, over all clusters and loops
  uint32_t max_concurrent_reconciles_per_cluster = 0;  // of all Controllers
  Duration reconcile_timeout = std::chrono::minutes(2);

  // Webhooks
  std::string listen;                     // --listen; empty: none are served
  std::string webhook_url;                // what API servers are told: https://host:port
  std::string webhook_service = "ExternalName";  // or EndpointSlice
  std::string webhook_cert_dir;           // where there is no hub
  std::string tls_cert_file, tls_private_key_file, webhook_ca_file;  // own certificates
  std::string webhook_client_ca_file;
  std::string events_sink, events_token_file, events_ca_file;
  bool tls_12 = false;                    // --tls-min-version=VersionTLS12

  LeaderElectionFlags leader_election;

  std::string state;  // --state FILE; empty: a restart reconciles everything

  std::string metrics_address = "127.0.0.1:9090";
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  unsigned loops = 1;
  Duration drain_timeout = std::chrono::seconds(25);

  bool is_hub() const { return !hub_kubeconfig.empty(); }
  bool leader_elect() const { return leader_election.enabled.value_or(is_hub() || in_cluster); }
};

// What is asked of embedded API servers.
struct ApiServerFlags {
  std::string data_dir;    // --data-dir DIR; empty: see default_data_dir(), unless in_memory
  bool in_memory = false;  // --in-memory
  std::string bind_address = "127.0.0.1";
  uint16_t secure_port = 6443;  // 0: any free one
  unsigned clusters = 1;
  std::vector<std::string> preload;
  std::string write_kubeconfig;  // empty: kubeconfig in the data directory, or gulfstream.kubeconfig
  std::string token_auth_file, client_ca_file;
  std::string authorization_mode = "AlwaysAllow";
  std::string service_account_signing_key_file;            // empty: it makes its own
  std::vector<std::string> service_account_key_files;      // that are believed besides
  std::vector<std::string> service_account_issuers;        // empty: that of ServiceAccountKeys
  std::string api_audiences;                               // separated by commas; empty: the issuers
  std::string tls_cert_file, tls_private_key_file;
  unsigned loops = 1;
  log::Level log_level = log::Level::kInfo;
  log::Format log_format = log::Format::kText;
  Duration drain_timeout = std::chrono::seconds(10);
};

// `gulfstream up`: a hub, the plane and, on request, clusters, in one process.
struct UpFlags {
  ApiServerFlags servers;  // `clusters`: those beside the hub; `preload`: of the hub
  McpFlags plane;          // its source is the hub
};

struct Command {
  enum class Kind { kMcp, kApiServer, kUp, kVersion, kExit };
  Kind kind = Kind::kExit;
  int exit_code = 0;  // kExit: help was shown, or the arguments were wrong and that was said
  McpFlags mcp;
  ApiServerFlags apiserver;
  UpFlags up;
};

Command parse_command_line(int argc, char** argv);

// "v0.1.0"
extern const char* const kVersion;

}  // namespace gs::daemon
