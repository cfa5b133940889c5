// What target.cc and target_conversion.cc share. Internal.
#pragma once

#include <utility>

#include "webhook/failure.h"
#include "webhook/target.h"

namespace gs::webhook {

inline HttpAnswer malformed(Error error) {
  return HttpAnswer(400, fmt::format("not a review that can be answered: {}\n", error.message));
}

// One question to the reviewer. It ends with the answer, at the deadline, or when the target is closed.
struct Target::Asking : ListNode {
  explicit Asking(Loop& loop) : done(loop) {}
  virtual void cancel() = 0;
  static void wake(void* event) { static_cast<Event*>(event)->set(); }
  Event done;

 protected:
  ~Asking() = default;
};

template <class T>
Task<Result<T>> Target::ask(Task<Result<T>> task, MonoTime deadline) {
  struct Call final : Asking {
    Call(Loop& loop, Task<Result<T>> t) : Asking(loop), task(std::move(t)) {}
    void cancel() override {
      task.reset();
      done.set();
    }
    Task<Result<T>> task;
  };
  const MonoTime began = deps_.loop.now();
  Call call(deps_.loop, std::move(task));
  if (!call.task.start(&Asking::wake, &call.done)) {
    asking_.push_back(call);
    const bool finished = co_await call.done.wait(deadline);
    if (!finished) {
      call.task.reset();
      co_return fail(Code::kDeadlineExceeded, "did not answer within {}", short_duration(deps_.loop.now() - began));
    }
    if (!call.task) co_return fail(Code::kCancelled, "{}", closed_.value_or("was closed"));
  }
  co_return call.task.take_result();
}

// Counts one more while it lives.
class Held {
 public:
  explicit Held(size_t& count) : count_(count) { ++count_; }
  ~Held() { --count_; }
  Held(const Held&) = delete;

 private:
  size_t& count_;
};

}  // namespace gs::webhook
