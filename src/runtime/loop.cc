#include "runtime/loop.h"

#include <algorithm>
#include <utility>

namespace gs {
namespace {

thread_local Loop* t_current = nullptr;

}  // namespace

bool TimerHeap::before(const Timer& a, const Timer& b) {
  if (a.deadline_ != b.deadline_) return a.deadline_ < b.deadline_;
  return a.sequence_ < b.sequence_;
}

void TimerHeap::place(Timer& timer, size_t index) {
  heap_[index] = &timer;
  timer.index_ = index;
}

void TimerHeap::sift_up(size_t index) {
  Timer& timer = *heap_[index];
  while (index > 0) {
    const size_t parent = (index - 1) / 2;
    if (!before(timer, *heap_[parent])) break;
    place(*heap_[parent], index);
    index = parent;
  }
  place(timer, index);
}

void TimerHeap::sift_down(size_t index) {
  Timer& timer = *heap_[index];
  while (true) {
    size_t child = 2 * index + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && before(*heap_[child + 1], *heap_[child])) ++child;
    if (!before(*heap_[child], timer)) break;
    place(*heap_[child], index);
    index = child;
  }
  place(timer, index);
}

void TimerHeap::insert(Timer& timer) {
  heap_.push_back(&timer);
  sift_up(heap_.size() - 1);
}

void TimerHeap::remove(Timer& timer) {
  const size_t index = timer.index_;
  Timer& last = *heap_.back();
  heap_.pop_back();
  timer.index_ = Timer::kNotArmed;
  if (&last == &timer) return;
  place(last, index);
  sift_up(index);
  sift_down(last.index_);
}

void Timer::arm_at(MonoTime deadline) {
  disarm();
  if (deadline == kNoDeadline) return;
  // Not before the present turn: one that always asks for the past would be first for ever.
  deadline_ = std::max(deadline, loop_.turn_began_);
  sequence_ = ++loop_.timer_sequence_;
  loop_.timers_.insert(*this);
  loop_.timers_changed();
}

void Timer::arm_after(Duration delay) { arm_at(saturating_add(loop_.now(), delay)); }

void Timer::disarm() {
  if (armed()) loop_.timers_.remove(*this);
}

Loop::Enter::Enter(Loop& loop) : previous_(std::exchange(t_current, &loop)) {}
Loop::Enter::~Enter() { t_current = previous_; }

Loop& Loop::current() {
  GS_CHECK(t_current != nullptr);
  return *t_current;
}

// Those armed meanwhile wait for the next turn: a timer that arms itself for now must not be the turn.
void Loop::fire_due_timers() {
  const uint64_t last = timer_sequence_;
  while (!timers_.empty() && timers_.earliest().deadline() <= turn_began_ && timers_.earliest().sequence_ <= last) {
    Timer& timer = timers_.earliest();
    timers_.remove(timer);
    timer.fired();
  }
}

bool Loop::run_ready(size_t& resumes) {
  constexpr size_t kClockEvery = 32;
  while (!ready_.empty()) {
    ++resumes;
    if (resumes > kTurnResumes || (resumes % kClockEvery == 0 && now() - turn_began_ > kTurnTime)) return false;
    Waiter& waiter = ready_.front();
    waiter.unlink();
    waiter.handle.resume();
  }
  return true;
}

void Loop::run_turn_end() {
  IntrusiveList<TurnEndHook> hooks;
  hooks.splice(turn_end_);
  while (!hooks.empty()) {
    TurnEndHook& hook = hooks.front();
    hook.unlink();
    hook.turn_ended();
  }
}

void Loop::run_turn() {
  const Enter enter(*this);
  turn_began_ = now();
  fire_due_timers();
  size_t resumes = 0;
  while (!idle()) {
    const bool all = run_ready(resumes);
    run_turn_end();
    if (!all) break;
  }
}

}  // namespace gs
