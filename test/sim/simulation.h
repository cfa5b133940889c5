// One run of the whole plane from a seed (plane_sim.cc), and what is checked once its faults have stopped (plane_checks.cc).
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
 public:
  explicit Simulation(uint64_t seed);
  ~Simulation();
  Report run();

 private:
  // The files that kubeconfigs name.
  struct Files {
    Files();
    ~Files();
    std::string path;
  };

  bool may(double chance, const char* name);
  void choose_plane();
  void choose_faults();
  control::Desired desired() const;
  void apply(const control::Desired& wanted);
  void run_for(Duration time);
  void tend();
  ClusterHost& any() { return *clusters_[random_.below(clusters_.size())]; }
  // With one bad cluster, that is the last.
  ClusterHost& victim() { return one_bad_cluster_ ? *clusters_.back() : any(); }
  PlaneHost& any_plane();
  DelegateHost& delegate_of(int thing) { return *delegates_[static_cast<size_t>(thing % controllers_)]; }
  size_t hub_connections() const { return hub_ ? planes_.size() : 0; }

  void workload();
  void mischief();
  void trouble_network();
  void trouble_leader();
  void rotate(ClusterHost& cluster);
  void death();
  void last_restart();
  void heal();

  void problem(std::string text) { problems_.insert(std::move(text)); }
  std::string wrong_in(ClusterHost& cluster) const;
  void check_all();
  void check_converges();
  void check_quiet();
  void check_pace();
  void check_alive();
  void check_denied();
  void check_leaks();

  Random random_;
  SimWorld world_;
  net::SimNet net_;
  Files files_;
  std::unique_ptr<ClusterHost> hub_;
  std::vector<std::unique_ptr<DelegateHost>> delegates_;
  std::vector<std::unique_ptr<ClusterHost>> clusters_;
  std::vector<std::unique_ptr<PlaneHost>> planes_;
  std::set<const PlaneHost*> dead_;
  std::set<std::string> problems_;
  Report report_;
  int controllers_ = 1;
  int generation_ = 1;
  bool one_bad_cluster_ = false, fleet_ = false, http2_ = false;
  bool network_ = false, deaths_ = false, tokens_ = false, token_files_ = false, clock_ = false, edits_ = false;
  uint64_t number_ = 0;
};

}  // namespace gs::sim
