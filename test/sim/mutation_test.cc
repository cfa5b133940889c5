// Each planted bug is caught by its seed, or by one of the first, which is well without it. Only in builds that can plant them (the preset asan).
// GULFSTREAM_FIND_SEEDS=N looks for the first seed up to N that catches each, and prints it.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>

#include "base/log.h"
#include "test/sim/mutations.h"

namespace gs::sim {
namespace {

#ifdef GULFSTREAM_MUTATIONS

Report run_with(Mutation mutation, const PlantedBug& bug, uint64_t seed) {
  mutation_in_force = mutation;
  Report report = bug.run(seed);
  mutation_in_force = Mutation::kNone;
  return report;
}

// A change of the plane or the server moves what a seed does: where the seed of the list no longer meets the bug, the
// first ones are tried.
constexpr uint64_t kLookOn = 100;

class PlantedBugs : public testing::TestWithParam<PlantedBug> {
 protected:
  static void SetUpTestSuite() { log::configure(log::Level::kError, log::Format::kText); }
};

TEST_P(PlantedBugs, IsCaughtByItsSeed) {
  if (std::getenv("GULFSTREAM_FIND_SEEDS") != nullptr) GTEST_SKIP();
  const PlantedBug& bug = GetParam();
  if (bug.seed == 0) GTEST_SKIP() << bug.what << ": no seed is known that catches it";
  uint64_t seed = bug.seed;
  Report ill = run_with(bug.mutation, bug, seed);
  for (uint64_t next = 1; next <= kLookOn && ill.problems.empty(); ++next) ill = run_with(bug.mutation, bug, seed = next);
  ASSERT_FALSE(ill.problems.empty()) << bug.what << ": nothing was noticed";
  const Report well = run_with(Mutation::kNone, bug, seed);
  EXPECT_TRUE(well.problems.empty()) << "without it: " << well.problems.front();
  std::printf("caught by seed %llu: %s: %.160s\n", static_cast<unsigned long long>(seed), bug.what, ill.problems.front().c_str());
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugs, testing::ValuesIn(planted_bugs().begin(), planted_bugs().end()), [](const auto& info) { return std::string(info.param.name); });

TEST(PlantedBugsOf, TheWholeListAreTried) {
  std::set<Mutation> tried;
  for (const PlantedBug& bug : planted_bugs()) tried.insert(bug.mutation);
  EXPECT_EQ(tried.size(), static_cast<size_t>(Mutation::kCount) - 1);
}

// The first seed that catches it and is quick.
TEST(PlantedBugsOf, SeedsAreFoundWhenAsked) {
  const char* text = std::getenv("GULFSTREAM_FIND_SEEDS");
  if (text == nullptr) GTEST_SKIP();
  const char* only = std::getenv("GULFSTREAM_FIND_ONLY");
  const uint64_t most = std::strtoull(text, nullptr, 10);
  for (const PlantedBug& bug : planted_bugs()) {
    if (only != nullptr && std::string(bug.name).find(only) == std::string::npos) continue;
    const auto begun = std::chrono::steady_clock::now();
    uint64_t seed = 1;
    Report ill;
    for (; seed <= most && ill.problems.empty(); ++seed) ill = run_with(bug.mutation, bug, seed);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
    std::printf("%-28s %6s %5llu  %5.1f s  %.150s\n", bug.name, ill.problems.empty() ? "NONE" : "found", static_cast<unsigned long long>(seed - 1), seconds,
                ill.problems.empty() ? "" : ill.problems.front().c_str());
    std::fflush(stdout);
  }
}

#else

TEST(PlantedBugsOf, TheWholeListAreTried) { GTEST_SKIP() << "this build has none (GULFSTREAM_MUTATIONS)"; }

#endif

}  // namespace
}  // namespace gs::sim
