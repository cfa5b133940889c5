// k8s.io/kubernetes/pkg/apis/autoscaling/v1/conversion.go. What v1 has no field for stands in annotations, in JSON as Go
// writes the v1 structs; the behavior as Go writes the internal one, without tags.
#include <optional>
#include <string>
#include <vector>

#include "apiserver/built_in_conversion.h"

namespace gs::apiserver {
namespace {

using json::Value;

constexpr const char* kMetrics = "autoscaling.alpha.kubernetes.io/metrics";
constexpr const char* kBehavior = "autoscaling.alpha.kubernetes.io/behavior";
constexpr const char* kStatuses = "autoscaling.alpha.kubernetes.io/current-metrics";
constexpr const char* kConditions = "autoscaling.alpha.kubernetes.io/conditions";
constexpr const char* kCarriers[] = {kMetrics, kBehavior, "autoscaling.alpha.kubernetes.io/scale-down-tolerance", "autoscaling.alpha.kubernetes.io/scale-up-tolerance", kStatuses, kConditions};
constexpr const char* kReference[] = {"kind", "name", "apiVersion"};
constexpr const char* kSelector[] = {"matchLabels", "matchExpressions"};

// A field of a metric in v1, in Go's order, and where v2 has it.
struct Field {
  const char* source;  // "object", ...
  const char* v1;
  const char* v2;
  enum class Absent { kLeft, kEmpty, kZero } absent = Absent::kLeft;  // what v1 writes where v2 has none
};
using Absent = Field::Absent;
constexpr Field kSpecs[] = {{"object", "target", "describedObject"},
                            {"object", "metricName", "metric.name", Absent::kEmpty},
                            {"object", "targetValue", "target.value", Absent::kZero},
                            {"object", "selector", "metric.selector"},
                            {"object", "averageValue", "target.averageValue"},
                            {"pods", "metricName", "metric.name", Absent::kEmpty},
                            {"pods", "targetAverageValue", "target.averageValue", Absent::kZero},
                            {"pods", "selector", "metric.selector"},
                            {"resource", "name", "name", Absent::kEmpty},
                            {"resource", "targetAverageUtilization", "target.averageUtilization"},
                            {"resource", "targetAverageValue", "target.averageValue"},
                            {"containerResource", "name", "name", Absent::kEmpty},
                            {"containerResource", "targetAverageUtilization", "target.averageUtilization"},
                            {"containerResource", "targetAverageValue", "target.averageValue"},
                            {"containerResource", "container", "container", Absent::kEmpty},
                            {"external", "metricName", "metric.name", Absent::kEmpty},
                            {"external", "metricSelector", "metric.selector"},
                            {"external", "targetValue", "target.value"},
                            {"external", "targetAverageValue", "target.averageValue"}};
constexpr Field kStates[] = {{"object", "target", "describedObject"},
                             {"object", "metricName", "metric.name", Absent::kEmpty},
                             {"object", "currentValue", "current.value", Absent::kZero},
                             {"object", "selector", "metric.selector"},
                             {"object", "averageValue", "current.averageValue"},
                             {"pods", "metricName", "metric.name", Absent::kEmpty},
                             {"pods", "currentAverageValue", "current.averageValue", Absent::kZero},
                             {"pods", "selector", "metric.selector"},
                             {"resource", "name", "name", Absent::kEmpty},
                             {"resource", "currentAverageUtilization", "current.averageUtilization"},
                             {"resource", "currentAverageValue", "current.averageValue", Absent::kZero},
                             {"containerResource", "name", "name", Absent::kEmpty},
                             {"containerResource", "currentAverageUtilization", "current.averageUtilization"},
                             {"containerResource", "currentAverageValue", "current.averageValue", Absent::kZero},
                             {"containerResource", "container", "container", Absent::kEmpty},
                             {"external", "metricName", "metric.name", Absent::kEmpty},
                             {"external", "metricSelector", "metric.selector"},
                             {"external", "currentValue", "current.value", Absent::kZero},
                             {"external", "currentAverageValue", "current.averageValue"}};
constexpr const char* kSources[] = {"object", "pods", "resource", "containerResource", "external"};

// The members of an object in this order, those that are there.
template <size_t N>
Value in_order(const Value& object, const char* const (&names)[N]) {
  Value out{json::Object()};
  for (const char* name : names) {
    if (const Value* value = object.find(name)) out[name] = *value;
  }
  return out;
}

const json::Array& array_at(const Value& object, std::string_view path) {
  static const json::Array none;
  const Value* found = object.at(path);
  return found != nullptr && found->array() != nullptr ? *found->array() : none;
}

Value as_v1(const Field& field, const Value* found) {
  if (found == nullptr) return field.absent == Absent::kZero ? Value("0") : Value("");
  const std::string_view name = field.v1;
  if (name == "target") return in_order(*found, kReference);
  return name == "selector" || name == "metricSelector" ? in_order(*found, kSelector) : *found;
}

template <size_t N>
Value metric_to_v1(const Value& metric, const Field (&fields)[N]) {
  Value out{json::Object()};
  out["type"] = std::string(metric.text("type"));
  for (const char* source : kSources) {
    const Value* from = metric.find(source);
    if (from == nullptr) continue;
    Value& to = out[source];
    to.make_object();
    for (const Field& field : fields) {
      if (std::string_view(field.source) != source) continue;
      const Value* found = from->at(field.v2);
      if (found != nullptr || field.absent != Absent::kLeft) to[field.v1] = as_v1(field, found);
    }
  }
  return out;
}

void set(Value& object, std::string_view path, const Value& value) {
  const size_t dot = path.find('.');
  if (dot == std::string_view::npos) {
    object[path] = value;
  } else {
    set(object[path.substr(0, dot)], path.substr(dot + 1), value);
  }
}

template <size_t N>
Value metric_to_v2(const Value& metric, const Field (&fields)[N]) {
  Value out{json::Object()};
  out["type"] = std::string(metric.text("type"));
  for (const char* source : kSources) {
    const Value* from = metric.find(source);
    if (from == nullptr || !from->is_object()) continue;
    Value& to = out[source];
    to.make_object();
    for (const Field& field : fields) {
      if (std::string_view(field.source) != source) continue;
      const Value* found = from->find(field.v1);
      if (found != nullptr || field.absent == Absent::kZero) set(to, field.v2, found != nullptr ? *found : Value("0"));
    }
  }
  return out;
}

// v1 does not say what kind of target it is: that follows from what is given.
Value spec_to_v2(const Value& metric) {
  Value out = metric_to_v2(metric, kSpecs);
  for (const char* source : kSources) {
    if (out.find(source) == nullptr) continue;
    Value& target = out[source]["target"];
    target.make_object();
    const std::string_view of = source;
    if (of == "object") {
      const bool average = target.find("averageValue") != nullptr;
      if (average && target.text("value") == "0") target.object()->erase("value");
      target["type"] = average ? "AverageValue" : "Value";
    } else if (of == "external") {
      target["type"] = target.find("value") != nullptr ? "Value" : "AverageValue";
    } else {
      target["type"] = of != "pods" && target.find("averageUtilization") != nullptr ? "Utilization" : "AverageValue";
    }
  }
  return out;
}

bool is_cpu(const Value& metric) { return metric.text("type") == "Resource" && metric.text("resource.name") == "cpu"; }

Value cpu(const char* part, const Value& utilization) {
  Value out;
  out["type"] = "Resource";
  out["resource"]["name"] = "cpu";
  if (std::string_view(part) == "target") out["resource"][part]["type"] = "Utilization";
  out["resource"][part]["averageUtilization"] = utilization;
  return out;
}

// Go's names of the internal struct, in its order; a pointer that is nil is null.
Value rules_to_internal(const Value* rules) {
  if (rules == nullptr) return Value();
  const auto given = [](const Value& of, const char* name) { return of.find(name) != nullptr ? *of.find(name) : Value(); };
  Value out{json::Object()};
  out["StabilizationWindowSeconds"] = given(*rules, "stabilizationWindowSeconds");
  out["SelectPolicy"] = given(*rules, "selectPolicy");
  Value& policies = out["Policies"];
  if (rules->find("policies") != nullptr) policies.make_array();
  for (const Value& policy : array_at(*rules, "policies")) {
    Value one{json::Object()};
    one["Type"] = given(policy, "type");
    one["Value"] = given(policy, "value");
    one["PeriodSeconds"] = given(policy, "periodSeconds");
    policies.array()->push_back(std::move(one));
  }
  out["Tolerance"] = given(*rules, "tolerance");
  return out;
}

Value from_internal(const Value& value) {
  if (const json::Array* items = value.array()) {
    json::Array out;
    for (const Value& item : *items) out.push_back(from_internal(item));
    return out;
  }
  if (!value.is_object()) return value;
  Value out{json::Object()};
  for (const json::Member& m : *value.object()) {
    std::string name = m.first;
    if (!name.empty() && name[0] >= 'A' && name[0] <= 'Z') name[0] = static_cast<char>(name[0] - 'A' + 'a');
    if (!m.second.is_null()) out[name] = from_internal(m.second);
  }
  return out;
}

void drop_carriers(Value& object) {
  json::Object& metadata = object["metadata"].make_object();
  Value* annotations = metadata.find("annotations");
  if (annotations == nullptr || annotations->object() == nullptr) return;
  for (const char* name : kCarriers) annotations->object()->erase(name);
  if (annotations->object()->empty()) metadata.erase("annotations");
}

// What an annotation carries; nullopt where there is none or it cannot be read.
std::optional<Value> carried(const Value& object, const char* name) {
  const Value* annotations = object.at("metadata.annotations");
  const Value* text = annotations != nullptr ? annotations->find(name) : nullptr;
  if (text == nullptr || text->string() == nullptr) return std::nullopt;
  Result<Value> value = json::parse(*text->string());
  return value ? std::optional<Value>(*std::move(value)) : std::nullopt;
}

void status_to_v2(Value& object) {
  json::Array metrics;
  Value* status = object.object()->find("status");
  if (status != nullptr && status->is_object()) {
    if (const Value* utilization = status->find("currentCPUUtilizationPercentage")) metrics.push_back(cpu("current", *utilization));
    status->object()->erase("currentCPUUtilizationPercentage");
  }
  if (const auto more = carried(object, kStatuses); more && more->array() != nullptr) {
    metrics.clear();
    for (const Value& metric : *more->array()) metrics.push_back(metric_to_v2(metric, kStates));
  }
  if (!metrics.empty()) object["status"]["currentMetrics"] = std::move(metrics);
  if (const auto conditions = carried(object, kConditions); conditions && conditions->array() != nullptr) object["status"]["conditions"] = *conditions;
}

}  // namespace

void autoscaler_to_v2(Value& object) {
  json::Array metrics;
  if (const auto others = carried(object, kMetrics); others && others->array() != nullptr) {
    for (const Value& metric : *others->array()) metrics.push_back(spec_to_v2(metric));
  }
  Value& spec = object["spec"];
  if (const Value* utilization = spec.find("targetCPUUtilizationPercentage")) metrics.push_back(cpu("target", *utilization));
  spec.make_object().erase("targetCPUUtilizationPercentage");
  if (metrics.empty()) metrics.push_back(cpu("target", 80));
  spec["metrics"] = std::move(metrics);
  if (const auto behavior = carried(object, kBehavior); behavior && behavior->is_object()) {
    if (Value found = from_internal(*behavior); !found.object()->empty()) object["spec"]["behavior"] = std::move(found);
  }
  status_to_v2(object);
  drop_carriers(object);
}

void autoscaler_to_v1(Value& object) {
  drop_carriers(object);
  json::Array others, states, conditions;
  Value& spec = object["spec"];
  Value utilization, current;
  for (const Value& metric : array_at(spec, "metrics")) {
    const Value* found = is_cpu(metric) ? metric.at("resource.target.averageUtilization") : nullptr;
    if (found == nullptr) {
      others.push_back(metric_to_v1(metric, kSpecs));
    } else if (utilization.is_null()) {
      utilization = *found;
    }
  }
  if (!utilization.is_null()) spec["targetCPUUtilizationPercentage"] = utilization;
  spec.make_object().erase("metrics");
  const auto carry = [&](const char* name, const Value& value) { object["metadata"]["annotations"][name] = value.dump(); };
  if (!others.empty()) carry(kMetrics, Value(others));
  for (const Value& metric : array_at(object, "status.currentMetrics")) {
    states.push_back(metric_to_v1(metric, kStates));
    const Value* found = is_cpu(metric) ? metric.at("resource.current.averageUtilization") : nullptr;
    if (found != nullptr) current = *found;
  }
  if (!current.is_null()) object["status"]["currentCPUUtilizationPercentage"] = std::move(current);
  if (!states.empty()) carry(kStatuses, Value(states));
  if (const Value* behavior = object.at("spec.behavior")) {
    Value internal{json::Object()};
    internal["ScaleUp"] = rules_to_internal(behavior->find("scaleUp"));
    internal["ScaleDown"] = rules_to_internal(behavior->find("scaleDown"));
    carry(kBehavior, internal);
  }
  object["spec"].make_object().erase("behavior");
  constexpr const char* kCondition[] = {"type", "status", "lastTransitionTime", "reason", "message"};
  for (const Value& condition : array_at(object, "status.conditions")) conditions.push_back(in_order(condition, kCondition));
  if (!conditions.empty()) carry(kConditions, Value(conditions));
  for (const char* field : {"currentMetrics", "conditions"}) {
    if (object.find("status") != nullptr) object["status"].make_object().erase(field);
  }
}

}  // namespace gs::apiserver
