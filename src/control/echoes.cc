#include "control/echoes.h"

#include <algorithm>

namespace gs::control {

Echoes::Name Echoes::name_of(const std::string& resource, const kube::Object& object) {
  return {resource, std::string(object.ns()), std::string(object.name())};
}

bool Echoes::wrote(KeyId key, const std::string& resource, const kube::Object& object) {
  Name name = name_of(resource, object);
  if (const auto held = held_.find(key.value()); held != held_.end()) {
    const auto early = std::find_if(held->second.begin(), held->second.end(),
                                    [&](const Held& change) { return change.name == name && change.version == object.resource_version(); });
    if (early != held->second.end()) {
      held->second.erase(early);
      return true;
    }
  }
  if (written_.size() >= kMaxWritten) written_.erase(written_.begin());
  written_[std::move(name)] = {key, std::string(object.resource_version())};
  return false;
}

Echoes::Verdict Echoes::seen(KeyId key, const std::string& resource, const kube::Object& object, bool in_flight) {
  if (!in_flight && written_.empty()) return Verdict::kChange;
  Name name = name_of(resource, object);
  if (const auto found = written_.find(name); found != written_.end() && found->second.key == key) {
    const bool same = found->second.version == object.resource_version();
    const auto order = kube::compare_versions(object.resource_version(), found->second.version);
    if (!order.comparable || order.order > 0) written_.erase(found);
    if (same) return Verdict::kEcho;
  }
  if (!in_flight) return Verdict::kChange;
  std::vector<Held>& held = held_[key.value()];
  if (held.size() >= kMaxHeld) return Verdict::kChange;
  held.push_back({std::move(name), std::string(object.resource_version())});
  return Verdict::kHeld;
}

bool Echoes::settle(KeyId key) {
  const auto held = held_.find(key.value());
  if (held == held_.end()) return false;
  const bool others = !held->second.empty();
  held_.erase(held);
  return others;
}

}  // namespace gs::control
