#include "daemon/up.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <thread>

#include "base/files.h"
#include "base/strings.h"
#include "daemon/apiserver.h"
#include "daemon/hub_manifests.h"
#include "daemon/mcp.h"

namespace gs::daemon {
namespace {

using embedded::IfThere;
using embedded::Manifest;

constexpr Duration kServersDrain = std::chrono::seconds(5);
constexpr const char* kNamespace = "default";  // of the clusters in the hub
// Whose Clusters these are: those of a former start with more of them are taken away by it.
constexpr const char* kOursLabel = "gulfstream.dev/embedded";

template <class... Args>
void step(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print("{}\n", fmt::format(format, std::forward<Args>(args)...));
  std::fflush(stdout);
}

Result<std::vector<Manifest>> crds_and_roles() {
  std::vector<Manifest> out;
  for (const auto& [name, text] : hub_manifests()) {
    GS_TRY(std::vector<Manifest> of_file, embedded::parse_manifests(std::string(name), text));
    std::move(of_file.begin(), of_file.end(), std::back_inserter(out));
  }
  return out;
}

// A Cluster and the Secret with its kubeconfig, as a tenant would apply them.
Result<std::vector<Manifest>> attached(const std::string& name, const std::string& kubeconfig) {
  constexpr const char* kText = R"(apiVersion: v1
kind: Secret
metadata: {{name: {0}-kubeconfig, namespace: {1}, labels: {{{2}: "true"}}}}
data: {{kubeconfig: {3}}}
---
apiVersion: gulfstream.dev/v1alpha1
kind: Cluster
metadata: {{name: {0}, namespace: {1}, labels: {{{2}: "true"}}}}
spec: {{connection: {{kubeconfig: {{secretRef: {{name: {0}-kubeconfig}}}}}}}}
)";
  return embedded::parse_manifests("cluster " + name, fmt::format(kText, name, kNamespace, kOursLabel, base64_encode(kubeconfig)));
}

class Up {
 public:
  explicit Up(const UpFlags& flags) : flags_(flags), plane_(flags.plane) {}

  Status start() {
    ApiServerFlags servers = flags_.servers;
    servers.clusters += 1;
    servers.loops = flags_.plane.loops;
    GS_TRY(options_, host_options(servers, "up"));
    name_clusters();
    GS_TRY(const std::vector<Manifest> preload, preloaded(flags_.servers));
    host_ = std::make_unique<embedded::Host>(loop_, options_);
    GS_TRY_STATUS(host_->start({}));
    GS_TRY(const std::vector<Manifest> deploy, crds_and_roles());
    GS_TRY([[maybe_unused]] const auto installed, host_->servers().add(kHub, deploy, IfThere::kReplace));
    GS_TRY([[maybe_unused]] const auto loaded, host_->servers().add(kHub, preload, IfThere::kLeave));
    GS_TRY_STATUS(host_->listen());
    step("hub        {}  CRDs and roles installed", host_->url(kHub));
    GS_TRY_STATUS(attach_clusters());
    set_up_plane();
    return ok();
  }

  int run() {
    step("plane      {}\n", plane_.metrics_address.empty() ? "" : "http://" + plane_.metrics_address + "/statusz");
    step("Objects are kept {}. Ctrl-C ends everything.\n", options_.data_dir.empty() ? "in memory only" : "in " + options_.data_dir);
    step("    export KUBECONFIG={}\n    kubectl get gscl --context hub", std::filesystem::absolute(options_.kubeconfig).string());
    if (options_.names.size() > 1) step("    kubectl get namespaces --context {}", options_.names.back());
    step("");
    // The plane has this thread; certificates are followed beside it.
    std::thread following([this] { loop_.run(); });
    const int code = run_mcp(plane_);
    loop_.stop();
    following.join();
    host_->stop(kServersDrain);
    return code;
  }

 private:
  static constexpr size_t kHub = 0;

  void name_clusters() {
    options_.names = {"hub"};
    for (size_t i = 1; i <= flags_.servers.clusters; ++i) options_.names.push_back(fmt::format("cluster-{}", i));
    options_.servers.files.clear();
    for (const std::string& name : options_.names) options_.servers.files.push_back(options_.data_dir.empty() ? "" : fmt::format("{}/{}.db", options_.data_dir, name));
  }

  Status attach_clusters() {
    std::vector<Manifest> all;
    for (size_t i = 1; i < options_.names.size(); ++i) {
      GS_TRY(std::vector<Manifest> one, attached(options_.names[i], host_->kubeconfig_of(i, options_.names[i])));
      std::move(one.begin(), one.end(), std::back_inserter(all));
      if (options_.names.size() <= kShown) step("{:<10} {}  attached as Cluster {}/{}", options_.names[i], host_->url(i), kNamespace, options_.names[i]);
    }
    if (options_.names.size() > kShown) step("clusters   {}, attached as Clusters in the namespace {}", options_.names.size() - 1, kNamespace);
    GS_TRY([[maybe_unused]] const auto added, host_->servers().add(kHub, all, IfThere::kReplace));
    detach_others();
    return ok();
  }

  // Clusters of a former start with more of them: their data stays, for a start that asks for them again.
  void detach_others() {
    const std::string clusters = fmt::format("/apis/gulfstream.dev/v1alpha1/namespaces/{}/clusters", kNamespace);
    const auto list = json::parse(host_->servers().request(kHub, "GET", fmt::format("{}?labelSelector={}%3Dtrue", clusters, kOursLabel)).body);
    const json::Value* items = list ? list->find("items") : nullptr;
    if (items == nullptr || !items->is_array()) return;
    for (const json::Value& item : *items->array()) {
      const std::string name(item.text("metadata.name"));
      if (std::find(options_.names.begin(), options_.names.end(), name) != options_.names.end()) continue;
      host_->servers().request(kHub, "DELETE", clusters + "/" + name);
      host_->servers().request(kHub, "DELETE", fmt::format("/api/v1/namespaces/{}/secrets/{}-kubeconfig", kNamespace, name));
      step("{:<10} not asked for this time: its Cluster is taken away, its data stays", name);
    }
  }

  // The plane is alone: who has the data directory has the hub, and so no lease is needed.
  void set_up_plane() {
    plane_.hub_kubeconfig = options_.kubeconfig;
    plane_.context = options_.names[kHub];
    plane_.leader_election.enabled = false;
    if (!plane_.cluster_deny_cidrs) plane_.cluster_deny_cidrs = "";  // the clusters are on loopback, as the hub is
    if (!options_.data_dir.empty()) plane_.state = options_.data_dir + "/plane.db";
  }

  static constexpr size_t kShown = 10;

  const UpFlags& flags_;
  McpFlags plane_;
  embedded::HostOptions options_;
  UvLoop loop_;
  std::unique_ptr<embedded::Host> host_;
};

}  // namespace

int run_up(const UpFlags& flags) {
  log::configure(flags.plane.log_level, flags.plane.log_format);
  raise_file_limit();
  Up up(flags);
  if (const Status status = up.start(); !status) {
    fmt::print(stderr, "error: {}\n", status.error().message);
    return 1;
  }
  return up.run();
}

}  // namespace gs::daemon
