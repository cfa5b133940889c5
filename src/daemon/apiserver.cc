#include "daemon/apiserver.h"

#include <fmt/format.h>
#include <malloc.h>

#include <filesystem>

#include "apiserver/discovery.h"
#include "base/files.h"
#include "base/strings.h"
#include "daemon/signals.h"
#include "daemon/trimmer.h"

namespace gs::daemon {
namespace {

constexpr unsigned kMaxPort = 65535;

// Contexts: "gulfstream", or "cluster-1", "cluster-2" and so on.
std::vector<std::string> context_names(size_t clusters) {
  if (clusters == 1) return {"gulfstream"};
  std::vector<std::string> out;
  for (size_t i = 1; i <= clusters; ++i) out.push_back(fmt::format("cluster-{}", i));
  return out;
}

// One block, as kind and k3s have it; on standard output, where nothing else goes.
void print_use(const embedded::Host& host, const embedded::HostOptions& options) {
  const size_t clusters = options.names.size();
  fmt::print("Gulfstream API server {}, serving Kubernetes {} at {}{}\n", kVersion, apiserver::kKubernetesVersion, host.url(0),
             clusters > 1 ? fmt::format(" and {} more", clusters - 1) : "");
  fmt::print("Objects are kept {}.\n\n", options.data_dir.empty() ? "in memory only" : "in " + options.data_dir);
  fmt::print("    export KUBECONFIG={}\n    kubectl get namespaces{}\n\n", std::filesystem::absolute(options.kubeconfig).string(),
             clusters > 1 ? " --context " + options.names.back() : "");
  std::fflush(stdout);
}

class Program {
 public:
  explicit Program(const ApiServerFlags& flags) : flags_(flags), scope_(loop_) {}

  int run() {
    if (const Status status = start(); !status) {
      fmt::print(stderr, "error: {}\n", status.error().message);
      return 1;
    }
    const Signals signals(loop_, [this](int signal) {
      log::info("draining", {{"signal", signal}, {"timeout", format_go_duration(flags_.drain_timeout)}});
      ended_ = true;
    });
    loop_.run_until([this] { return ended_; });
    scope_.cancel();
    host_->stop(flags_.drain_timeout);
    log::info("stopped");
    return 0;
  }

 private:
  Status start() {
    GS_TRY(const embedded::HostOptions options, host_options(flags_, "apiserver"));
    GS_TRY(const std::vector<embedded::Manifest> manifests, preloaded(flags_));
    host_ = std::make_unique<embedded::Host>(loop_, options);
    GS_TRY_STATUS(host_->start(manifests));
    GS_TRY_STATUS(host_->listen());
    scope_.spawn(trim_when_quiet(loop_));
    print_use(*host_, options);
    return ok();
  }

  const ApiServerFlags& flags_;
  UvLoop loop_;
  std::unique_ptr<embedded::Host> host_;
  bool ended_ = false;
  TaskScope scope_;
};

}  // namespace

Result<embedded::HostOptions> host_options(const ApiServerFlags& flags, const std::string& name) {
  embedded::HostOptions out;
  if (flags.secure_port != 0 && flags.secure_port + flags.clusters - 1 > kMaxPort) {
    return fail(Code::kInvalid, "--secure-port {}: {} clusters would need ports beyond {}; a lower one, or 0 for any free ones", flags.secure_port, flags.clusters, kMaxPort);
  }
  if (!flags.in_memory) {
    out.data_dir = flags.data_dir;
    if (out.data_dir.empty()) {
      GS_TRY(out.data_dir, embedded::default_data_dir(name));
    }
    if (Status made = make_private_directories(out.data_dir); !made) return fail(std::move(made).error().with_context("--data-dir"));
  }
  out.servers.bind_address = flags.bind_address;
  out.servers.port = flags.secure_port;
  out.servers.loops = flags.loops;
  out.names = context_names(flags.clusters);
  out.servers.files.clear();
  for (const std::string& context : out.names) out.servers.files.push_back(flags.in_memory ? "" : fmt::format("{}/{}.db", out.data_dir, context));
  out.kubeconfig = flags.write_kubeconfig;
  if (out.kubeconfig.empty()) out.kubeconfig = flags.in_memory ? "gulfstream.kubeconfig" : out.data_dir + "/kubeconfig";
  auto modes = apiserver::parse_authorization_modes(flags.authorization_mode);
  if (!modes) return fail(std::move(modes).error().with_context("--authorization-mode"));
  out.servers.server.authorization = *std::move(modes);
  out.service_accounts.signing_key_file = flags.service_account_signing_key_file;
  out.service_accounts.key_files = flags.service_account_key_files;
  out.service_accounts.issuers = flags.service_account_issuers;
  if (!flags.api_audiences.empty()) {
    for (const std::string_view audience : split(flags.api_audiences, ',')) out.service_accounts.audiences.emplace_back(audience);
  }
  out.token_auth_file = flags.token_auth_file;
  out.client_ca_file = flags.client_ca_file;
  out.tls_cert_file = flags.tls_cert_file;
  out.tls_private_key_file = flags.tls_private_key_file;
  return out;
}

Result<std::vector<embedded::Manifest>> preloaded(const ApiServerFlags& flags) {
  std::vector<embedded::Manifest> out;
  for (const std::string& path : flags.preload) {
    auto read = embedded::read_manifests(path);
    if (!read) return fail(std::move(read).error().with_context("--preload"));
    std::move(read->begin(), read->end(), std::back_inserter(out));
  }
  return out;
}

int run_apiserver(const ApiServerFlags& flags) {
  mallopt(M_ARENA_MAX, static_cast<int>(flags.loops));  // as run_mcp()
  log::configure(flags.log_level, flags.log_format);
  raise_file_limit();  // a cluster has a port and its clients
  int code = 0;
  {
    Program program(flags);
    code = program.run();
  }
  log::flush();
  return code;
}

}  // namespace gs::daemon
