#include "daemon/workers.h"

#include <set>

#include "runtime/task_scope.h"

namespace gs::daemon {
namespace {

constexpr size_t kLoops = 3;
constexpr size_t kClusters = 12;

// Clusters that nobody serves, and a Controller for all of them.
control::Desired wanted() {
  control::Desired out;
  kube::ConnectionConfig nowhere;
  nowhere.server = *kube::parse_server_url("http://127.0.0.1:1");
  const auto connection = std::make_shared<const kube::ConnectionConfig>(nowhere);
  for (size_t i = 0; i < kClusters; ++i) {
    fleet::ClusterSpec cluster;
    cluster.name = fmt::format("c{}", i);
    cluster.digest = cluster.name;
    cluster.connection = connection;
    out.clusters.push_back(std::move(cluster));
  }
  control::ControllerSpec spec;
  spec.name = "all";
  spec.generation = 1;
  spec.primary.resource = cache::GroupVersionResource("", "v1", "configmaps");
  spec.delegate = "http://127.0.0.1:1";
  control::Desired::Controller controller;
  controller.name = spec.name;
  controller.spec = std::make_shared<const control::ControllerSpec>(spec);
  out.controllers.push_back(std::move(controller));
  return out;
}

class WorkersTest : public testing::Test {
 protected:
  WorkersTest() : deps(flags, tls, metrics), workers(loop, deps, kLoops), scope(loop) {}
  ~WorkersTest() override { scope.cancel(); }

  template <class T>
  T get(Task<T> task) {
    std::optional<T> out;
    loop.post([&] { scope.spawn(keep(std::move(task), out)); });
    loop.run_until([&] { return out.has_value(); });
    return *std::move(out);
  }
  template <class T>
  static Task<void> keep(Task<T> task, std::optional<T>& out) {
    T value = co_await std::move(task);
    out.emplace(std::move(value));
  }

  McpFlags flags;
  net::TlsContext tls;
  Metrics metrics;
  UvLoop loop;
  WorkerDeps deps;
  Workers workers;
  TaskScope scope;
};

TEST(WorkerOf, SpreadsClustersAndNeverChangesItsMind) {
  std::set<size_t> used;
  for (size_t i = 0; i < 100; ++i) {
    const std::string key = fmt::format("tenant/cluster-{}", i);
    used.insert(worker_of(key, kLoops));
    EXPECT_EQ(worker_of(key, kLoops), worker_of(key, kLoops));
  }
  EXPECT_EQ(used.size(), kLoops);
  EXPECT_EQ(worker_of("any", 1), 0u);
}

TEST_F(WorkersTest, WhatIsWantedIsSpreadOverTheLoopsAndReportedAsOne) {
  loop.post([&] { workers.apply(wanted()); });
  const auto tried = [&] {
    const Summary summary = get(workers.summary());
    const auto& clusters = summary.report.clusters;
    return clusters.size() == kClusters && std::all_of(clusters.begin(), clusters.end(), [](const auto& c) { return !c.second.connect_error.empty(); });
  };
  while (!tried()) {
  }
  const Summary summary = get(workers.summary());
  EXPECT_EQ(summary.report.controllers.at("all").desired, kClusters);
  EXPECT_GT(get(workers.changes()), 0u);
  summary.metrics.show(metrics);
  EXPECT_NE(metrics.expose().find("gulfstream_clusters 12"), std::string::npos);
  EXPECT_EQ(get(workers.drain(saturating_add(loop.now(), std::chrono::seconds(10)))), 0u);
}

TEST_F(WorkersTest, AfterStoppingThereIsNothingToReport) {
  loop.post([&] { workers.apply(wanted()); });
  EXPECT_EQ(get(workers.summary()).report.clusters.size(), kClusters);
  workers.stop();
  EXPECT_TRUE(get(workers.summary()).report.clusters.empty());
  EXPECT_EQ(get(workers.changes()), 0u);
}

}  // namespace
}  // namespace gs::daemon
