#include "apiserver/event_expiry.h"

#include <algorithm>

#include "json/scan.h"

namespace gs::apiserver {
namespace {

bool are_events(const ResourceType& type) { return type.resource == "events" && (type.group.empty() || type.group == "events.k8s.io"); }

}  // namespace

EventExpiry::EventExpiry(Loop& loop, ResourceTable& table, Store& store, Registry& registry, Duration ttl)
    : loop_(loop), table_(table), store_(store), registry_(registry), ttl_(ttl), wake_(loop), scope_(loop) {
  registry_.add_follower(*this);
}

void EventExpiry::start() {
  for (const char* group : {"", "events.k8s.io"}) {
    const ResourceTypePtr type = table_.find(group, "events");
    if (!type) continue;
    for (const StoredPtr& event : store_.list(*type, "")) {
      const auto created = parse_rfc3339(json::text_at(event->json, "metadata.creationTimestamp").value_or(""));
      const Duration age = created ? std::clamp(loop_.wall_now() - *created, Duration::zero(), ttl_) : Duration::zero();
      entries_.push_back({loop_.now() + ttl_ - age, group, std::string(event->ns), std::string(event->name), event->version});
    }
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.at < b.at; });
  scope_.spawn(run());
}

void EventExpiry::changed(const ResourceType& type, const StoredPtr&, const StoredPtr& after) {
  if (!after || !are_events(type)) return;
  entries_.push_back({loop_.now() + ttl_, type.group, std::string(after->ns), std::string(after->name), after->version});
  if (entries_.size() == 1) wake_.wake_all();
}

Task<void> EventExpiry::run() {
  while (true) {
    if (entries_.empty()) {
      co_await wake_.wait();
      continue;
    }
    if (entries_.front().at > loop_.now()) {
      co_await sleep_until(loop_, entries_.front().at);
      continue;
    }
    const Entry entry = std::move(entries_.front());
    entries_.pop_front();
    const ResourceTypePtr type = table_.find(entry.group, "events");
    const StoredPtr event = type ? store_.get(*type, entry.ns, entry.name) : nullptr;
    // One that was written since has a later entry.
    if (event && event->version == entry.version) registry_.remove_object(*type, event, DeleteOptions());
  }
}

}  // namespace gs::apiserver
