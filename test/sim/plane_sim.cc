#include "test/sim/plane_sim.h"

#include <fmt/format.h>

#include <algorithm>

#include "test/sim/simulation.h"

namespace gs::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

}  // namespace

Simulation::Simulation(uint64_t seed) : random_(seed * 0x9E3779B97F4A7C15ull + 1), world_(seed), net_(world_) {
  report_.seed = seed;
  one_bad_cluster_ = random_.chance(0.4);
  fleet_ = may(0.08, "fleet");
  controllers_ = random_.chance(0.5) ? 1 : 1 + static_cast<int>(random_.below(3));
  http2_ = may(0.6, "http2");
  if (http2_) net_.set_alpn("h2");
  choose_plane();
  for (int i = 0; i < controllers_; ++i) {
    test::DelegateOptions options;
    // What one bad cluster holds, or a fleet needs, is more than a delegate of few can bear.
    if (!one_bad_cluster_ && !fleet_ && random_.chance(0.3)) options.max_in_flight = 3;
    if (random_.chance(0.2)) options.capabilities = {"ignores-echoes"};
    delegates_.push_back(std::make_unique<DelegateHost>(world_, net_, i, seed + 1 + static_cast<uint64_t>(i), options));
  }
  const size_t clusters = fleet_ ? 20 + random_.below(31) : 2 + random_.below(3);
  for (size_t i = 0; i < clusters; ++i) {
    clusters_.push_back(std::make_unique<ClusterHost>(world_, net_, fmt::format("c{}", i), seed * 100 + i, controllers_, files_.path));
  }
  choose_faults();
}

Simulation::~Simulation() { planes_.clear(); }

Report Simulation::run() {
  for (auto& plane : planes_) plane->apply(desired());
  for (auto& plane : planes_) plane->start();
  // A little while in peace, chaos, and peace again.
  if (one_bad_cluster_) run_for(seconds(20));
  const MonoTime end = world_.now() + (fleet_ ? random_.between(minutes(1), minutes(4)) : random_.between(minutes(3), minutes(20)));
  while (world_.now() < end) {
    run_for(random_.between(milliseconds(1), fleet_ ? milliseconds(400) : milliseconds(4000)));
    workload();
    if (random_.chance(0.3)) mischief();
  }
  heal();
  check_all();
  report_.hash = world_.trace_hash();
  report_.virtual_time = world_.now() - MonoTime(std::chrono::hours(1));
  return std::move(report_);
}

bool Simulation::may(double chance, const char* name) {
  const bool yes = random_.chance(chance);
  if (yes) report_.faults += std::string(" ") + name;
  return yes;
}

// Time goes on; a plane whose process ended is started again, as a kubelet does it.
void Simulation::run_for(Duration time) {
  const MonoTime until = world_.now() + time;
  while (world_.now() < until) {
    world_.run_for(std::min(until - world_.now(), Duration(seconds(1))));
    tend();
  }
}

void Simulation::tend() {
  size_t working = 0;
  for (const auto& plane : planes_) {
    working += plane->working();
    if (plane->ended() && !dead_.contains(plane.get())) {
      plane->kill();
      plane->start();
    }
  }
  if (working > 1) problem("two planes work at once");
}

void Simulation::choose_plane() {
  PlaneOptions options;
  options.keeps_state = may(0.5, "state");
  const bool two = may(0.25, "two-planes");
  if (two) {
    hub_ = std::make_unique<ClusterHost>(world_, net_, "hub", 7, 1, files_.path);
    options.hub = "hub";
  }
  if (random_.chance(0.3)) options.queue.cluster_cap = 2;
  if (!one_bad_cluster_ && !fleet_ && random_.chance(0.3)) options.queue.controller_cap = 4;
  if (random_.chance(0.4)) options.page_size = 2;
  planes_.push_back(std::make_unique<PlaneHost>(world_, net_, "plane", options));
  if (two) planes_.push_back(std::make_unique<PlaneHost>(world_, net_, "plane-b", options));
}

void Simulation::choose_faults() {
  if (one_bad_cluster_) report_.faults += " one-bad-cluster";
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
  const bool meddled = may(0.3, "meddlers"), slowly = !one_bad_cluster_ && !fleet_ && may(0.3, "slow-delegates");
  for (auto& cluster : clusters_) cluster->meddling = meddled && !(one_bad_cluster_ && cluster != clusters_.back()) ? 0.1 : 0;
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
  if (tokens_) {
    for (auto& cluster : clusters_) cluster->rotate("first", token_files_);
  }
}

control::Desired Simulation::desired() const {
  control::Desired out;
  for (int i = 0; i < controllers_; ++i) {
    const auto spec = control::parse_controller(*json::parse(controller_json(i, generation_)));
    GS_CHECK(spec.has_value());
    out.controllers.push_back({controller_name(i), std::make_shared<const control::ControllerSpec>(*spec), ""});
  }
  for (const auto& cluster : clusters_) out.clusters.push_back(cluster->spec());
  return out;
}

void Simulation::apply(const control::Desired& wanted) {
  for (auto& delegate : delegates_) delegate->logic.forget_writes();
  for (auto& plane : planes_) plane->apply(wanted);
}

void Simulation::workload() {
  ClusterHost& cluster = any();
  const int thing = static_cast<int>(random_.below(kThings)), secret = static_cast<int>(random_.below(kSecrets));
  const bool spared = one_bad_cluster_ && &cluster != clusters_.back().get();
  // What leaves `match` while nobody looks is not known afterwards.
  const bool may_leave = !spared && !deaths_ && !tokens_ && !edits_ && planes_.size() == 1;
  const uint64_t what = random_.below(spared ? 5 : 13);
  if (what < 5) {
    cluster.set_thing(thing, ++number_, secret, thing % 2 == 0, !may_leave || random_.chance(0.9));
  } else if (what < 7) {
    cluster.remove(fmt::format("{}/t{}", kThingsPath, thing));
  } else if (what == 7) {
    cluster.set_secret(secret, ++number_);
  } else if (what == 8) {
    cluster.remove(fmt::format("{}/t{}", kMapsPath, thing));
  } else if (what == 9) {
    cluster.touch_child(thing);
  } else if (what == 10) {
    cluster.remove(fmt::format("{}/s-{}", kSecretsPath, secret));
  } else if (what == 11) {
    delegate_of(thing).logic.change_outside(cluster.host, fmt::format("t{}", thing));
  } else if (random_.chance(0.8)) {
    cluster.set_settings(++number_);
  } else {
    cluster.remove(fmt::format("{}/settings", kMapsPath));
  }
}

void Simulation::mischief() {
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

PlaneHost& Simulation::any_plane() { return *planes_[random_.below(planes_.size())]; }

void Simulation::trouble_network() {
  // Of what all clusters share only the delegates' own links; spared where others must keep their pace.
  const std::string peer = !one_bad_cluster_ && random_.chance(0.3) ? delegates_[random_.below(delegates_.size())]->host : victim().host;
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
void Simulation::trouble_leader() {
  const std::string plane = any_plane().host;
  switch (random_.below(3)) {
    case 0: return net_.partition(plane, "hub", random_.between(seconds(1), seconds(40)));
    case 1: return net_.reset(plane, "hub");
    default: hub_->faults.rates.unavailable = random_.chance(0.5) ? 0.5 : 0;
  }
}

void Simulation::rotate(ClusterHost& cluster) {
  cluster.rotate(fmt::format("token-{}", ++number_), token_files_);
  run_for(random_.between(milliseconds(1), seconds(30)));
  if (!token_files_) apply(desired());
}

void Simulation::death() {
  const Duration dead_for = random_.between(milliseconds(1), seconds(60));
  const uint64_t who = one_bad_cluster_ ? 2 : random_.below(3);
  if (who == 0) {
    PlaneHost& plane = any_plane();
    plane.kill();
    dead_.insert(&plane);
    run_for(dead_for);
    // Changes that it does not see.
    for (uint64_t i = random_.below(4); i > 0; --i) workload();
    dead_.erase(&plane);
    plane.start();
    for (uint64_t i = random_.below(6); i > 0; --i) {
      run_for(random_.between(milliseconds(1), seconds(1)));
      workload();
    }
  } else if (who == 1) {
    DelegateHost& delegate = *delegates_[random_.below(delegates_.size())];
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

// The last that happens: changes while no plane runs, or another leads for a while; nothing comes after that would hide what
// the restart has missed.
void Simulation::last_restart() {
  for (uint64_t i = random_.below(8); i > 0; --i) workload();
  run_for(random_.between(Duration(0), seconds(1)));
  const auto leader = std::find_if(planes_.begin(), planes_.end(), [](const auto& plane) { return plane->working(); });
  PlaneHost& plane = leader == planes_.end() ? any_plane() : **leader;
  plane.kill();
  dead_.insert(&plane);
  for (uint64_t i = random_.below(4); i > 0; --i) workload();
  DelegateHost& delegate = *delegates_[random_.below(delegates_.size())];
  for (uint64_t i = random_.below(4); i > 0; --i) {
    delegate.kill();
    delegate.start();
  }
  generation_ += edits_ && random_.chance(0.5);
  run_for(random_.between(milliseconds(1), seconds(40)));
  if (planes_.size() > 1) {
    PlaneHost& other = planes_.front().get() == &plane ? *planes_.back() : *planes_.front();
    for (uint64_t i = random_.below(6); i > 0; --i) workload();
    run_for(random_.between(Duration(0), milliseconds(500)));
    other.kill();
    dead_.insert(&other);
    plane.start();
    run_for(random_.between(seconds(20), seconds(40)));
    dead_.erase(&other);
    other.start();
  } else {
    plane.start();
  }
  dead_.clear();
  apply(desired());
}

void Simulation::heal() {
  if (deaths_ && !one_bad_cluster_) last_restart();
  for (auto& plane : planes_) {
    for (const auto& cluster : clusters_) {
      cluster->faults.rates = {};
      cluster->meddling = 0;
      net_.link(plane->host, cluster->host).reset_probability = 0;
      net_.heal(plane->host, cluster->host);
    }
    for (const auto& delegate : delegates_) {
      net_.link(plane->host, delegate->host).reset_probability = 0;
      net_.heal(plane->host, delegate->host);
    }
    if (hub_) net_.heal(plane->host, "hub");
  }
  if (hub_) hub_->faults.rates = {};
  for (const auto& delegate : delegates_) {
    delegate->logic.rates = {};
    // Of what no stream could be told the delegate has said nothing yet.
    for (const auto& [name, thing] : delegate->logic.pending()) {
      const auto at = std::find_if(clusters_.begin(), clusters_.end(), [&host = name](const auto& c) { return c->host == host; });
      (*at)->touch(thing);
    }
  }
}

Report run_plane(uint64_t seed) {
  Simulation simulation(seed);
  return simulation.run();
}

}  // namespace gs::sim
