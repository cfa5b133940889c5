// Whole fleets: what each cluster costs the plane, empty and with objects, what the first sync costs, and what events
// cost in a burst and at a steady rate.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <map>
#include <sstream>

#include "base/check.h"
#include "base/files.h"
#include "bench/figures.h"
#include "bench/large_fleet.h"
#include "bench/plane_process.h"
#include "bench/workload.h"

namespace gs::bench {
namespace {

using std::chrono::seconds;

constexpr size_t kObjects = 100;           // things, and as many config maps, a cluster
constexpr double kSteadyRate = 200;        // events/s over the whole fleet
constexpr size_t kBurstEvents = 20'000;
constexpr Duration kIdleTime = seconds(40);  // request connections are closed after 30 s
constexpr Duration kFleetLimit = seconds(300);

// Of 1 KiB each on the wire. Keys are what has the label: at first none but one a cluster, which tells that the
// cluster's caches are complete.
constexpr const char* kFleetController = R"(apiVersion: gulfstream.dev/v1alpha1
kind: Controller
metadata: {name: things}
spec:
  primary: {group: example.com, version: v1, resource: things, match: [{fieldPath: metadata.labels.live, value: "yes"}]}
  secondary: [{version: v1, resource: configmaps}]
  delegate: DELEGATE)";

std::string padding(size_t taken) { return std::string(1024 > taken ? 1024 - taken : 0, 'x'); }

json::Value object(const std::string& name, size_t number, const std::string& rest) {
  auto out = json::parse(fmt::format(R"({{"metadata":{{"name":"{}","namespace":"default","uid":"{:08x}-0000-4000-8000-{:012x}","creationTimestamp":"2026-01-01T00:00:00Z"}},{}}})",
                                     name, number, number, rest));
  GS_CHECK(out.has_value());
  return *std::move(out);
}

// Straight into the store, with status and owners: as they are where a controller has long been at work.
void fill(FakeCluster& cluster) {
  auto& store = cluster.server.store();
  const auto things = cluster.server.table().find("example.com", "things"), maps = cluster.server.table().find("", "configmaps");
  for (size_t i = 0; i < kObjects; ++i) {
    const std::string name = fmt::format("t{}", i);
    json::Value thing = object(name, i, fmt::format(R"("spec":{{"n":"0","text":"{}"}},"status":{{"observed":"0"}})", padding(320)));
    if (i == 0) thing["metadata"]["labels"]["live"] = "yes";
    const std::string uid(thing.text("metadata.uid"));
    store.put(*things, std::move(thing), nullptr);
    json::Value map = object(name, i + 1'000'000, fmt::format(R"("data":{{"n":"0","text":"{}"}})", padding(430)));
    map["metadata"]["ownerReferences"] =
        *json::parse(fmt::format(R"([{{"apiVersion":"example.com/v1","kind":"Thing","name":"{}","uid":"{}","controller":true}}])", name, uid));
    store.put(*maps, std::move(map), nullptr);
  }
}

// Changes things all over the fleet, and knows when the status of each change was written.
class Changes {
 public:
  explicit Changes(Fleet& fleet) : fleet_(fleet) {
    for (const auto& cluster : fleet_.clusters) cluster->on_status = [this](const apiserver::Answer& answer) { told(answer); };
  }
  ~Changes() {
    for (const auto& cluster : fleet_.clusters) cluster->on_status = nullptr;
  }
  void make() {
    ++made;
    written_[made] = fleet_.loop.now();
    const size_t clusters = fleet_.clusters.size();
    const auto answer = fleet_.clusters[made % clusters]->server.request(
        "PATCH", fmt::format("/apis/example.com/v1/namespaces/default/things/t{}", made / clusters % kObjects),
        fmt::format(R"({{"metadata":{{"labels":{{"live":"yes"}}}},"spec":{{"n":"{}"}}}})", made), "application/merge-patch+json");
    GS_CHECK(answer.status == 200);
  }
  // Changes whose status was not written. One that another change of the same thing overtook never is.
  size_t open() const { return written_.size(); }
  void forget() { written_.clear(); }
  uint64_t made = 0;
  std::vector<double> milliseconds;

 private:
  void told(const apiserver::Answer& answer) {
    if (answer.status != 200) return;
    const auto thing = json::parse(answer.body);
    if (!thing) return;
    const auto found = written_.find(std::strtoull(std::string(thing->text("status.observed")).c_str(), nullptr, 10));
    if (found == written_.end()) return;
    milliseconds.push_back(to_seconds(fleet_.loop.now() - found->second) * 1000);
    written_.erase(found);
  }
  Fleet& fleet_;
  std::map<uint64_t, MonoTime> written_;
};

struct Named {
  Figures& out;
  size_t clusters;
  void add(const char* name, double value, const char* unit, const char* aim = "") {
    out.push_back({fmt::format("fleet_{}_{}", name, clusters), value, unit, clusters == 1000 ? aim : ""});
  }
};

// A plane without a cluster, for what its clusters cost.
double plane_alone(const std::string& binary) {
  Fleet fleet;
  Worker worker(fleet.loop);
  fleet.serve(worker);
  fleet.write_config({kFleetController});
  PlaneProcess plane(binary, fleet.directory());
  fleet.run_for(seconds(2));
  return static_cast<double>(plane.resident_bytes());
}

void idle(const std::string& binary, double alone, Named figures) {
  Fleet fleet;
  Worker worker(fleet.loop);
  fleet.serve(worker);
  fleet.add_clusters(figures.clusters);
  fleet.write_config({kFleetController});
  PlaneProcess plane(binary, fleet.directory());
  GS_CHECK(fleet.run_until([&] { return open_watches(fleet) == 2 * figures.clusters; }, kFleetLimit));
  fleet.run_for(kIdleTime);
  fleet.settle(plane);
  figures.add("idle_cluster_bytes", (static_cast<double>(plane.resident_bytes()) - alone) / static_cast<double>(figures.clusters), "B", "< 51200");
  figures.add("idle_cores", idle_cores(plane, fleet), "cores");
}

// CPU-seconds of the plane for changes that `make` makes, each seen to its status.
double cost_of(const PlaneProcess& plane, Fleet& fleet, const Changes& changes, const std::function<void()>& make) {
  const double before = plane.cpu_seconds();
  const uint64_t first = changes.made;
  make();
  GS_CHECK(fleet.run_until([&] { return changes.open() == 0; }, kFleetLimit));
  return static_cast<double>(changes.made - first) / (plane.cpu_seconds() - before);
}

void busy(const std::string& binary, double alone, Named figures) {
  const auto count = static_cast<double>(figures.clusters);
  Fleet fleet;
  Worker worker(fleet.loop);
  fleet.serve(worker, 256, {"ignores-echoes"});
  fleet.add_clusters(figures.clusters, fill);
  fleet.write_config({kFleetController});
  const MonoTime begun = fleet.loop.now();
  PlaneProcess plane(binary, fleet.directory());
  GS_CHECK(fleet.run_until([&] { return fleet.delegate().reconciles() >= figures.clusters; }, kFleetLimit));
  figures.add("sync_seconds", to_seconds(fleet.loop.now() - begun), "s");
  fleet.settle(plane);
  figures.add("sync_cpu_seconds", plane.cpu_seconds(), "s", "2");
  figures.add("peak_cluster_bytes", (static_cast<double>(plane.peak_bytes()) - alone) / count, "B");
  fleet.run_for(kIdleTime);
  figures.add("cluster_bytes", (static_cast<double>(plane.resident_bytes()) - alone) / count, "B", "< 314573");

  Changes changes(fleet);
  // No thing twice: a change that another one overtakes is one event less.
  const size_t burst = std::min(kBurstEvents, figures.clusters * kObjects);
  const double burst_cost = cost_of(plane, fleet, changes, [&] {
    for (size_t i = 0; i < burst; ++i) changes.make();
  });
  figures.add("burst_events_per_cpu_second", burst_cost, "1/s", "14000");
  fleet.settle(plane);
  at_rate(fleet, kSteadyRate, seconds(5), [&] { changes.make(); });
  fleet.settle(plane);
  changes.forget();
  changes.milliseconds.clear();
  const double steady_cost = cost_of(plane, fleet, changes, [&] { at_rate(fleet, kSteadyRate, seconds(20), [&] { changes.make(); }); });
  figures.add("steady_events_per_cpu_second", steady_cost, "1/s", "10000");
  figures.add("status_p50_ms", quantile(changes.milliseconds, 0.5), "ms", "1");
  figures.add("status_p99_ms", quantile(changes.milliseconds, 0.99), "ms", "4");
  GS_CHECK(worker.failures == 0);
}

std::vector<size_t> fleet_sizes() {
  const char* sizes = std::getenv("GULFSTREAM_BENCH_CLUSTERS");
  std::istringstream in(sizes != nullptr ? sizes : "10 100 1000 10000");
  return {std::istream_iterator<size_t>(in), {}};
}

}  // namespace

Result<Figures> whole_fleets(const std::string& binary) {
  const std::vector<size_t> sizes = fleet_sizes();
  const size_t open_files = raise_file_limit();
  GS_TRY_STATUS(enough_open_files(sizes, open_files));
  Figures out;
  const double alone = plane_alone(binary);
  for (const size_t clusters : sizes) {
    say(fmt::format("a fleet of {} clusters", clusters).c_str());
    if (clusters > kMostClustersWithObjects) {
      if (Status done = large_fleet(binary, alone, clusters, open_files, out); !done) {
        return fail(std::move(done).error().with_context(fmt::format("a fleet of {} clusters", clusters)));
      }
      continue;
    }
    idle(binary, alone, {out, clusters});
    busy(binary, alone, {out, clusters});
  }
  return out;
}

}  // namespace gs::bench
