// Days of a plane whose Things, clusters and Controllers come and go, all under names that were never there before: what
// it keeps is bounded by what there is, not by what there was.
#include <fmt/format.h>
#include <malloc.h>

#include "net/sim_net.h"
#include "test/sim/cluster_host.h"
#include "test/sim/plane_host.h"
#include "test/sim/plane_sim.h"

namespace gs::sim {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr int kClusters = 2;
// What a leak of anything that comes with each of the thousands of Things, or the hundreds of attachments, would exceed.
constexpr size_t kAllowedGrowth = 64 * 1024;

class Days {
 public:
  explicit Days(uint64_t seed) : world_(seed), net_(world_), delegate_(world_, net_, 0, seed, test::DelegateOptions()), plane_(world_, net_, "plane", options()) {
    net_.set_alpn("h2");
    for (int i = 0; i < kClusters; ++i) clusters_.push_back(std::make_unique<ClusterHost>(world_, net_, fmt::format("c{}", i), seed * 100 + static_cast<uint64_t>(i), 1, ""));
    report.seed = seed;
    plane_.apply(wanted());
    plane_.start();
  }

  void run() {
    live_for(hours(6));
    const size_t before = used();
    live_for(hours(24));
    const size_t after = used();
    if (after > before + kAllowedGrowth) report.problems.push_back(fmt::format("in a day the memory in use has grown by {} bytes", after - before));
    report.reconciles = delegate_.reconciles();
    report.problems.insert(report.problems.end(), delegate_.logic.problems.begin(), delegate_.logic.problems.end());
    world_.trace(world_.steps());
    report.hash = world_.trace_hash();
    report.virtual_time = world_.now() - MonoTime(hours(1));
  }

  Report report;

 private:
  static PlaneOptions options() {
    PlaneOptions out;
    out.keeps_state = true;
    return out;
  }
  control::Desired wanted() {
    control::Desired out;
    const auto spec = control::parse_controller(*json::parse(controller_json(0, generation_)));
    GS_CHECK(spec.has_value());
    out.controllers.push_back({controller_name(0), std::make_shared<const control::ControllerSpec>(*spec), ""});
    for (const auto& cluster : clusters_) out.clusters.push_back(cluster->spec());
    return out;
  }
  void live_for(Duration time) {
    const MonoTime end = world_.now() + time;
    for (int round = 0; world_.now() < end; ++round) {
      for (const auto& cluster : clusters_) {
        for (int i = 0; i < 4; ++i) cluster->set_thing(next_++, 1, round, i % 2 == 0, true);
      }
      world_.run_for(minutes(2));
      // A token that changes is another cluster to the engine.
      if (round % 4 == 1) clusters_[0]->rotate(fmt::format("token-{}", round), false);
      if (round % 8 == 3) ++generation_;
      plane_.apply(wanted());
      world_.run_for(minutes(1));
      for (const auto& cluster : clusters_) cluster->remove(kThingsPath);
      world_.run_for(minutes(3));
      for (const auto& cluster : clusters_) {
        if (const std::string wrong = judge(cluster->server, cluster->host, {{controller_name(0), &delegate_.logic}}); !wrong.empty()) report.problems.push_back(wrong);
        cluster->forget();
      }
      delegate_.logic.forget();
    }
  }
  // Once streams and connections are idle, and nothing is there.
  size_t used() {
    world_.run_for(minutes(20));
    return ::mallinfo2().uordblks;
  }

  SimWorld world_;
  net::SimNet net_;
  DelegateHost delegate_;
  std::vector<std::unique_ptr<ClusterHost>> clusters_;
  PlaneHost plane_;
  int generation_ = 1;
  int next_ = 0;
};

}  // namespace

Report run_days(uint64_t seed) {
  Days days(seed);
  days.run();
  return std::move(days.report);
}

}  // namespace gs::sim
