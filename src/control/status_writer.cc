#include "control/status_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/log.h"
#include "json/scan.h"

namespace gs::control {
namespace {

std::string controller_path(std::string_view name) { return fmt::format("/apis/{}/{}/controllers/{}", kGroup, kVersion, name); }
std::string webhook_path(std::string_view name) { return fmt::format("/apis/{}/{}/webhooks/{}", kGroup, kVersion, name); }
std::string cluster_path(std::string_view ns, std::string_view name) {
  return fmt::format("/apis/{}/{}/namespaces/{}/clusters/{}", kGroup, kVersion, ns, name);
}
std::string cluster_path(const std::string& key) {
  const size_t slash = std::min(key.find('/'), key.size());
  return cluster_path(key.substr(0, slash), slash < key.size() ? key.substr(slash + 1) : "");
}

std::string_view status_of(const kube::Object& object) { return json::raw_at(object.json(), "status").value_or(""); }

}  // namespace

StatusWriter::StatusWriter(Loop& loop, const HubSource& source, kube::KubeTransport& hub)
    : loop_(loop), source_(source), hub_(hub), tokens_at_(loop.now()), progress_(loop), again_(loop, [this] { sweep(); }), scope_(loop) {}

void StatusWriter::update(Report report) {
  const auto unsettle = [&](const auto& before, const auto& after, const auto& path_of) {
    for (const auto& [key, now] : after) {
      const auto was = before.find(key);
      if (was != before.end() && was->second == now) continue;
      const auto written = written_.find(path_of(key));
      if (written != written_.end()) written->second.settled = kube::ObjectRef();
    }
  };
  unsettle(report_.controllers, report.controllers, [](const std::string& name) { return controller_path(name); });
  unsettle(report_.webhooks, report.webhooks, [](const std::string& name) { return webhook_path(name); });
  unsettle(report_.clusters, report.clusters, [](const std::string& key) { return cluster_path(key); });
  report_ = std::move(report);
  sweep();
}

// One object that may need a write.
struct StatusWriter::Candidate {
  std::string path;
  kube::ObjectRef object;
  Written* written = nullptr;
  const ControllerReport* controller = nullptr;  // or
  const WebhookReport* webhook = nullptr;        // or
  const ClusterReport* cluster = nullptr;
};

// Compares what is reported with what the hub shows, those first that were not written for the longest time.
void StatusWriter::sweep() {
  for (auto& [path, written] : written_) written.seen = false;
  all_written_ = in_flight_ == 0;
  std::vector<Candidate> candidates;
  source_.for_each_controller([&](const kube::ObjectRef& object) {
    const auto found = report_.controllers.find(std::string(object->name()));
    if (found == report_.controllers.end()) return;
    // Another of the same name; one that could not be read has told no uid.
    if (!found->second.uid.empty() && found->second.uid != object->uid()) return;
    Candidate candidate{controller_path(object->name()), object, nullptr, &found->second, nullptr, nullptr};
    if (is_due(candidate)) candidates.push_back(std::move(candidate));
  });
  source_.for_each_webhook([&](const kube::ObjectRef& object) {
    const auto found = report_.webhooks.find(std::string(object->name()));
    if (found == report_.webhooks.end() || (!found->second.uid.empty() && found->second.uid != object->uid())) return;
    Candidate candidate{webhook_path(object->name()), object, nullptr, nullptr, &found->second, nullptr};
    if (is_due(candidate)) candidates.push_back(std::move(candidate));
  });
  source_.for_each_cluster([&](const kube::ObjectRef& object) {
    const auto found = report_.clusters.find(fmt::format("{}/{}", object->ns(), object->name()));
    if (found == report_.clusters.end() || found->second.uid != object->uid()) return;
    Candidate candidate{cluster_path(object->ns(), object->name()), object, nullptr, nullptr, nullptr, &found->second};
    if (is_due(candidate)) candidates.push_back(std::move(candidate));
  });
  std::erase_if(written_, [](const auto& e) { return !e.second.seen && !e.second.in_flight; });
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.written->at, a.path) < std::tie(b.written->at, b.path);
  });
  for (const Candidate& candidate : candidates) {
    if (!has_room()) {
      all_written_ = false;
      break;
    }
    consider(candidate);
  }
  progress_.wake_all();
}

// Not compared again before one of the two changes, nor while a write is on its way or was just made.
bool StatusWriter::is_due(Candidate& candidate) {
  Written& written = written_[candidate.path];
  candidate.written = &written;
  written.seen = true;
  if (written.in_flight) return false;
  if (written.uid != candidate.object->uid()) {
    written = Written();
    written.uid = candidate.object->uid();
    written.seen = true;
  }
  if (written.settled.get() == candidate.object.get()) return false;
  if (written.overtaken.get() == candidate.object.get()) {
    all_written_ = false;
    sweep_at(saturating_add(loop_.now(), kSweepPeriod));
    return false;
  }
  if (farewell_ || loop_.now() >= written.not_before) return true;
  all_written_ = false;
  sweep_at(written.not_before);
  return false;
}

// The status without times of transition, which are made anew for each comparison.
std::string StatusWriter::content_of(json::Value status) {
  json::Value* conditions = status.pointer("/conditions");
  if (conditions != nullptr && conditions->is_array()) {
    for (json::Value& condition : *conditions->array()) condition.make_object().erase("lastTransitionTime");
  }
  return status.dump();
}

// Writes the difference, if there is one.
void StatusWriter::consider(const Candidate& candidate) {
  const kube::Object& object = *candidate.object;
  Written& written = *candidate.written;
  const std::string_view present = status_of(object);
  json::Value wanted;
  if (candidate.cluster != nullptr) {
    wanted = cluster_status(*candidate.cluster, object.generation(), present, loop_.wall_now());
  } else {
    const bool webhook = candidate.webhook != nullptr;
    wanted = webhook ? webhook_status(*candidate.webhook, present, loop_.wall_now()) : controller_status(*candidate.controller, present, loop_.wall_now());
    // What could not be read has told no generation either.
    if ((webhook ? candidate.webhook->uid : candidate.controller->uid).empty()) wanted["observedGeneration"] = object.generation();
  }
  json::Value patch;
  patch["metadata"]["resourceVersion"] = object.resource_version();
  patch["status"] = status_patch(wanted, present);
  if (patch["status"].is_null()) {
    written.content.clear();
    written.settled = candidate.object;
    return;
  }
  std::string content = content_of(std::move(wanted));
  if (content == written.content && loop_.now() - written.at < kEchoPatience) return;  // the watch has yet to show it
  written.content = std::move(content);
  written.at = loop_.now();
  written.not_before = saturating_add(loop_.now(), loop_.random().jitter(kPerObject, 0.2));
  written.in_flight = true;
  tokens_ -= 1;
  ++in_flight_;
  all_written_ = false;
  scope_.spawn(write(candidate.path, candidate.object, patch.dump()));
}

// One more write may begin; a farewell is not held back by the budget.
bool StatusWriter::has_room() {
  const MonoTime now = loop_.now();
  tokens_ = std::min(kBurst, tokens_ + to_seconds(now - tokens_at_) * kWritesPerSecond);
  tokens_at_ = now;
  if (in_flight_ >= kConcurrent) return false;  // the end of a write sweeps
  if (tokens_ >= 1 || farewell_) return true;
  sweep_at(saturating_add(now, kSweepPeriod));
  return false;
}

void StatusWriter::sweep_at(MonoTime time) {
  if (!again_.armed() || time < again_.deadline()) again_.arm_at(time);
}

Task<void> StatusWriter::write(std::string path, kube::ObjectRef object, std::string body) {
  kube::Request request("PATCH", path + "/status?fieldManager=gulfstream");
  request.content_type = "application/merge-patch+json";
  request.body = std::move(body);
  request.deadline = saturating_add(loop_.now(), kTimeout);
  auto sending = hub_.send(std::move(request));
  auto response = co_await sending;
  Status status = ok();
  if (!response) {
    status = fail(std::move(response).error());
  } else if (response->status / 100 != 2) {
    status = fail(kube::status_error(response->status, response->body, response->retry_after, loop_.wall_now()));
  }
  --in_flight_;
  written_[path].in_flight = false;
  ++writes_;
  if (!status) failed(path, object, status.error());
  sweep_at(farewell_ ? loop_.now() : saturating_add(loop_.now(), kSweepPeriod));
}

void StatusWriter::failed(const std::string& path, const kube::ObjectRef& object, const Error& why) {
  Written& written = written_[path];
  // Changed, or another of its name.
  if (why.code == Code::kConflict) {
    written.content.clear();
    written.overtaken = object;
    return;
  }
  // Gone: nothing to say any more. In a farewell nothing is tried twice.
  if (why.code == Code::kNotFound || farewell_) return;
  ++failures_;
  written.content.clear();
  const Duration backoff = loop_.random().jitter(kAfterFailure, 1.0);
  written.not_before = saturating_add(loop_.now(), std::max(why.retry_after.value_or(Duration::zero()), backoff));
  log::warning("status cannot be written", {{"path", path}, {"err", why}});
}

Task<bool> StatusWriter::flush(MonoTime deadline) {
  farewell_ = true;
  sweep();
  while (!all_written_ && loop_.now() < deadline) {
    co_await progress_.wait(deadline);
  }
  farewell_ = false;
  co_return all_written_;
}

}  // namespace gs::control
