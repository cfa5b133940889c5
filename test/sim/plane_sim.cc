// Faults of every kind, or of one bad cluster only.
#include <fmt/format.h>

#include "test/sim/simulation.h"

namespace gs::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

class Chaos final : public Simulation {
 public:
  explicit Chaos(uint64_t seed);
  Report run();

 private:
  PlaneOptions choose_plane();
  void choose_faults();
  void choose_delegates();
  // With one bad cluster, that is the last.
  ClusterHost& victim() { return one_bad_cluster_ ? *clusters_.back() : any(); }
  void workload() override;
  void mischief();
  void trouble_network();
  void trouble_leader();
  void rotate(ClusterHost& cluster);
  void death();
  void check_pace();

  bool one_bad_cluster_ = false, fleet_ = false;
  bool network_ = false, deaths_ = false, tokens_ = false, token_files_ = false, clock_ = false;
};

Chaos::Chaos(uint64_t seed) : Simulation(seed) {
  one_bad_cluster_ = random_.chance(0.4);
  fleet_ = may(0.08, "fleet");
  const int controllers = random_.chance(0.5) ? 1 : 1 + static_cast<int>(random_.below(3));
  if (may(0.6, "http2")) use_http2();
  const PlaneOptions plane = choose_plane();
  add_planes(plane, may(0.25, "two-planes"));
  for (int i = 0; i < controllers; ++i) {
    test::DelegateOptions options;
    // What one bad cluster holds, or a fleet needs, is more than a delegate of few can bear.
    if (!one_bad_cluster_ && !fleet_ && random_.chance(0.3)) options.max_in_flight = 3;
    if (random_.chance(0.2)) options.capabilities = {"ignores-echoes"};
    add_delegate(options);
  }
  add_clusters(fleet_ ? 20 + random_.below(31) : 2 + random_.below(3));
  choose_faults();
}

Report Chaos::run() {
  begin();
  // A little while in peace, chaos, and peace again.
  if (one_bad_cluster_) run_for(seconds(20));
  const MonoTime end = world_.now() + (fleet_ ? random_.between(minutes(1), minutes(4)) : random_.between(minutes(3), minutes(20)));
  while (world_.now() < end) {
    run_for(random_.between(milliseconds(1), fleet_ ? milliseconds(400) : milliseconds(4000)));
    workload();
    if (random_.chance(0.3)) mischief();
  }
  // The last that happens: nothing comes after that would hide what the restart has missed.
  if (deaths_ && !one_bad_cluster_) restart(seconds(1), false);
  heal();
  check_all();
  check_pace();
  return report();
}

PlaneOptions Chaos::choose_plane() {
  PlaneOptions options;
  options.keeps_state = may(0.5, "state");
  if (random_.chance(0.3)) options.queue.cluster_cap = 2;
  if (!one_bad_cluster_ && !fleet_ && random_.chance(0.3)) options.queue.controller_cap = 4;
  if (random_.chance(0.4)) options.page_size = 2;
  if (seed_ % 2 == 1) options.writes_on_watches = 0;
  return options;
}

void Chaos::choose_faults() {
  if (one_bad_cluster_) faults_ += " one-bad-cluster";
  const bool slow = may(0.5, "delay"), busy = may(0.4, "429"), broken = may(0.4, "5xx"), expired = may(0.4, "410"), plain = may(0.4, "no-watchlist");
  const bool cut = may(0.4, "lost-answers"), stale = may(0.4, "stale"), watches = may(0.6, "watches"), late = may(0.4, "lagging-watches");
  for (auto& cluster : clusters_) {
    if (one_bad_cluster_ && cluster != clusters_.back()) continue;
    apiserver::FaultRates& rates = cluster->faults.rates;
    if (slow) rates.delay = 0.2;
    if (busy) rates.too_many_requests = 0.15;
    if (broken) rates.unavailable = 0.15;
    if (expired) rates.expired = 0.2;
    if (plain) rates.no_watch_list = 0.7;
    if (cut) rates.answer_cut = 0.08;
    if (cut) rates.answer_never = 0.04;
    if (stale) rates.stale = 0.3;
    if (watches) rates.watch_silent = rates.watch_cut = rates.watch_expired = 0.3;
    if (late) rates.watch_late = 0.5;
  }
  network_ = may(0.6, "network");
  for (auto& cluster : clusters_) cluster->strict_order = !network_;
  deaths_ = may(0.5, "deaths");
  tokens_ = may(0.3, "tokens");
  token_files_ = random_.chance(0.5);
  clock_ = may(0.3, "clock");
  edits_ = may(0.2, "edits");
  const bool meddled = may(0.3, "meddlers");
  for (auto& cluster : clusters_) cluster->meddling = meddled && !(one_bad_cluster_ && cluster != clusters_.back()) ? 0.1 : 0;
  if (tokens_) {
    for (auto& cluster : clusters_) cluster->rotate("first", token_files_);
  }
  choose_delegates();
}

void Chaos::choose_delegates() {
  const bool slowly = !one_bad_cluster_ && !fleet_ && may(0.3, "slow-delegates");
  const bool fails = may(0.4, "failures"), hangs = may(0.3, "hangs"), refused = may(0.5, "refused"), later = may(0.3, "later"), lies = may(0.3, "lies"),
             hasty = !one_bad_cluster_ && may(0.3, "hasty");
  for (auto& delegate : delegates_) {
    LogicRates& rates = delegate->logic.rates;
    if (slowly) rates.longest_thought = seconds(2);
    if (fails) rates.fail = 0.1;
    if (hangs) rates.hang = 0.02;
    if (refused) rates.refused = 0.15;
    if (later) rates.later = 0.1;
    if (hasty) rates.hasty = 0.2;
    if (lies && !one_bad_cluster_) rates.lie = 0.05;
    if (one_bad_cluster_) delegate->logic.hangs_only_in = clusters_.back()->host;
  }
}

void Chaos::workload() {
  ClusterHost& cluster = any();
  const bool spared = one_bad_cluster_ && &cluster != clusters_.back().get();
  // What leaves `match` while nobody looks is not known afterwards.
  change(cluster, spared, !spared && !deaths_ && !tokens_ && !edits_ && planes_.size() == 1);
}

void Chaos::mischief() {
  const uint64_t what = random_.below(12);
  if (what < 6 && network_) return trouble_network();
  if (what == 6 && clock_) return world_.jump_wall_clock(random_.between(Duration(0), std::chrono::hours(2)) - std::chrono::hours(1));
  if (what == 7 && tokens_) return rotate(victim());
  if (what == 8) return victim().server.store().compact();
  if (what == 9 && deaths_) return death();
  if (what == 10 && edits_) {
    ++generation_;
    return apply(desired());
  }
  if (what == 11 && planes_.size() > 1) trouble_leader();
}

void Chaos::trouble_network() {
  // Of what all clusters share only the delegates' own links; spared where others must keep their pace.
  const std::string peer = !one_bad_cluster_ && random_.chance(0.3) ? any_delegate().host : victim().host;
  const std::string plane = any_plane().host;
  switch (random_.below(5)) {
    case 0: return net_.partition(plane, peer, random_.between(milliseconds(10), seconds(90)));
    case 1: return net_.reset(plane, peer);
    case 2: return random_.chance(0.5) ? net_.half_close(plane, peer) : net_.half_close(peer, plane);
    case 3:
      net_.blackhole(plane, peer);
      run_for(random_.between(milliseconds(1), seconds(60)));
      return net_.heal(plane, peer);
    default: net_.link(plane, peer).reset_probability = random_.chance(0.5) ? 0.02 : 0;
  }
}

// The way to the hub, for as long as a lease lasts or not.
void Chaos::trouble_leader() {
  const std::string plane = any_plane().host;
  switch (random_.below(3)) {
    case 0: return net_.partition(plane, "hub", random_.between(seconds(1), seconds(40)));
    case 1: return net_.reset(plane, "hub");
    default: hub_->faults.rates.unavailable = random_.chance(0.5) ? 0.5 : 0;
  }
}

void Chaos::rotate(ClusterHost& cluster) {
  cluster.rotate(fmt::format("token-{}", ++number_), token_files_);
  run_for(random_.between(milliseconds(1), seconds(30)));
  if (!token_files_) apply(desired());
}

void Chaos::death() {
  const Duration dead_for = random_.between(milliseconds(1), seconds(60));
  const uint64_t who = one_bad_cluster_ ? 2 : random_.below(3);
  if (who == 0) {
    PlaneHost& plane = any_plane();
    kill(plane);
    run_for(dead_for);
    // Changes that it does not see.
    for (uint64_t i = random_.below(4); i > 0; --i) workload();
    start(plane);
    for (uint64_t i = random_.below(6); i > 0; --i) {
      run_for(random_.between(milliseconds(1), seconds(1)));
      workload();
    }
  } else if (who == 1) {
    DelegateHost& delegate = any_delegate();
    delegate.kill();
    run_for(dead_for);
    delegate.start();
  } else {
    ClusterHost& cluster = victim();
    cluster.kill();
    run_for(dead_for);
    cluster.start();
  }
}

void Chaos::check_pace() {
  if (!one_bad_cluster_) return;
  // Random failures of the delegate itself cost backoff everywhere.
  const bool failed = faults_.find("failures") != std::string::npos || faults_.find("later") != std::string::npos;
  // An edited Controller begins anew, and lists that the bad cluster does not answer hold their places for a while.
  const Duration bound = failed || planes_.size() > 1 ? Duration(minutes(20)) : edits_ ? Duration(seconds(40)) : kPace;
  for (size_t i = 0; i + 1 < clusters_.size(); ++i) {
    for (const auto& [thing, time] : clusters_[i]->slowest) {
      if (time > bound) problem(fmt::format("{}, which is well, waited {} for {}", clusters_[i]->host, format_go_duration(time), thing));
    }
  }
}

}  // namespace

Report run_plane(uint64_t seed) {
  Chaos chaos(seed);
  return chaos.run();
}

}  // namespace gs::sim
