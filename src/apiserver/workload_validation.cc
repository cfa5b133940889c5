// What runs pods: k8s.io/kubernetes/pkg/apis/apps, batch and core.
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/built_in_checks.h"
#include "apiserver/object_meta.h"
#include "base/strings.h"

namespace gs::apiserver {
namespace {

using namespace checks;  // NOLINT: this file is made of them
using schema::child;
using schema::forbidden;
using schema::index;
using schema::invalid;
using schema::required;
using Type = schema::FieldError::Type;

// What Deployments, ReplicaSets, StatefulSets and DaemonSets have in common.
void workload(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors) {
  static const Value none{json::Object()};
  const Value& spec = object.find("spec") != nullptr ? *object.find("spec") : none;
  const bool given = there(spec, "selector");
  const Value* selector = given ? spec.find("selector") : nullptr;
  const Value* labels = spec.at("template.metadata.labels");
  non_negative(spec, "replicas", "spec", errors);
  if (selector == nullptr) {
    errors.push_back(required("spec.selector", ""));
  } else {
    FieldErrors wrong;
    label_selector(selector, "spec.selector", wrong);
    const bool unsound = !wrong.empty();
    std::move(wrong.begin(), wrong.end(), std::back_inserter(errors));
    if (selector->object() != nullptr && selector->object()->empty()) {
      errors.push_back(invalid("spec.selector", *selector, fmt::format("empty selector is invalid for {}", type.singular)));
      selector = nullptr;
    } else if (unsound) {
      errors.push_back(invalid("spec.selector", *selector, "invalid label selector"));
    }
    if (unsound) selector = nullptr;
  }
  const bool unusable = given && selector == nullptr;
  if (!unusable && !selects(selector, labels)) {
    errors.push_back(invalid("spec.template.metadata.labels", labels != nullptr ? *labels : Value(), "`selector` does not match template `labels`"));
  }
  validate_labels(labels, "spec.template.metadata.labels", errors);
  pod_spec(spec.at("template.spec"), "spec.template.spec", {"Always"}, errors);
  non_negative(spec, "minReadySeconds", "spec", errors);
  non_negative(spec, "revisionHistoryLimit", "spec", errors);
  if (old != nullptr) immutable(object, *old, "spec.selector", errors);
}

// The internal type, as Go prints it.
std::string strategy_value(const std::string& type) { return fmt::format(R"({{"Type":{},"RollingUpdate":null}})", schema::quoted(type)); }

bool zero(const Value* v) { return v == nullptr || v->integer() == 0 || (v->string() != nullptr && *v->string() == "0%"); }

void deployment(const Value& object, FieldErrors& errors) {
  const Value* strategy = object.at("spec.strategy");
  const std::string type = strategy != nullptr ? text(*strategy, "type") : "";
  const Value* rolling = strategy != nullptr ? strategy->find("rollingUpdate") : nullptr;
  if (type == "Recreate") {
    if (rolling != nullptr) errors.push_back(forbidden("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"));
  } else if (type == "RollingUpdate" && rolling != nullptr) {
    int_or_percent(*rolling, "maxUnavailable", "spec.strategy.rollingUpdate", errors);
    int_or_percent(*rolling, "maxSurge", "spec.strategy.rollingUpdate", errors);
    if (zero(rolling->find("maxUnavailable")) && zero(rolling->find("maxSurge"))) {
      errors.push_back(invalid("spec.strategy.rollingUpdate.maxUnavailable", *rolling->find("maxUnavailable"), "may not be 0 when `maxSurge` is 0"));
    }
  } else if (type != "RollingUpdate" && strategy != nullptr) {
    errors.push_back(schema::raw_error(Type::kNotSupported, "spec.strategy", strategy_value(type), R"(supported values: "Recreate", "RollingUpdate")"));
  }
  non_negative(object, "spec.progressDeadlineSeconds", "", errors);
  const auto deadline = integer(object, "spec.progressDeadlineSeconds"), ready = integer(object, "spec.minReadySeconds");
  if (deadline && *deadline <= ready.value_or(0)) errors.push_back(invalid("spec.progressDeadlineSeconds", *deadline, "must be greater than minReadySeconds"));
}

void stateful_set(const Value& object, const Value* old, FieldErrors& errors) {
  const std::string policy = text(object, "spec.podManagementPolicy"), update = text(object, "spec.updateStrategy.type");
  if (policy != "OrderedReady" && policy != "Parallel") errors.push_back(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"));
  if (update != "RollingUpdate" && update != "OnDelete") {
    errors.push_back(schema::raw_error(Type::kInvalid, "spec.updateStrategy", strategy_value(update), "must be 'RollingUpdate' or 'OnDelete'"));
  }
  if (old == nullptr) return;
  for (const char* field : {"spec.serviceName", "spec.podManagementPolicy", "spec.volumeClaimTemplates"}) {
    const Value *now = object.at(field), *before = old->at(field);
    if ((now == nullptr) == (before == nullptr) && (now == nullptr || *now == *before)) continue;
    errors.push_back(forbidden("spec", "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', "
                                       "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"));
    return;
  }
}

void daemon_set(const Value& object, FieldErrors& errors) {
  const std::string update = text(object, "spec.updateStrategy.type");
  if (update == "RollingUpdate" || update == "OnDelete") return;
  errors.push_back(schema::raw_error(Type::kNotSupported, "spec.updateStrategy", strategy_value(update), R"(supported values: "RollingUpdate", "OnDelete")"));
}

void job_spec(const Value* given, const std::string& path, FieldErrors& errors) {
  static const Value none{json::Object()};
  const Value& spec = given != nullptr ? *given : none;
  for (const char* field : {"parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished"}) non_negative(spec, field, path, errors);
  one_of(spec, "completionMode", path, {"NonIndexed", "Indexed"}, false, errors);
  if (text(spec, "completionMode") == "Indexed" && !there(spec, "completions")) {
    errors.push_back(required(child(path, "completions"), "when completion mode is Indexed"));
  }
  const std::string pod = child(path, "template.spec"), policy = text(spec, "template.spec.restartPolicy");
  pod_spec(spec.at("template.spec"), pod, {}, errors);
  if (policy == "Always" || policy.empty()) {
    errors.push_back(required(child(pod, "restartPolicy"), "valid values: \"OnFailure\", \"Never\""));
  } else if (policy != "OnFailure" && policy != "Never") {
    errors.push_back(schema::not_supported(child(pod, "restartPolicy"), policy, {"OnFailure", "Never"}));
  }
}

void job(const Value& object, const Value* old, FieldErrors& errors) {
  job_spec(object.find("spec"), "spec", errors);
  const Value *selector = object.at("spec.selector"), *labels = object.at("spec.template.metadata.labels");
  if (old == nullptr) {
    const Value* uid = selector != nullptr ? selector->find("matchLabels") : nullptr;
    if (!truth(object, "spec.manualSelector") && (uid == nullptr || uid->object()->size() != 1)) errors.push_back(invalid("spec.selector", *selector, "`selector` not auto-generated"));
    if (!selects(selector, labels)) errors.push_back(invalid("spec.template.metadata.labels", labels != nullptr ? *labels : Value(), "`selector` does not match template `labels`"));
    return;
  }
  for (const char* field : {"spec.completionMode", "spec.selector"}) immutable(object, *old, field, errors);
  const Value *now = object.at("spec.template"), *before = old->at("spec.template");
  if (now != nullptr && before != nullptr && !(*now == *before) && !truth(*old, "spec.suspend")) errors.push_back(invalid("spec.template", *now, "field is immutable"));
}

void cron_job(const Value& object, FieldErrors& errors) {
  const std::string schedule = text(object, "spec.schedule");
  if (schedule.empty()) {
    errors.push_back(required("spec.schedule", ""));
  } else if (!schedule.starts_with('@')) {
    std::vector<std::string> fields;
    for (const std::string_view part : split(schedule, ' ')) {
      if (!part.empty()) fields.emplace_back(part);
    }
    if (fields.size() != 5) {
      errors.push_back(invalid("spec.schedule", schedule, fmt::format("expected exactly 5 fields, found {}: [{}]", fields.size(), fmt::join(fields, " "))));
    }
  }
  one_of(object, "spec.concurrencyPolicy", "", {"Allow", "Forbid", "Replace"}, true, errors);
  job_spec(object.at("spec.jobTemplate.spec"), "spec.jobTemplate.spec", errors);
  if (object.text("metadata.name").size() > 52) {
    errors.push_back(invalid("metadata.name", text(object, "metadata.name"), "must be no more than 52 characters"));
  }
}

void pod(const Value& object, const Value* old, FieldErrors& errors) {
  if (old == nullptr) return pod_spec(object.find("spec"), "spec", {}, errors);
  // Images, tolerations, deadlines and gates may change; the rest of a spec is what was scheduled.
  Value now = *object.find("spec"), before = *old->find("spec");
  for (Value* spec : {&now, &before}) {
    for (const char* list : {"containers", "initContainers"}) {
      if (Value* all = spec->object()->find(list); all != nullptr && all->array() != nullptr) {
        for (Value& c : *all->array()) c.make_object().erase("image");
      }
    }
    for (const char* field : {"activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates", "nodeSelector", "affinity"}) spec->object()->erase(field);
  }
  if (now == before) return;
  errors.push_back(forbidden("spec", "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,"
                                     "`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"));
}

}  // namespace

void checks::workloads(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors) {
  const std::string& r = type.resource;
  if (r == "pods") return pod(object, old, errors);
  if (type.group == "batch") return r == "jobs" ? job(object, old, errors) : cron_job(object, errors);
  workload(type, object, old, errors);
  if (r == "deployments") deployment(object, errors);
  if (r == "statefulsets") stateful_set(object, old, errors);
  if (r == "daemonsets") daemon_set(object, errors);
}

}  // namespace gs::apiserver
