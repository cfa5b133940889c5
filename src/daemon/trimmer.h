// Gives the kernel back what the allocator holds and nobody uses. A fleet's start and each burst leave holes
// between long-lived blocks, which glibc keeps: a third of an idle plane. Works only while the process is quiet,
// and off the loop, because a trim holds the allocator's locks.
#pragma once

#include "runtime/loop.h"
#include "runtime/task.h"

namespace gs::daemon {

// When a trim is worth it. Pure.
class TrimPolicy {
 public:
  static constexpr double kQuiet = 0.1;       // cores, over the last look's time
  static constexpr double kWork = 0.02;       // CPU seconds since the last trim: less leaves nothing behind
  static constexpr size_t kLeast = 1 << 20;   // bytes
  static constexpr int kPause = 1000;         // times as long as a look or a trim took

  // Whether it is quiet after work; `cpu` is the process's in seconds. Only then is the allocator asked.
  bool quiet(MonoTime now, double cpu);
  // Whether enough is free, of which a trim might give something back.
  bool worthwhile(size_t free_bytes, size_t used_bytes) const { return free_bytes > left_ + kLeast + used_bytes / 16; }
  // After a look at the allocator, which walks all free blocks.
  void looked(MonoTime now, Duration took);
  // After a trim: what is still free lies in pages that are in use.
  void trimmed(MonoTime now, Duration took, size_t free_bytes);

 private:
  MonoTime looked_{};
  double cpu_then_ = 0;  // at the last look
  double cpu_trim_ = 0;  // at the last trim
  MonoTime not_before_ = MonoTime::min();
  size_t left_ = 0;
};

// Runs until destroyed.
Task<void> trim_when_quiet(Loop& loop);

}  // namespace gs::daemon
