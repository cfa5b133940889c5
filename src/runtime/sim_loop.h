// The simulated world: virtual time, N loops on one thread, seeded interleaving. Nothing sleeps: when
// no loop has work, time jumps to the next deadline. The same seed gives the same run.
#pragma once

#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <vector>

#include "runtime/loop.h"

namespace gs {

class SimLoop;

// Owns virtual time and the loops. Deleting it deletes the loops.
class SimWorld {
 public:
  explicit SimWorld(uint64_t seed);
  ~SimWorld();

  SimLoop& add_loop();
  SimLoop& loop(size_t index) { return *loops_[index]; }
  Random& random() { return random_; }

  MonoTime now() const { return now_; }
  WallTime wall_now() const { return wall_base_ + (now_ - MonoTime{}) + wall_jump_; }
  // A step of the wall clock (NTP, suspend); monotonic time does not move.
  void jump_wall_clock(Duration by) { wall_jump_ += by; }

  // Runs until `done()`, or until virtual time reaches `until`, or nothing can ever happen again.
  // Returns done().
  bool run_until(const std::function<bool()>& done, MonoTime until);
  void run_for(Duration time);

  // Folds `value` into the hash of the run; two runs of one seed must end with the same hash.
  void trace(uint64_t value) { trace_hash_ = (trace_hash_ ^ value) * 0x100000001B3ull; }
  uint64_t trace_hash() const { return trace_hash_; }
  uint64_t steps() const { return steps_; }

 private:
  friend class SimLoop;
  bool step_once();
  MonoTime earliest_deadline();

  Random random_;
  MonoTime now_{std::chrono::hours(1)};
  WallTime wall_base_{std::chrono::hours(24 * 20'000)};  // some day in 2024
  Duration wall_jump_{0};
  std::vector<std::unique_ptr<SimLoop>> loops_;
  uint64_t trace_hash_ = 0xCBF29CE484222325ull;
  uint64_t steps_ = 0;
};

class SimLoop final : public Loop {
 public:
  ~SimLoop() override;
  MonoTime now() const override { return world_.now(); }
  WallTime wall_now() const override { return world_.wall_now(); }
  void post(std::function<void()> work) override { posted_.push_back(std::move(work)); }
  void run_blocking(std::function<void()> work, std::function<void()> done) override;
  SimWorld& world() { return world_; }

 private:
  friend class SimWorld;
  class DelayedDone;
  SimLoop(SimWorld& world, uint64_t seed);
  bool runnable();
  void turn();

  SimWorld& world_;
  std::deque<std::function<void()>> posted_;
  std::list<std::unique_ptr<DelayedDone>> delayed_;
};

}  // namespace gs
