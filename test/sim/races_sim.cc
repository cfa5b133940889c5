// Races: one cluster, few keys, and answers and events on slow ways that overtake one another; delegates that think for long
// and read from the cluster or from the cache. Each round a few changes fall into what is under way; then all must become
// what the function says, each time.
#include "test/sim/simulation.h"

namespace gs::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kRounds = 20;

class Races final : public Simulation {
 public:
  explicit Races(uint64_t seed) : Simulation(seed) {
    things_ = 3;
    if (may(0.25, "http2")) use_http2();
    PlaneOptions options;
    options.keeps_state = may(0.3, "state");
    add_planes(options, false);
    test::DelegateOptions delegate;
    if (may(0.75, "ignores-echoes")) delegate.capabilities = {"ignores-echoes"};
    add_delegate(delegate);
    add_clusters(1);
    breaks_ = may(0.5, "watches");
    // Where connections are reset, what was given up then may be served late.
    clusters_[0]->strict_order = !breaks_;
  }

  Report run() {
    begin();
    run_for(seconds(20));
    for (int round = 0; round < kRounds && problems_.empty(); ++round) {
      disturb();
      for (uint64_t i = 1 + random_.below(6); i > 0; --i) {
        workload();
        run_for(random_.between(Duration(0), seconds(1)));
      }
      run_for(random_.between(Duration(0), seconds(5)));
      heal();
      check_converges();
    }
    net_.link(clusters_[0]->host, planes_[0]->host) = net::SimLink();
    check_all();
    return report();
  }

 private:
  void disturb() {
    ClusterHost& cluster = *clusters_[0];
    net_.link(cluster.host, planes_[0]->host).max_latency = random_.between(milliseconds(5), seconds(2));
    LogicRates& rates = delegates_[0]->logic.rates;
    rates.longest_thought = random_.between(milliseconds(20), seconds(1));
    rates.live = random_.chance(0.7) ? 1 : 0.2;
    if (random_.chance(0.5)) cluster.meddling = 0.5;
    rates.hasty = random_.chance(0.2) ? 0.3 : 0;
    if (!breaks_ || random_.chance(0.4)) return;
    // Watches break and begin anew all the time, and what comes and goes meanwhile no list shows.
    apiserver::FaultRates& faults = cluster.faults.rates;
    faults.longest_watch = seconds(3);
    faults.watch_expired = 0.8;
    faults.delay = 0.5;
    faults.no_watch_list = 0.5;
    net_.reset(planes_[0]->host, cluster.host);
  }
  // Mostly what a reconcile reads, and which of them it reads.
  void workload() override {
    ClusterHost& cluster = any();
    const uint64_t what = random_.below(10);
    // A write that was given up may come when its Thing is nobody's any more, and what it made stays.
    const bool may_leave = !breaks_;
    if (what < 2) return change(cluster, false, may_leave);
    if (what < 5) return change(cluster, true, false);
    if (what < 9) return cluster.set_secret(static_cast<int>(random_.below(kSecrets)), ++number_);
    cluster.set_thing(any_thing(), ++number_, 0, false, !may_leave);
  }

  bool breaks_ = false;
};

}  // namespace

Report run_races(uint64_t seed) {
  Races races(seed);
  return races.run();
}

}  // namespace gs::sim
