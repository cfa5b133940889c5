#include "base/log.h"

#include <fmt/format.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <chrono>
#include <ctime>

#include "base/time.h"

namespace gs::log {
namespace {

// The library keeps a slot of some 400 bytes for each from the start: 0.8 MB.
constexpr size_t kQueueLines = 2048;

std::atomic<Level> g_level{Level::kWarning};
std::atomic<Format> g_format{Format::kText};

spdlog::logger& sink() {
  static const std::shared_ptr<spdlog::logger> kLogger = [] {
    spdlog::init_thread_pool(kQueueLines, 1);
    auto made = spdlog::create_async_nb<spdlog::sinks::stderr_sink_mt>("gulfstream");
    made->set_pattern("%v");
    made->set_level(spdlog::level::trace);
    return made;
  }();
  return *kLogger;
}

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
    } else {
      out += c;
    }
  }
  out += '"';
}

struct AppendValue {
  std::string& out;
  void operator()(std::string_view v) const { append_quoted(out, v); }
  void operator()(const std::string& v) const { append_quoted(out, v); }
  void operator()(int64_t v) const { fmt::format_to(std::back_inserter(out), "{}", v); }
  void operator()(double v) const { fmt::format_to(std::back_inserter(out), "{:.6g}", v); }
  void operator()(bool v) const { out += v ? "true" : "false"; }
};

WallTime system_now() {
  return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
}

// klog's header, without the source line: "I1124 08:56:00.123456 message key=value".
std::string text_line(Level level, std::string_view message, Fields fields) {
  const std::string stamp = format_rfc3339_micro(system_now());
  std::string out = fmt::format("{}{}{} {} ", "DIWE"[static_cast<int>(level)], stamp.substr(5, 2),
                                stamp.substr(8, 2), stamp.substr(11, 15));
  append_quoted(out, message);
  for (const Field& field : fields) {
    fmt::format_to(std::back_inserter(out), " {}=", field.key);
    std::visit(AppendValue{out}, field.value);
  }
  return out;
}

std::string json_line(Level level, std::string_view message, Fields fields) {
  constexpr std::string_view kNames[] = {"debug", "info", "warning", "error"};
  std::string out = fmt::format("{{\"ts\":\"{}\",\"level\":\"{}\",\"msg\":", format_rfc3339_micro(system_now()),
                                kNames[static_cast<int>(level)]);
  append_quoted(out, message);
  for (const Field& field : fields) {
    out += ',';
    append_quoted(out, field.key);
    out += ':';
    std::visit(AppendValue{out}, field.value);
  }
  return out + "}";
}

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::kDebug: return spdlog::level::debug;
    case Level::kInfo: return spdlog::level::info;
    case Level::kWarning: return spdlog::level::warn;
    case Level::kError: return spdlog::level::err;
  }
  return spdlog::level::err;
}

}  // namespace

void configure(Level level, Format format) {
  g_level = level;
  g_format = format;
}

void flush() { spdlog::shutdown(); }

uint64_t dropped() {
  const auto pool = spdlog::thread_pool();
  return pool == nullptr ? 0 : pool->overrun_counter();
}

bool enabled(Level level) { return level >= g_level.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message, Fields fields) {
  if (!enabled(level)) return;
  const bool json = g_format.load(std::memory_order_relaxed) == Format::kJson;
  sink().log(to_spdlog(level), json ? json_line(level, message, fields) : text_line(level, message, fields));
}

Result<Level> parse_level(std::string_view text) {
  if (text == "debug") return Level::kDebug;
  if (text == "info") return Level::kInfo;
  if (text == "warning") return Level::kWarning;
  if (text == "error") return Level::kError;
  return fail(Code::kInvalid, "log level \"{}\" is not one of debug, info, warning, error", text);
}

Result<Format> parse_format(std::string_view text) {
  if (text == "text") return Format::kText;
  if (text == "json") return Format::kJson;
  return fail(Code::kInvalid, "log format \"{}\" is not one of text, json", text);
}

}  // namespace gs::log
