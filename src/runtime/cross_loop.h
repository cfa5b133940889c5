// Asking another loop for something. What crosses is a copy; the answer comes back in a later turn of the
// loop that asked. Both loops outlive the call; the caller may be destroyed meanwhile, the work then still
// runs and its answer is dropped.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "runtime/sync.h"
#include "runtime/task_scope.h"

namespace gs {

namespace internal {

template <class T>
struct CrossLoopCall {
  explicit CrossLoopCall(Loop& loop) : asker(loop), answered(loop) {}
  Loop& asker;
  Event answered;
  std::optional<T> answer;

  // From the other loop: gives the last reference away, so that the call dies where it was made.
  static void finish(std::shared_ptr<CrossLoopCall> call, T value) {
    Loop& asker = call->asker;
    asker.post([call = std::move(call), value = std::make_shared<T>(std::move(value))] {
      call->answer.emplace(std::move(*value));
      call->answered.set();
    });
  }
};

template <class T>
Task<void> run_and_answer(Task<T> task, std::shared_ptr<CrossLoopCall<T>> call) {
  T value = co_await std::move(task);
  CrossLoopCall<T>::finish(std::move(call), std::move(value));
}

}  // namespace internal

// Runs `work` on the loop `to`.
template <class T>
Task<T> call_on(Loop& from, Loop& to, std::function<T()> work) {
  auto call = std::make_shared<internal::CrossLoopCall<T>>(from);
  to.post([call, work = std::move(work)]() mutable {
    T value = work();
    internal::CrossLoopCall<T>::finish(std::move(call), std::move(value));
  });
  co_await call->answered.wait();
  co_return std::move(*call->answer);
}

// Runs the task that `make` gives on the loop `to`, owned by `scope` there.
template <class T>
Task<T> run_on(Loop& from, Loop& to, TaskScope& scope, std::function<Task<T>()> make) {
  auto call = std::make_shared<internal::CrossLoopCall<T>>(from);
  to.post([call, &scope, make = std::move(make)]() mutable {
    scope.spawn(internal::run_and_answer<T>(make(), std::move(call)));
  });
  co_await call->answered.wait();
  co_return std::move(*call->answer);
}

}  // namespace gs
