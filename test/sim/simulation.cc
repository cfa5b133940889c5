#include "test/sim/simulation.h"

#include <fmt/format.h>

#include <algorithm>

namespace gs::sim {

using std::chrono::milliseconds;
using std::chrono::seconds;

Simulation::Simulation(uint64_t seed) : seed_(seed), random_(seed * 0x9E3779B97F4A7C15ull + 1), world_(seed), net_(world_) {}

Simulation::~Simulation() { planes_.clear(); }

void Simulation::add_planes(const PlaneOptions& options, bool two) {
  PlaneOptions with_hub = options;
  if (two) {
    hub_ = std::make_unique<ClusterHost>(world_, net_, "hub", 7, 1, files_.path);
    with_hub.hub = "hub";
  }
  planes_.push_back(std::make_unique<PlaneHost>(world_, net_, "plane", with_hub));
  if (two) planes_.push_back(std::make_unique<PlaneHost>(world_, net_, "plane-b", with_hub));
}

void Simulation::add_delegate(const test::DelegateOptions& options) {
  const int i = static_cast<int>(delegates_.size());
  delegates_.push_back(std::make_unique<DelegateHost>(world_, net_, i, seed_ + 1 + static_cast<uint64_t>(i), options));
}

void Simulation::add_clusters(size_t count) {
  for (size_t i = 0; i < count; ++i) {
    clusters_.push_back(std::make_unique<ClusterHost>(world_, net_, fmt::format("c{}", i), seed_ * 100 + i, static_cast<int>(delegates_.size()), files_.path));
  }
}

void Simulation::use_http2() {
  http2_ = true;
  net_.set_alpn("h2");
}

void Simulation::begin() {
  for (auto& plane : planes_) plane->apply(desired());
  for (auto& plane : planes_) plane->start();
}

Report Simulation::report() {
  Report out;
  out.seed = seed_;
  out.faults = faults_;
  for (const auto& cluster : clusters_) {
    problems_.insert(cluster->problems.begin(), cluster->problems.end());
    out.writes += cluster->writes;
  }
  for (const auto& delegate : delegates_) {
    problems_.insert(delegate->logic.problems.begin(), delegate->logic.problems.end());
    out.reconciles += delegate->reconciles();
  }
  out.problems.assign(problems_.begin(), problems_.end());
  world_.trace(out.reconciles);
  world_.trace(world_.steps());
  out.hash = world_.trace_hash();
  out.virtual_time = world_.now() - MonoTime(std::chrono::hours(1));
  return out;
}

bool Simulation::may(double chance, const char* name) {
  const bool yes = random_.chance(chance);
  if (yes) faults_ += std::string(" ") + name;
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

control::Desired Simulation::desired() const {
  control::Desired out;
  for (size_t i = 0; i < delegates_.size(); ++i) {
    const int number = static_cast<int>(i);
    const auto spec = control::parse_controller(*json::parse(controller_json(number, generation_)));
    GS_CHECK(spec.has_value());
    out.controllers.push_back({controller_name(number), std::make_shared<const control::ControllerSpec>(*spec), ""});
  }
  for (const auto& cluster : clusters_) out.clusters.push_back(cluster->spec());
  return out;
}

void Simulation::apply(const control::Desired& wanted) {
  for (auto& delegate : delegates_) delegate->logic.forget_writes();
  for (auto& plane : planes_) plane->apply(wanted);
}

PlaneHost* Simulation::leader() {
  const auto found = std::find_if(planes_.begin(), planes_.end(), [](const auto& plane) { return plane->working(); });
  return found == planes_.end() ? nullptr : found->get();
}

void Simulation::change(ClusterHost& cluster, bool gently, bool may_leave) {
  const int thing = any_thing(), secret = static_cast<int>(random_.below(kSecrets));
  const uint64_t what = random_.below(gently ? 5 : 15);
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
  } else if (what == 12) {
    cluster.set_childless(thing, ++number_);
  } else if (what == 13) {
    cluster.plant_child(thing);
  } else if (random_.chance(0.8)) {
    cluster.set_settings(++number_);
  } else {
    cluster.remove(fmt::format("{}/settings", kMapsPath));
  }
}

void Simulation::kill(PlaneHost& plane) {
  plane.kill();
  dead_.insert(&plane);
}

void Simulation::start(PlaneHost& plane) {
  dead_.erase(&plane);
  plane.start();
}

void Simulation::restart(Duration longest_pause, bool busy) {
  for (uint64_t i = random_.below(8); i > 0; --i) workload();
  run_for(random_.between(Duration(0), longest_pause));
  PlaneHost& plane = leader() == nullptr ? any_plane() : *leader();
  kill(plane);
  for (uint64_t i = random_.below(4); i > 0; --i) workload();
  DelegateHost& delegate = any_delegate();
  for (uint64_t i = random_.chance(0.5) ? random_.below(4) : 0; i > 0; --i) {
    delegate.kill();
    delegate.start();
  }
  generation_ += edits_ && random_.chance(0.5);
  run_for(random_.between(milliseconds(1), seconds(40)));
  if (planes_.size() > 1) {
    PlaneHost& other = planes_.front().get() == &plane ? *planes_.back() : *planes_.front();
    for (uint64_t i = random_.below(6); i > 0; --i) workload();
    run_for(random_.between(Duration(0), milliseconds(500)));
    kill(other);
    start(plane);
    run_for(random_.between(seconds(20), seconds(40)));
    start(other);
  } else {
    start(plane);
  }
  for (uint64_t i = busy ? random_.below(6) : 0; i > 0; --i) {
    run_for(random_.between(milliseconds(1), seconds(1)));
    workload();
  }
  apply(desired());
}

void Simulation::heal() {
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
      (*at)->touch(thing, ++number_);
    }
  }
}

}  // namespace gs::sim
