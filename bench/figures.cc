#include "bench/figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "base/check.h"
#include "bench/fleet.h"
#include "bench/plane_process.h"
#include "bench/workload.h"

namespace gs::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kMapsController = R"(apiVersion: gulfstream.dev/v1alpha1
kind: Controller
metadata: {name: maps}
spec:
  primary: {version: v1, resource: configmaps, match: [{fieldPath: metadata.labels.bench, value: "yes"}]}
  secondary: [{version: v1, resource: secrets}]
  delegate: DELEGATE)";

std::string map_json(size_t i, uint64_t n, const char* label = "yes") {
  return fmt::format(R"({{"metadata":{{"name":"m{}","labels":{{"bench":"{}"}}}},"data":{{"n":"{}"}}}})", i, label, n);
}

void preload_maps(FakeCluster& cluster, size_t count, const char* label = "yes") {
  const auto type = cluster.server.table().find("", "configmaps");
  for (size_t i = 0; i < count; ++i) cluster.server.preload(*type, "default", map_json(i, 0, label));
}

void change_map(FakeCluster& cluster, size_t i, uint64_t n) {
  const apiserver::Answer answer = cluster.server.request("PATCH", fmt::format("/api/v1/namespaces/default/configmaps/m{}", i),
                                                          fmt::format(R"({{"data":{{"n":"{}"}}}})", n), "application/merge-patch+json");
  GS_CHECK(answer.status == 200);
}

// Says ok at once, and notes when each number arrived.
class Clock final : public Decider {
 public:
  using Decider::Decider;
  Task<pb::Result> reconcile(test::DelegateSession&, pb::Reconcile reconcile) override {
    ++seen;
    const auto object = json::parse(reconcile.object());
    if (object) arrived(std::stoull(std::string(object->text("data.n"))));
    co_return ok_result();
  }
  void arrived(uint64_t number) {
    const auto found = written.find(number);
    if (found == written.end()) return;
    latencies.push_back(to_seconds(loop.now() - found->second) * 1000);
    written.erase(found);
  }
  uint64_t seen = 0;
  std::map<uint64_t, MonoTime> written;
  std::vector<double> latencies;  // ms
};

// One read (from the cache) and one apply that changes nothing, again and again.
class Treadmill final : public Decider {
 public:
  using Decider::Decider;
  Task<pb::Result> reconcile(test::DelegateSession& session, pb::Reconcile reconcile) override {
    pb::Call read;
    read.set_reconcile(reconcile.id());
    read.set_method("GET");
    read.set_path("/api/v1/namespaces/default/secrets/" + reconcile.name());
    read.set_query("resourceVersion=0");
    const test::CallAnswer seen = co_await session.call(std::move(read));
    found += seen.ok();
    pb::Call write;
    write.set_reconcile(reconcile.id());
    write.set_method("PATCH");
    write.set_path("/api/v1/namespaces/default/secrets/" + reconcile.name());
    write.set_query("fieldManager=bench&force=true");
    write.set_content_type("application/apply-patch+yaml");
    write.set_body(R"({"apiVersion":"v1","kind":"Secret","metadata":{"labels":{"a":"b"}},"data":{"k":"dmFsdWU="}})");
    const test::CallAnswer answer = co_await session.call(std::move(write));
    failures += !answer.ok();
    ++finished;
    pb::Result result;
    result.mutable_requeue_after()->set_milliseconds(0);
    co_return result;
  }
  uint64_t finished = 0, found = 0, failures = 0;
};

// Rings when the first key comes: by then its pair's caches are complete.
class Bell final : public Decider {
 public:
  using Decider::Decider;
  Task<pb::Result> reconcile(test::DelegateSession&, pb::Reconcile) override {
    rung = true;
    co_return ok_result();
  }
  bool rung = false;
};

// A Pod of 6.5 KB on the wire, 45 % of it managedFields.
std::string pod_json(size_t i, const char* app) {
  std::string fields;
  for (int f = 0; f < 42; ++f) fields += fmt::format(R"({}"f:field{}":{{"f:name":{{}},"f:value":{{}},"f:nested{}":{{"f:x":{{}},"f:y":{{}}}}}})", f > 0 ? "," : "", f, f);
  std::string env;
  for (int e = 0; e < 45; ++e) env += fmt::format(R"({}{{"name":"VARIABLE_{}","value":"a value of some length for pod {}"}})", e > 0 ? "," : "", e, i % 97);
  return fmt::format(
      R"({{"metadata":{{"name":"pod-{}","labels":{{"app":"{}","pod-template-hash":"5d4f8c7b9d"}},"managedFields":[{{"manager":"kubelet","operation":"Update","apiVersion":"v1","fieldsType":"FieldsV1","fieldsV1":{{{}}}}}]}},)"
      R"("spec":{{"containers":[{{"name":"main","image":"registry.example/web:v1","env":[{}],"resources":{{"requests":{{"cpu":"100m","memory":"128Mi"}}}}}}],"nodeName":"node-{}","restartPolicy":"Always"}}}})",
      i, app, fields, env, i % 300);
}

}  // namespace

double quantile(std::vector<double>& values, double q) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[std::min(values.size() - 1, static_cast<size_t>(q * static_cast<double>(values.size())))];
}

Figures event_latency(const std::string& binary) {
  say("event to delegate at 1,000 events/s");
  Fleet fleet;
  Clock clock(fleet.loop);
  fleet.serve(clock);
  constexpr size_t kClusters = 10, kMaps = 100;
  fleet.add_clusters(kClusters, [](FakeCluster& c) { preload_maps(c, kMaps); });
  fleet.write_config({kMapsController});
  PlaneProcess plane(binary, fleet.directory());
  GS_CHECK(fleet.run_until([&] { return clock.seen >= kClusters * kMaps; }, kSyncLimit));
  fleet.settle(plane);
  uint64_t number = 0;
  const auto change = [&] {
    ++number;
    clock.written[number] = fleet.loop.now();
    change_map(*fleet.clusters[number % kClusters], number / kClusters % kMaps, number);
  };
  at_rate(fleet, 1000, seconds(3), change);  // warm
  fleet.run_for(milliseconds(300));
  clock.latencies.clear();
  const double before = plane.cpu_seconds();
  const uint64_t first = number;
  at_rate(fleet, 1000, seconds(15), change);
  fleet.run_for(milliseconds(500));
  const double cpu = plane.cpu_seconds() - before;
  const double events = static_cast<double>(number - first);
  return {{"event_to_delegate_p50_ms", quantile(clock.latencies, 0.5), "ms", ""},
          {"event_to_delegate_p99_ms", quantile(clock.latencies, 0.99), "ms", "< 2"},
          {"event_to_delegate_lost", static_cast<double>(clock.written.size()), "events", "0"},
          {"events_per_cpu_second_at_1000", events / cpu, "1/s", ""}};
}

Figures full_reconciles(const std::string& binary) {
  say("full reconciles, one read and one apply");
  Fleet fleet;
  Treadmill mill(fleet.loop);
  constexpr uint32_t kInFlight = 64;
  fleet.serve(mill, kInFlight);
  constexpr size_t kMaps = 256;
  fleet.add_clusters(1, [](FakeCluster& c) { preload_maps(c, kMaps); });
  std::string controller = kMapsController;
  fleet.write_config({controller});
  PlaneProcess plane(binary, fleet.directory());
  GS_CHECK(fleet.run_until([&] { return mill.finished >= 5 * kMaps; }, kSyncLimit));
  fleet.run_for(seconds(3));  // it never settles: 64 are in flight without end
  const double before = plane.cpu_seconds();
  const uint64_t first = mill.finished, found = mill.found;
  const Served before_it(fleet);
  fleet.run_for(seconds(12));
  const double cpu = plane.cpu_seconds() - before;
  const Served after_it(fleet);
  const uint64_t finished = mill.finished - first, writes = after_it.writes - before_it.writes;
  // By the server's count each has written once, and none of their reads, which found the object, came to it.
  GS_CHECK(mill.failures == 0);
  GS_CHECK(writes + kInFlight >= finished && writes <= finished + kInFlight);
  GS_CHECK(mill.found - found + kInFlight >= finished);
  GS_CHECK(after_it.requests - before_it.requests <= writes + 10);
  return {{"reconciles_per_cpu_second", static_cast<double>(finished) / cpu, "1/s", "20000"},
          {"reconciles_cpu_share", cpu / 12, "cores", ""}};
}

Figures steady_trickle(const std::string& binary) {
  say("steady trickle, 200 events/s over 100 clusters");
  Fleet fleet;
  Worker worker(fleet.loop);
  // As its author would say: what it wrote itself needs no second look.
  fleet.serve(worker, 256, {"ignores-echoes"});
  constexpr size_t kClusters = 100, kThings = 10;
  fleet.add_clusters(kClusters, [](FakeCluster& c) {
    const auto type = c.server.table().find("example.com", "things");
    for (size_t i = 0; i < kThings; ++i) c.server.preload(*type, "default", fmt::format(R"({{"metadata":{{"name":"t{}"}},"spec":{{"n":"0"}}}})", i));
  });
  fleet.write_config({kThingsController});
  PlaneProcess plane(binary, fleet.directory());
  GS_CHECK(fleet.run_until([&] { return worker.finished >= kClusters * kThings; }, kSyncLimit));
  fleet.settle(plane);
  uint64_t number = 0;
  const auto change = [&] {
    ++number;
    const auto answer = fleet.clusters[number % kClusters]->server.request("PATCH", fmt::format("/apis/example.com/v1/namespaces/default/things/t{}", number / kClusters % kThings),
                                                                           fmt::format(R"({{"spec":{{"n":"{}"}}}})", number), "application/merge-patch+json");
    GS_CHECK(answer.status == 200);
  };
  at_rate(fleet, 200, seconds(3), change);
  fleet.run_for(seconds(1));
  const double before = plane.cpu_seconds();
  const uint64_t first = number, reconciles = fleet.delegate().reconciles();
  const Served before_it(fleet);
  at_rate(fleet, 200, seconds(20), change);
  fleet.run_for(seconds(1));
  const double cpu = plane.cpu_seconds() - before;
  const double events = static_cast<double>(number - first);
  const Served after_it(fleet);
  GS_CHECK(worker.failures == 0);
  return {{"events_per_cpu_second_at_200", events / cpu, "1/s", "10000"},
          {"status_writes_per_event", static_cast<double>(after_it.status_writes - before_it.status_writes) / events, "", "1.00"},
          {"writes_per_event", static_cast<double>(after_it.writes - before_it.writes) / events, "", "2.00"},
          {"requests_per_event", static_cast<double>(after_it.requests - before_it.requests) / events, "", "2.00"},
          {"reconciles_per_event", static_cast<double>(fleet.delegate().reconciles() - reconciles) / events, "", "1.00"}};
}

Figures idle_clusters(const std::string& binary) {
  say("idle clusters");
  Fleet fleet;
  Clock clock(fleet.loop);
  fleet.serve(clock);
  constexpr size_t kFew = 20, kMore = 200;
  fleet.add_clusters(kFew);
  fleet.write_config({kMapsController});
  PlaneProcess plane(binary, fleet.directory());
  // Request connections are closed after 30 s, so the first clusters' are gone as well when it is counted.
  GS_CHECK(fleet.run_until([&] { return open_watches(fleet) == 2 * kFew; }, kSyncLimit));
  fleet.settle(plane);
  const size_t before = plane.resident_bytes();
  fleet.add_clusters(kMore);
  fleet.write_config({kMapsController});
  GS_CHECK(fleet.run_until([&] { return open_watches(fleet) == 2 * (kFew + kMore); }, kSyncLimit));
  const double cpu = plane.cpu_seconds();
  fleet.run_for(seconds(40));
  const double idle_cpu = plane.cpu_seconds() - cpu;
  const double bytes = static_cast<double>(plane.resident_bytes()) - static_cast<double>(before);
  return {{"idle_cluster_bytes", bytes / kMore, "B", "< 51200"},
          {"idle_cluster_cpu_us_per_s", idle_cpu / 40 / (kFew + kMore) * 1e6, "us/s", ""}};
}

Figures cached_pods(const std::string& binary) {
  say("initial sync of 50,000 Pods of 6.5 KB");
  constexpr size_t kPods = 50'000;
  Fleet fleet;
  Bell bell(fleet.loop);
  fleet.serve(bell);
  size_t wire = 0, lean = 0;
  fleet.add_clusters(1, [&](FakeCluster& c) {
    // Straight into the store: the registry would cut managedFields, which servers send.
    const auto type = c.server.table().find("", "pods");
    for (size_t i = 0; i < kPods; ++i) {
      json::Value pod = *json::parse(pod_json(i, i + 1 == kPods ? "bell" : "web"));
      pod["metadata"]["namespace"] = "default";
      pod["metadata"]["uid"] = fmt::format("{:08x}-0000-4000-8000-{:012x}", i, i);
      pod["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z";
      const auto stored = c.server.store().put(*type, pod, nullptr);
      wire += stored->json.size();
      const size_t whole = pod.dump().size();
      pod["metadata"].make_object().erase("managedFields");
      lean += stored->json.size() - (whole - pod.dump().size());
    }
  });
  fleet.write_config({R"(apiVersion: gulfstream.dev/v1alpha1
kind: Controller
metadata: {name: none}
spec:
  primary: {version: v1, resource: configmaps}
  delegate: http://127.0.0.1:9)"});
  PlaneProcess plane(binary, fleet.directory());
  GS_CHECK(fleet.run_until([&] { return open_watches(fleet) == 1; }, kSyncLimit));
  fleet.settle(plane);
  const double base = static_cast<double>(plane.resident_bytes()), cpu_before = plane.cpu_seconds();
  fleet.write_config({R"(apiVersion: gulfstream.dev/v1alpha1
kind: Controller
metadata: {name: pods}
spec:
  primary: {version: v1, resource: pods, match: [{fieldPath: metadata.labels.app, value: bell}]}
  delegate: DELEGATE)"});
  GS_CHECK(fleet.run_until([&] { return bell.rung; }, kSyncLimit));
  fleet.settle(plane);
  const double cpu = plane.cpu_seconds();
  fleet.run_for(seconds(8));  // memory is given back a little later
  const double settled = static_cast<double>(plane.resident_bytes()), peak = static_cast<double>(plane.peak_bytes());
  const double bytes = (settled - base) / kPods, raw = static_cast<double>(lean) / kPods;
  return {{"cached_object_ratio", bytes / raw, "", fmt::format("{:.2f}", (raw + 200) / raw)},
          {"cached_object_bytes", bytes, "B", fmt::format("{:.0f}", raw + 200)},
          {"cached_object_raw_bytes", raw, "B", ""},
          {"object_wire_bytes", static_cast<double>(wire) / kPods, "B", ""},
          {"initial_sync_cpu_seconds", cpu - cpu_before, "s", ""},
          {"initial_sync_peak_ratio", peak / settled, "", "<= 1.3"}};
}

Figures queued_keys_and_sessions(const std::string& binary) {
  say("queued keys and sessions");
  constexpr size_t kKeys = 50'000, kSessions = 100;
  Figures out;
  double without = 0;
  // The same objects, once as nobody's keys and once as keys that wait for a delegate that is not there.
  for (const char* label : {"no", "yes"}) {
    Fleet fleet;
    fleet.add_clusters(1, [&](FakeCluster& c) { preload_maps(c, kKeys, label); });
    fleet.write_config({kMapsController});
    PlaneProcess plane(binary, fleet.directory());
    GS_CHECK(fleet.run_until([&] { return open_watches(fleet) == 2; }, kSyncLimit));
    fleet.settle(plane);
    const double bytes = static_cast<double>(plane.resident_bytes());
    if (without > 0) out.push_back({"queued_key_bytes", (bytes - without) / kKeys, "B", ""});
    without = bytes;
  }
  Fleet fleet;
  Clock clock(fleet.loop);
  fleet.serve(clock);
  fleet.add_clusters(1, [](FakeCluster& c) { preload_maps(c, 1, "no"); });
  std::vector<std::string> controllers;
  for (size_t i = 0; i < kSessions; ++i) {
    std::string controller = kMapsController;
    controller.replace(controller.find("{name: maps}"), 12, fmt::format("{{name: maps-{}}}", i));
    controller.replace(controller.find("DELEGATE"), 8, fleet.another_delegate_url());
    controllers.push_back(controller);
  }
  fleet.write_config(controllers);
  PlaneProcess plane(binary, fleet.directory());
  GS_CHECK(fleet.run_until([&] { return open_watches(fleet) == 2; }, kSyncLimit));
  fleet.settle(plane);
  const double before = static_cast<double>(plane.resident_bytes());
  fleet.clusters[0]->server.request("PATCH", "/api/v1/namespaces/default/configmaps/m0", R"({"metadata":{"labels":{"bench":"yes"}}})", "application/merge-patch+json");
  GS_CHECK(fleet.run_until([&] { return fleet.delegate().sessions().size() == kSessions && clock.seen >= kSessions; }, kSyncLimit));
  fleet.run_for(seconds(2));
  out.push_back({"session_bytes", (static_cast<double>(plane.resident_bytes()) - before) / kSessions, "B", ""});
  return out;
}

}  // namespace gs::bench
