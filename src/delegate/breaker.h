// A breaker for one endpoint: whether it may be dialled now. Pure; the owner passes time and chance.
//
//   closed ──failed──► open ──time──► half-open ──proved──► closed
//                       ▲                 │
//                       └─────failed──────┘   (for twice as long)
//
// What fails is dials, Hellos and streams that were cut; a delegate's answers about a key never do.
#pragma once

#include <algorithm>

#include "base/mutation.h"
#include "base/time.h"

namespace gs::delegate {

struct BreakerOptions {
  Duration first_pause = std::chrono::milliseconds(200);
  Duration last_pause = std::chrono::seconds(15);
};

class Breaker {
 public:
  enum class State { kClosed, kOpen, kHalfOpen };

  explicit Breaker(BreakerOptions options = {}) : options_(options) {}

  // Open for a while that doubles with each failure in a row. `spread` is 0 to 1: up to half is added.
  void failed(MonoTime now, double spread) {
    if (failures_ == 0) since_ = now;
    const Duration pause = std::min(options_.last_pause, options_.first_pause * (int64_t{1} << std::min(failures_, 20u)));
    retry_at_ = saturating_add(now, pause + from_seconds(to_seconds(pause) * 0.5 * spread));
    ++failures_;
    probing_ = false;
  }
  // It did what it is for: said Hello and kept its stream, or gave a result.
  void proved() {
    failures_ = 0;
    probing_ = false;
    retry_at_ = MonoTime{};
  }
  // A dial begins; while half-open there is one at a time.
  void probe() { probing_ = failures_ > 0; }
  // What the dial led to is over, and showed nothing.
  void probe_over() { probing_ = false; }

  State state(MonoTime now) const {
    if (failures_ == 0) return State::kClosed;
    return now < retry_at_ ? State::kOpen : State::kHalfOpen;
  }
  bool admits(MonoTime now) const {
    const State s = state(now);
    return s == State::kClosed || (s == State::kHalfOpen && !probing_ && !mutated(Mutation::kBreakerStaysOpen));
  }
  // kNoDeadline where it is not open.
  MonoTime retry_at(MonoTime now) const { return state(now) == State::kOpen ? retry_at_ : kNoDeadline; }
  unsigned failures() const { return failures_; }
  // Of the first failure in this row.
  MonoTime since() const { return since_; }

 private:
  BreakerOptions options_;
  unsigned failures_ = 0;
  bool probing_ = false;
  MonoTime retry_at_{};
  MonoTime since_{};
};

}  // namespace gs::delegate
