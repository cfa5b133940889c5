#include "runtime/cross_loop.h"

#include <thread>

#include "runtime/uv_loop.h"

namespace gs {
namespace {

// A loop on a thread of its own.
class OtherLoop {
 public:
  OtherLoop() : thread_([this] { loop.run(); }) {}
  ~OtherLoop() {
    loop.stop();
    thread_.join();
  }
  UvLoop loop;

 private:
  std::thread thread_;
};

Task<void> ask_thread(Loop& from, Loop& to, std::thread::id& out, bool& done) {
  std::function<std::thread::id()> work = [] { return std::this_thread::get_id(); };
  out = co_await call_on<std::thread::id>(from, to, std::move(work));
  done = true;
}

Task<int> slow_answer(Loop& loop) {
  co_await sleep_for(loop, std::chrono::milliseconds(5));
  co_return 42;
}

Task<void> ask_slowly(Loop& from, Loop& to, TaskScope& scope, int& out) {
  std::function<Task<int>()> make = [&to] { return slow_answer(to); };
  out = co_await run_on<int>(from, to, scope, std::move(make));
}

TEST(CrossLoop, WorkRunsOnTheOtherLoopAndTheAnswerComesBackToTheCallers) {
  UvLoop mine;
  OtherLoop other;
  TaskScope scope(mine);
  std::thread::id where;
  bool done = false;
  mine.post([&] { scope.spawn(ask_thread(mine, other.loop, where, done)); });
  mine.run_until([&] { return done; });
  EXPECT_NE(where, std::this_thread::get_id());
}

TEST(CrossLoop, ATaskRunsOnTheOtherLoopToItsEnd) {
  UvLoop mine;
  OtherLoop other;
  TaskScope theirs(other.loop);
  TaskScope scope(mine);
  int answer = 0;
  mine.post([&] { scope.spawn(ask_slowly(mine, other.loop, theirs, answer)); });
  mine.run_until([&] { return answer != 0; });
  EXPECT_EQ(answer, 42);
  bool freed = false;
  other.loop.post([&] {
    theirs.cancel();
    mine.post([&] { freed = true; });
  });
  mine.run_until([&] { return freed; });
}

TEST(CrossLoop, ACallerThatGoesMeanwhileHarmsNobody) {
  UvLoop mine;
  OtherLoop other;
  bool done = false;
  std::thread::id where;
  {
    TaskScope scope(mine);
    bool asked = false;
    mine.post([&] {
      scope.spawn(ask_thread(mine, other.loop, where, done));
      asked = true;
    });
    mine.run_until([&] { return asked; });
  }
  bool passed = false;
  other.loop.post([&] { mine.post([&] { passed = true; }); });
  mine.run_until([&] { return passed; });
  EXPECT_FALSE(done);
}

}  // namespace
}  // namespace gs
