#include "apiserver/table/cells.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"
#include "kube/selector.h"

namespace gs::apiserver::table {

Row& Row::boolean(std::string_view path, bool fallback) {
  const Value* value = object.at(path);
  return add(value == nullptr ? fallback : value->boolean().value_or(fallback));
}

int64_t Row::integer(std::string_view path, int64_t fallback) const { return integer_of(object.at(path), fallback); }
std::string Row::since(std::string_view path) const { return human_since(object.text(path), now); }
const json::Array& Row::list(std::string_view path) const { return elements(object.at(path)); }

size_t Row::members(std::string_view path) const {
  const Value* value = object.at(path);
  return value != nullptr && value->is_object() ? value->object()->size() : 0;
}

const json::Array& elements(const Value* value) {
  static const json::Array kNone;
  return value != nullptr && value->array() != nullptr ? *value->array() : kNone;
}

int64_t integer_of(const Value* value, int64_t fallback) { return value == nullptr ? fallback : value->integer().value_or(fallback); }
bool is_true(const Value* value) { return value != nullptr && value->boolean().value_or(false); }

std::string human_duration(Duration d) {
  const int64_t seconds = d.count() / 1'000'000'000;
  if (seconds < -1) return "<invalid>";
  if (seconds < 0) return "0s";
  if (seconds < 120) return fmt::format("{}s", seconds);
  const auto both = [](int64_t a, const char* unit, int64_t b, const char* rest) {
    return b == 0 ? fmt::format("{}{}", a, unit) : fmt::format("{}{}{}{}", a, unit, b, rest);
  };
  const int64_t minutes = seconds / 60, hours = minutes / 60, days = hours / 24;
  if (minutes < 10) return both(minutes, "m", seconds % 60, "s");
  if (minutes < 180) return fmt::format("{}m", minutes);
  if (hours < 8) return both(hours, "h", minutes % 60, "m");
  if (hours < 48) return fmt::format("{}h", hours);
  if (hours < 24 * 8) return both(days, "d", hours % 24, "h");
  if (days < 365 * 2) return fmt::format("{}d", days);
  if (days < 365 * 8) return both(days / 365, "y", days % 365, "d");
  return fmt::format("{}y", days / 365);
}

std::string human_since(std::string_view rfc3339, WallTime now) {
  const auto time = rfc3339.empty() ? std::nullopt : parse_rfc3339(rfc3339);
  return time ? human_duration(now - *time) : "<unknown>";
}

std::string format_labels(const Value* labels) {
  std::vector<std::string> parts;
  if (labels != nullptr && labels->is_object()) {
    for (const auto& [key, value] : *labels->object()) parts.push_back(fmt::format("{}={}", key, value.string() != nullptr ? *value.string() : ""));
  }
  std::sort(parts.begin(), parts.end());
  return parts.empty() ? "<none>" : join(parts, ",");
}

std::string format_label_selector(const Value* selector) {
  if (selector == nullptr || selector->is_null()) return "<none>";
  const auto parsed = kube::LabelSelector::from_object(*selector, "selector");
  if (!parsed) return "<error>";
  return parsed->empty() ? "<none>" : parsed->to_string();
}

std::string container_names(const json::Array& containers) {
  std::vector<std::string> out;
  for (const Value& c : containers) out.emplace_back(c.text("name"));
  return join(out, ",");
}

std::string container_images(const json::Array& containers) {
  std::vector<std::string> out;
  for (const Value& c : containers) out.emplace_back(c.text("image"));
  return join(out, ",");
}

std::string first_three(const std::vector<std::string>& list, std::string_view if_empty) {
  constexpr size_t kMost = 3;
  if (list.empty()) return std::string(if_empty);
  if (list.size() <= kMost) return join(list, ",");
  return fmt::format("{} + {} more...", join({list.begin(), list.begin() + kMost}, ","), list.size() - kMost);
}

std::string scalar(const Value* value) {
  if (value == nullptr || value->is_null()) return "";
  return value->string() != nullptr ? *value->string() : value->dump();
}

const Value* condition(const json::Array& conditions, std::string_view type) {
  const auto found = std::find_if(conditions.begin(), conditions.end(), [&](const Value& c) { return c.text("type") == type; });
  return found == conditions.end() ? nullptr : &*found;
}

bool condition_true(const json::Array& conditions, std::string_view type) {
  const Value* found = condition(conditions, type);
  return found != nullptr && found->text("status") == "True";
}

}  // namespace gs::apiserver::table
