// What all runs of the whole plane from a seed share: their machines on one simulated network, what changes in the clusters,
// deaths and restarts (simulation.cc), and what must hold once the faults have stopped (plane_checks.cc).
#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "test/sim/cluster_host.h"
#include "test/sim/plane_host.h"
#include "test/sim/plane_sim.h"

namespace gs::sim {

class Simulation {
 protected:
  explicit Simulation(uint64_t seed);
  ~Simulation();

  // Before begin(): first the planes, then the clusters; two planes have a hub, and its lease says which one works.
  void add_planes(const PlaneOptions& options, bool two);
  void add_delegate(const test::DelegateOptions& options);
  void add_clusters(size_t count);
  void use_http2();
  void begin();
  // What was found, once check_all() has looked.
  Report report();

  bool may(double chance, const char* name);
  control::Desired desired() const;
  void apply(const control::Desired& wanted);
  void run_for(Duration time);
  void tend();
  ClusterHost& any() { return *clusters_[random_.below(clusters_.size())]; }
  PlaneHost& any_plane() { return *planes_[random_.below(planes_.size())]; }
  DelegateHost& any_delegate() { return *delegates_[random_.below(delegates_.size())]; }
  PlaneHost* leader();
  int any_thing() { return static_cast<int>(random_.below(static_cast<uint64_t>(things_))); }
  DelegateHost& delegate_of(int thing) { return *delegates_[static_cast<size_t>(thing) % delegates_.size()]; }
  size_t hub_connections() const { return hub_ ? planes_.size() : 0; }

  // What people and other controllers do in a cluster: `set` the numbers of Things only, or anything. Some of them take a
  // Thing out of `match`.
  void change(ClusterHost& cluster, bool gently, bool may_leave);
  // As this run has it.
  virtual void workload() = 0;
  void kill(PlaneHost& plane);
  void start(PlaneHost& plane);
  // Changes before the plane that works dies, at most by `longest_pause`, while none or another one works, and, `busy`, while
  // it begins anew.
  void restart(Duration longest_pause, bool busy);
  // The network, the servers and the delegates behave from now on.
  void heal();

  void problem(std::string text) { problems_.insert(std::move(text)); }
  std::string wrong_in(ClusterHost& cluster) const;
  void check_all();
  void check_converges();
  void check_quiet();
  void check_reported();
  void check_alive();
  void check_denied();
  void check_leaks();

  // A cluster without faults, of a plane and a delegate without faults.
  static constexpr Duration kPace = std::chrono::seconds(5);

  // The files that kubeconfigs name.
  struct Files {
    Files();
    ~Files();
    std::string path;
  };
  uint64_t seed_;
  Random random_;
  SimWorld world_;
  net::SimNet net_;
  Files files_;
  std::unique_ptr<ClusterHost> hub_;
  std::vector<std::unique_ptr<DelegateHost>> delegates_;  // one for each Controller
  std::vector<std::unique_ptr<ClusterHost>> clusters_;
  std::vector<std::unique_ptr<PlaneHost>> planes_;
  std::set<const PlaneHost*> dead_;
  std::set<std::string> problems_;
  std::string faults_;
  int things_ = kThings;  // of a cluster
  int generation_ = 1;
  bool http2_ = false;
  bool edits_ = false;
  uint64_t number_ = 0;
};

}  // namespace gs::sim
