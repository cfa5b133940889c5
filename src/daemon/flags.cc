// The only unit that includes CLI11 (10 s to compile).
#include "daemon/flags.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

namespace gs::daemon {

const char* const kVersion = "v" GULFSTREAM_VERSION;

namespace {

constexpr const char* kSources = "Source (exactly one)";
constexpr const char* kClusters = "Clusters of a hub";
constexpr const char* kDelegates = "Delegates";
constexpr const char* kWebhooks = "Webhooks";
constexpr const char* kElection = "Leader election";
constexpr const char* kRunning = "Running";
constexpr const char* kStorage = "What is kept";
constexpr const char* kServing = "Serving";

template <class T>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, T& out, Result<T> (*parse)(std::string_view), const std::string& help) {
  return app.add_option_function<std::string>(
      name,
      [&out, parse](const std::string& text) {
        auto value = parse(text);
        if (!value) throw CLI::ValidationError(value.error().message);
        out = *value;
      },
      help);
}

// The protocol counts a deadline's milliseconds in 32 bits.
Result<Duration> parse_reconcile_timeout(std::string_view text) {
  const auto duration = parse_go_duration(text);
  if (!duration || *duration < std::chrono::seconds(1) || *duration > std::chrono::hours(24)) {
    return fail(Code::kInvalid, "\"{}\" is not a duration from 1s to 24h", text);
  }
  return *duration;
}

Result<Duration> parse_duration(std::string_view text) {
  const auto duration = parse_go_duration(text);
  if (!duration) return fail(Code::kInvalid, "\"{}\" is not a duration such as 30s", text);
  return *duration;
}

void add_source(CLI::App& mcp, McpFlags& flags) {
  auto* hub = mcp.add_option("--hub-kubeconfig", flags.hub_kubeconfig, "A hub: its Controllers, and its Clusters with the Secrets they name")->type_name("FILE");
  auto* config = mcp.add_option("--config", flags.config, "Directory of YAML with Controllers, Clusters and ConfigMaps, watched for changes")->type_name("DIR");
  auto* file = mcp.add_option("--kubeconfig", flags.kubeconfig, "One cluster that is hub and tenant at once: its own Controllers act on itself")->type_name("FILE");
  auto* in_cluster = mcp.add_flag("--in-cluster", flags.in_cluster, "The same for the cluster that this process runs in, by its service account");
  for (CLI::Option* option : {hub, config, file, in_cluster}) option->group(kSources);
  mcp.add_option("--context", flags.context, "Context of the kubeconfig file (default: its current-context)")->type_name("NAME")->group(kSources);
  mcp.add_option("--namespace", flags.ns, "The plane's own namespace, of its Lease and of configs with source: Hub (default: POD_NAMESPACE, the service account's, or gulfstream)")
      ->type_name("NAME")
      ->group(kSources);
}

void add_clusters(CLI::App& mcp, McpFlags& flags) {
  mcp.add_option_function<std::string>(
         "--cluster-deny-cidrs", [&flags](const std::string& text) { flags.cluster_deny_cidrs = text; },
         "Where no cluster's connection may go: ranges separated by commas, \"default\" (loopback, link-local, metadata, unspecified, multicast) and \"hub\" "
         "(the hub's own addresses). Default: default,hub for kubeconfigs from Secrets, nothing for an operator's own; empty: nothing")
      ->type_name("CIDRS")
      ->group(kClusters);
  mcp.add_flag("--cluster-allow-insecure-skip-tls-verify", flags.cluster_allow_insecure_skip_tls_verify, "Let kubeconfigs from Secrets set insecure-skip-tls-verify")->group(kClusters);
  mcp.add_flag("--cluster-allow-proxy-url", flags.cluster_allow_proxy_url, "Let kubeconfigs from Secrets set proxy-url")->group(kClusters);
}

void add_delegates(CLI::App& mcp, McpFlags& flags) {
  mcp.add_option("--delegate-ca-file", flags.delegate_ca_file, "Authorities that delegates' certificates are verified by (default: the system's)")->type_name("FILE")->group(kDelegates);
  mcp.add_option("--delegate-credentials", flags.delegate_credentials, "What the plane shows to delegates: a token file or a client certificate per origin (default: nothing)")->type_name("FILE")->group(kDelegates);
  mcp.add_flag("--allow-insecure-delegates", flags.allow_insecure_delegates, "Let http:// delegates be on other hosts than loopback")->group(kDelegates);
  mcp.add_option("--max-concurrent-reconciles", flags.max_concurrent_reconciles, "Reconciles of one Controller in flight at once, over all clusters; 0: as many as its delegate takes")->type_name("N")->capture_default_str()->group(kDelegates);
  mcp.add_option("--max-concurrent-reconciles-per-cluster", flags.max_concurrent_reconciles_per_cluster, "Reconciles in one cluster in flight at once, of all Controllers; 0: no limit")->type_name("N")->capture_default_str()->group(kDelegates);
  add_parsed(mcp, "--reconcile-timeout", flags.reconcile_timeout, &parse_reconcile_timeout, "How long a delegate may take for one reconcile; then it is cancelled, and comes again with backoff (default 2m)")->type_name("DURATION")->group(kDelegates);
}

// Kubernetes' names for versions.
Result<bool> parse_tls_12(std::string_view text) {
  if (text != "VersionTLS12" && text != "VersionTLS13") return fail(Code::kInvalid, "\"{}\" is not VersionTLS12 or VersionTLS13", text);
  return text == "VersionTLS12";
}

void add_webhooks(CLI::App& mcp, McpFlags& flags) {
  const auto text = [&](const char* name, std::string& out, const char* type, const char* help) { mcp.add_option(name, out, help)->type_name(type)->group(kWebhooks); };
  text("--listen", flags.listen, "HOST:PORT", "Address where webhooks are served over HTTPS, such as :9443; without it none are");
  text("--webhook-url", flags.webhook_url, "URL", "By which API servers reach that address: https://HOST:PORT");
  mcp.add_option("--webhook-service", flags.webhook_service, "How a Service that a configuration names is made to lead to the plane")
      ->type_name("KIND")->check(CLI::IsMember({"ExternalName", "EndpointSlice"}))->capture_default_str()->group(kWebhooks);
  text("--webhook-cert-dir", flags.webhook_cert_dir, "DIR", "Where certificates and the keys of paths are kept instead of the Secret gulfstream-webhook; made for its owner alone");
  text("--tls-cert-file", flags.tls_cert_file, "FILE", "Serving certificate of your own, read anew as it changes (default: the plane makes its own)");
  text("--tls-private-key-file", flags.tls_private_key_file, "FILE", "Its key");
  text("--webhook-ca-file", flags.webhook_ca_file, "FILE", "Authorities that API servers are told to verify it by (default: their own)");
  text("--events-sink", flags.events_sink, "URL", "Tell each decision of an admission webhook there, as a CloudEvent over HTTP (default: nobody is told)");
  text("--events-token-file", flags.events_token_file, "FILE", "Bearer token that the sink is shown, read anew as it changes; https:// only");
  text("--events-ca-file", flags.events_ca_file, "FILE", "Authorities that the sink's certificate is verified by (default: the system's)");
  text("--webhook-client-ca-file", flags.webhook_client_ca_file, "FILE", "Demand client certificates of API servers, by these authorities");
  add_parsed(mcp, "--tls-min-version", flags.tls_12, &parse_tls_12, "VersionTLS12 or VersionTLS13 (default VersionTLS13)")->type_name("VERSION")->group(kWebhooks);
}

void add_leader_election(CLI::App& mcp, LeaderElectionFlags& flags) {
  mcp.add_flag_function(
         "--leader-elect{true}", [&flags](int64_t count) { flags.enabled = count > 0; },
         "Hold a Lease before doing any work (default: true with --hub-kubeconfig and --in-cluster)")
      ->group(kElection);
  const auto duration = [&](const char* name, Duration& out, const char* help) { add_parsed(mcp, name, out, &parse_duration, help)->type_name("DURATION")->group(kElection); };
  duration("--leader-elect-lease-duration", flags.lease_duration, "How long others wait for a leader that stopped renewing (default 15s)");
  duration("--leader-elect-renew-deadline", flags.renew_deadline, "How long the leader tries to renew before it gives up and exits (default 10s)");
  duration("--leader-elect-retry-period", flags.retry_period, "Time between tries to acquire or to renew (default 2s)");
  mcp.add_option("--leader-elect-resource-name", flags.resource_name, "Name of the Lease")->type_name("NAME")->capture_default_str()->group(kElection);
  mcp.add_option("--leader-elect-resource-namespace", flags.resource_namespace, "Namespace of the Lease (default: the plane's own)")->type_name("NAME")->group(kElection);
}

void add_logs(CLI::App& app, log::Level& level, log::Format& format) {
  add_parsed(app, "--log-level", level, &log::parse_level, "debug, info, warning or error (default info)")->type_name("LEVEL")->group(kRunning);
  add_parsed(app, "--log-format", format, &log::parse_format, "text or json (default text)")->type_name("FORMAT")->group(kRunning);
}

CLI::Option* add_loops(CLI::App& app, unsigned& loops, const std::string& help) {
  return app.add_option("--loops", loops, help)->type_name("N")->check(CLI::Range(1, 256))->capture_default_str()->group(kRunning);
}

void add_running(CLI::App& mcp, McpFlags& flags) {
  mcp.add_option("--metrics-address", flags.metrics_address, "Address of /metrics, /livez, /readyz and /statusz; empty serves none")->type_name("HOST:PORT")->capture_default_str()->group(kRunning);
  add_loops(mcp, flags.loops, "Event loops, each a thread with its own share of the clusters");
  add_logs(mcp, flags.log_level, flags.log_format);
  add_parsed(mcp, "--drain-timeout", flags.drain_timeout, &parse_duration, "How long in-flight reconciles may take after SIGTERM (default 25s)")->type_name("DURATION")->group(kRunning);
  mcp.add_option("--state", flags.state, "File that keeps what is known of each key, so that a restart reconciles only what changed (default: none)")->type_name("FILE")->group(kRunning);
}

void add_storage(CLI::App& app, ApiServerFlags& flags, const char* name) {
  auto* dir = app.add_option("--data-dir", flags.data_dir,
                             fmt::format("Where objects, certificates and the kubeconfig are kept; made for its owner alone (default: /var/lib/gulfstream/{0} for root, "
                                         "else $XDG_STATE_HOME/gulfstream/{0} or ~/.local/state/gulfstream/{0})", name))
                  ->type_name("DIR")->group(kStorage);
  app.add_flag("--in-memory", flags.in_memory, "Keep nothing: objects and certificates end with the process")->excludes(dir)->group(kStorage);
  app.add_option("--write-kubeconfig", flags.write_kubeconfig, "Kubeconfig of an administrator, a context for each cluster (default: kubeconfig in the data directory, gulfstream.kubeconfig here with --in-memory)")
      ->type_name("FILE")->group(kStorage);
}

void add_serving(CLI::App& app, ApiServerFlags& flags) {
  app.add_option("--secure-port", flags.secure_port, "Port of the first cluster, the others follow; 0: any free ones")->type_name("PORT")->capture_default_str()->group(kServing);
  app.add_option("--bind-address", flags.bind_address, "Numeric address to serve on; 0.0.0.0: all")->type_name("ADDRESS")->capture_default_str()->group(kServing);
}

void add_service_accounts(CLI::App& app, ApiServerFlags& flags) {
  app.add_option("--service-account-signing-key-file", flags.service_account_signing_key_file, "Private key, RSA or ECDSA, that signs the tokens of service accounts (default: it makes its own)")
      ->type_name("FILE")->group(kServing);
  app.add_option("--service-account-key-file", flags.service_account_key_files, "Keys, public or private, whose tokens of service accounts are taken besides those of the signing key. May be repeated")
      ->type_name("FILE")->group(kServing);
  app.add_option("--service-account-issuer", flags.service_account_issuers,
                 "Issuer in the tokens of service accounts; further ones are taken (default: https://kubernetes.default.svc.cluster.local). May be repeated")
      ->type_name("URL")->group(kServing);
  app.add_option("--api-audiences", flags.api_audiences, "For whom a token must be meant, separated by commas (default: the issuers)")->type_name("NAMES")->group(kServing);
}

void add_apiserver(CLI::App& app, ApiServerFlags& flags) {
  const auto file = [&](const char* name, std::string& out, const char* group, const char* help) { return app.add_option(name, out, help)->type_name("FILE")->group(group); };
  add_storage(app, flags, "apiserver");
  app.add_option("--preload", flags.preload, "YAML with objects that each cluster begins with, a file or a directory; objects that are there already stay as they are. May be repeated")
      ->type_name("FILE|DIR")->group(kStorage);
  add_serving(app, flags);
  app.add_option("--clusters", flags.clusters, "Clusters, each an API server with a port of its own")->type_name("N")->check(CLI::Range(1, 20000))->capture_default_str()->group(kServing);
  file("--token-auth-file", flags.token_auth_file, kServing, "CSV of bearer tokens: token,user,uid,\"group1,group2\" (default: none)");
  file("--client-ca-file", flags.client_ca_file, kServing, "Authorities of client certificates besides its own: the CN is the user, the Os are groups");
  app.add_option("--authorization-mode", flags.authorization_mode, "Who may do what: AlwaysAllow, AlwaysDeny, RBAC, asked in this order until one allows it; separated by commas")
      ->type_name("MODES")->capture_default_str()->group(kServing);
  add_service_accounts(app, flags);
  auto* certificate = file("--tls-cert-file", flags.tls_cert_file, kServing, "Serving certificate of your own, read anew as it changes (default: it makes its own)");
  auto* key = file("--tls-private-key-file", flags.tls_private_key_file, kServing, "Its key");
  certificate->needs(key);
  key->needs(certificate);
  add_loops(app, flags.loops, "Event loops, each a thread with its own share of the clusters");
  add_logs(app, flags.log_level, flags.log_format);
  add_parsed(app, "--drain-timeout", flags.drain_timeout, &parse_duration, "How long requests in flight may take after SIGTERM (default 10s)")->type_name("DURATION")->group(kRunning);
}

void add_up(CLI::App& app, UpFlags& flags) {
  add_storage(app, flags.servers, "up");
  app.add_option("--preload", flags.servers.preload, "YAML with objects that the hub begins with, such as Controllers; a file or a directory; objects that are there already stay as they are. May be repeated")
      ->type_name("FILE|DIR")->group(kStorage);
  add_serving(app, flags.servers);
  flags.servers.clusters = 0;
  app.add_option("--clusters", flags.servers.clusters, "Clusters beside the hub, attached to it as cluster-1, cluster-2 and so on in the namespace default")
      ->type_name("N")->check(CLI::Range(0, 20000))->capture_default_str()->group(kServing);
  app.add_option("--delegate-ca-file", flags.plane.delegate_ca_file, "Authorities that delegates' certificates are verified by (default: the system's)")->type_name("FILE")->group(kDelegates);
  app.add_option("--delegate-credentials", flags.plane.delegate_credentials, "What the plane shows to delegates: a token file or a client certificate per origin (default: nothing)")->type_name("FILE")->group(kDelegates);
  app.add_option("--metrics-address", flags.plane.metrics_address, "Address of the plane's /metrics, /livez, /readyz and /statusz; empty serves none")->type_name("HOST:PORT")->capture_default_str()->group(kRunning);
  add_loops(app, flags.plane.loops, "Event loops of the plane, and as many of the API servers");
  add_logs(app, flags.plane.log_level, flags.plane.log_format);
  add_parsed(app, "--drain-timeout", flags.plane.drain_timeout, &parse_duration, "How long in-flight reconciles may take after SIGTERM (default 25s)")->type_name("DURATION")->group(kRunning);
}

}  // namespace

Command parse_command_line(int argc, char** argv) {
  Command command;
  CLI::App app("Gulfstream: controllers for fleets of Kubernetes clusters, decided by remote delegates.", "gulfstream");
  app.require_subcommand(1);
  CLI::App& mcp = *app.add_subcommand("mcp", "Run the Meta Control Plane");
  CLI::App& apiserver = *app.add_subcommand("apiserver", "Run API servers: clusters of objects, without nodes");
  CLI::App& up = *app.add_subcommand("up", "Run a hub and its plane in one process, with clusters to try it on");
  CLI::App& version = *app.add_subcommand("version", "Print the version");
  add_source(mcp, command.mcp);
  add_clusters(mcp, command.mcp);
  add_delegates(mcp, command.mcp);
  add_webhooks(mcp, command.mcp);
  add_leader_election(mcp, command.mcp.leader_election);
  add_running(mcp, command.mcp);
  add_apiserver(apiserver, command.apiserver);
  add_up(up, command.up);
  // "--flag=" gives an empty value, as everywhere in Kubernetes; CLI11 wants it as an argument of its own.
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    const std::string argument = argv[i];
    const bool empty_value = argument.starts_with("--") && argument.ends_with('=');
    if (empty_value) arguments.emplace_back();
    arguments.push_back(empty_value ? argument.substr(0, argument.size() - 1) : argument);
  }
  try {
    app.parse(arguments);
  } catch (const CLI::ParseError& e) {
    command.exit_code = app.exit(e);
    return command;
  }
  command.kind = version.parsed() ? Command::Kind::kVersion : apiserver.parsed() ? Command::Kind::kApiServer : up.parsed() ? Command::Kind::kUp : Command::Kind::kMcp;
  return command;
}

}  // namespace gs::daemon
