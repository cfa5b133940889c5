#include "runtime/task.h"

#include <memory>

#include "runtime/sim_loop.h"
#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs {
namespace {

using std::chrono::milliseconds;

class TaskTest : public testing::Test {
 protected:
  void run(Task<void> task) {
    loop.post([this, t = std::make_shared<Task<void>>(std::move(task))] { scope.spawn(std::move(*t)); });
    world.run_for(std::chrono::hours(1));
  }
  SimWorld world{1};
  SimLoop& loop = world.add_loop();
  TaskScope scope{loop};
};

Task<int> ready(int value) { co_return value; }

Task<void> sum_ready(int count, int64_t& sum) {
  for (int i = 0; i < count; ++i) sum += co_await ready(1);
}

TEST_F(TaskTest, TenMillionReadyAwaitsUseNoStack) {
  int64_t sum = 0;
  run(sum_ready(10'000'000, sum));
  EXPECT_EQ(sum, 10'000'000);
}

Task<int> nested(Loop& loop, int depth) {
  if (depth == 0) {
    co_await sleep_for(loop, milliseconds(1));
    co_return 0;
  }
  const int below = co_await nested(loop, depth - 1);
  co_return below + 1;
}

Task<void> store(Task<int> task, int& out) { out = co_await std::move(task); }

TEST_F(TaskTest, ResultsTravelUpDeepChainsOfSuspendedTasks) {
  int out = 0;
  run(store(nested(loop, 1'000), out));
  EXPECT_EQ(out, 1'000);
}

struct Counted {
  explicit Counted(int& n) : count(&n) { ++*count; }
  Counted(Counted&& other) noexcept : count(std::exchange(other.count, nullptr)) {}
  ~Counted() {
    if (count != nullptr) --*count;
  }
  int* count;
};

Task<void> hold(Loop& loop, Counted held, Duration time) {
  const Counted local(*held.count);
  co_await sleep_for(loop, time);
}

Task<void> hold_nested(Loop& loop, int& live) {
  const Counted local(live);
  Counted argument(live);
  co_await hold(loop, std::move(argument), std::chrono::hours(100));
}

TEST_F(TaskTest, DestroyingASuspendedTreeReleasesEverythingAndIsNeverResumed) {
  int live = 0;
  {
    TaskScope inner(loop);
    loop.post([&] { inner.spawn(hold_nested(loop, live)); });
    world.run_for(milliseconds(1));
    EXPECT_EQ(live, 3);
  }
  EXPECT_EQ(live, 0);
  world.run_for(std::chrono::hours(200));
}

Task<void> wait_on(Event& event, int& woken) {
  co_await event.wait();
  ++woken;
}

TEST_F(TaskTest, ATaskDestroyedWhileInTheReadyQueueIsForgotten) {
  Event event(loop);
  int woken = 0;
  auto inner = std::make_unique<TaskScope>(loop);
  loop.post([&] { inner->spawn(wait_on(event, woken)); });
  world.run_for(milliseconds(1));
  loop.post([&] {
    event.set();
    inner.reset();
  });
  world.run_for(milliseconds(1));
  EXPECT_EQ(woken, 0);
}

Task<void> finish_now(int& done) {
  ++done;
  co_return;
}

TEST_F(TaskTest, AScopeForgetsFinishedTasksAndJoinWaitsForTheRest) {
  int done = 0;
  bool joined = false;
  loop.post([&] {
    for (int i = 0; i < 10; ++i) scope.spawn(finish_now(done));
    scope.spawn(hold(loop, Counted(done), milliseconds(50)));
  });
  world.run_for(milliseconds(1));
  EXPECT_EQ(scope.size(), 1u);
  world.run_until([&] { joined = scope.empty(); return joined; }, world.now() + milliseconds(100));
  EXPECT_TRUE(joined);
  EXPECT_EQ(done, 10);
}

}  // namespace
}  // namespace gs
