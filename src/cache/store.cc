#include "cache/store.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "json/scan.h"

namespace gs::cache {
namespace {

template <class Each>
void for_each_owner(const kube::Object& object, Each each) {
  if (object.owner_references().empty()) return;
  json::for_each_element(object.owner_references(), [&](std::string_view reference) {
    if (const auto uid = json::text_at(reference, "uid")) each(*uid);
  });
}

}  // namespace

size_t Store::Hash::operator()(const ObjectKey& key) const {
  const std::hash<std::string_view> hash;
  return hash(key.name) * 0x9E3779B97F4A7C15ull ^ hash(key.ns);
}

kube::ObjectRef Store::get(std::string_view ns, std::string_view name) const {
  const auto found = objects_.find(ObjectKey{ns, name});
  return found == objects_.end() ? kube::ObjectRef() : found->object;
}

void Store::for_each(std::string_view ns, const Each& each) const {
  if (ns.empty()) {
    for (const Entry& entry : objects_) each(entry.object);
    return;
  }
  const auto found = namespaces_.find(ns);
  if (found == namespaces_.end()) return;
  for (const kube::ObjectRef& object : found->second) each(object);
}

void Store::for_each_owned(std::string_view owner_uid, const Each& each) const {
  GS_CHECK(owners_indexed_);
  const auto found = owners_.find(owner_uid);
  if (found == owners_.end()) return;
  for (const kube::ObjectRef& object : found->second) each(object);
}

void Store::index_owners() {
  if (std::exchange(owners_indexed_, true)) return;
  for (const Entry& entry : objects_) enter_owners(entry.object);
}

kube::ObjectRef Store::put(kube::ObjectRef object) {
  bytes_ += object->footprint();
  if (owners_indexed_) enter_owners(object);
  const auto found = objects_.find(ObjectKey{object->ns(), object->name()});
  if (found == objects_.end()) {
    enter(*objects_.emplace(std::move(object)).first);
    return {};
  }
  kube::ObjectRef old = std::exchange(found->object, std::move(object));
  bytes_ -= old->footprint();
  if (owners_indexed_) leave_owners(*old);
  if (!old->ns().empty()) namespaces_.find(old->ns())->second[found->at] = found->object;
  return old;
}

kube::ObjectRef Store::erase(std::string_view ns, std::string_view name) {
  const auto found = objects_.find(ObjectKey{ns, name});
  if (found == objects_.end()) return {};
  kube::ObjectRef old = found->object;
  bytes_ -= old->footprint();
  if (owners_indexed_) leave_owners(*old);
  leave(*found);
  objects_.erase(found);
  return old;
}

void Store::enter(const Entry& entry) {
  const std::string_view ns = entry.object->ns();
  if (ns.empty()) return;
  auto found = namespaces_.find(ns);
  if (found == namespaces_.end()) found = namespaces_.emplace(std::string(ns), Objects()).first;
  entry.at = static_cast<uint32_t>(found->second.size());
  found->second.push_back(entry.object);
}

// The last of the list takes the place.
void Store::leave(const Entry& entry) {
  const std::string_view ns = entry.object->ns();
  if (ns.empty()) return;
  const auto found = namespaces_.find(ns);
  Objects& list = found->second;
  if (entry.at + 1 < list.size()) {
    list[entry.at] = std::move(list.back());
    objects_.find(ObjectKey{ns, list[entry.at]->name()})->at = entry.at;
  }
  list.pop_back();
  if (list.empty()) {
    namespaces_.erase(found);
  } else if (list.capacity() > 64 && list.size() < list.capacity() / 4) {
    list.shrink_to_fit();
  }
}

void Store::enter_owners(const kube::ObjectRef& object) {
  for_each_owner(*object, [&](const std::string& uid) { owners_[uid].push_back(object); });
}

void Store::leave_owners(const kube::Object& object) {
  for_each_owner(object, [&](const std::string& uid) {
    const auto found = owners_.find(uid);
    if (found == owners_.end()) return;
    Objects& list = found->second;
    const auto at = std::find_if(list.begin(), list.end(), [&](const kube::ObjectRef& o) { return o.get() == &object; });
    if (at == list.end()) return;  // named twice
    *at = std::move(list.back());
    list.pop_back();
    if (list.empty()) owners_.erase(found);
  });
}

void Store::swap(Store& other) noexcept {
  objects_.swap(other.objects_);
  namespaces_.swap(other.namespaces_);
  owners_.swap(other.owners_);
  std::swap(owners_indexed_, other.owners_indexed_);
  std::swap(bytes_, other.bytes_);
}

}  // namespace gs::cache
