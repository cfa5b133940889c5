// What coroutines of one loop wait on: Event, Channel, Semaphore, sleep, deadlines. Nothing here is
// thread-safe; nothing here blocks. Whoever waits may be destroyed at any time.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "base/error.h"
#include "runtime/loop.h"
#include "runtime/task.h"

namespace gs {

// A list of waiting coroutines. A woken one re-checks what it waited for. A wake-up for one is never
// lost: if that one is destroyed before it runs, the next gets it.
class WaitQueue {
 public:
  // Woken by wake_*, or by the deadline (then await_resume returns false).
  class Awaiter : private Timer, private ListNode {
   public:
    Awaiter(WaitQueue& queue, Loop& loop, MonoTime deadline)
        : Timer(loop), queue_(queue), deadline_(deadline) {}
    // In a list, and already woken: the queue lives (else it would have let go of us), and waits for us.
    ~Awaiter() override {
      if (!woken_ || !linked()) return;
      unlink();
      queue_.wake_one();
    }
    bool await_ready() const { return false; }
    template <class Promise>
    void await_suspend(std::coroutine_handle<Promise> self) {
      waiter_ = &self.promise().waiter;
      waiter_->handle = self;
      queue_.waiting_.push_back(*this);
      arm_at(deadline_);
    }
    bool await_resume() {
      disarm();
      unlink();
      return woken_;
    }

   private:
    friend class WaitQueue;
    template <class T>
    friend class IntrusiveList;
    // Not after a wake-up that came in the same turn: who woke us counts on it.
    void fired() override {
      if (woken_) return;
      unlink();
      loop_.ready(*waiter_);
    }
    void wake() {
      woken_ = true;
      loop_.ready(*waiter_);
    }
    WaitQueue& queue_;
    MonoTime deadline_;
    Waiter* waiter_ = nullptr;
    bool woken_ = false;
  };

  explicit WaitQueue(Loop& loop) : loop_(loop) {}
  Awaiter wait(MonoTime deadline = kNoDeadline) { return Awaiter(*this, loop_, deadline); }
  void wake_one() {
    if (waiting_.empty()) return;
    Awaiter& first = waiting_.front();
    woken_.push_back(first);
    first.wake();
  }
  void wake_all() {
    while (!waiting_.empty()) {
      Awaiter& first = waiting_.front();
      first.unlink();
      first.wake();
    }
  }
  bool empty() const { return waiting_.empty(); }
  Loop& loop() { return loop_; }

 private:
  Loop& loop_;
  IntrusiveList<Awaiter> waiting_;
  IntrusiveList<Awaiter> woken_;  // by wake_one(), not resumed yet
};

// Set once or many times; wait() returns as soon as it is set, false when the deadline came first.
class Event {
 public:
  explicit Event(Loop& loop) : queue_(loop) {}
  void set() {
    set_ = true;
    queue_.wake_all();
  }
  void clear() { set_ = false; }
  bool is_set() const { return set_; }
  Task<bool> wait(MonoTime deadline = kNoDeadline);

 private:
  WaitQueue queue_;
  bool set_ = false;
};

// A bounded queue between coroutines of one loop. close() ends it: what is in it can still be
// received, sending fails with kCancelled, and receiving from an empty one returns nullopt.
template <class T>
class Channel {
 public:
  Channel(Loop& loop, size_t capacity) : capacity_(capacity), senders_(loop), receivers_(loop) {}

  bool try_send(T value) {
    if (closed_ || items_.size() >= capacity_) return false;
    items_.push_back(std::move(value));
    receivers_.wake_one();
    return true;
  }
  Task<Status> send(T value) {
    while (!closed_ && items_.size() >= capacity_) {
      co_await senders_.wait();
    }
    if (closed_) co_return fail(Code::kCancelled, "channel closed");
    items_.push_back(std::move(value));
    receivers_.wake_one();
    co_return ok();
  }
  std::optional<T> try_receive() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> value(std::move(items_.front()));
    items_.pop_front();
    senders_.wake_one();
    return value;
  }
  // nullopt: closed and empty, or the deadline came.
  Task<std::optional<T>> receive(MonoTime deadline = kNoDeadline) {
    while (items_.empty()) {
      if (closed_) co_return std::nullopt;
      const bool woken = co_await receivers_.wait(deadline);
      if (!woken) co_return std::nullopt;
    }
    co_return try_receive();
  }
  void close() {
    closed_ = true;
    senders_.wake_all();
    receivers_.wake_all();
  }
  bool closed() const { return closed_; }
  bool empty() const { return items_.empty(); }
  size_t size() const { return items_.size(); }

 private:
  size_t capacity_;
  std::deque<T> items_;
  bool closed_ = false;
  WaitQueue senders_;
  WaitQueue receivers_;
};

// Counted permits. A Permit gives itself back when destroyed; it must not outlive the semaphore.
class Semaphore {
 public:
  class Permit {
   public:
    Permit() = default;
    explicit Permit(Semaphore* owner) : owner_(owner) {}
    Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
    Permit& operator=(Permit&& other) noexcept {
      std::swap(owner_, other.owner_);
      return *this;
    }
    ~Permit() {
      if (owner_ != nullptr) owner_->release();
    }

   private:
    Semaphore* owner_ = nullptr;
  };

  Semaphore(Loop& loop, size_t permits) : free_(permits), waiters_(loop) {}
  Task<Result<Permit>> acquire(MonoTime deadline = kNoDeadline) {
    while (free_ == 0) {
      const bool woken = co_await waiters_.wait(deadline);
      if (!woken) co_return fail(Code::kDeadlineExceeded, "no permit in time");
    }
    --free_;
    co_return Permit(this);
  }
  size_t free() const { return free_; }

 private:
  void release() {
    ++free_;
    waiters_.wake_one();
  }
  size_t free_;
  WaitQueue waiters_;
};

// Resumes at `deadline`, in order with all other timers.
inline Task<void> sleep_until(Loop& loop, MonoTime deadline) {
  WaitQueue nobody(loop);
  co_await nobody.wait(deadline);
}
inline Task<void> sleep_for(Loop& loop, Duration delay) {
  return sleep_until(loop, saturating_add(loop.now(), delay));
}

// Gives every other ready coroutine a chance to run first.
inline Task<void> yield_turn(Loop& loop) { return sleep_until(loop, loop.now()); }

namespace internal {
void wake_event(void* event);
}

// Runs `task` until it finishes or the deadline comes; then it is destroyed (cancelled) and the
// answer is kDeadlineExceeded with `what` in its message.
template <class T>
Task<Result<T>> with_deadline(Loop& loop, Task<Result<T>> task, MonoTime deadline, std::string what) {
  Event done(loop);
  if (!task.start(&internal::wake_event, &done)) {
    const bool finished = co_await done.wait(deadline);
    if (!finished) {
      task.reset();
      co_return fail(Code::kDeadlineExceeded, "{}: deadline exceeded", what);
    }
  }
  co_return task.take_result();
}

}  // namespace gs
