// The content of a status; see status_writer.h.
#include <algorithm>

#include "base/strings.h"
#include "control/status_writer.h"

namespace gs::control {
namespace {

using json::Value;

// A message is for a person; a delegate's or a server's words may be long.
constexpr size_t kMaxMessage = 1024;
// What a status of ours may hold; others' members stay untouched.
constexpr const char* kOurs[] = {"observedGeneration", "clusters", "conditions", "kubernetesVersion", "id", "lastSeen"};

Value parse_or_null(std::string_view raw) {
  if (raw.empty()) return {};
  auto value = json::parse(raw);
  return value ? *std::move(value) : Value();
}

const Value* find_condition(const Value& status, std::string_view type) {
  const Value* conditions = status.find("conditions");
  if (conditions == nullptr || !conditions->is_array()) return nullptr;
  const auto found = std::find_if(conditions->array()->begin(), conditions->array()->end(), [&](const Value& c) { return c.text("type") == type; });
  return found == conditions->array()->end() ? nullptr : &*found;
}

Value conditions_value(const std::vector<Condition>& conditions, const Value& present, WallTime now) {
  json::Array out;
  for (const Condition& condition : conditions) {
    const Value* before = find_condition(present, condition.type);
    const bool same = before != nullptr && before->text("status") == to_string(condition.status) && !before->text("lastTransitionTime").empty();
    Value value;
    value["type"] = condition.type;
    value["status"] = to_string(condition.status);
    value["lastTransitionTime"] = same ? std::string(before->text("lastTransitionTime")) : format_rfc3339(now);
    value["reason"] = condition.reason;
    if (!condition.message.empty()) value["message"] = truncate_utf8(condition.message, kMaxMessage);
    out.push_back(std::move(value));
  }
  return out;
}

}  // namespace

Value controller_status(const ControllerReport& report, std::string_view present_json, WallTime now) {
  const Value present = parse_or_null(present_json);
  Value out;
  out["observedGeneration"] = report.generation;
  out["clusters"]["desired"] = uint64_t{report.desired};
  out["clusters"]["synced"] = uint64_t{report.synced};
  out["clusters"]["ready"] = uint64_t{report.ready};
  out["clusters"]["failing"] = uint64_t{report.failing};
  out["conditions"] = conditions_value(report.conditions(), present, now);
  return out;
}

Value webhook_status(const WebhookReport& report, std::string_view present_json, WallTime now) {
  const Value present = parse_or_null(present_json);
  Value out;
  out["observedGeneration"] = report.generation;
  out["clusters"]["desired"] = uint64_t{report.desired};
  out["clusters"]["ready"] = uint64_t{report.ready};
  out["clusters"]["failing"] = uint64_t{report.failing};
  out["conditions"] = conditions_value(report.conditions(), present, now);
  return out;
}

Value cluster_status(const ClusterReport& report, int64_t generation, std::string_view present_json, WallTime now) {
  const Value present = parse_or_null(present_json);
  Value out;
  out["observedGeneration"] = generation;
  out["conditions"] = conditions_value(report.conditions(), present, now);
  // What was seen of a cluster stays true while it cannot be reached.
  const auto keep = [&](const char* member, const std::string& seen) {
    const std::string value = seen.empty() ? std::string(present.text(member)) : seen;
    if (!value.empty()) out[member] = value;
  };
  keep("kubernetesVersion", report.version);
  keep("id", report.observed_id);
  const auto shown = parse_rfc3339(present.text("lastSeen"));
  const bool recent = shown && report.last_seen - *shown < StatusWriter::kLastSeenPeriod;
  keep("lastSeen", recent || report.last_seen == WallTime{} ? "" : format_rfc3339(report.last_seen));
  return out;
}

Value status_patch(const Value& wanted, std::string_view present_json) {
  const Value present = parse_or_null(present_json);
  Value out;
  for (const char* member : kOurs) {
    const Value* want = wanted.find(member);
    const Value* have = present.find(member);
    if (want != nullptr && (have == nullptr || !(*want == *have))) out[member] = *want;
    if (want == nullptr && have != nullptr) out[member] = Value();
  }
  return out;
}

}  // namespace gs::control
