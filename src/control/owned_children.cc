#include "control/owned_children.h"

namespace gs::control {
namespace {

store::Digest digest_of(const std::string& resource, std::string_view uid, std::string_view version) {
  return store::Digester().text(resource).text(uid).text(version).finish();
}

}  // namespace

void OwnedChildren::drop(const Child& child) {
  const auto owner = owners_.find(child.owner);
  owner->second.sum -= child.digest;
  if (--owner->second.count == 0) owners_.erase(owner);
}

void OwnedChildren::put(const std::string& resource, const kube::Object& child, std::string_view owner_key) {
  if (owner_key.empty()) return erase(resource, child);
  const Id id = digest_of(resource, child.uid(), "").low;
  if (const auto known = children_.find(id); known != children_.end()) drop(known->second);
  Child& entry = children_[id];
  entry.owner = digest_of("", owner_key, "").low;
  entry.digest = digest_of(resource, child.uid(), child.resource_version());
  Owner& owner = owners_[entry.owner];
  owner.sum += entry.digest;
  ++owner.count;
}

void OwnedChildren::erase(const std::string& resource, const kube::Object& child) {
  const auto known = children_.find(digest_of(resource, child.uid(), "").low);
  if (known == children_.end()) return;
  drop(known->second);
  children_.erase(known);
}

store::Digest OwnedChildren::of(std::string_view owner_key) const {
  if (owner_key.empty()) return {};
  const auto owner = owners_.find(digest_of("", owner_key, "").low);
  return owner == owners_.end() ? store::Digest() : owner->second.sum;
}

}  // namespace gs::control
