// Restarts: one plane or two, few keys, and a state file. Each round something changes just before the plane that works dies,
// while it is dead or another leads, and while it reads its file; then all must become what the function says, each time.
#include "test/sim/simulation.h"

namespace gs::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kRounds = 8;

class Restarts final : public Simulation {
 public:
  explicit Restarts(uint64_t seed) : Simulation(seed) {
    things_ = 3;
    if (may(0.5, "http2")) use_http2();
    PlaneOptions options;
    options.keeps_state = true;
    add_planes(options, may(0.4, "two-planes"));
    for (uint64_t i = 1 + random_.below(2); i > 0; --i) add_delegate(test::DelegateOptions());
    add_clusters(1 + random_.below(2));
    edits_ = may(0.3, "edits");
  }

  Report run() {
    begin();
    for (int round = 0; round < kRounds && problems_.empty(); ++round) {
      // Until every record is that of an attempt which changed nothing.
      run_for(random_.between(seconds(30), seconds(60)));
      const bool fails = random_.chance(0.4), later = random_.chance(0.4);
      for (auto& delegate : delegates_) {
        delegate->logic.rates.longest_thought = random_.between(milliseconds(20), seconds(1));
        delegate->logic.rates.fail = fails ? 1 : 0;
        delegate->logic.rates.later = later ? 0.5 : 0;
      }
      // While attempts are under way, or when what has failed waits for its time.
      restart(fails ? seconds(20) : milliseconds(500), random_.chance(0.4));
      heal();
      check_converges();
    }
    check_all();
    return report();
  }

 private:
  // Often what shows nowhere in the cluster, or in nothing that the delegate reads: only the plane can know of it after a restart.
  void workload() override {
    ClusterHost& cluster = any();
    const int thing = any_thing();
    const uint64_t what = random_.below(13);
    if (what < 4) return change(cluster, false, false);
    if (what < 7) return delegate_of(thing).logic.change_outside(cluster.host, "t" + std::to_string(thing));
    if (what < 8) return cluster.set_childless(thing, ++number_);
    if (what < 10) return cluster.plant_child(thing);
    if (what < 11) return cluster.set_settings(++number_);
    cluster.set_secret(static_cast<int>(random_.below(kSecrets)), ++number_);
  }
};

}  // namespace

Report run_restarts(uint64_t seed) {
  Restarts restarts(seed);
  return restarts.run();
}

}  // namespace gs::sim
