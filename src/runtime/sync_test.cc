#include "runtime/sync.h"

#include <gmock/gmock.h>

#include "runtime/sim_loop.h"
#include "runtime/task_scope.h"

namespace gs {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;

class SyncTest : public testing::Test {
 protected:
  void spawn(Task<void> task) {
    loop.post([this, t = std::make_shared<Task<void>>(std::move(task))] { scope.spawn(std::move(*t)); });
    world.run_for(milliseconds(1));
  }
  SimWorld world{1};
  SimLoop& loop = world.add_loop();
  TaskScope scope{loop};
};

Task<void> produce(Channel<int>& channel, int count, std::vector<int>& sent) {
  for (int i = 0; i < count; ++i) {
    const Status status = co_await channel.send(i);
    if (!status) co_return;
    sent.push_back(i);
  }
}

Task<void> consume(Channel<int>& channel, std::vector<int>& got) {
  while (true) {
    const std::optional<int> item = co_await channel.receive();
    if (!item) co_return;
    got.push_back(*item);
  }
}

TEST_F(SyncTest, AFullChannelHoldsItsSenderAndLosesNothing) {
  Channel<int> channel(loop, 2);
  std::vector<int> sent, got;
  spawn(produce(channel, 4, sent));
  EXPECT_THAT(sent, ElementsAre(0, 1));
  spawn(consume(channel, got));
  EXPECT_THAT(got, ElementsAre(0, 1, 2, 3));
}

TEST_F(SyncTest, AClosedChannelGivesWhatItHoldsAndThenEnds) {
  Channel<int> channel(loop, 4);
  channel.try_send(1);
  channel.close();
  EXPECT_FALSE(channel.try_send(2));
  std::vector<int> got;
  spawn(consume(channel, got));
  EXPECT_THAT(got, ElementsAre(1));
  EXPECT_TRUE(scope.empty());
}

Task<void> wait_event(Event& event, MonoTime deadline, int& result) { result = co_await event.wait(deadline); }

TEST_F(SyncTest, WaitingForAnEventEndsAtItsDeadline) {
  Event event(loop);
  int result = -1;
  spawn(wait_event(event, loop.now() + milliseconds(50), result));
  EXPECT_EQ(result, -1);
  world.run_for(milliseconds(60));
  EXPECT_EQ(result, 0);
  event.set();
  spawn(wait_event(event, loop.now() + milliseconds(50), result));
  EXPECT_EQ(result, 1);
}

Task<Result<int>> slow_answer(Loop& loop, Duration time) {
  co_await sleep_for(loop, time);
  co_return 42;
}

Task<void> bounded(Loop& loop, Duration work, Duration limit, Result<int>& out) {
  out = co_await with_deadline(loop, slow_answer(loop, work), loop.now() + limit, "asking");
}

TEST_F(SyncTest, ADeadlineCancelsWhatTakesTooLong) {
  Result<int> slow = 0, fast = 0;
  spawn(bounded(loop, milliseconds(100), milliseconds(10), slow));
  spawn(bounded(loop, milliseconds(10), milliseconds(100), fast));
  world.run_for(milliseconds(200));
  EXPECT_EQ(slow.error().code, Code::kDeadlineExceeded);
  EXPECT_EQ(slow.error().message, "asking: deadline exceeded");
  EXPECT_EQ(fast.value(), 42);
}

Task<void> with_permit(Semaphore& semaphore, Loop& loop, int& inside, int& most) {
  auto permit = co_await semaphore.acquire();
  most = std::max(most, ++inside);
  co_await sleep_for(loop, milliseconds(10));
  --inside;
}

TEST_F(SyncTest, ASemaphoreNeverLetsMoreInThanItHasPermits) {
  Semaphore semaphore(loop, 3);
  int inside = 0, most = 0;
  for (int i = 0; i < 10; ++i) spawn(with_permit(semaphore, loop, inside, most));
  world.run_for(milliseconds(200));
  EXPECT_EQ(most, 3);
  EXPECT_EQ(semaphore.free(), 3u);
}

Task<void> try_permit(Semaphore& semaphore, MonoTime deadline, std::string& order, char name) {
  auto permit = co_await semaphore.acquire(deadline);
  order += permit ? name : '-';
}

TEST_F(SyncTest, AWakeUpForOneThatIsDestroyedBeforeItRunsGoesToTheNext) {
  Semaphore semaphore(loop, 1);
  std::string order;
  auto held = std::make_unique<Result<Semaphore::Permit>>(Semaphore::Permit());
  spawn([](Semaphore& s, Result<Semaphore::Permit>& out) -> Task<void> { out = co_await s.acquire(); }(semaphore, *held));
  auto doomed = std::make_unique<TaskScope>(loop);
  loop.post([&] { doomed->spawn(try_permit(semaphore, kNoDeadline, order, 'a')); });
  world.run_for(milliseconds(1));
  spawn(try_permit(semaphore, kNoDeadline, order, 'b'));
  loop.post([&] {
    held.reset();    // wakes a
    doomed.reset();  // which never runs
  });
  world.run_for(milliseconds(1));
  EXPECT_EQ(order, "b");
}

TEST_F(SyncTest, AWakeUpInTheTurnOfTheDeadlineIsNotLost) {
  Semaphore semaphore(loop, 1);
  std::string order;
  auto held = std::make_unique<Result<Semaphore::Permit>>(Semaphore::Permit());
  spawn([](Semaphore& s, Result<Semaphore::Permit>& out) -> Task<void> { out = co_await s.acquire(); }(semaphore, *held));
  const MonoTime deadline = loop.now() + milliseconds(10);
  CallbackTimer release(loop, [&] { held.reset(); });
  release.arm_at(deadline);
  spawn(try_permit(semaphore, deadline, order, 'a'));
  spawn(try_permit(semaphore, kNoDeadline, order, 'b'));
  world.run_for(milliseconds(20));
  EXPECT_EQ(order, "ab");
}

Task<void> wait_in(WaitQueue& queue) { co_await queue.wait(); }

TEST_F(SyncTest, AQueueMayBeDestroyedBeforeThoseWhoWaitInIt) {
  auto waiting = std::make_unique<WaitQueue>(loop);
  auto other = std::make_unique<TaskScope>(loop);
  loop.post([&] {
    other->spawn(wait_in(*waiting));
    waiting->wake_one();
    waiting.reset();
    other.reset();
  });
  world.run_for(milliseconds(1));
  EXPECT_EQ(other, nullptr);
}

}  // namespace
}  // namespace gs
