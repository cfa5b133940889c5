// The embedded API server beside kube-apiserver and etcd: the same client, over TLS, in the same run.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "bench/api_target.h"
#include "bench/figures.h"
#include "runtime/task_scope.h"

namespace gs::bench {
namespace {

using std::chrono::seconds;

constexpr size_t kObjects = 50'000;
constexpr size_t kAtOnce = 64;
constexpr size_t kWatchers = 1'000;
constexpr size_t kChanges = 100;
constexpr const char* kMaps = "/api/v1/namespaces/default/configmaps";

// About a kilobyte, as stored.
std::string map_of(const std::string& name, size_t value) {
  return fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{}","labels":{{"app":"bench"}}}},"data":{{"n":"{}","text":"{}"}}}})", name, value,
                     std::string(700, 'x'));
}

struct Cost {
  double seconds = 0;
  double cpu = 0;
};
Cost cost_of(ApiTarget& target, const std::function<void()>& work) {
  const double before = target.cpu_seconds();
  const auto begun = std::chrono::steady_clock::now();
  work();
  Cost out;
  out.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
  out.cpu = target.cpu_seconds() - before;
  return out;
}

// Counts the events of one watch.
Task<void> watch(ApiTarget& target, size_t& open, size_t& events) {
  kube::Request request("GET", "/api/v1/namespaces/kube-system/configmaps?watch=true&timeoutSeconds=600&labelSelector=app%3Dbench");
  request.lane = kube::Lane::kWatch;
  auto stream = co_await target.transport().open(std::move(request));
  GS_CHECK(stream.has_value());
  ++open;
  while (true) {
    const auto bytes = co_await (*stream)->read(kNoDeadline);
    if (!bytes || bytes->empty()) co_return;
    for (const char c : *bytes) events += c == '\n';
  }
}

void fan_out(ApiTarget& target, const std::string& name, Figures& out) {
  size_t open = 0, events = 0;
  TaskScope scope(target.loop());
  target.loop().post([&] {
    for (size_t i = 0; i < kWatchers; ++i) scope.spawn(watch(target, open, events));
  });
  GS_CHECK(target.run_until([&] { return open == kWatchers; }, seconds(60)));
  target.run_for(seconds(2));
  std::vector<double> latencies;
  const Cost cost = cost_of(target, [&] {
    for (size_t i = 0; i < kChanges; ++i) {
      const auto begun = std::chrono::steady_clock::now();
      const size_t before = events;
      target.run(1, 1, [&](size_t) { return target.ask("POST", "/api/v1/namespaces/kube-system/configmaps", map_of(fmt::format("f{}", i), i)); });
      GS_CHECK(target.run_until([&] { return events >= before + kWatchers; }, seconds(30)));
      latencies.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - begun).count());
    }
  });
  out.push_back({name + "_fan_out_1000_p50_ms", quantile(latencies, 0.5), "ms", ""});
  out.push_back({name + "_fan_out_events_per_cpu_second", kWatchers * kChanges / cost.cpu, "1/s", ""});
}

void measure(ApiTarget& target, const std::string& name, Figures& out) {
  std::fprintf(stderr, "bench: %s\n", name.c_str());
  out.push_back({name + "_ready_ms", target.ready_ms(), "ms", name == "apiserver" ? "<= 200" : ""});
  target.run_for(seconds(3));
  const size_t idle = target.resident_bytes();
  out.push_back({name + "_idle_bytes", static_cast<double>(idle), "B", name == "apiserver" ? "<= 20e6" : ""});

  const Cost created = cost_of(target, [&] {
    target.run(kObjects, kAtOnce, [&](size_t i) { return target.ask("POST", kMaps, map_of(fmt::format("m{}", i), i)); });
  });
  out.push_back({name + "_creates_per_second", kObjects / created.seconds, "1/s", ""});
  out.push_back({name + "_creates_per_cpu_second", kObjects / created.cpu, "1/s", ""});
  target.run_for(seconds(3));
  out.push_back({name + "_object_bytes", static_cast<double>(target.resident_bytes() - idle) / kObjects, "B", ""});

  constexpr size_t kUpdates = 20'000;
  const Cost updated = cost_of(target, [&] {
    target.run(kUpdates, kAtOnce, [&](size_t i) { return target.ask("PUT", fmt::format("{}/m{}", kMaps, i), map_of(fmt::format("m{}", i), i + 1)); });
  });
  out.push_back({name + "_writes_per_second", kUpdates / updated.seconds, "1/s", ""});
  out.push_back({name + "_writes_per_cpu_second", kUpdates / updated.cpu, "1/s", ""});

  constexpr size_t kReads = 20'000;
  const Cost read = cost_of(target, [&] {
    target.run(kReads, kAtOnce, [&](size_t i) { return target.ask("GET", fmt::format("{}/m{}", kMaps, i), ""); });
  });
  out.push_back({name + "_reads_per_cpu_second", kReads / read.cpu, "1/s", ""});

  constexpr size_t kLists = 3;
  const Cost listed = cost_of(target, [&] {
    target.run(kLists, 1, [&](size_t) -> Task<void> { return target.ask("GET", kMaps, ""); });
  });
  out.push_back({name + "_list_50000_ms", listed.seconds * 1000 / kLists, "ms", ""});
  out.push_back({name + "_list_50000_cpu_ms", listed.cpu * 1000 / kLists, "ms", ""});
  fan_out(target, name, out);
}

// Resident memory of one process with so many empty clusters in memory, 3 s after all of them can be reached.
size_t bytes_of_clusters(const std::string& binary, size_t clusters) {
  char name[] = "/tmp/gulfstream-bench-clusters-XXXXXX";
  GS_CHECK(mkdtemp(name) != nullptr);
  const std::string directory = name, kubeconfig = directory + "/kubeconfig";
  size_t out = 0;
  {
    const ServerProcess server({binary, "apiserver", "--in-memory", "--clusters", std::to_string(clusters), "--secure-port", "0", "--write-kubeconfig", kubeconfig,
                                "--log-level", "warning"},
                               directory + "/log");
    // It is written last.
    for (int i = 0; i < 3'000 && !std::filesystem::exists(kubeconfig); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    GS_CHECK(std::filesystem::exists(kubeconfig));
    std::this_thread::sleep_for(seconds(3));
    out = server.resident_bytes();
  }
  std::filesystem::remove_all(directory);
  return out;
}

Figure further_cluster(const std::string& binary) {
  constexpr size_t kFurther = 1'000;
  const size_t one = bytes_of_clusters(binary, 1), all = bytes_of_clusters(binary, 1 + kFurther);
  return {"apiserver_cluster_bytes", (static_cast<double>(all) - static_cast<double>(one)) / kFurther, "B", "<= 100e3"};
}

double value_of(const Figures& figures, const std::string& name) {
  for (const Figure& figure : figures) {
    if (figure.name == name) return figure.value;
  }
  return 0;
}

}  // namespace

Figures api_servers(const std::string& binary) {
  Figures out;
  out.push_back(further_cluster(binary));
  {
    const auto target = ApiTarget::ours(binary, std::getenv("GULFSTREAM_BENCH_IN_MEMORY") != nullptr);
    measure(*target, "apiserver", out);
    target->restart();
    out.push_back({"apiserver_restart_50000_ms", target->ready_ms(), "ms", ""});
  }
  const auto peer = ApiTarget::peer();
  if (!peer) {
    std::fprintf(stderr, "bench: no kube-apiserver to compare with (tools/kube/build.sh build/kube/bin)\n");
    return out;
  }
  measure(*peer, "apiserver_peer", out);
  for (const char* figure : {"creates_per_cpu_second", "writes_per_cpu_second", "reads_per_cpu_second", "fan_out_events_per_cpu_second"}) {
    out.push_back({fmt::format("apiserver_times_{}", figure), value_of(out, fmt::format("apiserver_{}", figure)) / value_of(out, fmt::format("apiserver_peer_{}", figure)), "x", ">= 5"});
  }
  out.push_back({"apiserver_times_list_50000_cpu", value_of(out, "apiserver_peer_list_50000_cpu_ms") / value_of(out, "apiserver_list_50000_cpu_ms"), "x", ">= 5"});
  return out;
}

}  // namespace gs::bench
