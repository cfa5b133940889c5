#include "runtime/uv_loop.h"

#include <atomic>
#include <thread>

#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs {
namespace {

using std::chrono::milliseconds;

Task<void> nap(Loop& loop, int naps, int& taken) {
  for (; taken < naps; ++taken) co_await sleep_for(loop, milliseconds(1));
}

TEST(UvLoop, TimersAndCoroutinesRunOnRealTime) {
  UvLoop loop;
  TaskScope scope(loop);
  int taken = 0;
  const MonoTime start = loop.now();
  loop.post([&] { scope.spawn(nap(loop, 5, taken)); });
  loop.run_until([&] { return taken == 5; });
  EXPECT_GE(loop.now() - start, milliseconds(5));
}

TEST(UvLoop, WorkPostedByManyThreadsAllRunsOnTheLoopsThread) {
  UvLoop loop;
  int ran = 0;
  const auto loop_thread = std::this_thread::get_id();
  bool elsewhere = false;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        loop.post([&] {
          ++ran;
          elsewhere |= std::this_thread::get_id() != loop_thread;
        });
      }
    });
  }
  loop.run_until([&] { return ran == 4000; });
  for (auto& thread : threads) thread.join();
  EXPECT_FALSE(elsewhere);
}

TEST(UvLoop, BlockingWorkRunsOffTheLoopAndAnswersOnIt) {
  UvLoop loop;
  const auto loop_thread = std::this_thread::get_id();
  std::thread::id worked_on;
  bool done = false;
  loop.run_blocking([&] { worked_on = std::this_thread::get_id(); },
                    [&] { done = std::this_thread::get_id() == loop_thread; });
  loop.run_until([&] { return done; });
  EXPECT_NE(worked_on, loop_thread);
}

TEST(UvLoop, StopFromAnotherThreadEndsRun) {
  UvLoop loop;
  std::thread other([&] { loop.stop(); });
  loop.run();
  other.join();
}

// The last timer of all fires in the turn before the poll: the loop must not sleep for good.
TEST(UvLoop, RunUntilSeesWhatTheTurnBeforeThePollBroughtAbout) {
  UvLoop loop;
  bool armed = false, fired = false;
  CallbackTimer timer(loop, [&] { fired = true; });
  loop.run_until([&] {
    if (!std::exchange(armed, true)) timer.arm_after(Duration::zero());
    return fired;
  });
  EXPECT_TRUE(fired);
}

Task<void> play(Event& mine, Event& theirs) {
  while (true) {
    const bool woken = co_await mine.wait();
    if (!woken) co_return;
    mine.clear();
    theirs.set();
  }
}

TEST(UvLoop, CoroutinesThatKeepEachOtherReadyDoNotKeepTheLoopFromItsSockets) {
  UvLoop loop;
  Event ping(loop);
  Event pong(loop);
  TaskScope scope(loop);
  bool heard = false, rang = false;
  CallbackTimer timer(loop, [&] { rang = true; });
  loop.post([&] {
    scope.spawn(play(ping, pong));
    scope.spawn(play(pong, ping));
    ping.set();
    timer.arm_after(milliseconds(1));
    // Through the poll: a wake-up of the loop's own descriptor.
    loop.run_blocking([] {}, [&] { heard = true; });
  });
  loop.run_until([&] { return heard && rang; });
  loop.post([&] { scope.cancel(); });
  loop.run_until([&] { return scope.empty(); });
}

}  // namespace
}  // namespace gs
