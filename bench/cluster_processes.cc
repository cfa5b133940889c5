#include "bench/cluster_processes.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>

#include "base/files.h"

namespace gs::bench {
namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

std::string text_of(const std::string& path) {
  std::ifstream in(path);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// The servers of a kubeconfig, in its order.
void read_ports(const std::string& kubeconfig, std::vector<uint16_t>& out) {
  constexpr std::string_view kServer = "server: https://127.0.0.1:";
  for (size_t at = kubeconfig.find(kServer); at != std::string::npos; at = kubeconfig.find(kServer, at)) {
    at += kServer.size();
    out.push_back(static_cast<uint16_t>(std::stoul(kubeconfig.substr(at, 5))));
  }
}

}  // namespace

ClusterProcesses::ClusterProcesses(const ClusterProcessesOptions& options) : directory_(options.directory) {
  write(directory_ + "/serving.pem", options.certificate);
  write(directory_ + "/serving.key", options.key);
  write(directory_ + "/tokens.csv", options.token + ",admin,admin-uid,system:masters\n");
  write(directory_ + "/preload.yaml", options.preload);
  for (size_t left = options.clusters; left > 0;) {
    const size_t here = std::min(left, options.clusters_each);
    const size_t number = processes_.size();
    const std::vector<std::string> command = {options.binary, "apiserver", "--in-memory", "--clusters", std::to_string(here), "--secure-port", "0",
                                              "--preload", directory_ + "/preload.yaml", "--token-auth-file", directory_ + "/tokens.csv",
                                              "--tls-cert-file", directory_ + "/serving.pem", "--tls-private-key-file", directory_ + "/serving.key",
                                              "--write-kubeconfig", file(number, "kubeconfig"), "--log-level", "warning"};
    processes_.push_back(std::make_unique<ServerProcess>(command, file(number, "log")));
    left -= here;
  }
}

std::string ClusterProcesses::file(size_t process, const char* what) const { return fmt::format("{}/servers-{}.{}", directory_, process, what); }

Result<bool> ClusterProcesses::ready() {
  bool all = true;
  for (size_t i = 0; i < processes_.size(); ++i) {
    if (!processes_[i]->alive()) return fail(Code::kUnavailable, "gulfstream apiserver ended: {}", text_of(file(i, "log")));
    all = all && file_exists(file(i, "kubeconfig"));  // written whole, and when the ports are open
  }
  return all;
}

std::vector<uint16_t> ClusterProcesses::ports() const {
  std::vector<uint16_t> out;
  for (size_t i = 0; i < processes_.size(); ++i) read_ports(text_of(file(i, "kubeconfig")), out);
  return out;
}

double ClusterProcesses::cpu_seconds() const {
  double sum = 0;
  for (const auto& process : processes_) sum += process->cpu_seconds();
  return sum;
}

size_t ClusterProcesses::resident_bytes() const {
  size_t sum = 0;
  for (const auto& process : processes_) sum += process->resident_bytes();
  return sum;
}

}  // namespace gs::bench
