#include "daemon/trimmer.h"

#include <malloc.h>
#include <sys/resource.h>

#include <chrono>
#include <memory>
#include <utility>

#include "runtime/sync.h"

namespace gs::daemon {
namespace {

constexpr Duration kPeriod = std::chrono::seconds(5);

double process_cpu() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// What one look at the allocator found and did; outlives the coroutine where that is destroyed meanwhile.
struct Look {
  Look(Loop& loop, const TrimPolicy& p) : policy(p), done(loop) {}
  void run() {
    const auto begun = std::chrono::steady_clock::now();
    const auto before = mallinfo2();
    trimmed = policy.worthwhile(before.fordblks, before.uordblks);
    if (trimmed) {
      malloc_trim(0);
      free_bytes = mallinfo2().fordblks;
    }
    took = std::chrono::steady_clock::now() - begun;
  }
  const TrimPolicy policy;
  Event done;
  bool trimmed = false;
  Duration took{0};
  size_t free_bytes = 0;
};

}  // namespace

bool TrimPolicy::quiet(MonoTime now, double cpu) {
  const double time = to_seconds(now - std::exchange(looked_, now));
  const double spent = cpu - std::exchange(cpu_then_, cpu);
  return now >= not_before_ && spent < kQuiet * time && cpu - cpu_trim_ >= kWork;
}

void TrimPolicy::looked(MonoTime now, Duration took) { not_before_ = saturating_add(now, took * kPause); }

void TrimPolicy::trimmed(MonoTime now, Duration took, size_t free_bytes) {
  looked(now, took);
  cpu_trim_ = cpu_then_;
  left_ = free_bytes;
}

Task<void> trim_when_quiet(Loop& loop) {
  TrimPolicy policy;
  while (true) {
    co_await sleep_for(loop, kPeriod);
    if (!policy.quiet(loop.now(), process_cpu())) continue;
    const auto look = std::make_shared<Look>(loop, policy);
    std::function<void()> work = [look] { look->run(); };
    std::function<void()> done = [look] { look->done.set(); };
    loop.run_blocking(std::move(work), std::move(done));
    co_await look->done.wait();
    if (look->trimmed) {
      policy.trimmed(loop.now(), look->took, look->free_bytes);
    } else {
      policy.looked(loop.now(), look->took);
    }
  }
}

}  // namespace gs::daemon
