// k8s.io/kubernetes/pkg/apis/autoscaling/validation, of what is stored (autoscaling/v2).
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/built_in_checks.h"

namespace gs::apiserver::checks {
namespace {

using schema::child;
using schema::forbidden;
using schema::index;
using schema::invalid;
using schema::required;

constexpr int64_t kMaxPeriodSeconds = 1800, kMaxWindowSeconds = 3600;

const Value& part(const Value& object, std::string_view field) {
  static const Value none{json::Object()};
  const Value* found = object.find(field);
  return found != nullptr && found->is_object() ? *found : none;
}

void path_word(const Value& object, const char* field, const std::string& path, FieldErrors& errors) {
  const std::string word = text(object, field);
  if (word.empty()) return errors.push_back(required(child(path, field), ""));
  named(child(path, field), word, schema::path_segment_name, errors);
}

// What of an apiVersion may be left out: validationOptionsForHorizontalPodAutoscaler (pkg/registry/autoscaling).
enum class Group { kNeeded, kOptional, kAny };

// CrossVersionObjectReference.
void reference(const Value& ref, const std::string& path, Group group, FieldErrors& errors) {
  path_word(ref, "kind", path, errors);
  path_word(ref, "name", path, errors);
  const std::string version = text(ref, "apiVersion");
  if (group == Group::kAny) return;
  const size_t slash = version.find('/');
  if (group == Group::kNeeded && (slash == std::string::npos || slash == 0)) errors.push_back(invalid(child(path, "apiVersion"), version, "apiVersion must specify API group"));
  if (std::count(version.begin(), version.end(), '/') > 1) errors.push_back(invalid(child(path, "apiVersion"), version, "unexpected GroupVersion string: " + version));
}

void positive(const Value& target, const char* field, const std::string& path, FieldErrors& errors) {
  const Value* value = target.find(field);
  if (value != nullptr && !value->is_null() && quantity(*value) <= 0) errors.push_back(invalid(child(path, field), quantity_text(*value), "must be positive"));
}

void metric_target(const Value& target, const std::string& path, FieldErrors& errors) {
  const std::string type = text(target, "type");
  if (type.empty()) errors.push_back(required(child(path, "type"), "must specify a metric target type"));
  if (type != "Utilization" && type != "Value" && type != "AverageValue") errors.push_back(invalid(child(path, "type"), type, "must be either Utilization, Value, or AverageValue"));
  positive(target, "value", path, errors);
  positive(target, "averageValue", path, errors);
  if (const auto share = integer(target, "averageUtilization"); share && *share < 1) errors.push_back(invalid(child(path, "averageUtilization"), *share, "must be greater than 0"));
}

void metric_identifier(const Value& metric, const std::string& path, FieldErrors& errors) {
  const std::string name = text(metric, "name");
  if (name.empty()) return errors.push_back(required(child(path, "name"), "must specify a metric name"));
  named(child(path, "name"), name, schema::path_segment_name, errors);
}

void object_source(const Value& source, const std::string& path, FieldErrors& errors) {
  const Value& target = part(source, "target");
  reference(part(source, "describedObject"), child(path, "describedObject"), Group::kOptional, errors);
  metric_identifier(part(source, "metric"), child(path, "metric"), errors);
  metric_target(target, child(path, "target"), errors);
  if (!there(target, "value") && !there(target, "averageValue")) errors.push_back(required(child(path, "target.averageValue"), "must set either a target value or averageValue"));
}

void external_source(const Value& source, const std::string& path, FieldErrors& errors) {
  const Value& target = part(source, "target");
  metric_identifier(part(source, "metric"), child(path, "metric"), errors);
  metric_target(target, child(path, "target"), errors);
  const bool value = there(target, "value"), average = there(target, "averageValue");
  if (!value && !average) errors.push_back(required(child(path, "target.averageValue"), "must set either a target value for metric or a per-pod target"));
  if (value && average) errors.push_back(forbidden(child(path, "target.value"), "may not set both a target value for metric and a per-pod target"));
}

void pods_source(const Value& source, const std::string& path, FieldErrors& errors) {
  const Value& target = part(source, "target");
  metric_identifier(part(source, "metric"), child(path, "metric"), errors);
  metric_target(target, child(path, "target"), errors);
  if (!there(target, "averageValue")) errors.push_back(required(child(path, "target.averageValue"), "must specify a positive target averageValue"));
}

void resource_source(const Value& source, const std::string& path, bool of_container, FieldErrors& errors) {
  const Value& target = part(source, "target");
  if (text(source, "name").empty()) errors.push_back(required(child(path, "name"), "must specify a resource name"));
  if (of_container) {
    const std::string container = text(source, "container");
    if (container.empty()) errors.push_back(required(child(path, "container"), "must specify a container"));
    else named(child(path, "container"), container, schema::dns1123_label, errors);
  }
  metric_target(target, child(path, "target"), errors);
  const bool share = there(target, "averageUtilization"), average = there(target, "averageValue");
  if (!share && !average) errors.push_back(required(child(path, "target.averageUtilization"), "must set either a target raw value or a target utilization"));
  if (share && average) errors.push_back(forbidden(child(path, "target.averageValue"), "may not set both a target raw value and a target utilization"));
}

struct Source {
  const char *type, *field;
};
// In the order in which they are looked at: only the first that is there is judged.
constexpr Source kSources[] = {{"Object", "object"}, {"External", "external"}, {"Pods", "pods"}, {"Resource", "resource"}, {"ContainerResource", "containerResource"}};

void source(std::string_view field, const Value& value, const std::string& path, FieldErrors& errors) {
  if (field == "object") return object_source(value, path, errors);
  if (field == "external") return external_source(value, path, errors);
  if (field == "pods") return pods_source(value, path, errors);
  resource_source(value, path, field == "containerResource", errors);
}

void metric(const Value& spec, const std::string& path, FieldErrors& errors) {
  const std::vector<std::string> types = {"ContainerResource", "External", "Object", "Pods", "Resource"};
  const std::string type = text(spec, "type");
  const auto* own = std::find_if(std::begin(kSources), std::end(kSources), [&](const Source& s) { return s.type == type; });
  const bool known = own != std::end(kSources);
  if (type.empty()) errors.push_back(required(child(path, "type"), "must specify a metric source type"));
  if (!known) errors.push_back(schema::not_supported(child(path, "type"), type, types));
  std::vector<std::string> present;
  for (const Source& s : kSources) {
    if (!there(spec, s.field)) continue;
    present.emplace_back(s.field);
    if (present.size() == 1) source(s.field, part(spec, s.field), child(path, s.field), errors);
  }
  if (!known) {
    errors.push_back(schema::not_supported(child(path, "type"), type, types));
  } else if (!there(spec, own->field)) {
    errors.push_back(required(child(path, own->field), "must populate information for the given metric source"));
  }
  if (present.size() == 1) return;
  for (const std::string& field : present) {
    if (!known || field != own->field) errors.push_back(forbidden(child(path, field), "must populate the given metric source only"));
  }
}

void scaling_policy(const Value& policy, const std::string& path, FieldErrors& errors) {
  const std::string type = text(policy, "type");
  if (type != "Pods" && type != "Percent") errors.push_back(schema::not_supported(child(path, "type"), type, {"Percent", "Pods"}));
  for (const char* field : {"value", "periodSeconds"}) {
    const int64_t number = integer(policy, field).value_or(0);
    if (number <= 0) errors.push_back(invalid(child(path, field), number, "must be greater than zero"));
  }
  if (const auto period = integer(policy, "periodSeconds"); period && *period > kMaxPeriodSeconds) {
    errors.push_back(invalid(child(path, "periodSeconds"), *period, fmt::format("must be less than or equal to {}", kMaxPeriodSeconds)));
  }
}

void scaling_rules(const Value* rules, const std::string& path, FieldErrors& errors) {
  if (rules == nullptr || !rules->is_object()) return;
  const auto window = integer(*rules, "stabilizationWindowSeconds");
  if (window && *window < 0) errors.push_back(invalid(child(path, "stabilizationWindowSeconds"), *window, "must be greater than or equal to zero"));
  if (window && *window > kMaxWindowSeconds) {
    errors.push_back(invalid(child(path, "stabilizationWindowSeconds"), *window, fmt::format("must be less than or equal to {}", kMaxWindowSeconds)));
  }
  one_of(*rules, "selectPolicy", path, {"Disabled", "Max", "Min"}, false, errors);
  const json::Array& policies = items(rules->find("policies"));
  if (policies.empty()) errors.push_back(required(child(path, "policies"), "must specify at least one Policy"));
  for (size_t i = 0; i < policies.size(); ++i) scaling_policy(policies[i], index(child(path, "policies"), i), errors);
}

// How few replicas there may be: none only by a feature gate that is off.
constexpr int64_t kFewest = 1;

}  // namespace

void autoscaler(const Value& object, const Value* old, FieldErrors& errors) {
  const Value& spec = part(object, "spec");
  const auto fewest = integer(spec, "minReplicas");
  const int64_t most = integer(spec, "maxReplicas").value_or(0);
  const bool none_before = old != nullptr && integer(*old, "spec.minReplicas") == 0;
  if (fewest && *fewest < (none_before ? 0 : kFewest)) errors.push_back(invalid("spec.minReplicas", *fewest, fmt::format("must be greater than or equal to {}", kFewest)));
  if (most == 0) errors.push_back(required("spec.maxReplicas", "must be set and greater than 0"));
  if (most < 0) errors.push_back(invalid("spec.maxReplicas", most, "must be greater than or equal to 1"));
  if (fewest && most < *fewest) errors.push_back(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"));
  const Value& target = part(spec, "scaleTargetRef");
  const auto kept = [&](const char* field) { return old != nullptr && text(*old, child("spec.scaleTargetRef", field)) == text(target, field); };
  const Group group = kept("apiVersion") && kept("kind") ? Group::kAny : text(target, "kind") == "ReplicationController" ? Group::kOptional : Group::kNeeded;
  reference(target, "spec.scaleTargetRef", group, errors);
  const json::Array& metrics = items(spec.find("metrics"));
  for (size_t i = 0; i < metrics.size(); ++i) metric(metrics[i], index("spec.metrics", i), errors);
  const bool outside = std::any_of(metrics.begin(), metrics.end(), [](const Value& m) { return m.text("type") == "Object" || m.text("type") == "External"; });
  if (fewest == 0 && !outside) errors.push_back(forbidden("spec.metrics", "must specify at least one Object or External metric to support scaling to zero replicas"));
  const Value& behavior = part(spec, "behavior");
  scaling_rules(behavior.find("scaleUp"), "spec.behavior.scaleUp", errors);
  scaling_rules(behavior.find("scaleDown"), "spec.behavior.scaleDown", errors);
}

}  // namespace gs::apiserver::checks
