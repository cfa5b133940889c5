#include "bench/api_target.h"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/check.h"
#include "bench/fleet.h"
#include "test/support/certs.h"

namespace gs::bench {
namespace {

uint16_t free_port(UvLoop& loop) {
  class Nobody final : public net::Listener::Acceptor {
    void accepted(std::unique_ptr<net::ByteStream>) override {}
  } nobody;
  auto listener = net::TcpListener::listen(loop, "127.0.0.1", 0, nobody);
  GS_CHECK(listener.has_value());
  return (*listener)->port();
}

}  // namespace

std::unique_ptr<kube::HttpTransport> connect_to(UvLoop& loop, net::TlsContext& tls, net::Connector& tcp, uint16_t port) {
  kube::ConnectionConfig config;
  config.server = *kube::parse_server_url(fmt::format("https://127.0.0.1:{}", port));
  config.insecure_skip_tls_verify = true;
  config.token = kToken;
  kube::HttpTransportOptions options;
  options.first_backoff = options.last_backoff = std::chrono::milliseconds(2);
  options.request_timeout = std::chrono::minutes(2);
  options.max_response = 512 * 1024 * 1024;
  const kube::ConnectorDeps deps(loop, tls, tcp);
  auto transport = kube::make_transport(deps, config, nullptr, options);
  GS_CHECK(transport.has_value());
  return *std::move(transport);
}

ApiTarget::ApiTarget() {
  char name[] = "/tmp/gulfstream-bench-api-XXXXXX";
  GS_CHECK(mkdtemp(name) != nullptr);
  directory_ = name;
  std::ofstream(directory_ + "/tokens.csv") << kToken << ",admin,admin-uid,system:masters\n";
}

ApiTarget::~ApiTarget() {
  transport_.reset();
  run_for(std::chrono::milliseconds(50));
  while (!processes_.empty()) processes_.pop_back();  // the server before its etcd
  if (std::getenv("GULFSTREAM_BENCH_KEEP") == nullptr) std::filesystem::remove_all(directory_);
}

std::unique_ptr<ApiTarget> ApiTarget::ours(const std::string& binary, bool in_memory) {
  std::unique_ptr<ApiTarget> out(new ApiTarget());
  const uint16_t port = free_port(out->loop_);
  std::vector<std::string> command = {binary, "apiserver", "--secure-port", std::to_string(port), "--token-auth-file", out->directory_ + "/tokens.csv",
                                      "--write-kubeconfig", out->directory_ + "/kubeconfig", "--log-level", "warning"};
  if (in_memory) command.emplace_back("--in-memory");
  if (!in_memory) command.insert(command.end(), {"--data-dir", out->directory_ + "/data"});
  out->command_ = command;
  out->started_ = std::chrono::steady_clock::now();
  out->processes_.push_back(std::make_unique<ServerProcess>(command, out->directory_ + "/log"));
  out->connect(port);
  out->wait_ready();
  return out;
}

void ApiTarget::restart() {
  processes_.back()->kill_now();
  processes_.clear();
  started_ = std::chrono::steady_clock::now();
  processes_.push_back(std::make_unique<ServerProcess>(command_, directory_ + "/log"));
  wait_ready();
}

std::unique_ptr<ApiTarget> ApiTarget::peer() {
  const char* assets = std::getenv("GULFSTREAM_KUBE_ASSETS");
  const std::string bin = assets != nullptr ? assets : "build/kube/bin";
  if (!std::filesystem::exists(bin + "/kube-apiserver") || !std::filesystem::exists(bin + "/etcd")) return nullptr;
  std::unique_ptr<ApiTarget> out(new ApiTarget());
  const std::string& dir = out->directory_;
  test::CertOptions rsa;
  rsa.common_name = "service accounts";
  rsa.rsa_bits = 2048;
  std::ofstream(dir + "/sa.key") << test::make_cert(rsa).key_pem;
  const uint16_t port = free_port(out->loop_);
  const std::string client = fmt::format("http://127.0.0.1:{}", free_port(out->loop_)), peer = fmt::format("http://127.0.0.1:{}", free_port(out->loop_));
  out->started_ = std::chrono::steady_clock::now();
  const std::vector<std::string> etcd = {bin + "/etcd", "--data-dir", dir + "/etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
                                         "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default=" + peer, "--log-level", "warn"};
  out->processes_.push_back(std::make_unique<ServerProcess>(etcd, dir + "/etcd.log"));
  const std::vector<std::string> server = {bin + "/kube-apiserver", "--etcd-servers", client, "--cert-dir", dir + "/certs", "--secure-port", std::to_string(port),
                                           "--bind-address", "127.0.0.1", "--service-account-issuer", "https://kubernetes.default.svc",
                                           "--service-account-key-file", dir + "/sa.key", "--service-account-signing-key-file", dir + "/sa.key",
                                           "--service-cluster-ip-range", "10.0.0.0/24", "--token-auth-file", dir + "/tokens.csv", "--authorization-mode", "RBAC",
                                           "--disable-admission-plugins", "ServiceAccount",
                                           // Fairness off: it would hold back one client that asks all it can.
                                           "--enable-priority-and-fairness=false", "--max-requests-inflight", "3000", "--max-mutating-requests-inflight", "3000"};
  out->processes_.push_back(std::make_unique<ServerProcess>(server, dir + "/log"));
  out->connect(port);
  out->wait_ready();
  return out;
}

void ApiTarget::connect(uint16_t port) { transport_ = connect_to(loop_, tls_, tcp_, port); }

Task<void> ApiTarget::try_ready(bool& ready) {
  while (!ready) {
    // The default namespace is made a moment after /readyz on the real one.
    for (const char* target : {"/readyz", "/api/v1/namespaces/default"}) {
      kube::Request request("GET", target);
      request.deadline = saturating_add(loop_.now(), std::chrono::seconds(1));
      const auto answer = co_await transport_->send(std::move(request));
      ready = answer && answer->status == 200;
      if (!ready) break;
    }
    co_await sleep_for(loop_, std::chrono::milliseconds(1));
  }
}

void ApiTarget::wait_ready() {
  bool ready = false;
  TaskScope scope(loop_);
  loop_.post([&] { scope.spawn(try_ready(ready)); });
  GS_CHECK(run_until([&] { return ready; }, std::chrono::seconds(90)));
  ready_ms_ = std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - started_).count();
}

double ApiTarget::cpu_seconds() const {
  double sum = 0;
  for (const auto& process : processes_) sum += process->cpu_seconds();
  return sum;
}

size_t ApiTarget::resident_bytes() const {
  size_t sum = 0;
  for (const auto& process : processes_) sum += process->resident_bytes();
  return sum;
}

Task<void> ApiTarget::one_by_one(size_t& next, size_t count, const Each& each) {
  while (next < count) {
    const size_t mine = next++;
    co_await each(mine);
  }
}

void ApiTarget::run(size_t count, size_t at_once, const Each& each) {
  size_t next = 0;
  TaskScope scope(loop_);
  bool begun = false;
  loop_.post([&] {
    for (size_t i = 0; i < at_once; ++i) scope.spawn(one_by_one(next, count, each));
    begun = true;
  });
  GS_CHECK(run_until([&] { return begun && scope.empty(); }, std::chrono::minutes(10)));
}

void ApiTarget::run_for(Duration time) {
  run_until([] { return false; }, time);
}

bool ApiTarget::run_until(const std::function<bool()>& done, Duration limit) {
  bool late = false;
  CallbackTimer timer(loop_, [&] { late = true; });
  timer.arm_after(limit);
  loop_.run_until([&] { return late || done(); });
  return !late;
}

Task<void> ApiTarget::ask(std::string method, std::string target, std::string body, std::string* answer) {
  kube::Request request(std::move(method), std::move(target));
  if (!body.empty()) request.content_type = "application/json";
  request.body = std::move(body);
  auto got = co_await transport_->send(std::move(request));
  if (!got) std::fprintf(stderr, "bench: %s\n", got.error().message.c_str());
  if (got && got->status >= 300) std::fprintf(stderr, "bench: %d %s\n", got->status, got->body.substr(0, 300).c_str());
  GS_CHECK(got && got->status < 300);
  if (answer != nullptr) *answer = std::move(got->body);
}

}  // namespace gs::bench
