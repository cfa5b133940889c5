// The planted bugs (src/base/mutation.h): what each breaks, and which run from which seed catches it.
#pragma once

#include <cstdint>
#include <span>

#include "base/mutation.h"
#include "test/sim/plane_sim.h"

namespace gs::sim {

struct PlantedBug {
  Mutation mutation;
  const char* name;
  const char* what;
  Report (*run)(uint64_t);
  uint64_t seed;  // 0: none is known
};

std::span<const PlantedBug> planted_bugs();

}  // namespace gs::sim
