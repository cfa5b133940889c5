#include "bench/large_fleet.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/check.h"
#include "bench/api_target.h"
#include "bench/workload.h"

namespace gs::bench {
namespace {

using std::chrono::seconds;

constexpr size_t kSpareFiles = 300;     // of a process for what is not a cluster's
constexpr size_t kFilesOfServer = 3;    // of a cluster where it is served: its port, a plane's watches, its requests
constexpr size_t kChangedClusters = 200;  // each of which the plane needs a second connection to
constexpr Duration kLargeSyncLimit = seconds(300);
constexpr Duration kChangeLimit = seconds(60);
constexpr Duration kIdleTime = seconds(40);  // request connections are closed after 30 s

// One thing and one config map, both as they are where a controller has long been at work (without the subresource, so
// that the status can be created with the rest; "n" in quotes, it would be a boolean).
constexpr const char* kFewObjects = R"(
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: things, singular: thing, kind: Thing, listKind: ThingList}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
---
{apiVersion: example.com/v1, kind: Thing, metadata: {name: t0, namespace: default}, spec: {"n": "0"}, status: {observed: "0"}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: t0, namespace: default}, data: {"n": "0"}}
)";

// A child written for every thing that changed, and the clusters whose key has come.
class Counter final : public Decider {
 public:
  using Decider::Decider;
  std::set<std::string> clusters;
  uint64_t written = 0, failures = 0;

  Task<pb::Result> reconcile(test::DelegateSession& session, pb::Reconcile reconcile) override {
    clusters.insert(session.pair(reconcile.pair()).cluster().name());
    const auto thing = json::parse(reconcile.object());
    if (!thing || thing->text("spec.n") == "0") co_return ok_result();
    pb::Call child;
    child.set_reconcile(reconcile.id());
    child.set_method("PATCH");
    child.set_path("/api/v1/namespaces/default/configmaps/" + reconcile.name());
    child.set_query("fieldManager=bench&force=true");
    child.set_content_type("application/apply-patch+yaml");
    child.set_body(fmt::format(R"({{"apiVersion":"v1","kind":"ConfigMap","data":{{"n":"{}"}}}})", thing->text("spec.n")));
    const test::CallAnswer made = co_await session.call(std::move(child));
    made.ok() ? ++written : ++failures;
    co_return ok_result();
  }
};

// Clients of some clusters.
class Changer {
 public:
  explicit Changer(Fleet& fleet) : fleet_(fleet), tcp_(fleet.loop, resolver_, nullptr), scope_(fleet.loop) {}

  ~Changer() {
    scope_.cancel();
    transports_.clear();
    fleet_.run_for(std::chrono::milliseconds(50));  // their connections close
  }

  void change(uint16_t port) {
    transports_.push_back(connect_to(fleet_.loop, tls_, tcp_, port));
    scope_.spawn(patch(*transports_.back()));
  }
  uint64_t changed = 0;

 private:
  Task<void> patch(kube::HttpTransport& transport) {
    kube::Request request("PATCH", "/apis/example.com/v1/namespaces/default/things/t0");
    request.content_type = "application/merge-patch+json";
    request.body = R"({"spec":{"n":"1"}})";
    const auto answer = co_await transport.send(std::move(request));
    changed += answer && answer->status == 200;
  }

  Fleet& fleet_;
  net::CaresResolver resolver_{fleet_.loop};
  net::TcpConnector tcp_;
  net::TlsContext tls_;
  std::vector<std::unique_ptr<kube::HttpTransport>> transports_;
  TaskScope scope_;
};

// What one process needs, at least, for a fleet of so many clusters.
struct Need {
  size_t files;
  const char* process;
};
Need needed(size_t clusters) {
  if (clusters <= kMostClustersWithObjects) return {kFilesOfServer * clusters + kSpareFiles, "the process that serves them"};
  return {clusters + kChangedClusters + kSpareFiles, "the plane"};
}

// Until `done`, and no longer than the plane is there.
Status wait_for(Fleet& fleet, const PlaneProcess& plane, Duration limit, const char* what, const std::function<std::pair<size_t, size_t>()>& progress) {
  const auto there = [&progress] {
    const auto [done, all] = progress();
    return done >= all;
  };
  const MonoTime until = saturating_add(fleet.loop.now(), limit);
  while (plane.alive() && fleet.loop.now() < until) {
    if (fleet.run_until(there, std::min<Duration>(seconds(1), until - fleet.loop.now()))) return ok();
  }
  const auto [done, all] = progress();
  if (!plane.alive()) return fail(Code::kInternal, "the plane ended when {} of {} {}", done, all, what);
  return fail(Code::kDeadlineExceeded, "after {} only {} of {} {}", format_go_duration(limit), done, all, what);
}

// Changes in clusters all over the fleet, each seen to what the delegate writes for it.
Status changes_arrive(Fleet& fleet, const PlaneProcess& plane, const Counter& counter) {
  Changer changer(fleet);
  const std::vector<uint16_t> ports = fleet.ports();
  const size_t changes = std::min(kChangedClusters, ports.size());
  fleet.loop.post([&] {
    for (size_t i = 0; i < changes; ++i) changer.change(ports[i * ports.size() / changes]);
  });
  GS_TRY_STATUS(wait_for(fleet, plane, kChangeLimit, "changes were answered by a write", [&] { return std::pair<size_t, size_t>(std::min(changer.changed, counter.written), changes); }));
  if (counter.failures > 0) return fail(Code::kInternal, "{} writes of the delegate failed", counter.failures);
  return ok();
}

}  // namespace

Status enough_open_files(const std::vector<size_t>& fleets, size_t open_files) {
  for (const size_t clusters : fleets) {
    const Need need = needed(clusters);
    if (need.files <= open_files) continue;
    return fail(Code::kInvalid,
                "a fleet of {} clusters takes {} open files in {}, and no process may have more than {} here (`ulimit -Hn`). Raise it: `ulimit -Hn {}` as root, "
                "LimitNOFILE= of a systemd unit, --ulimit nofile= of a container. Or measure smaller fleets: GULFSTREAM_BENCH_CLUSTERS=\"{}\"",
                clusters, need.files, need.process, open_files, need.files, (open_files - std::min(open_files, kSpareFiles)) / kFilesOfServer);
  }
  return ok();
}

double idle_cores(const PlaneProcess& plane, Fleet& fleet) {
  constexpr Duration kTime = seconds(20);
  const double before = plane.cpu_seconds();
  const MonoTime begun = fleet.loop.now();
  fleet.run_for(kTime);
  return (plane.cpu_seconds() - before) / to_seconds(fleet.loop.now() - begun);
}

Status large_fleet(const std::string& binary, double alone, size_t clusters, size_t open_files, Figures& out) {
  const auto count = static_cast<double>(clusters);
  const auto add = [&](const char* name, double value, const char* unit) { out.push_back({fmt::format("fleet_{}_{}", name, clusters), value, unit, ""}); };
  Fleet fleet;
  Counter counter(fleet.loop);
  fleet.serve(counter);
  const size_t each = std::min(kMostClustersWithObjects, (open_files - kSpareFiles) / kFilesOfServer);
  GS_TRY_STATUS(fleet.add_processes(binary, clusters, each, kFewObjects));
  fleet.write_config({kThingsController});

  const MonoTime begun = fleet.loop.now();
  PlaneProcess plane(binary, fleet.directory());
  GS_TRY_STATUS(wait_for(fleet, plane, kLargeSyncLimit, "clusters had their key reconciled", [&] { return std::pair(counter.clusters.size(), clusters); }));
  add("sync_seconds", to_seconds(fleet.loop.now() - begun), "s");
  add("keys_reconciled", static_cast<double>(counter.clusters.size()), "");
  fleet.settle(plane);
  add("sync_cpu_seconds", plane.cpu_seconds(), "s");
  add("peak_cluster_bytes", (static_cast<double>(plane.peak_bytes()) - alone) / count, "B");
  fleet.run_for(kIdleTime);
  fleet.settle(plane);
  add("idle_cluster_bytes", (static_cast<double>(plane.resident_bytes()) - alone) / count, "B");
  add("idle_cores", idle_cores(plane, fleet), "cores");
  GS_TRY_STATUS(changes_arrive(fleet, plane, counter));
  add("changes_answered", static_cast<double>(counter.written), "");
  return ok();
}

}  // namespace gs::bench
