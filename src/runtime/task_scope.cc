#include "runtime/task_scope.h"

#include <utility>

namespace gs {

void TaskScope::spawn(Task<void> task) {
  tasks_.emplace_back(*this);
  Entry& entry = tasks_.back();
  entry.self = std::prev(tasks_.end());
  entry.task = std::move(task);
  if (entry.task.start(&TaskScope::on_done, &entry)) loop_.at_turn_end(entry);
}

void TaskScope::on_done(void* argument) {
  Entry& entry = *static_cast<Entry*>(argument);
  entry.scope.loop_.at_turn_end(entry);
}

void TaskScope::erase(Entry& entry) {
  // Out of the list first: destroying the frame may look at this scope.
  std::list<Entry> doomed;
  doomed.splice(doomed.end(), tasks_, entry.self);
  doomed.clear();
  if (tasks_.empty()) finished_.wake_all();
}

void TaskScope::cancel() {
  // One by one: a frame's destruction may spawn or look at the scope.
  while (!tasks_.empty()) erase(tasks_.front());
}

Task<bool> TaskScope::join(MonoTime deadline) {
  while (!tasks_.empty()) {
    const bool woken = co_await finished_.wait(deadline);
    if (!woken) co_return tasks_.empty();
  }
  co_return true;
}

}  // namespace gs
