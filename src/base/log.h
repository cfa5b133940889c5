// Structured logs in the manner of Kubernetes components (klog text, or JSON lines).
// Thread-safe; a slow terminal never blocks a loop: lines go through a bounded queue to a thread of
// the logging library, and the oldest are dropped (and counted) when it is full.
// Nothing secret is ever a field: no tokens, no object content.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>

#include "base/error.h"

namespace gs::log {

enum class Level { kDebug, kInfo, kWarning, kError };
enum class Format { kText, kJson };

struct Field {
  template <class T>
  Field(std::string_view k, const T& v) : key(k), value(convert(v)) {}
  std::string_view key;
  std::variant<std::string_view, std::string, int64_t, double, bool> value;

 private:
  template <class T>
  static decltype(value) convert(const T& v) {
    if constexpr (std::is_same_v<T, bool>) {
      return v;
    } else if constexpr (std::is_integral_v<T>) {
      return static_cast<int64_t>(v);
    } else if constexpr (std::is_floating_point_v<T>) {
      return static_cast<double>(v);
    } else if constexpr (std::is_same_v<T, Error>) {
      return v.to_string();
    } else {
      return std::string_view(v);
    }
  }
};
using Fields = std::initializer_list<Field>;

// Called once by main before anything logs; tests log to standard error at kWarning by default.
void configure(Level level, Format format);
void flush();
// Lines that the queue had no room for, since the start; the plane shows them as gulfstream_log_lines_dropped_total.
uint64_t dropped();
bool enabled(Level level);

void write(Level level, std::string_view message, Fields fields);
inline void debug(std::string_view message, Fields fields = {}) {
  if (enabled(Level::kDebug)) write(Level::kDebug, message, fields);
}
inline void info(std::string_view message, Fields fields = {}) { write(Level::kInfo, message, fields); }
inline void warning(std::string_view message, Fields fields = {}) { write(Level::kWarning, message, fields); }
inline void error(std::string_view message, Fields fields = {}) { write(Level::kError, message, fields); }

Result<Level> parse_level(std::string_view text);
Result<Format> parse_format(std::string_view text);

}  // namespace gs::log
