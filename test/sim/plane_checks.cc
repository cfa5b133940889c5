// What must hold once the faults have stopped.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/check.h"
#include "test/sim/simulation.h"

namespace gs::sim {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

// After the last fault: backoffs of keys reach 1000 s.
constexpr Duration kHealingTime = minutes(45);
// A cluster without faults, of a plane and a delegate without faults.
constexpr Duration kPace = seconds(5);

}  // namespace

Simulation::Files::Files() {
  std::string name = std::filesystem::temp_directory_path() / "gulfstream-sim-XXXXXX";
  GS_CHECK(::mkdtemp(name.data()) != nullptr);
  path = name;
}
Simulation::Files::~Files() { std::filesystem::remove_all(path); }

std::string Simulation::wrong_in(ClusterHost& cluster) const {
  std::map<std::string, const Logic*> deciders;
  for (int i = 0; i < controllers_; ++i) deciders[controller_name(i)] = &delegates_[static_cast<size_t>(i)]->logic;
  return judge(cluster.server, cluster.host, deciders);
}

void Simulation::check_all() {
  check_converges();
  if (problems_.empty()) check_quiet();
  if (problems_.empty()) check_alive();
  check_pace();
  check_denied();
  check_leaks();
  for (const auto& cluster : clusters_) {
    problems_.insert(cluster->problems.begin(), cluster->problems.end());
    report_.writes += cluster->writes;
  }
  for (const auto& delegate : delegates_) {
    problems_.insert(delegate->logic.problems.begin(), delegate->logic.problems.end());
    report_.reconciles += delegate->reconciles();
  }
  report_.problems.assign(problems_.begin(), problems_.end());
  world_.trace(report_.reconciles);
  world_.trace(world_.steps());
}

void Simulation::check_converges() {
  const MonoTime until = world_.now() + kHealingTime;
  const auto well = [&] { return std::all_of(clusters_.begin(), clusters_.end(), [&](const auto& c) { return wrong_in(*c).empty(); }); };
  while (world_.now() < until && !well()) run_for(seconds(1));
  for (const auto& cluster : clusters_) {
    const std::string wrong = wrong_in(*cluster);
    if (!wrong.empty()) problem(fmt::format("{} did not converge: {}", cluster->host, wrong));
  }
}

// Once all is right nothing is written any more, and it stays right.
void Simulation::check_quiet() {
  run_for(minutes(30));
  uint64_t before = 0, after = 0;
  for (const auto& cluster : clusters_) before += cluster->writes;
  run_for(minutes(10));
  for (const auto& cluster : clusters_) after += cluster->writes;
  if (before != after) problem(fmt::format("{} writes although nothing changed", after - before));
  check_converges();
  // A cluster's watches (in HTTP/1.1 one connection for each, and one to look at its health), the lease, and nothing else.
  const size_t needed = clusters_.size() * (http2_ ? 1 : 5) + hub_connections();
  if (net_.connections() > needed) problem(fmt::format("{} connections are open where {} are needed", net_.connections(), needed));
}

// What has healed works as if nothing had been.
void Simulation::check_alive() {
  for (const auto& cluster : clusters_) {
    for (int i = 0; i < kThings; ++i) cluster->set_thing(i, ++number_, i % kSecrets, i % 2 == 0, true);
  }
  run_for(kPace);
  for (const auto& cluster : clusters_) {
    if (cluster->unanswered() > 0) problem(fmt::format("{}: {} changes are not reconciled within {}, long after the last fault", cluster->host, cluster->unanswered(), format_go_duration(kPace)));
  }
  check_converges();
}

void Simulation::check_pace() {
  if (!one_bad_cluster_) return;
  // Random failures of the delegate itself cost backoff everywhere.
  const bool failed = report_.faults.find("failures") != std::string::npos || report_.faults.find("later") != std::string::npos;
  // An edited Controller begins anew, and lists that the bad cluster does not answer hold their places for a while.
  const Duration bound = failed || planes_.size() > 1 ? Duration(minutes(20)) : edits_ ? Duration(seconds(40)) : kPace;
  for (size_t i = 0; i + 1 < clusters_.size(); ++i) {
    for (const auto& [thing, time] : clusters_[i]->slowest) {
      if (time > bound) problem(fmt::format("{}, which is well, waited {} for {}", clusters_[i]->host, format_go_duration(time), thing));
    }
  }
}

// What was said not to have been done was not done.
void Simulation::check_denied() {
  for (const auto& delegate : delegates_) {
    for (const auto& [name, manager] : delegate->logic.denied()) {
      const auto cluster = std::find_if(clusters_.begin(), clusters_.end(), [&, &host = name](const auto& c) { return c->host == host; });
      if ((*cluster)->has_served(manager)) problem(fmt::format("{}: the write {} was carried out, and its delegate was told that it was not", name, manager));
    }
  }
}

void Simulation::check_leaks() {
  run_for(minutes(1));
  for (auto& plane : planes_) {
    if (plane->working() && plane->engine()->in_flight() != 0) problem(fmt::format("{} reconciles are in flight although all is quiet", plane->engine()->in_flight()));
  }
  const control::Desired nothing;
  apply(nothing);
  run_for(minutes(10));
  for (auto& plane : planes_) {
    if (plane->working() && plane->engine()->pairs() != 0) problem(fmt::format("{} pairs are left of no Controller", plane->engine()->pairs()));
  }
  for (const auto& cluster : clusters_) {
    if (cluster->server.handler().open_watches() != 0) problem(cluster->host + ": watches are left open");
  }
  for (const auto& delegate : delegates_) {
    if (!delegate->server->sessions().empty()) problem("sessions are left open");
  }
  if (net_.connections() > hub_connections()) problem(fmt::format("{} connections are left open", net_.connections()));
}

}  // namespace gs::sim
