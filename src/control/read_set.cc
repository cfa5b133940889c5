#include "control/read_set.h"

#include <algorithm>

#include "base/mutation.h"

namespace gs::control {
namespace {

template <class Map, class Key>
void remove_one(Map& map, const Key& at, KeyId key) {
  const auto found = map.find(at);
  if (found == map.end()) return;
  if (const auto one = found->second.find(key); one != found->second.end()) found->second.erase(one);
  if (found->second.empty()) map.erase(found);
}

const std::string kAnyResource = "*";  // where a key overflowed

// The change is at or before what was seen.
bool not_newer(const kube::Object& change, const std::string& seen) {
  const auto order = kube::compare_versions(change.resource_version(), seen);
  return order.comparable && order.order <= 0;
}

bool is_news(const ReadSets::NameRead& read, const kube::Object& after, bool deleted) {
  if (!read.seen.known || !read.seen.present) return !mutated(Mutation::kAbsenceForgotten);
  if (read.seen.uid != after.uid()) return true;
  return deleted || !not_newer(after, read.seen.version);
}

bool is_news(const ReadSets::ListRead& read, const kube::Object* before, const kube::Object& after, bool deleted) {
  if (!read.ns.empty() && read.ns != after.ns()) return false;
  if (!read.selector.matches(after.labels()) && (before == nullptr || !read.selector.matches(before->labels()))) return false;
  return deleted || read.version.empty() || !not_newer(after, read.version);
}

}  // namespace

Seen Seen::of(const kube::ObjectRef& object) {
  Seen out;
  out.known = true;
  out.present = static_cast<bool>(object);
  if (!object) return out;
  out.uid = std::string(object->uid());
  out.version = std::string(object->resource_version());
  return out;
}

void ReadSets::begin(KeyId key) {
  Entry& entry = entries_[key];
  drop(key, entry.running);
  entry.running = Reads();
}

// The reads of the reconcile that runs, while there is room for one more.
ReadSets::Reads* ReadSets::room(KeyId key) {
  Reads& reads = entries_[key].running;
  if (reads.overflow) return nullptr;
  if (reads.names.size() + reads.lists.size() < kMaxReads) return &reads;
  reads.overflow = true;
  listers_[kAnyResource].insert(key);
  return nullptr;
}

void ReadSets::read_name(KeyId key, const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name,
                         Seen seen) {
  Reads& known = entries_[key].running;
  const auto again = std::find_if(known.names.begin(), known.names.end(), [&](const NameRead& r) {
    return r.name == name && r.ns == ns && r.resource == resource;
  });
  if (again != known.names.end()) {
    // Two states were seen: the result rests on both, so it is no function of one.
    if (!(again->seen == seen)) known.never_skip = true;
    return;
  }
  Reads* reads = room(key);
  if (reads == nullptr) return;
  reads->names.push_back({resource, ns, name, std::move(seen)});
  by_name_[NameKey(resource.to_string(), ns, name)].insert(key);
}

void ReadSets::read_list(KeyId key, const cache::GroupVersionResource& resource, const std::string& ns, const std::string& text,
                         const std::string& version, std::optional<gateway::ListDigest> digest) {
  Reads& known = entries_[key].running;
  const auto again = std::find_if(known.lists.begin(), known.lists.end(), [&](const ListRead& r) {
    return r.selector_text == text && r.ns == ns && r.resource == resource;
  });
  if (again != known.lists.end()) {
    if (!digest || again->digest != digest) known.never_skip = true;
    return;
  }
  auto selector = kube::LabelSelector::parse(text);
  Reads* reads = selector ? room(key) : nullptr;
  if (reads == nullptr) return;
  reads->lists.push_back({resource, ns, text, *std::move(selector), version, digest});
  listers_[resource.to_string()].insert(key);
}

void ReadSets::never_skip(KeyId key) { entries_[key].running.never_skip = true; }

void ReadSets::drop(KeyId key, const Reads& reads) {
  for (const NameRead& read : reads.names) remove_one(by_name_, NameKey(read.resource.to_string(), read.ns, read.name), key);
  for (const ListRead& read : reads.lists) remove_one(listers_, read.resource.to_string(), key);
  if (reads.overflow) remove_one(listers_, kAnyResource, key);
}

void ReadSets::end(KeyId key, bool ok) {
  Entry& entry = entries_[key];
  if (!ok) return;
  drop(key, entry.last);
  entry.last = std::move(entry.running);
  entry.running = Reads();
}

void ReadSets::forget(KeyId key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return;
  drop(key, found->second.last);
  drop(key, found->second.running);
  entries_.erase(found);
}

std::set<KeyId> ReadSets::triggered_by(const cache::GroupVersionResource& resource, const kube::Object* before,
                                       const kube::Object& after, bool deleted) const {
  std::set<KeyId> out;
  const std::string name = resource.to_string();
  const auto reads_it = [&](const Reads& reads) {
    return std::any_of(reads.names.begin(), reads.names.end(), [&](const NameRead& read) {
      return read.name == after.name() && read.ns == after.ns() && read.resource == resource && is_news(read, after, deleted);
    });
  };
  const auto lists_it = [&](const Reads& reads) {
    return std::any_of(reads.lists.begin(), reads.lists.end(), [&](const ListRead& read) {
      return read.resource == resource && is_news(read, before, after, deleted);
    });
  };
  if (const auto found = by_name_.find(NameKey(name, after.ns(), after.name())); found != by_name_.end()) {
    for (const KeyId key : found->second) {
      const Entry& entry = entries_.at(key);
      if (reads_it(entry.last) || (reads_it(entry.running) && !mutated(Mutation::kRunningReadsIgnored))) out.insert(key);
    }
  }
  if (const auto any = listers_.find(kAnyResource); any != listers_.end()) out.insert(any->second.begin(), any->second.end());
  if (const auto listers = listers_.find(name); listers != listers_.end()) {
    for (const KeyId key : listers->second) {
      const Entry& entry = entries_.at(key);
      if (lists_it(entry.last) || lists_it(entry.running)) out.insert(key);
    }
  }
  return out;
}

const ReadSets::Reads* ReadSets::last(KeyId key) const {
  const auto found = entries_.find(key);
  return found == entries_.end() ? nullptr : &found->second.last;
}

bool ReadSets::unchanged(KeyId key, const NameNow& now, const ListNow& list_now) const {
  const Reads* reads = last(key);
  if (reads == nullptr || reads->overflow || reads->never_skip) return false;
  const bool names = std::all_of(reads->names.begin(), reads->names.end(), [&](const NameRead& read) {
    const std::optional<Seen> present = now(read);
    return read.seen.known && present && *present == read.seen;
  });
  return names && std::all_of(reads->lists.begin(), reads->lists.end(), [&](const ListRead& read) {
    const std::optional<gateway::ListDigest> present = list_now(read);
    return read.digest && present && *present == *read.digest;
  });
}

}  // namespace gs::control
