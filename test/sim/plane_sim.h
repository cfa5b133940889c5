// The whole plane in simulation: an Engine, embedded API servers and delegates on one simulated
// network, a workload, and faults, all from one seed. See README.md for what is checked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace gs::sim {

struct Report {
  uint64_t seed = 0;
  uint64_t hash = 0;  // of what happened; one seed gives one hash
  Duration virtual_time{0};
  uint64_t reconciles = 0;
  uint64_t writes = 0;
  std::string faults;                 // which kinds this seed had, for people
  std::vector<std::string> problems;  // empty: all promises were kept
};

// Faults of every kind, or of one bad cluster only (then all others must keep their pace).
Report run_plane(uint64_t seed);

// A plane or two, few keys and a state file: deaths and failovers, with changes around each.
Report run_restarts(uint64_t seed);

// Answers, events and reconciles that overtake one another.
Report run_races(uint64_t seed);

// A day and more of what comes and goes under ever new names: memory is bounded by what there is.
Report run_days(uint64_t seed);

// One informer against one server and network that misbehave.
Report run_reflector(uint64_t seed);

// One informer whose server is now this one, now that one, each as old as it is.
Report run_failovers(uint64_t seed);

// The reviews of one client, a delegate and a network that misbehave.
Report run_reviews(uint64_t seed);

}  // namespace gs::sim
