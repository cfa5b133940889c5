// Task<T>: a lazy coroutine on one loop.
//
//   Task<Result<int>> answer(Loop& loop) { co_await sleep_for(loop, 1s); co_return 42; }
//
// - Nothing runs until it is awaited or given to a TaskScope.
// - Destroying a Task cancels it: the frame and everything it owns goes, and whatever list it waited
//   in forgets it. Operations of the outside world are owned by the loop, never by a frame.
// - No symmetric transfer (g++ 12 does not tail-call under ASan or TSan): awaiting starts the child
//   and goes straight on when the child finished at once; a child that finishes later puts its
//   parent on the loop's ready queue. So neither deep nor long chains of awaits use stack.
// - Parameters of a coroutine are taken by value, or by reference to something that outlives it.
// - g++ 12 miscompiles richer expressions around co_await: it destroys some temporaries twice
//   (aggregates, lambdas with captures), and awaiters inside conditions (`if (!co_await x)`,
//   `a || co_await b`). So an await is a statement of its own: `co_await x;`, `auto y = co_await x;`
//   or `co_return co_await x;`, and its arguments are named on lines before it.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

#include "base/check.h"
#include "runtime/loop.h"

namespace gs {

// What every coroutine of ours has: its place in wait lists, and who awaits it.
struct PromiseBase {
  PromiseBase() = default;
  PromiseBase(const PromiseBase&) = delete;
  PromiseBase& operator=(const PromiseBase&) = delete;

  Waiter waiter;                   // this coroutine, when it waits
  PromiseBase* parent = nullptr;   // who awaits the result, once it has suspended for it
  // Called instead of waking a parent (TaskScope).
  void (*on_done)(void*) = nullptr;
  void* on_done_argument = nullptr;

  void unhandled_exception() noexcept { std::terminate(); }  // our code does not throw
};

// Suspends the awaiting coroutine on a wait list; resumed by Loop::ready(waiter).
struct FinalAwaiter {
  bool await_ready() noexcept { return false; }
  template <class Promise>
  void await_suspend(std::coroutine_handle<Promise> self) noexcept {
    PromiseBase& promise = self.promise();
    if (promise.parent != nullptr) {
      Loop::current().ready(promise.parent->waiter);
    } else if (promise.on_done != nullptr) {
      promise.on_done(promise.on_done_argument);
    }
  }
  void await_resume() noexcept {}
};

template <class T>
class [[nodiscard]] Task;

namespace internal {

template <class T>
struct TaskPromise : PromiseBase {
  Task<T> get_return_object();
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  template <class U>
  void return_value(U&& value) {
    result.emplace(std::forward<U>(value));
  }
  std::optional<T> result;
};

template <>
struct TaskPromise<void> : PromiseBase {
  Task<void> get_return_object();
  std::suspend_always initial_suspend() noexcept { return {}; }
  FinalAwaiter final_suspend() noexcept { return {}; }
  void return_void() {}
};

}  // namespace internal

template <class T>
class [[nodiscard]] Task {
 public:
  using promise_type = internal::TaskPromise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Task() { reset(); }

  explicit operator bool() const { return handle_ != nullptr; }

  class Awaiter {
   public:
    explicit Awaiter(Handle child) : child_(child) {}
    bool await_ready() const { return false; }
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> parent) {
      PromiseBase& promise = parent.promise();
      promise.waiter.handle = parent;
      child_.promise().waiter.handle = child_;
      child_.resume();
      if (child_.done()) return false;
      child_.promise().parent = &promise;
      return true;
    }
    T await_resume() {
      if constexpr (!std::is_void_v<T>) return std::move(*child_.promise().result);
    }

   private:
    Handle child_;
  };
  Awaiter operator co_await() const& { return Awaiter(handle_); }
  Awaiter operator co_await() && { return Awaiter(handle_); }

  // Starts it without awaiting; `on_done(argument)` is called when it finishes after having
  // suspended. Returns whether it finished at once. For TaskScope and race primitives.
  bool start(void (*on_done)(void*), void* argument) {
    PromiseBase& promise = handle_.promise();
    promise.waiter.handle = handle_;
    handle_.resume();
    if (handle_.done()) return true;
    promise.on_done = on_done;
    promise.on_done_argument = argument;
    return false;
  }
  bool done() const { return handle_ && handle_.done(); }
  T take_result() {
    GS_CHECK(done());
    if constexpr (!std::is_void_v<T>) return std::move(*handle_.promise().result);
  }
  void reset() {
    if (handle_) std::exchange(handle_, nullptr).destroy();
  }

 private:
  Handle handle_ = nullptr;
};

namespace internal {
template <class T>
Task<T> TaskPromise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<TaskPromise<T>>::from_promise(*this));
}
inline Task<void> TaskPromise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<TaskPromise<void>>::from_promise(*this));
}
}  // namespace internal

}  // namespace gs
