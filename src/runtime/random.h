// Seeded randomness. Every Loop has one; a simulated loop's comes from the scenario's seed, so that a
// seed replays a run. Not for secrets (OpenSSL's generator makes those).
#pragma once

#include <cstdint>

#include "base/time.h"

namespace gs {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  // splitmix64.
  uint64_t next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15ull);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    return z ^ (z >> 31);
  }
  // In [0, bound); bound > 0.
  uint64_t below(uint64_t bound) { return next() % bound; }
  // In [0, 1).
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  bool chance(double probability) { return unit() < probability; }
  // In [low, high].
  Duration between(Duration low, Duration high) {
    return low + Duration(static_cast<int64_t>(below(static_cast<uint64_t>((high - low).count()) + 1)));
  }
  // `base` plus up to `factor` of it (k8s.io/apimachinery wait.Jitter).
  Duration jitter(Duration base, double factor) {
    return base + Duration(static_cast<int64_t>(unit() * factor * static_cast<double>(base.count())));
  }

 private:
  uint64_t state_;
};

}  // namespace gs
