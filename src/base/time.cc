#include "base/time.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <ctime>
#include <limits>

namespace gs {
namespace {

struct Unit {
  std::string_view name;
  double seconds;
};

// Longer names before their prefixes.
constexpr Unit kUnits[] = {{"ns", 1e-9}, {"us", 1e-6}, {"\xc2\xb5s", 1e-6}, {"ms", 1e-3},
                           {"s", 1.0},   {"m", 60.0},  {"h", 3600.0}};

std::optional<double> take_unit(std::string_view& text) {
  for (const Unit& unit : kUnits) {
    if (text.substr(0, unit.name.size()) != unit.name) continue;
    text.remove_prefix(unit.name.size());
    return unit.seconds;
  }
  return std::nullopt;
}

std::optional<double> take_number(std::string_view& text) {
  double value = 0;
  double scale = 0;
  bool digits = false;
  size_t i = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '.' && scale == 0) {
      scale = 1;
    } else if (std::isdigit(static_cast<unsigned char>(c))) {
      digits = true;
      value = value * 10 + (c - '0');
      if (scale > 0) scale *= 10;
    } else {
      break;
    }
  }
  if (!digits) return std::nullopt;
  text.remove_prefix(i);
  return scale > 0 ? value / scale : value;
}

std::string format_utc(WallTime t, bool micro) {
  const auto since_epoch = t.time_since_epoch();
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since_epoch);
  const std::time_t time = seconds.count();
  std::tm tm{};
  gmtime_r(&time, &tm);
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", tm.tm_year + 1900, tm.tm_mon + 1,
                                tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
  if (micro) {
    const auto rest = std::chrono::duration_cast<std::chrono::microseconds>(since_epoch - seconds);
    out += fmt::format(".{:06}", rest.count());
  }
  return out + "Z";
}

std::optional<int> digits_at(std::string_view text, size_t at, size_t count) {
  if (at + count > text.size()) return std::nullopt;
  int value = 0;
  for (size_t i = at; i < at + count; ++i) {
    if (!std::isdigit(static_cast<unsigned char>(text[i]))) return std::nullopt;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

// ".123456" at the front of `text`, as a duration; the fraction is removed from `text`.
Duration take_fraction(std::string_view& text) {
  if (text.empty() || text[0] != '.') return Duration::zero();
  int64_t nanos = 0;
  int64_t unit = 100'000'000;
  size_t i = 1;
  for (; i < text.size() && std::isdigit(static_cast<unsigned char>(text[i])); ++i) {
    nanos += (text[i] - '0') * unit;
    unit /= 10;
  }
  text.remove_prefix(i);
  return Duration(nanos);
}

std::optional<Duration> parse_zone(std::string_view text) {
  if (text == "Z" || text == "z") return Duration::zero();
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const auto hours = digits_at(text, 1, 2);
  const auto minutes = digits_at(text, 4, 2);
  if (!hours || !minutes) return std::nullopt;
  const Duration offset = std::chrono::hours(*hours) + std::chrono::minutes(*minutes);
  return text[0] == '-' ? -offset : offset;
}

}  // namespace

MonoTime saturating_add(MonoTime now, Duration d) {
  if (d >= MonoTime::max() - now) return kNoDeadline;
  return now + d;
}

std::string format_rfc3339(WallTime t) { return format_utc(t, false); }
std::string format_rfc3339_micro(WallTime t) { return format_utc(t, true); }

std::optional<WallTime> parse_rfc3339(std::string_view text) {
  if (text.size() < 20 || text[4] != '-' || text[7] != '-' || text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  if (text[10] != 'T' && text[10] != 't') return std::nullopt;
  const auto year = digits_at(text, 0, 4), month = digits_at(text, 5, 2), day = digits_at(text, 8, 2);
  const auto hour = digits_at(text, 11, 2), minute = digits_at(text, 14, 2), second = digits_at(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year(*year), std::chrono::month(unsigned(*month)),
                                         std::chrono::day(unsigned(*day))};
  if (!date.ok() || *hour > 23 || *minute > 59 || *second > 60) return std::nullopt;
  // A WallTime counts nanoseconds in 64 bits: years outside this range would overflow it.
  if (*year < 1700 || *year > 2250) return std::nullopt;
  text.remove_prefix(19);
  const Duration fraction = take_fraction(text);
  const auto zone = parse_zone(text);
  if (!zone) return std::nullopt;
  const Duration of_day =
      std::chrono::hours(*hour) + std::chrono::minutes(*minute) + std::chrono::seconds(*second);
  return WallTime(std::chrono::sys_days(date)) + of_day + fraction - *zone;
}

std::optional<Duration> parse_go_duration(std::string_view text) {
  if (text == "0") return Duration::zero();
  if (text.empty()) return std::nullopt;
  double seconds = 0;
  while (!text.empty()) {
    const auto number = take_number(text);
    if (!number) return std::nullopt;
    const auto unit = take_unit(text);
    if (!unit) return std::nullopt;
    seconds += *number * *unit;
  }
  constexpr double kMaxSeconds = 9.2e9;  // int64 nanoseconds, as Go's limit
  if (!std::isfinite(seconds) || seconds > kMaxSeconds) return std::nullopt;
  return Duration(std::llround(seconds * 1e9));
}

std::string format_go_duration(Duration d) {
  const int64_t ns = d.count();
  if (ns == 0) return "0s";
  if (ns < 1'000) return fmt::format("{}ns", ns);
  if (ns < 1'000'000) return fmt::format("{}µs", static_cast<double>(ns) / 1e3);
  if (ns < 1'000'000'000) return fmt::format("{}ms", static_cast<double>(ns) / 1e6);
  const int64_t total = ns / 1'000'000'000;
  const double seconds = static_cast<double>(total % 60) + static_cast<double>(ns % 1'000'000'000) / 1e9;
  if (total < 60) return fmt::format("{}s", seconds);
  if (total < 3600) return fmt::format("{}m{}s", total / 60, seconds);
  return fmt::format("{}h{}m{}s", total / 3600, total / 60 % 60, seconds);
}

}  // namespace gs
