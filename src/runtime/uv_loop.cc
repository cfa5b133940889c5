#include "runtime/uv_loop.h"

#include <time.h>

#include <chrono>
#include <random>
#include <utility>

namespace gs {
namespace {

uint64_t seed_from_system() {
  std::random_device device;
  return static_cast<uint64_t>(device()) << 32 | device();
}

struct BlockingWork {
  uv_work_t request;
  UvLoop* loop;
  std::function<void()> work;
  std::function<void()> done;
};

}  // namespace

UvLoop::UvLoop() : Loop(seed_from_system()) {
  GS_CHECK(uv_loop_init(&loop_) == 0);
  GS_CHECK(uv_async_init(&loop_, &wakeup_, [](uv_async_t* h) { static_cast<UvLoop*>(h->data)->run_posted(); }) == 0);
  GS_CHECK(uv_prepare_init(&loop_, &prepare_) == 0);
  GS_CHECK(uv_timer_init(&loop_, &timer_) == 0);
  wakeup_.data = prepare_.data = timer_.data = this;
  uv_prepare_start(&prepare_, [](uv_prepare_t* h) { static_cast<UvLoop*>(h->data)->before_poll(); });
}

UvLoop::~UvLoop() {
  run_posted();
  for (uv_handle_t* handle : {reinterpret_cast<uv_handle_t*>(&wakeup_), reinterpret_cast<uv_handle_t*>(&prepare_),
                              reinterpret_cast<uv_handle_t*>(&timer_)}) {
    uv_close(handle, nullptr);
  }
  uv_run(&loop_, UV_RUN_DEFAULT);
  GS_CHECK(uv_loop_close(&loop_) == 0);
}

// The kernel's clock through the vDSO (about 20 ns), not libuv's cached milliseconds.
MonoTime UvLoop::now() const {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return MonoTime(std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec));
}

WallTime UvLoop::wall_now() const {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

void UvLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(posted_mutex_);
    posted_.push_back(std::move(work));
  }
  uv_async_send(&wakeup_);
}

void UvLoop::run_posted() {
  std::vector<std::function<void()>> work;
  {
    const std::lock_guard lock(posted_mutex_);
    work.swap(posted_);
  }
  const Enter enter(*this);
  for (auto& item : work) item();
}

void UvLoop::run_blocking(std::function<void()> work, std::function<void()> done) {
  auto* job = new BlockingWork{{}, this, std::move(work), std::move(done)};
  job->request.data = job;
  const int rc = uv_queue_work(
      &loop_, &job->request, [](uv_work_t* r) { static_cast<BlockingWork*>(r->data)->work(); },
      [](uv_work_t* r, int) {
        const std::unique_ptr<BlockingWork> owned(static_cast<BlockingWork*>(r->data));
        const Activation activation(*owned->loop);
        owned->done();
      });
  GS_CHECK(rc == 0);
}

// A turn ends here: everything that this wake-up made ready runs, then the loop sleeps until the
// next event or the earliest timer.
void UvLoop::before_poll() {
  run_turn();
  // What run_until() waits for may have come about in this very turn; nothing else need ever happen.
  if (until_ != nullptr && (*until_)()) uv_stop(&loop_);
  const MonoTime deadline = idle() ? next_deadline() : now();
  if (deadline == kNoDeadline) {
    uv_timer_stop(&timer_);
    return;
  }
  const Duration wait = deadline - now();
  // Rounded up, so that the timer is due when libuv wakes.
  const auto ms = wait <= Duration::zero()
                      ? 0
                      : std::chrono::duration_cast<std::chrono::milliseconds>(wait).count() + 1;
  uv_update_time(&loop_);
  uv_timer_start(&timer_, [](uv_timer_t*) {}, static_cast<uint64_t>(ms), 0);
}

void UvLoop::run() {
  stopping_ = false;
  while (!stopping_) uv_run(&loop_, UV_RUN_ONCE);
}

void UvLoop::stop() {
  post([this] { stopping_ = true; });
}

void UvLoop::run_until(const std::function<bool()>& done) {
  const auto* outer = std::exchange(until_, &done);
  run_turn();
  while (!done()) {
    uv_run(&loop_, UV_RUN_ONCE);
    run_turn();
  }
  until_ = outer;
}

}  // namespace gs
