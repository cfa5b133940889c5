#include "runtime/sim_loop.h"

#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs {
namespace {

using std::chrono::milliseconds;

Task<void> wander(SimLoop& loop, int steps) {
  for (int i = 0; i < steps; ++i) {
    loop.world().trace(loop.random().next());
    co_await sleep_for(loop, loop.random().between(milliseconds(0), milliseconds(10)));
  }
}

uint64_t run_seed(uint64_t seed) {
  SimWorld world(seed);
  std::vector<std::unique_ptr<TaskScope>> scopes;
  for (int i = 0; i < 4; ++i) {
    SimLoop& loop = world.add_loop();
    scopes.push_back(std::make_unique<TaskScope>(loop));
    loop.post([&, i] { scopes[i]->spawn(wander(loop, 100)); });
  }
  world.run_for(std::chrono::seconds(10));
  return world.trace_hash();
}

TEST(SimWorld, OneSeedGivesOneRunAndAnotherSeedAnother) {
  EXPECT_EQ(run_seed(7), run_seed(7));
  EXPECT_NE(run_seed(7), run_seed(8));
}

TEST(SimWorld, TimeJumpsOverIdleHours) {
  SimWorld world(1);
  SimLoop& loop = world.add_loop();
  bool fired = false;
  CallbackTimer timer(loop, [&] { fired = true; });
  timer.arm_after(std::chrono::hours(1000));
  EXPECT_TRUE(world.run_until([&] { return fired; }, kNoDeadline));
  EXPECT_LT(world.steps(), 10u);
}

TEST(SimWorld, AWallClockJumpDoesNotMoveMonotonicTime) {
  SimWorld world(1);
  SimLoop& loop = world.add_loop();
  const MonoTime mono = loop.now();
  const WallTime wall = loop.wall_now();
  world.jump_wall_clock(-std::chrono::hours(2));
  EXPECT_EQ(loop.now(), mono);
  EXPECT_EQ(wall - loop.wall_now(), std::chrono::hours(2));
}

TEST(SimWorld, BlockingWorkAnswersOnTheLoopLater) {
  SimWorld world(1);
  SimLoop& loop = world.add_loop();
  std::string order;
  loop.post([&] {
    loop.run_blocking([&] { order += "work "; }, [&] { order += "done"; });
    order += "returned ";
  });
  world.run_for(milliseconds(100));
  EXPECT_EQ(order, "work returned done");
}

}  // namespace
}  // namespace gs
