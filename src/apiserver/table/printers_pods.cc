// Pods: the one printer with a mind of its own.
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/table/printers.h"
#include "base/strings.h"

namespace gs::apiserver::table {
namespace {

using json::Array;

struct Restarts {
  int64_t count = 0;
  std::string last;  // when a container last ended; RFC 3339 in UTC sorts as text

  void take(const Value& status) {
    count += integer_of(status.find("restartCount"));
    const std::string_view ended = status.text("lastState.terminated.finishedAt");
    if (ended > last) last = ended;
  }
};

// An init container that keeps running beside the others.
bool is_sidecar(const Array& containers, std::string_view name) {
  return std::any_of(containers.begin(), containers.end(), [&](const Value& c) { return c.text("name") == name && c.text("restartPolicy") == "Always"; });
}

std::string ended_reason(const Value& terminated, const std::string& prefix) {
  const std::string_view reason = terminated.text("reason");
  if (!reason.empty()) return prefix + std::string(reason);
  if (const int64_t signal = integer_of(terminated.find("signal")); signal != 0) return fmt::format("{}Signal:{}", prefix, signal);
  return fmt::format("{}ExitCode:{}", prefix, integer_of(terminated.find("exitCode")));
}

class PodStatus {
 public:
  explicit PodStatus(const Row& row) : row_(row), specs_(row.list("spec.initContainers")), conditions_(row.list("status.conditions")) {
    total_ = row.list("spec.containers").size();
    for (const Value& c : specs_) total_ += c.text("restartPolicy") == "Always";
    reason_ = row.object.text("status.reason").empty() ? row.object.text("status.phase") : row.object.text("status.reason");
    const Value* scheduled = condition(conditions_, "PodScheduled");
    if (scheduled != nullptr && scheduled->text("reason") == "SchedulingGated") reason_ = "SchedulingGated";
    take_init_containers();
    if (!initializing_ || condition_true(conditions_, "Initialized")) take_containers();
    take_deletion();
  }

  std::string ready() const { return fmt::format("{}/{}", ready_, total_); }
  const std::string& reason() const { return reason_; }
  std::string restarts() const {
    if (restarts_.count == 0 || restarts_.last.empty()) return std::to_string(restarts_.count);
    return fmt::format("{} ({} ago)", restarts_.count, human_since(restarts_.last, row_.now));
  }

 private:
  void take_init_containers() {
    const Array& statuses = row_.list("status.initContainerStatuses");
    for (size_t i = 0; i < statuses.size(); ++i) {
      const Value& status = statuses[i];
      const bool sidecar = is_sidecar(specs_, status.text("name"));
      restarts_.take(status);
      if (sidecar) sidecar_restarts_.take(status);
      const Value* ended = status.at("state.terminated");
      if (ended != nullptr && integer_of(ended->find("exitCode")) == 0) continue;
      if (sidecar && is_true(status.find("started"))) {
        ready_ += is_true(status.find("ready"));
        continue;
      }
      const std::string_view waiting = status.text("state.waiting.reason");
      if (ended != nullptr) {
        reason_ = ended_reason(*ended, "Init:");
      } else if (!waiting.empty() && waiting != "PodInitializing") {
        reason_ = "Init:" + std::string(waiting);
      } else {
        reason_ = fmt::format("Init:{}/{}", i, specs_.size());
      }
      initializing_ = true;
      return;
    }
  }

  void take_containers() {
    restarts_ = sidecar_restarts_;
    bool running = false;
    std::string error;
    const Array& statuses = row_.list("status.containerStatuses");
    for (size_t i = statuses.size(); i-- > 0;) {
      const Value& status = statuses[i];
      restarts_.take(status);
      const Value* ended = status.at("state.terminated");
      if (const std::string_view waiting = status.text("state.waiting.reason"); !waiting.empty()) {
        reason_ = waiting;
      } else if (ended != nullptr) {
        reason_ = ended_reason(*ended, "");
        if (integer_of(ended->find("exitCode")) != 0) error = reason_;
      } else if (is_true(status.find("ready")) && status.at("state.running") != nullptr) {
        running = true;
        ++ready_;
      }
    }
    if (reason_ != "Completed") return;
    if (running && condition_true(conditions_, "Ready")) {
      reason_ = "Running";
    } else if (!error.empty()) {
      reason_ = error;
    } else if (running) {
      reason_ = "NotReady";
    }
  }

  void take_deletion() {
    if (row_.object.text("metadata.deletionTimestamp").empty()) return;
    const std::string_view phase = row_.object.text("status.phase");
    if (row_.object.text("status.reason") == "NodeLost") {
      reason_ = "Unknown";
    } else if (phase != "Succeeded" && phase != "Failed") {
      reason_ = "Terminating";
    }
  }

  const Row& row_;
  const Array& specs_;
  const Array& conditions_;
  size_t total_ = 0;
  int ready_ = 0;
  std::string reason_;
  Restarts restarts_;
  Restarts sidecar_restarts_;
  bool initializing_ = false;
};

std::string readiness_gates(const Row& row) {
  const Array& gates = row.list("spec.readinessGates");
  if (gates.empty()) return "<none>";
  const auto open = std::count_if(gates.begin(), gates.end(), [&](const Value& g) { return condition_true(row.list("status.conditions"), g.text("conditionType")); });
  return fmt::format("{}/{}", open, gates.size());
}

void print_pod(Row& row) {
  const PodStatus status(row);
  row.name().add(status.ready()).add(status.reason()).add(status.restarts()).age();
  const Array& ips = row.list("status.podIPs");
  const std::string_view ip = ips.empty() ? "" : ips.front().text("ip");
  row.add(ip.empty() ? "<none>" : ip).text("spec.nodeName", "<none>").text("status.nominatedNodeName", "<none>").add(readiness_gates(row));
  const std::string_view phase = row.object.text("status.phase");
  if (phase == "Succeeded") row.completed = "Succeeded";
  if (phase == "Failed") row.completed = "Failed";
}

void print_template(Row& row) {
  const Array& containers = row.list("template.spec.containers");
  row.name().add(container_names(containers)).add(container_images(containers)).add(format_labels(row.object.at("template.metadata.labels")));
}

// Of v1 and of events.k8s.io/v1, which names its members otherwise.
void print_event(Row& row) {
  const auto text = [&](std::string_view path, std::string_view other) { return row.object.text(path).empty() ? row.object.text(other) : row.object.text(path); };
  const auto or_else = [](std::string a, const std::string& b) { return a == "<unknown>" ? b : a; };
  const std::string first = or_else(human_since(text("firstTimestamp", "deprecatedFirstTimestamp"), row.now), row.since("eventTime"));
  std::string last = or_else(human_since(text("lastTimestamp", "deprecatedLastTimestamp"), row.now), first);
  int64_t count = row.integer("count", row.integer("deprecatedCount"));
  if (row.object.find("series") != nullptr) {
    last = row.since("series.lastObservedTime");
    count = row.integer("series.count");
  } else if (count == 0) {
    count = 1;
  }
  const Value* regarding = row.object.find("regarding");
  const Value& about = regarding != nullptr ? *regarding : row.object.find("involvedObject") != nullptr ? *row.object.find("involvedObject") : row.object;
  std::string target = to_lower(about.text("kind"));
  if (const std::string_view name = about.text("name"); !name.empty()) target.append("/").append(name);
  std::string source(text("source.component", "deprecatedSource.component"));
  if (source.empty()) source = text("reportingComponent", "reportingController");
  std::string host(text("source.host", "deprecatedSource.host"));
  if (host.empty()) host = row.object.text("reportingInstance");
  if (!host.empty()) source += ", " + host;
  row.add(last).text("type").text("reason").add(target).add(about.text("fieldPath")).add(source).add(trim(text("message", "note"))).add(first).add(count).name();
}

}  // namespace

void add_pod_printers(std::vector<std::pair<std::string, Printer>>& to) {
  to.push_back({"pods", {{name_column(), "Ready", "Status", "Restarts", "Age", {"IP", "string", 1}, {"Node", "string", 1}, {"Nominated Node", "string", 1}, {"Readiness Gates", "string", 1}}, print_pod}});
  to.push_back({"podtemplates", {{name_column(), "Containers", "Images", "Pod Labels"}, print_template}});
  const Printer event{{"Last Seen", "Type", "Reason", "Object", {"Subobject", "string", 1}, {"Source", "string", 1}, "Message", {"First Seen", "string", 1}, {"Count", "string", 1}, {"Name", "string", 1, "name"}}, print_event};
  to.push_back({"events", event});
  to.push_back({"events.events.k8s.io", event});
}

}  // namespace gs::apiserver::table
