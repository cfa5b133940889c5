#include "runtime/loop.h"

#include "runtime/sim_loop.h"

namespace gs {
namespace {

using std::chrono::milliseconds;

class LoopTest : public testing::Test {
 protected:
  SimWorld world{1};
  SimLoop& loop = world.add_loop();
};

TEST_F(LoopTest, TimersFireInOrderOfDeadlineThenOfArming) {
  std::string order;
  CallbackTimer c(loop, [&] { order += 'c'; });
  CallbackTimer a(loop, [&] { order += 'a'; });
  CallbackTimer b(loop, [&] { order += 'b'; });
  c.arm_after(milliseconds(20));
  a.arm_after(milliseconds(10));
  b.arm_after(milliseconds(10));
  world.run_for(milliseconds(30));
  EXPECT_EQ(order, "abc");
}

TEST_F(LoopTest, ADisarmedOrDestroyedTimerNeverFires) {
  int fired = 0;
  CallbackTimer disarmed(loop, [&] { ++fired; });
  disarmed.arm_after(milliseconds(1));
  {
    CallbackTimer destroyed(loop, [&] { ++fired; });
    destroyed.arm_after(milliseconds(1));
  }
  disarmed.disarm();
  world.run_for(milliseconds(10));
  EXPECT_EQ(fired, 0);
}

TEST_F(LoopTest, ArmingAgainReplacesTheDeadline) {
  MonoTime fired_at{};
  CallbackTimer timer(loop, [&] { fired_at = loop.now(); });
  const MonoTime start = loop.now();
  timer.arm_after(milliseconds(5));
  timer.arm_after(milliseconds(50));
  world.run_for(milliseconds(100));
  EXPECT_EQ(fired_at - start, milliseconds(50));
}

TEST_F(LoopTest, ManyTimersInAnyOrderAllFireInOrder) {
  std::vector<std::unique_ptr<CallbackTimer>> timers;
  std::vector<MonoTime> fired;
  for (int i = 0; i < 1000; ++i) {
    timers.push_back(std::make_unique<CallbackTimer>(loop, [&] { fired.push_back(loop.now()); }));
    timers.back()->arm_after(milliseconds(world.random().below(500)));
  }
  for (int i = 0; i < 1000; i += 3) timers[i].reset();
  world.run_for(milliseconds(500));
  EXPECT_EQ(fired.size(), 666u);
  EXPECT_TRUE(std::is_sorted(fired.begin(), fired.end()));
}

TEST_F(LoopTest, ATimerThatAlwaysAsksForThePastHoldsUpNoOther) {
  int greedy = 0;
  bool other = false;
  CallbackTimer again(loop, [&] {
    if (++greedy < 1000) again.arm_at(loop.now() - milliseconds(5));
  });
  CallbackTimer late(loop, [&] { other = greedy < 3; });
  again.arm_after(milliseconds(1));
  late.arm_after(milliseconds(1));
  world.run_for(milliseconds(2));
  EXPECT_TRUE(other);
  EXPECT_EQ(greedy, 1000);
}

}  // namespace
}  // namespace gs
