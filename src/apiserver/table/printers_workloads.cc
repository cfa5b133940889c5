// Controllers of pods: apps, batch, policy, autoscaling.
#include <fmt/format.h>

#include "apiserver/table/printers.h"
#include "base/strings.h"

namespace gs::apiserver::table {
namespace {

using json::Array;

const Column kContainers("Containers", "string", 1), kImages("Images", "string", 1), kSelector("Selector", "string", 1);

void add_template(Row& row, std::string_view containers_path) {
  const Array& containers = row.list(containers_path);
  row.add(container_names(containers)).add(container_images(containers));
}

constexpr std::string_view kTemplate = "spec.template.spec.containers";

void print_replication_controller(Row& row) {
  row.name().number("spec.replicas").number("status.replicas").number("status.readyReplicas").age();
  add_template(row, kTemplate);
  row.add(format_labels(row.object.at("spec.selector")));
}

void print_replica_set(Row& row) {
  row.name().number("spec.replicas").number("status.replicas").number("status.readyReplicas").age();
  add_template(row, kTemplate);
  row.add(format_label_selector(row.object.at("spec.selector")));
}

void print_deployment(Row& row) {
  row.name().add(fmt::format("{}/{}", row.integer("status.readyReplicas"), row.integer("spec.replicas")));
  row.number("status.updatedReplicas").number("status.availableReplicas").age();
  add_template(row, kTemplate);
  const std::string selector = format_label_selector(row.object.at("spec.selector"));
  row.add(selector == "<none>" ? "" : selector);
}

void print_stateful_set(Row& row) {
  row.name().add(fmt::format("{}/{}", row.integer("status.readyReplicas"), row.integer("spec.replicas"))).age();
  add_template(row, kTemplate);
}

void print_daemon_set(Row& row) {
  row.name().number("status.desiredNumberScheduled").number("status.currentNumberScheduled").number("status.numberReady");
  row.number("status.updatedNumberScheduled").number("status.numberAvailable").add(format_labels(row.object.at("spec.template.spec.nodeSelector"))).age();
  add_template(row, kTemplate);
  row.add(format_label_selector(row.object.at("spec.selector")));
}

std::string job_status(const Row& row) {
  const Array& conditions = row.list("status.conditions");
  if (condition_true(conditions, "Complete")) return "Complete";
  if (condition_true(conditions, "Failed")) return "Failed";
  if (!row.object.text("metadata.deletionTimestamp").empty()) return "Terminating";
  for (const char* type : {"Suspended", "FailureTarget", "SuccessCriteriaMet"}) {
    if (condition_true(conditions, type)) return type;
  }
  return "Running";
}

std::string job_completions(const Row& row) {
  const int64_t succeeded = row.integer("status.succeeded"), parallel = row.integer("spec.parallelism");
  if (const Value* wanted = row.object.at("spec.completions")) return fmt::format("{}/{}", succeeded, integer_of(wanted));
  return parallel > 1 ? fmt::format("{}/1 of {}", succeeded, parallel) : fmt::format("{}/1", succeeded);
}

std::string job_duration(const Row& row) {
  const auto begun = parse_rfc3339(row.object.text("status.startTime"));
  if (!begun) return "";
  const auto ended = parse_rfc3339(row.object.text("status.completionTime"));
  return human_duration(ended.value_or(row.now) - *begun);
}

void print_job(Row& row) {
  row.name().add(job_status(row)).add(job_completions(row)).add(job_duration(row)).age();
  add_template(row, kTemplate);
  row.add(format_label_selector(row.object.at("spec.selector")));
}

void print_cron_job(Row& row) {
  const Value* suspend = row.object.at("spec.suspend");
  row.name().text("spec.schedule").text("spec.timeZone", "<none>").add(suspend == nullptr ? "<unset>" : is_true(suspend) ? "True" : "False");
  row.add(static_cast<int64_t>(row.list("status.active").size()));
  row.add(row.object.text("status.lastScheduleTime").empty() ? "<none>" : row.since("status.lastScheduleTime")).age();
  add_template(row, "spec.jobTemplate.spec.template.spec.containers");
  row.add(format_label_selector(row.object.at("spec.jobTemplate.spec.selector")));
}

void print_disruption_budget(Row& row) {
  const auto bound = [&](std::string_view path) { return row.object.at(path) == nullptr ? "N/A" : scalar(row.object.at(path)); };
  row.name().add(bound("spec.minAvailable")).add(bound("spec.maxUnavailable")).number("status.disruptionsAllowed").age();
}

void print_controller_revision(Row& row) {
  std::string owner = "<none>";
  for (const Value& reference : row.list("metadata.ownerReferences")) {
    if (!is_true(reference.find("controller"))) continue;
    const std::string_view version = reference.text("apiVersion");
    const size_t slash = version.find('/');
    owner = std::string(reference.text("kind"));
    if (slash != std::string_view::npos) owner.append(".").append(version.substr(0, slash));
    owner = to_lower(owner) + "/" + std::string(reference.text("name"));
  }
  row.name().add(owner).number("revision").age();
}

// One metric of an autoscaler: what it is over what it should be.
std::string metric(const Value& spec, const Value* status) {
  const std::string_view type = spec.text("type");
  constexpr std::pair<std::string_view, std::string_view> kMembers[] = {
      {"External", "external"}, {"Pods", "pods"}, {"Object", "object"}, {"Resource", "resource"}, {"ContainerResource", "containerResource"}};
  for (const auto& [name, member] : kMembers) {
    if (type != name) continue;
    const Value* source = spec.find(member);
    const Value* target = source != nullptr ? source->find("target") : nullptr;
    const Value* now = status != nullptr ? status->find(member) : nullptr;
    const Value* current = now != nullptr ? now->find("current") : nullptr;
    const auto of = [](const Value* from, std::string_view key, std::string_view fallback) {
      const Value* found = from != nullptr ? from->find(key) : nullptr;
      return found != nullptr ? scalar(found) : std::string(fallback);
    };
    const bool average = target != nullptr && target->find("averageValue") != nullptr;
    if (name == "Resource" || name == "ContainerResource") {
      const std::string what(source != nullptr ? source->text("name") : "");
      if (average) return fmt::format("{}: {}/{}", what, of(current, "averageValue", "<unknown>"), of(target, "averageValue", ""));
      const auto percent = [](std::string number) { return number.starts_with('<') ? number : number + "%"; };
      return fmt::format("{}: {}/{}", what, percent(of(current, "averageUtilization", "<unknown>")), percent(of(target, "averageUtilization", "<auto>")));
    }
    if (name == "Pods") return fmt::format("{}/{}", of(current, "averageValue", "<unknown>"), of(target, "averageValue", ""));
    if (average) return fmt::format("{}/{} (avg)", of(current, "averageValue", "<unknown>"), of(target, "averageValue", ""));
    return fmt::format("{}/{}", of(current, "value", "<unknown>"), of(target, "value", ""));
  }
  return "<unknown type>";
}

void print_autoscaler(Row& row) {
  const Array& specs = row.list("spec.metrics");
  const Array& statuses = row.list("status.currentMetrics");
  std::string targets;
  for (size_t i = 0; i < specs.size() && i < 2; ++i) {
    if (i > 0) targets += ", ";
    targets += metric(specs[i], i < statuses.size() ? &statuses[i] : nullptr);
  }
  if (specs.size() > 2) targets += fmt::format(" + {} more...", specs.size() - 2);
  // autoscaling/v1 has a metric of its own.
  if (const Value* percent = row.object.at("spec.targetCPUUtilizationPercentage"); specs.empty() && percent != nullptr) {
    const Value* current = row.object.at("status.currentCPUUtilizationPercentage");
    targets = fmt::format("cpu: {}/{}%", current != nullptr ? scalar(current) + "%" : "<unknown>", scalar(percent));
  }
  const Value* least = row.object.at("spec.minReplicas");
  row.name().add(fmt::format("{}/{}", row.object.text("spec.scaleTargetRef.kind"), row.object.text("spec.scaleTargetRef.name")));
  row.add(targets.empty() ? "<none>" : targets).add(least == nullptr ? "<unset>" : scalar(least)).number("spec.maxReplicas").number("status.currentReplicas").age();
}

}  // namespace

void add_workload_printers(std::vector<std::pair<std::string, Printer>>& to) {
  const Column desired("Desired", "integer"), current("Current", "integer"), ready("Ready", "integer");
  to.push_back({"replicationcontrollers", {{name_column(), desired, current, ready, "Age", kContainers, kImages, kSelector}, print_replication_controller}});
  to.push_back({"replicasets.apps", {{name_column(), desired, current, ready, "Age", kContainers, kImages, kSelector}, print_replica_set}});
  to.push_back({"deployments.apps", {{name_column(), "Ready", "Up-to-date", "Available", "Age", kContainers, kImages, kSelector}, print_deployment}});
  to.push_back({"statefulsets.apps", {{name_column(), "Ready", "Age", kContainers, kImages}, print_stateful_set}});
  to.push_back({"daemonsets.apps", {{name_column(), desired, current, ready, {"Up-to-date", "integer"}, {"Available", "integer"}, "Node Selector", "Age", kContainers, kImages, kSelector}, print_daemon_set}});
  to.push_back({"controllerrevisions.apps", {{name_column(), "Controller", "Revision", "Age"}, print_controller_revision}});
  to.push_back({"jobs.batch", {{name_column(), "Status", "Completions", "Duration", "Age", kContainers, kImages, kSelector}, print_job}});
  to.push_back({"cronjobs.batch", {{name_column(), "Schedule", "Timezone", {"Suspend", "boolean"}, {"Active", "integer"}, "Last Schedule", "Age", kContainers, kImages, kSelector}, print_cron_job}});
  to.push_back({"poddisruptionbudgets.policy", {{name_column(), "Min Available", "Max Unavailable", {"Allowed Disruptions", "integer"}, "Age"}, print_disruption_budget}});
  to.push_back({"horizontalpodautoscalers.autoscaling", {{name_column(), "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"}, print_autoscaler}});
}

}  // namespace gs::apiserver::table
