// Seeds, one after the other, for as long as asked: GULFSTREAM_SIM_SECONDS of wall time (default 5) or
// GULFSTREAM_SIM_HOURS of virtual time, from GULFSTREAM_SIM_SEED (default 1). A failure prints its seed.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "test/sim/plane_sim.h"

namespace gs::sim {
namespace {

double number_from(const char* name, double otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtod(text, nullptr) : otherwise;
}
uint64_t first_seed() {
  const char* text = std::getenv("GULFSTREAM_SIM_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 1;
}

void explain(const Report& report) {
  for (size_t i = 0; i < std::min<size_t>(report.problems.size(), 5); ++i) {
    ADD_FAILURE() << "seed " << report.seed << " (" << report.faults << " ): " << report.problems[i];
  }
}

// Runs seeds until the share of the time is used up.
void run_seeds(const char* what, Report (*run)(uint64_t), double share) {
  const double hours = number_from("GULFSTREAM_SIM_HOURS", 0) * share;
  const double wall = number_from("GULFSTREAM_SIM_SECONDS", 5) * share;
  const auto begun = std::chrono::steady_clock::now();
  Duration virtual_time{0};
  uint64_t seeds = 0, reconciles = 0;
  for (uint64_t seed = first_seed(); !testing::Test::HasFailure(); ++seed) {
    const double used = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    const bool enough = hours > 0 ? to_seconds(virtual_time) >= hours * 3600 : used >= wall;
    if (enough && seeds > 0) break;
    const Report report = run(seed);
    explain(report);
    virtual_time += report.virtual_time;
    reconciles += report.reconciles;
    ++seeds;
  }
  std::printf("%s: seeds %llu to %llu, %.1f virtual hours, %llu reconciles\n", what, static_cast<unsigned long long>(first_seed()),
              static_cast<unsigned long long>(first_seed() + seeds - 1), to_seconds(virtual_time) / 3600, static_cast<unsigned long long>(reconciles));
}

class Sim : public testing::Test {
 protected:
  static void SetUpTestSuite() { log::configure(std::getenv("GULFSTREAM_SIM_LOG") != nullptr ? log::Level::kDebug : log::Level::kError, log::Format::kText); }
};

TEST_F(Sim, AnInformerIsRightOnceItsServerAndNetworkBehave) { run_seeds("reflector", &run_reflector, 0.1); }

TEST_F(Sim, AnInformerIsRightWhicheverServerItEndsUpAt) { run_seeds("failovers", &run_failovers, 0.1); }

TEST_F(Sim, EveryReviewEndsInItsTimeWhateverGoesWrong) { run_seeds("reviews", &run_reviews, 0.1); }

TEST_F(Sim, WhateverGoesWrongThePlaneKeepsItsPromises) { run_seeds("plane", &run_plane, 0.5); }

TEST_F(Sim, WhatChangesAroundARestartIsReconciled) { run_seeds("restarts", &run_restarts, 0.1); }

TEST_F(Sim, WhatOvertakesAReconcileIsReconciled) { run_seeds("races", &run_races, 0.1); }

TEST_F(Sim, ADayOfWhatComesAndGoesLeavesNothingBehind) { explain(run_days(first_seed())); }

// A deletion between two watches that nobody told of, of what was written, or only read; an overlay that outlived
// its object.
TEST_F(Sim, SeedsThatFoundSomethingStayGood) {
  for (const uint64_t seed : {2, 16, 703, 2050, 5053, 1795563832}) explain(run_plane(seed));
}

// Told by its environment, prints the hash of one seed: how the next test runs a seed in a process of its own.
TEST_F(Sim, PrintsTheHashOfASeed) {
  const Report report = run_plane(first_seed());
  std::printf("hash of seed %llu: %016llx\n", static_cast<unsigned long long>(report.seed), static_cast<unsigned long long>(report.hash));
}

std::string hash_line(uint64_t seed) {
  const std::string command = "GULFSTREAM_SIM_SEED=" + std::to_string(seed) + " /proc/" + std::to_string(getpid()) + "/exe --gtest_filter=Sim.PrintsTheHashOfASeed";
  FILE* out = popen(command.c_str(), "r");
  std::string line;
  char buffer[512];
  while (out != nullptr && std::fgets(buffer, sizeof buffer, out) != nullptr) {
    if (std::string(buffer).starts_with("hash of seed")) line = buffer;
  }
  if (out != nullptr) pclose(out);
  return line;
}

TEST_F(Sim, OneSeedIsOneRunAlsoInAnotherProcess) {
  const std::string once = hash_line(5);
  ASSERT_FALSE(once.empty());
  EXPECT_EQ(once, hash_line(5));
  EXPECT_NE(once.substr(once.find(':')), hash_line(6).substr(once.find(':')));
}

}  // namespace
}  // namespace gs::sim
