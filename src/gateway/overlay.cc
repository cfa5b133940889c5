#include "gateway/overlay.h"

#include "base/mutation.h"
#include "gateway/versions.h"

namespace gs::gateway {

bool Overlay::caught_up(const Entry& entry, const cache::Informer& informer, const kube::ObjectRef& cached, MonoTime now) {
  if (mutated(Mutation::kOverlayEndedEarly)) return true;
  if (mutated(Mutation::kOverlayKept)) return false;
  if (entry.object || entry.unseen) {
    // Also where the object is gone again by somebody else's hand: the watch as a whole is past it.
    if (reached(informer.resource_version(), entry.version)) return true;
    return cached && reached(cached->resource_version(), entry.version);
  }
  // One made anew, unless the cache is still at one that was there before.
  if (cached && cached->uid() != entry.uid) return !reached(entry.floor, cached->resource_version());
  if (cached) return false;  // the deletion has not come yet
  if (entry.version.empty()) return now - entry.at >= kLongest;
  // Absent: the deletion has come, or not even the creation.
  return reached(informer.resource_version(), entry.version);
}

void Overlay::end(std::map<Key, Entry>::iterator entry, const kube::ObjectRef& cached) {
  const bool vanished = entry->second.object && !cached && vanished_.size() < kMaxEntries;
  if (vanished) vanished_.emplace_back(std::get<0>(entry->first), entry->second.object);
  entries_.erase(entry);
}

Overlay::Entry* Overlay::put(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name) {
  const Key key(resource.to_string(), ns, name);
  if (full() && !entries_.contains(key)) {
    lose();
    return nullptr;
  }
  Entry& entry = entries_[key];
  entry.resource = resource;
  return &entry;
}

void Overlay::wrote(const cache::GroupVersionResource& resource, const kube::ObjectRef& object, MonoTime now) {
  Entry* entry = put(resource, std::string(object->ns()), std::string(object->name()));
  if (entry == nullptr) return;
  // Answers of two writes may come in the other order.
  const bool older = entry->object && entry->object->uid() == object->uid() && reached(entry->version, object->resource_version());
  if (older || (!entry->object && !entry->unseen && !entry->uid.empty() && entry->uid == object->uid())) return;
  entry->object = object;
  entry->uid.clear();
  entry->version = std::string(object->resource_version());
  entry->unseen = false;
  entry->at = now;
}

void Overlay::wrote_unseen(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name,
                           const std::string& version, MonoTime now) {
  Entry* entry = put(resource, ns, name);
  if (entry == nullptr || reached(entry->version, version)) return;
  entry->object = kube::ObjectRef();
  entry->uid.clear();
  entry->version = version;
  entry->unseen = true;
  entry->at = now;
}

void Overlay::deleted(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name, const std::string& uid,
                      const std::string& version, const kube::ObjectRef& before, MonoTime now) {
  Entry* entry = put(resource, ns, name);
  if (entry == nullptr) return;
  const std::string written = entry->object && entry->object->uid() == uid ? entry->version : std::string();
  const auto raise = [&](std::string_view to) {
    if (entry->floor.empty() || newer(to, entry->floor)) entry->floor = std::string(to);
  };
  if (!entry->version.empty()) raise(entry->version);
  if (before && before->uid() != uid) raise(before->resource_version());
  entry->object = kube::ObjectRef();
  entry->uid = uid;
  entry->version = reached(written, version) || version.empty() ? written : version;
  if (!entry->version.empty()) raise(entry->version);
  entry->unseen = false;
  entry->at = now;
}

bool Overlay::read(const cache::Informer& informer, const kube::ObjectRef& object, const kube::ObjectRef& cached, MonoTime now) {
  const std::string_view version = object->resource_version();
  if (!reached(version, version) || reached(informer.resource_version(), version)) return false;
  if (cached && cached->uid() == object->uid() && reached(cached->resource_version(), version)) return false;
  if (entries_.size() < kMaxReads) {
    wrote(informer.key().resource, object, now);
  } else {
    lose();
  }
  return true;
}

Overlay::View Overlay::merge(const cache::Informer& informer, std::string_view ns, std::string_view name, const kube::ObjectRef& cached,
                             MonoTime now) {
  View view;
  view.object = cached;
  if (entries_.empty()) return view;
  const auto found = entries_.find(Key(informer.key().resource.to_string(), std::string(ns), std::string(name)));
  if (found == entries_.end()) return view;
  if (caught_up(found->second, informer, cached, now)) {
    end(found, cached);
    return view;
  }
  view.live = found->second.unseen;
  view.object = found->second.object;
  return view;
}

void Overlay::seen(const cache::GroupVersionResource& resource, const kube::Object& object) {
  if (entries_.empty() || mutated(Mutation::kOverlayKept)) return;
  const auto found = entries_.find(Key(resource.to_string(), std::string(object.ns()), std::string(object.name())));
  if (found == entries_.end()) return;
  const Entry& entry = found->second;
  // A deletion's own event, and what comes after it, is left to merge() and prune().
  if ((entry.object || entry.unseen) && reached(object.resource_version(), entry.version)) entries_.erase(found);
}

std::vector<kube::ObjectRef> Overlay::take_vanished(const cache::Informer& informer) {
  std::vector<kube::ObjectRef> out;
  const std::string resource = informer.key().resource.to_string();
  for (auto at = entries_.lower_bound(Key(resource, "", "")); at != entries_.end() && std::get<0>(at->first) == resource;) {
    const Entry& entry = at->second;
    const bool vanished = entry.object && !informer.store().get(std::get<1>(at->first), std::get<2>(at->first)) &&
                          reached(informer.resource_version(), entry.version);
    if (vanished) out.push_back(entry.object);
    at = vanished ? entries_.erase(at) : std::next(at);
  }
  std::erase_if(vanished_, [&](const auto& found) {
    if (found.first != resource) return false;
    out.push_back(found.second);
    return true;
  });
  return out;
}

}  // namespace gs::gateway
