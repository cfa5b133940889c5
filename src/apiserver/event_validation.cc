// k8s.io/kubernetes/pkg/apis/core/validation/events.go: the old rules for everybody, the strict ones for events.k8s.io/v1.
#include <fmt/format.h>

#include "apiserver/built_in_checks.h"
#include "apiserver/object_meta.h"

namespace gs::apiserver::checks {
namespace {

using schema::invalid;
using schema::required;

constexpr size_t kMaxWord = 128;
constexpr size_t kMaxNote = 1024;

bool timed(const Value& object, std::string_view path) { return !text(object, path).empty(); }

void word(const Value& object, const char* field, const std::string& told, FieldErrors& errors) {
  const std::string value = text(object, field);
  if (value.empty()) errors.push_back(required(told, ""));
  if (value.size() > kMaxWord) errors.push_back(invalid(told, "", fmt::format("can have at most {} characters", kMaxWord)));
}

// Events with a time of their own are of the new kind.
void legacy(const ResourceType& type, const Value& object, FieldErrors& errors) {
  const std::string involved = text(object, "involvedObject.namespace"), own = text(object, "metadata.namespace");
  const auto mismatch = [&] { errors.push_back(invalid("involvedObject.namespace", involved, "does not match event.namespace")); };
  if (!timed(object, "eventTime")) {
    if (involved.empty() ? own != "default" : involved != own) mismatch();
    return;
  }
  if (involved.empty() && own != "default" && own != "kube-system") mismatch();
  const std::string controller = text(object, "reportingComponent"), told = type.asked_as.empty() ? "reportingComponent" : "reportingController";
  if (controller.empty()) errors.push_back(required(told, ""));
  for (const std::string& problem : schema::label_key(controller)) errors.push_back(invalid(told, controller, problem));
  for (const char* field : {"reportingInstance", "action", "reason"}) word(object, field, field, errors);
  if (text(object, "message").size() > kMaxNote) errors.push_back(invalid("message", "", fmt::format("can have at most {} characters", kMaxNote)));
}

void series(const Value& object, FieldErrors& errors) {
  if (!there(object, "series")) return;
  if (integer(object, "series.count").value_or(0) < 2) errors.push_back(invalid("series.count", "", "should be at least 2"));
  if (!timed(object, "series.lastObservedTime")) errors.push_back(required("series.lastObservedTime", ""));
}

void strict_create(const ResourceType& type, const Value& object, FieldErrors& errors) {
  validate_object_meta(type, object, nullptr, errors);
  series(object, errors);
  if (!timed(object, "eventTime")) errors.push_back(required("eventTime", ""));
  const std::string kind = text(object, "type");
  if (kind != "Normal" && kind != "Warning") errors.push_back(invalid("type", "", "has invalid value: " + kind));
  const auto unset = [&](const char* field, bool set) {
    if (set) errors.push_back(invalid(field, "", "needs to be unset"));
  };
  unset("firstTimestamp", timed(object, "firstTimestamp"));
  unset("lastTimestamp", timed(object, "lastTimestamp"));
  unset("count", integer(object, "count").value_or(0) != 0);
  unset("source", !text(object, "source.component").empty() || !text(object, "source.host").empty());
}

void strict_update(const ResourceType& type, const Value& object, const Value& old, FieldErrors& errors) {
  validate_object_meta(type, object, &old, errors);
  if (differs(object, old, "series")) series(object, errors);
  for (const char* field : {"involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "reason", "type", "eventTime", "action", "related"}) {
    immutable(object, old, field, errors);
  }
  const std::string now = text(object, "reportingComponent");
  if (now != text(old, "reportingComponent")) errors.push_back(invalid("reportingController", now, "field is immutable"));
  immutable(object, old, "reportingInstance", errors);
}

}  // namespace

void event(const ResourceType& type, const Value& object, const Value* old, FieldErrors& errors) {
  legacy(type, object, errors);
  if (type.asked_as.empty()) return;
  old == nullptr ? strict_create(type, object, errors) : strict_update(type, object, *old, errors);
}

}  // namespace gs::apiserver::checks
