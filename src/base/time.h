// Time. Deadlines and timers use MonoTime; WallTime is only for what other people's clocks say:
// certificates, tokens, Kubernetes timestamps. Both come from a Loop, never from the system.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gs {

using Duration = std::chrono::nanoseconds;

struct MonoClock {
  using duration = Duration;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<MonoClock>;
  static constexpr bool is_steady = true;
};
using MonoTime = MonoClock::time_point;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

inline constexpr MonoTime kNoDeadline = MonoTime::max();

inline double to_seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
inline Duration from_seconds(double s) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

// `now + d`, or kNoDeadline where that would overflow.
MonoTime saturating_add(MonoTime now, Duration d);

// RFC 3339 in UTC with whole seconds (metav1.Time) or microseconds (metav1.MicroTime).
std::string format_rfc3339(WallTime t);
std::string format_rfc3339_micro(WallTime t);
std::optional<WallTime> parse_rfc3339(std::string_view text);

// Go's duration syntax as Kubernetes users write it: "10s", "1h30m", "250ms". No negative values.
std::optional<Duration> parse_go_duration(std::string_view text);
// The inverse, in Go's way of writing it: "1h30m0s", "10s", "250ms".
std::string format_go_duration(Duration d);

}  // namespace gs
