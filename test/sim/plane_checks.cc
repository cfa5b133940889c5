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
// After so long a cluster that does not answer is known to be away, also where its watches end in silence.
constexpr Duration kSilence = minutes(6);

}  // namespace

Simulation::Files::Files() {
  std::string name = std::filesystem::temp_directory_path() / "gulfstream-sim-XXXXXX";
  GS_CHECK(::mkdtemp(name.data()) != nullptr);
  path = name;
}
Simulation::Files::~Files() { std::filesystem::remove_all(path); }

std::string Simulation::wrong_in(ClusterHost& cluster) const {
  std::map<std::string, const Logic*> deciders;
  for (size_t i = 0; i < delegates_.size(); ++i) deciders[controller_name(static_cast<int>(i))] = &delegates_[i]->logic;
  return judge(cluster.server, cluster.host, deciders);
}

void Simulation::check_all() {
  check_converges();
  if (problems_.empty()) check_quiet();
  if (problems_.empty()) check_alive();
  if (problems_.empty()) check_reported();
  check_denied();
  check_leaks();
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

// What the plane says of its pairs and clusters is so: while all is well, and of one that is away.
void Simulation::check_reported() {
  const auto says = [this](const char* when, size_t ready) {
    PlaneHost* plane = leader();
    if (plane == nullptr) return problem(fmt::format("{} no plane works", when));
    const control::Report said = plane->engine()->report();
    for (const auto& [name, controller] : said.controllers) {
      if (controller.desired == clusters_.size() && controller.ready == ready) continue;
      problem(fmt::format("{} {} is said to be ready in {} of {} clusters, and is in {} of {}", when, name, controller.ready, controller.desired, ready, clusters_.size()));
    }
    const auto reachable = std::count_if(said.clusters.begin(), said.clusters.end(), [](const auto& entry) { return entry.second.reachable; });
    if (static_cast<size_t>(reachable) != ready) problem(fmt::format("{} {} clusters are said to be reachable, and {} are", when, reachable, ready));
  };
  says("while all is well", clusters_.size());
  ClusterHost& cluster = *clusters_.back();
  cluster.kill();
  run_for(kSilence);
  says("while one cluster is away", clusters_.size() - 1);
  cluster.start();
  run_for(minutes(3));
  says("when it is back", clusters_.size());
}

// What has healed works as if nothing had been.
void Simulation::check_alive() {
  for (const auto& cluster : clusters_) {
    for (int i = 0; i < things_; ++i) cluster->set_thing(i, ++number_, i % kSecrets, i % 2 == 0, true);
  }
  run_for(kPace);
  for (const auto& cluster : clusters_) {
    if (cluster->unanswered() > 0) problem(fmt::format("{}: {} changes are not reconciled within {}, long after the last fault", cluster->host, cluster->unanswered(), format_go_duration(kPace)));
  }
  check_converges();
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
