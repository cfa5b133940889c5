// The real loop: libuv's epoll, one wake-up for many sockets, one libuv timer for all of ours.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "runtime/loop.h"

namespace gs {

class UvLoop final : public Loop {
 public:
  UvLoop();
  // Closes its own handles; whoever made others has closed them before.
  ~UvLoop() override;

  MonoTime now() const override;
  WallTime wall_now() const override;
  void post(std::function<void()> work) override;
  void run_blocking(std::function<void()> work, std::function<void()> done) override;

  // Runs turns on the calling thread until stop().
  void run();
  // Ends run() after the present turn. From any thread.
  void stop();
  // Runs turns until `done()` is true; for tests and start-up.
  void run_until(const std::function<bool()>& done);

  uv_loop_t* uv() { return &loop_; }

  // A libuv callback of ours (socket, DNS, process) makes an Activation for its duration: it makes
  // this the current loop, and what it made ready runs before the loop polls again.
  class Activation : private Enter {
   public:
    explicit Activation(UvLoop& loop) : Enter(loop) {}
  };

  // Stops and frees a handle in libuv's own time. `handle` was made by new T{}; call it once.
  template <class T>
  static void close_and_delete(T* handle) {
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* h) { delete reinterpret_cast<T*>(h); });
  }

 private:
  void run_posted();
  void before_poll();

  uv_loop_t loop_;
  uv_async_t wakeup_;
  uv_prepare_t prepare_;
  uv_timer_t timer_;
  bool stopping_ = false;
  const std::function<bool()>* until_ = nullptr;  // of the innermost run_until()
  std::mutex posted_mutex_;
  std::vector<std::function<void()>> posted_;
};

}  // namespace gs
