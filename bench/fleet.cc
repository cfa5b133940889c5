#include "bench/fleet.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <utility>

#include "base/check.h"
#include "base/strings.h"
#include "bench/plane_process.h"

namespace gs::bench {
namespace {

constexpr size_t kClustersOfFile = 1000;

void write_file(const std::string& path, const std::string& text) {
  // Renamed into place: the plane reads the directory at any moment.
  const std::string next = path + ".new";
  std::ofstream(next) << text;
  std::filesystem::rename(next, path);
}

double own_cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

apiserver::ApiServerOptions quiet() {
  apiserver::ApiServerOptions options;
  options.history.changes = 256;
  return options;
}

}  // namespace

FakeCluster::FakeCluster(UvLoop& loop, net::TlsContext& tls, const net::TlsServerOptions& options)
    : server(loop, quiet()), http_(loop, server.handler()), tls_(loop, tls, options, http_) {
  server.handler().set_tokens({kToken});
  server.handler().set_observer(this);
  server.table().add(apiserver::custom_resource("example.com", "v1", "things", "Thing"));
  auto listener = net::TcpListener::listen(loop, "127.0.0.1", 0, tls_);
  GS_CHECK(listener.has_value());
  listener_ = *std::move(listener);
}

void FakeCluster::served(const apiserver::RestRequest& request, const apiserver::Answer& answer) {
  if (request.subresource != "status") return;
  ++status_writes;
  if (on_status) on_status(answer);
}

Fleet::Fleet() : ca_(test::make_ca("bench")) {
  serving_ = test::make_server_cert(ca_, {"127.0.0.1"});
  auto identity = tls_.identity(serving_.cert_pem, serving_.key_pem);
  GS_CHECK(identity.has_value());
  server_options_.identity = *identity;
  server_options_.alpn = {"h2", "http/1.1"};
  char name[] = "/tmp/gulfstream-bench-XXXXXX";
  GS_CHECK(mkdtemp(name) != nullptr);
  root_ = name;
  directory_ = root_ + "/config";
  std::filesystem::create_directory(directory_);
}

Fleet::~Fleet() {
  stop_serving();
  clusters.clear();
  run_for(std::chrono::milliseconds(50));
  if (std::getenv("GULFSTREAM_BENCH_KEEP") == nullptr) std::filesystem::remove_all(root_);
}

void Fleet::add_clusters(size_t count, const std::function<void(FakeCluster&)>& preload) {
  for (size_t i = 0; i < count; ++i) {
    clusters.push_back(std::make_unique<FakeCluster>(loop, tls_, server_options_));
    if (preload) preload(*clusters.back());
  }
}

Status Fleet::add_processes(const std::string& binary, size_t count, size_t each, const std::string& preload) {
  constexpr Duration kLimit = std::chrono::minutes(5), kLook = std::chrono::milliseconds(100);
  ClusterProcessesOptions options;
  options.binary = binary;
  options.directory = root_;
  options.clusters = count;
  options.clusters_each = each;
  options.preload = preload;
  options.certificate = serving_.cert_pem;
  options.key = serving_.key_pem;
  options.token = kToken;
  processes_ = std::make_unique<ClusterProcesses>(options);
  for (Duration waited = Duration::zero(); waited < kLimit; waited += kLook) {
    GS_TRY(const bool ready, processes_->ready());
    if (ready) return ok();
    run_for(kLook);
  }
  return fail(Code::kDeadlineExceeded, "{} clusters do not listen after {}", count, format_go_duration(kLimit));
}

std::vector<uint16_t> Fleet::ports() const {
  std::vector<uint16_t> out;
  for (const auto& cluster : clusters) out.push_back(cluster->port());
  if (processes_ != nullptr) {
    for (const uint16_t port : processes_->ports()) out.push_back(port);
  }
  return out;
}

void Fleet::serve(test::DelegateServer::Logic& logic, uint32_t max_in_flight, std::vector<std::string> capabilities) {
  test::DelegateOptions options;
  options.max_in_flight = max_in_flight;
  options.max_reviews = 2000;
  options.capabilities = std::move(capabilities);
  delegate_ = std::make_unique<test::DelegateServer>(loop, logic, options);
  delegate_http_ = std::make_unique<net::HttpServer>(loop, *delegate_);
  auto listener = net::TcpListener::listen(loop, "127.0.0.1", delegate_port_, *delegate_http_);
  GS_CHECK(listener.has_value());
  delegate_listener_ = *std::move(listener);
  delegate_port_ = delegate_listener_->port();
}

void Fleet::stop_serving() {
  more_listeners_.clear();
  delegate_listener_.reset();
  delegate_http_.reset();
  delegate_.reset();
}

std::string Fleet::another_delegate_url() {
  auto listener = net::TcpListener::listen(loop, "127.0.0.1", 0, *delegate_http_);
  GS_CHECK(listener.has_value());
  more_listeners_.push_back(*std::move(listener));
  return fmt::format("http://127.0.0.1:{}", more_listeners_.back()->port());
}

std::string Fleet::delegate_url() const { return fmt::format("http://127.0.0.1:{}", delegate_port_ == 0 ? 9 : delegate_port_); }

void Fleet::write_config(const std::vector<std::string>& controllers) {
  const std::vector<uint16_t> ports = this->ports();
  const std::string authority = base64_encode(ca_.cert_pem);
  std::string clusters;
  for (size_t i = 0; i < ports.size(); ++i) {
    const std::string path = fmt::format("{}/kubeconfig-{}", root_, i);
    write_file(path, fmt::format("apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{{name: c, cluster: {{server: \"https://127.0.0.1:{}\", "
                                 "certificate-authority-data: {}}}}}]\nusers: [{{name: u, user: {{token: {}}}}}]\n"
                                 "contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n", ports[i], authority, kToken));
    clusters += fmt::format("---\napiVersion: gulfstream.dev/v1alpha1\nkind: Cluster\nmetadata: {{name: c{}}}\nspec: {{connection: {{kubeconfig: {{file: {}}}}}}}\n", i, path);
    // Some thousands would be more than the plane takes of one file.
    if (i % kClustersOfFile == kClustersOfFile - 1 || i == ports.size() - 1) {
      write_file(fmt::format("{}/clusters-{}.yaml", directory_, i / kClustersOfFile), std::exchange(clusters, ""));
    }
  }
  std::string all;
  for (std::string controller : controllers) {
    const std::string mark = "DELEGATE";
    if (const size_t at = controller.find(mark); at != std::string::npos) controller.replace(at, mark.size(), delegate_url());
    all += "---\n" + controller + "\n";
  }
  write_file(directory_ + "/controllers.yaml", all);
}

void Fleet::run_for(Duration time) {
  run_until([] { return false; }, time);
}

bool Fleet::run_until(const std::function<bool()>& done, Duration limit) {
  bool late = false;
  CallbackTimer timer(loop, [&] { late = true; });
  timer.arm_after(limit);
  loop.run_until([&] { return late || done(); });
  return !late;
}

void Fleet::settle(const PlaneProcess& plane) {
  constexpr double kNothing = 0.03;  // three of the kernel's ticks a second
  // This side as well: on a busy machine a plane may wait for what we have not yet come to send.
  const auto spent = [&plane] { return plane.cpu_seconds() + own_cpu_seconds(); };
  int quiet = 0;
  for (int i = 0; i < 30 && quiet < 2; ++i) {
    const double before = spent();
    run_for(std::chrono::seconds(1));
    quiet = spent() - before <= kNothing ? quiet + 1 : 0;
  }
}

}  // namespace gs::bench
