#include "apiserver/namespace_controller.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/strings.h"

namespace gs::apiserver {
namespace {

using json::Value;

// Objects deleted before others get their turn.
constexpr size_t kBatch = 500;

void set_condition(Value& status, const char* type, bool holds, const char* reason, const std::string& message, const std::string& now) {
  json::Array& all = status["conditions"].make_array();
  auto found = std::find_if(all.begin(), all.end(), [&](const Value& c) { return c.text("type") == type; });
  if (found == all.end()) found = all.insert(all.end(), Value(json::Object()));
  const char* value = holds ? "True" : "False";
  if (found->text("status") != value) (*found)["lastTransitionTime"] = now;
  (*found)["type"] = type;
  (*found)["status"] = value;
  (*found)["reason"] = reason;
  (*found)["message"] = message;
}

}  // namespace

NamespaceController::NamespaceController(Loop& loop, ResourceTable& table, Store& store, Registry& registry)
    : loop_(loop), table_(table), store_(store), registry_(registry), wake_(loop), scope_(loop) {
  registry_.add_follower(*this);
}

void NamespaceController::start() {
  const ResourceTypePtr namespaces = table_.find("", "namespaces");
  for (const StoredPtr& object : store_.list(*namespaces, "")) changed(*namespaces, nullptr, object);
  scope_.spawn(run());
}

void NamespaceController::changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) {
  if (is_namespace(type)) {
    const std::string name((after ? after : before)->name);
    if (!after) {
      terminating_.erase(name);
      return;
    }
    if (after->json.find("\"deletionTimestamp\"") == std::string_view::npos || !deleting(after->value())) return;
    terminating_.insert(name);
    queue_.insert(name);
    wake_.wake_all();
  } else if (!after && !terminating_.empty() && terminating_.contains(before->ns)) {
    queue_.insert(std::string(before->ns));
    wake_.wake_all();
  }
}

Task<void> NamespaceController::run() {
  while (true) {
    if (queue_.empty()) {
      co_await wake_.wait();
      continue;
    }
    co_await yield_turn(loop_);
    const std::string ns = *queue_.begin();
    queue_.erase(queue_.begin());
    if (step(ns)) queue_.insert(ns);
  }
}

bool NamespaceController::step(const std::string& ns) {
  const ResourceTypePtr namespaces = table_.find("", "namespaces");
  const StoredPtr object = store_.get(*namespaces, "", ns);
  if (!object || !terminating_.contains(ns)) return false;
  if (!has_string(object->value(), "spec.finalizers", "kubernetes")) return false;
  DeleteOptions options;
  options.propagation = Propagation::kBackground;
  size_t deleted = 0;
  table_.for_each_storage([&](const ResourceType& type) {
    if (!type.namespaced || deleted >= kBatch || !store_.any(type, ns)) return;
    for (const StoredPtr& found : store_.list(type, ns)) {
      if (deleted >= kBatch) return;
      // What is marked already waits for its finalizers.
      if (found->json.find("\"deletionTimestamp\"") != std::string_view::npos && deleting(found->value())) continue;
      registry_.remove_object(type, found, options);
      ++deleted;
    }
  });
  if (deleted >= kBatch) return true;
  const std::vector<Remains> left = remains(ns);
  report(*namespaces, object, left);
  if (left.empty()) finalize(*namespaces, ns);
  return false;
}

std::vector<NamespaceController::Remains> NamespaceController::remains(const std::string& ns) const {
  std::vector<Remains> out;
  table_.for_each_storage([&](const ResourceType& type) {
    if (!type.namespaced || !store_.any(type, ns)) return;
    Remains entry;
    entry.resource = type.resource + "." + type.group;
    for (const StoredPtr& object : store_.list(type, ns)) {
      ++entry.count;
      const Value value = object->value();
      const Value* finalizers = value.at("metadata.finalizers");
      if (finalizers == nullptr || finalizers->array() == nullptr) continue;
      for (const Value& finalizer : *finalizers->array()) {
        if (finalizer.string() != nullptr) ++entry.finalizers[*finalizer.string()];
      }
    }
    out.push_back(std::move(entry));
  });
  return out;
}

// k8s.io/kubernetes/pkg/controller/namespace/deletion/status_condition_utils.go.
void NamespaceController::report(const ResourceType& namespaces, const StoredPtr& object, const std::vector<Remains>& left) {
  std::vector<std::string> resources, finalizers;
  std::map<std::string, size_t> by_finalizer;
  for (const Remains& entry : left) {
    resources.push_back(fmt::format("{} has {} resource instances", entry.resource, entry.count));
    for (const auto& [finalizer, count] : entry.finalizers) by_finalizer[finalizer] += count;
  }
  for (const auto& [finalizer, count] : by_finalizer) finalizers.push_back(fmt::format("{} in {} resource instances", finalizer, count));
  Value next = object->value(namespaces);
  const Value before = next;
  const std::string now = format_rfc3339(loop_.wall_now());
  Value& status = next["status"];
  set_condition(status, "NamespaceDeletionDiscoveryFailure", false, "ResourcesDiscovered", "All resources successfully discovered", now);
  set_condition(status, "NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", "All legacy kube types successfully parsed", now);
  set_condition(status, "NamespaceDeletionContentFailure", false, "ContentDeleted", "All content successfully deleted, may be waiting on finalization", now);
  set_condition(status, "NamespaceContentRemaining", !left.empty(), left.empty() ? "ContentRemoved" : "SomeResourcesRemain",
                left.empty() ? "All content successfully removed" : "Some resources are remaining: " + join(resources, ", "), now);
  set_condition(status, "NamespaceFinalizersRemaining", !finalizers.empty(), finalizers.empty() ? "ContentHasNoFinalizers" : "SomeFinalizersRemain",
                finalizers.empty() ? "All content-preserving finalizers finished" : "Some content in the namespace has finalizers remaining: " + join(finalizers, ", "), now);
  if (next != before) registry_.change(namespaces, object, std::move(next));
}

void NamespaceController::finalize(const ResourceType& namespaces, const std::string& ns) {
  const StoredPtr object = store_.get(namespaces, "", ns);
  if (!object) return;
  Value next = object->value(namespaces);
  Value* finalizers = next["spec"].make_object().find("finalizers");
  if (finalizers == nullptr || finalizers->array() == nullptr) return;
  std::erase_if(*finalizers->array(), [](const Value& f) { return f.string() != nullptr && *f.string() == "kubernetes"; });
  if (finalizers->array()->empty()) next["spec"].make_object().erase("finalizers");
  registry_.change(namespaces, object, std::move(next));
}

}  // namespace gs::apiserver
