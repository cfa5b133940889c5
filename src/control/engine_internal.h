// What an Engine keeps of each Controller, cluster and pair; for the units it is written in.
#pragma once

#include "control/engine.h"
#include "control/webhook_pairs.h"

namespace gs::control {

struct Engine::PairSlot {
  Controller* controller = nullptr;
  ClusterSlot* cluster = nullptr;
  std::string controller_name;
  std::string cluster_key;
  bool retired = false;   // takes no new work; freed when nothing is in flight
  bool started = false;   // waits until an older pair of the same names has ended
  bool for_good = false;  // its Controller or cluster is gone, or they have nothing to do with each other
  store::PairName state_name;
  delegate::ClientSet::Handle client;
  std::unique_ptr<Pair> pair;
};

// A Controller of this loop. Pairs hold on to it until they have ended.
struct Engine::Controller {
  std::string name;
  bool going = false;
  ControllerId id;
  std::shared_ptr<const ControllerSpec> spec;
  std::string error;
  std::optional<kube::ServerUrl> delegate;  // where the spec is good
};

struct Engine::ClusterSlot {
  bool going = false;
  bool for_good = false;  // nobody takes its place
  fleet::ClusterSpec spec;
  std::string error;  // why there is no connection
  std::unique_ptr<fleet::Cluster> cluster;
};

}  // namespace gs::control
