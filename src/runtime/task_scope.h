// TaskScope owns tasks that nobody awaits. Destroying or cancelling it destroys them all; every
// spawned task has an owner, so nothing outlives what it uses. Declare a scope last in its owner.
#pragma once

#include <list>

#include "runtime/sync.h"
#include "runtime/task.h"

namespace gs {

class TaskScope {
 public:
  explicit TaskScope(Loop& loop) : loop_(loop), finished_(loop) {}
  ~TaskScope() { cancel(); }
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  // Starts the task now. A finished task is freed at the end of the turn.
  void spawn(Task<void> task);
  // Destroys all tasks. Must not be called from inside one of them.
  void cancel();
  // Waits until no task is left, or the deadline; false in the latter case.
  Task<bool> join(MonoTime deadline = kNoDeadline);
  bool empty() const { return tasks_.empty(); }
  size_t size() const { return tasks_.size(); }

 private:
  struct Entry final : TurnEndHook {
    explicit Entry(TaskScope& s) : scope(s) {}
    void turn_ended() override { scope.erase(*this); }
    TaskScope& scope;
    Task<void> task;
    std::list<Entry>::iterator self;
  };
  static void on_done(void* entry);
  void erase(Entry& entry);

  Loop& loop_;
  std::list<Entry> tasks_;
  WaitQueue finished_;
};

}  // namespace gs
