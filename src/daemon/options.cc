#include "daemon/options.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>

#include "base/strings.h"
#include "daemon/webhook_control.h"

namespace gs::daemon {
namespace {

constexpr const char* kServiceAccountNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";
constexpr const char* kDefaultNamespace = "gulfstream";
// client-go refuses a deadline that leaves no room for a second try, jittered (leaderelection.go, JitterFactor).
constexpr double kJitterFactor = 1.2;

Status check_leader_election(const McpFlags& flags) {
  const LeaderElectionFlags& e = flags.leader_election;
  if (!flags.leader_elect()) return ok();
  if (!flags.config.empty()) return fail(Code::kInvalid, "--leader-elect: a directory holds no Lease; it goes with --hub-kubeconfig, --kubeconfig or --in-cluster");
  const auto show = [](Duration d) { return format_go_duration(d); };
  if (e.retry_period < std::chrono::milliseconds(1)) return fail(Code::kInvalid, "--leader-elect-retry-period: must be greater than zero");
  if (e.lease_duration < std::chrono::seconds(1)) return fail(Code::kInvalid, "--leader-elect-lease-duration: must be at least 1s, as Leases count whole seconds");
  if (e.lease_duration <= e.renew_deadline) {
    return fail(Code::kInvalid, "--leader-elect-lease-duration ({}) must be greater than --leader-elect-renew-deadline ({})", show(e.lease_duration), show(e.renew_deadline));
  }
  if (to_seconds(e.renew_deadline) <= kJitterFactor * to_seconds(e.retry_period)) {
    return fail(Code::kInvalid, "--leader-elect-renew-deadline ({}) must be greater than 1.2 times --leader-elect-retry-period ({})", show(e.renew_deadline), show(e.retry_period));
  }
  return ok();
}

}  // namespace

Status check_flags(const McpFlags& flags) {
  const int sources = !flags.config.empty() + !flags.hub_kubeconfig.empty() + !flags.kubeconfig.empty() + flags.in_cluster;
  if (sources != 1) {
    return fail(Code::kInvalid, "{}: give exactly one of --hub-kubeconfig FILE, --config DIR, --kubeconfig FILE and --in-cluster (see gulfstream mcp --help)",
                sources == 0 ? "there is no source of Controllers" : "there is more than one source of Controllers");
  }
  if (!flags.context.empty() && flags.hub_kubeconfig.empty() && flags.kubeconfig.empty()) {
    return fail(Code::kInvalid, "--context: goes with --hub-kubeconfig or --kubeconfig");
  }
  GS_TRY_STATUS(deny_rules(flags, true));
  GS_TRY_STATUS(check_webhook_flags(flags));
  return check_leader_election(flags);
}

std::string own_namespace(const McpFlags& flags) {
  if (!flags.ns.empty()) return flags.ns;
  const char* pod = std::getenv("POD_NAMESPACE");
  if (pod != nullptr && *pod != '\0') return pod;
  const auto file = kube::read_file(kServiceAccountNamespace);
  if (file && !trim(*file).empty()) return std::string(trim(*file));
  return kDefaultNamespace;
}

Result<kube::ConnectionConfig> source_connection(const McpFlags& flags) {
  if (flags.in_cluster) {
    auto config = kube::in_cluster_config(kube::read_file);
    if (!config) return fail(std::move(config).error().with_context("--in-cluster"));
    return config;
  }
  const char* flag = flags.is_hub() ? "--hub-kubeconfig" : "--kubeconfig";
  const std::string& path = flags.is_hub() ? flags.hub_kubeconfig : flags.kubeconfig;
  auto text = kube::read_file(path);
  if (!text) return fail(std::move(text).error().with_context(flag));
  const std::string directory = std::filesystem::path(path).parent_path();
  auto config = kube::load_kubeconfig(*text, directory.empty() ? "." : directory, flags.context, {}, kube::read_file);
  if (!config) return fail(std::move(config).error().with_context(fmt::format("{} {}", flag, path)));
  return config;
}

Result<DenyRules> deny_rules(const McpFlags& flags, bool untrusted) {
  const std::string text = flags.cluster_deny_cidrs.value_or(untrusted ? "default,hub" : "");
  DenyRules out;
  for (std::string_view part : split(text, ',')) {
    part = trim(part);
    if (part.empty()) continue;
    if (part == "hub") {
      out.hub = true;
    } else if (part == "default") {
      for (const net::Cidr& range : net::default_cluster_deny_cidrs()) out.cidrs.push_back(range);
    } else {
      auto range = net::Cidr::parse(part);
      if (!range) return fail(std::move(range).error().with_context("--cluster-deny-cidrs"));
      out.cidrs.push_back(*range);
    }
  }
  return out;
}

}  // namespace gs::daemon
