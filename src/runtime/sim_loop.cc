#include "runtime/sim_loop.h"

#include <algorithm>
#include <utility>

namespace gs {
namespace {

constexpr Duration kLongestBlockingWork = std::chrono::milliseconds(20);

}  // namespace

// Fires once; its loop owns it until then.
class SimLoop::DelayedDone final : public Timer {
 public:
  DelayedDone(SimLoop& loop, std::function<void()> done) : Timer(loop), sim_(loop), done_(std::move(done)) {}
  std::list<std::unique_ptr<DelayedDone>>::iterator self;

 private:
  void fired() override {
    std::list<std::unique_ptr<DelayedDone>> mine;
    mine.splice(mine.end(), sim_.delayed_, self);
    done_();
  }
  SimLoop& sim_;
  std::function<void()> done_;
};

SimLoop::SimLoop(SimWorld& world, uint64_t seed) : Loop(seed), world_(world) {}
SimLoop::~SimLoop() = default;

SimWorld::SimWorld(uint64_t seed) : random_(seed) {}
SimWorld::~SimWorld() = default;

SimLoop& SimWorld::add_loop() {
  loops_.push_back(std::unique_ptr<SimLoop>(new SimLoop(*this, random_.next())));
  return *loops_.back();
}

MonoTime SimWorld::earliest_deadline() {
  MonoTime earliest = kNoDeadline;
  for (auto& loop : loops_) earliest = std::min(earliest, loop->next_deadline());
  return earliest;
}

// One turn of one of the loops that can run, chosen by the seed.
bool SimWorld::step_once() {
  std::vector<SimLoop*> runnable;
  for (auto& loop : loops_) {
    if (loop->runnable()) runnable.push_back(loop.get());
  }
  if (runnable.empty()) return false;
  ++steps_;
  runnable[random_.below(runnable.size())]->turn();
  return true;
}

bool SimWorld::run_until(const std::function<bool()>& done, MonoTime until) {
  while (!done()) {
    if (step_once()) continue;
    const MonoTime next = earliest_deadline();
    if (next > until) {
      if (until != kNoDeadline) now_ = until;
      return done();
    }
    now_ = std::max(now_, next);
    trace(static_cast<uint64_t>(now_.time_since_epoch().count()));
  }
  return true;
}

void SimWorld::run_for(Duration time) {
  run_until([] { return false; }, now_ + time);
}

bool SimLoop::runnable() { return !posted_.empty() || !idle() || next_deadline() <= now(); }

void SimLoop::turn() {
  const Enter enter(*this);
  std::deque<std::function<void()>> work;
  work.swap(posted_);
  for (auto& item : work) item();
  run_turn();
}

void SimLoop::run_blocking(std::function<void()> work, std::function<void()> done) {
  work();
  delayed_.push_back(std::make_unique<DelayedDone>(*this, std::move(done)));
  DelayedDone& waiting = *delayed_.back();
  waiting.self = std::prev(delayed_.end());
  waiting.arm_after(random().between(Duration::zero(), kLongestBlockingWork));
}

}  // namespace gs
