// A status that is written alone: Validate<Kind>StatusUpdate of k8s.io/kubernetes/pkg/apis/*/validation, but for metadata.
#include <fmt/format.h>

#include "apiserver/built_in_checks.h"

namespace gs::apiserver::checks {
namespace {

using schema::invalid;
using Fields = std::initializer_list<const char*>;

// A status as numbers, where what is not there is 0.
class Numbers {
 public:
  Numbers(const Value& object, FieldErrors& errors) : object_(object), errors_(errors) {}

  int64_t of(std::string_view field) const { return integer(object_, schema::child("status", field)).value_or(0); }

  void not_negative(Fields fields) {
    for (const char* field : fields) non_negative(object_, schema::child("status", field), "", errors_);
  }

  // `told`: how the message names the larger.
  void not_above(Fields fields, const char* most, const char* told) {
    for (const char* field : fields) {
      if (of(field) > of(most)) errors_.push_back(invalid(schema::child("status", field), of(field), fmt::format("cannot be greater than {}", told)));
    }
  }

  void not_decremented(const Value* old) {
    constexpr const char* kField = "status.collisionCount";
    const auto before = old != nullptr ? integer(*old, kField) : std::nullopt, now = integer(object_, kField);
    if (before && now.value_or(-1) < *before) errors_.push_back(invalid(kField, now.value_or(0), "cannot be decremented"));
  }

 private:
  const Value& object_;
  FieldErrors& errors_;
};

void deployment(Numbers numbers, const Value* old) {
  numbers.not_negative({"observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas", "terminatingReplicas", "collisionCount"});
  numbers.not_above({"updatedReplicas", "readyReplicas", "availableReplicas"}, "replicas", "status.replicas");
  numbers.not_above({"availableReplicas"}, "readyReplicas", "readyReplicas");
  numbers.not_decremented(old);
}

// ReplicationControllers are judged as ReplicaSets are.
void replica_set(Numbers numbers) {
  numbers.not_negative({"replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration", "terminatingReplicas"});
  numbers.not_above({"fullyLabeledReplicas", "readyReplicas", "availableReplicas"}, "replicas", "status.replicas");
  numbers.not_above({"availableReplicas"}, "readyReplicas", "readyReplicas");
}

void stateful_set(Numbers numbers, const Value* old) {
  numbers.not_negative({"replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas", "observedGeneration", "collisionCount"});
  numbers.not_above({"readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"}, "replicas", "status.replicas");
  numbers.not_above({"availableReplicas"}, "readyReplicas", "status.readyReplicas");
  numbers.not_decremented(old);
}

void daemon_set(Numbers numbers, const Value* old) {
  numbers.not_negative({"currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady", "observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable",
                        "collisionCount"});
  numbers.not_decremented(old);
}

void job(Numbers numbers, const Value& object, const Value* old, FieldErrors& errors) {
  numbers.not_negative({"active", "succeeded", "failed", "ready", "terminating"});
  for (const char* field : {"failed", "succeeded"}) {
    const std::string path = schema::child("status", field);
    const int64_t before = old != nullptr ? integer(*old, path).value_or(0) : 0, now = integer(object, path).value_or(0);
    if (now < before) errors.push_back(invalid(path, now, fmt::format("cannot decrease the {} counter", field)));
  }
}

void name_space(const Value& object, FieldErrors& errors) {
  const bool going = !text(object, "metadata.deletionTimestamp").empty();
  const std::string phase = text(object, "status.phase"), wanted = going ? "Terminating" : "Active";
  if (phase == wanted) return;
  errors.push_back(invalid("status.Phase", phase, fmt::format("may only be '{}' if `deletionTimestamp` is {}", wanted, going ? "not empty" : "empty")));
}

}  // namespace

void status(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors) {
  Numbers numbers(object, errors);
  const std::string name = type.qualified();
  if (name == "deployments.apps") return deployment(numbers, old);
  if (name == "replicasets.apps" || name == "replicationcontrollers") return replica_set(numbers);
  if (name == "statefulsets.apps") return stateful_set(numbers, old);
  if (name == "daemonsets.apps") return daemon_set(numbers, old);
  if (name == "jobs.batch") return job(numbers, object, old, errors);
  if (name == "horizontalpodautoscalers.autoscaling") return numbers.not_negative({"currentReplicas", "desiredReplicas"});
  if (name == "namespaces") return name_space(object, errors);
}

}  // namespace gs::apiserver::checks
