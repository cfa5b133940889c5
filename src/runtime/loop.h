// Loop: one thread's event loop. Everything a cluster owns lives on one loop and is touched only
// from it; loops talk by post(). This base holds what the real loop (uv_loop.h) and the simulated
// one (sim_loop.h) share: the queue of coroutines that are ready, the timers, and the end-of-turn
// hooks. A turn is: what arrived from outside, due timers, ready coroutines until none is left, then
// the hooks (where connections write once for all that the turn produced). A turn is bounded, so that
// coroutines that keep each other ready do not keep the loop from its sockets: the rest runs in the next.
#pragma once

#include <coroutine>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/check.h"
#include "base/time.h"
#include "runtime/intrusive_list.h"
#include "runtime/random.h"

namespace gs {

class Loop;

// Something that can wait to be run: a coroutine in a wait list or in the ready queue of its loop.
// Lives in the coroutine's promise; destroying the coroutine takes it off whatever list it is in.
class Waiter : public ListNode {
 public:
  std::coroutine_handle<> handle;
};

// A one-shot timer owned by whoever waits. Arming again replaces the deadline; destruction disarms.
// The callback runs on the loop, from the turn, never from within arm().
class Timer {
 public:
  explicit Timer(Loop& loop) : loop_(loop) {}
  virtual ~Timer() { disarm(); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // kNoDeadline disarms. A deadline that has passed fires in the next turn, behind those due before.
  void arm_at(MonoTime deadline);
  void arm_after(Duration delay);
  void disarm();
  bool armed() const { return index_ != kNotArmed; }
  MonoTime deadline() const { return deadline_; }

 protected:
  virtual void fired() = 0;
  Loop& loop_;

 private:
  friend class Loop;
  friend class TimerHeap;
  static constexpr size_t kNotArmed = SIZE_MAX;
  MonoTime deadline_ = kNoDeadline;
  uint64_t sequence_ = 0;  // among equal deadlines the first armed fires first
  size_t index_ = kNotArmed;
};

// A timer that calls a function.
class CallbackTimer : public Timer {
 public:
  CallbackTimer(Loop& loop, std::function<void()> callback) : Timer(loop), callback_(std::move(callback)) {}

 private:
  void fired() override { callback_(); }
  std::function<void()> callback_;
};

// Binary heap of armed timers; each timer knows its place, so disarming is O(log n).
class TimerHeap {
 public:
  bool empty() const { return heap_.empty(); }
  size_t size() const { return heap_.size(); }
  Timer& earliest() { return *heap_.front(); }
  void insert(Timer& timer);
  void remove(Timer& timer);

 private:
  static bool before(const Timer& a, const Timer& b);
  void place(Timer& timer, size_t index);
  void sift_up(size_t index);
  void sift_down(size_t index);
  std::vector<Timer*> heap_;
};

// Runs once at the end of the current turn; asking again within the turn changes nothing.
class TurnEndHook : public ListNode {
 public:
  virtual void turn_ended() = 0;

 protected:
  ~TurnEndHook() = default;
};

class Loop {
 public:
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  virtual ~Loop() = default;

  // The loop whose turn is running on this thread. CHECKs that there is one.
  static Loop& current();

  // The time at the start of the turn (real loops refresh it after a long callback too).
  virtual MonoTime now() const = 0;
  virtual WallTime wall_now() const = 0;
  // Runs `work` on this loop in a later turn. The only member that other threads may call.
  virtual void post(std::function<void()> work) = 0;
  // Runs `work` off the loop (files, processes' wait) and then `done` on it. In a simulation the
  // work runs inline and `done` comes after a virtual delay. `work` must not touch the loop.
  virtual void run_blocking(std::function<void()> work, std::function<void()> done) = 0;

  Random& random() { return random_; }

  // The coroutine of `waiter` continues in this turn.
  void ready(Waiter& waiter) { ready_.push_back(waiter); }
  void at_turn_end(TurnEndHook& hook) {
    if (!hook.linked()) turn_end_.push_back(hook);
  }
  bool has_timers() const { return !timers_.empty(); }

 protected:
  explicit Loop(uint64_t seed) : random_(seed) {}

  // Called when the earliest deadline may have changed outside of a turn's end.
  virtual void timers_changed() {}

  // Due timers, ready coroutines and hooks, until nothing is left to do at now() or the turn has had
  // its share; then idle() is false and the next turn must follow at once.
  void run_turn();
  bool idle() const { return ready_.empty() && turn_end_.empty(); }
  MonoTime next_deadline() { return timers_.empty() ? kNoDeadline : timers_.earliest().deadline(); }

  // Marks this loop as the current one of the thread for a scope.
  class Enter {
   public:
    explicit Enter(Loop& loop);
    ~Enter();

   private:
    Loop* previous_;
  };

 private:
  friend class Timer;
  // Of one turn: resumed coroutines, and their time (on loops whose clock moves meanwhile).
  static constexpr size_t kTurnResumes = 10'000;
  static constexpr Duration kTurnTime = std::chrono::milliseconds(10);

  void fire_due_timers();
  // False: the turn has had its share.
  bool run_ready(size_t& resumes);
  void run_turn_end();

  Random random_;
  IntrusiveList<Waiter> ready_;
  IntrusiveList<TurnEndHook> turn_end_;
  TimerHeap timers_;
  uint64_t timer_sequence_ = 0;
  MonoTime turn_began_ = MonoTime::min();
};

}  // namespace gs
