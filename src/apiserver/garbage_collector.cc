#include "apiserver/garbage_collector.h"

#include <algorithm>

#include "json/scan.h"

namespace gs::apiserver {
namespace {

using json::Value;

// Objects looked at before others get their turn.
constexpr size_t kBatch = 200;

bool mentions(const StoredPtr& object, std::string_view text) { return object && object->json.find(text) != std::string_view::npos; }
bool mentions_owners(const StoredPtr& object) { return mentions(object, "\"ownerReferences\""); }

}  // namespace

GarbageCollector::GarbageCollector(Loop& loop, ResourceTable& table, Store& store, Registry& registry)
    : loop_(loop), table_(table), store_(store), registry_(registry), wake_(loop), scope_(loop) {
  registry_.add_follower(*this);
}

void GarbageCollector::start(Duration delay) {
  started_ = true;
  delay_ = delay;
  table_.for_each_storage([&](const ResourceType& type) {
    for (const StoredPtr& object : store_.list(type, "")) changed(type, nullptr, object);
  });
  scope_.spawn(run());
}

std::vector<GarbageCollector::Owner> GarbageCollector::owners_of(const Value& value) {
  std::vector<Owner> out;
  const Value* references = value.at("metadata.ownerReferences");
  if (references == nullptr || references->array() == nullptr) return out;
  for (const Value& reference : *references->array()) {
    const Value* blocks = reference.find("blockOwnerDeletion");
    out.push_back({std::string(reference.text("apiVersion")), std::string(reference.text("kind")), std::string(reference.text("name")), std::string(reference.text("uid")),
                   blocks != nullptr && blocks->boolean().value_or(false)});
  }
  return out;
}

std::vector<GarbageCollector::Owner> GarbageCollector::owners_of(const StoredPtr& object) {
  return mentions_owners(object) ? owners_of(object->value()) : std::vector<Owner>();
}

void GarbageCollector::enqueue(Id id) {
  queue_.insert(std::move(id));
  wake_.wake_all();
}

void GarbageCollector::changed(const ResourceType& type, const StoredPtr& before, const StoredPtr& after) {
  if (!started_) return;
  const Stored& any = after ? *after : *before;
  const Id id{type.group, type.resource, std::string(any.ns), std::string(any.name)};
  if (mentions_owners(before) || mentions_owners(after)) {
    const std::vector<Owner> old = owners_of(before), now = owners_of(after);
    const auto same = [](const Owner& a, const Owner& b) { return a.uid == b.uid && a.blocks == b.blocks; };
    const bool changed_owners = !std::equal(old.begin(), old.end(), now.begin(), now.end(), same);
    if (changed_owners) {
      for (const Owner& owner : old) {
        const auto found = dependents_.find(owner.uid);
        if (found != dependents_.end() && found->second.erase(id) > 0 && found->second.empty()) dependents_.erase(found);
        // It may wait for nobody any more.
        if (const ResourceTypePtr owner_type = type_of(owner)) enqueue({owner_type->group, owner_type->resource, owner_type->namespaced ? id.ns : "", owner.name});
      }
      for (const Owner& owner : now) dependents_[owner.uid].insert(id);
      if (after && !now.empty()) enqueue(id);
    }
  }
  if (after && mentions(after, "\"deletionTimestamp\"") && (mentions(after, kForegroundFinalizer) || mentions(after, kOrphanFinalizer))) enqueue(id);
  if (dependents_.empty() || (after && !mentions(after, "\"deletionTimestamp\""))) return;
  const auto found = dependents_.find(json::text_at(any.json, "metadata.uid").value_or(""));
  if (found == dependents_.end()) return;
  for (const Id& dependent : found->second) enqueue(dependent);
}

Task<void> GarbageCollector::run() {
  while (true) {
    if (queue_.empty()) {
      co_await wake_.wait();
      continue;
    }
    co_await sleep_for(loop_, loop_.random().jitter(delay_, 0.5));
    // What comes of it is for the next round.
    std::set<Id> round = std::exchange(queue_, {});
    size_t done = 0;
    for (const Id& id : round) {
      process(id);
      if (++done % kBatch == 0) {
        co_await yield_turn(loop_);
      }
    }
  }
}

void GarbageCollector::process(const Id& id) {
  const ResourceTypePtr type = table_.find(id.group, id.resource);
  const StoredPtr object = type ? store_.get(*type, id.ns, id.name) : nullptr;
  if (!object) return;
  const Value value = object->value();
  if (!deleting(value)) return check_owners(*type, object, value);
  if (has_string(value, "metadata.finalizers", kOrphanFinalizer)) return orphan_dependents(*type, object);
  if (has_string(value, "metadata.finalizers", kForegroundFinalizer)) finish_foreground(*type, object, value);
}

// Its dependents forget it; then it may go.
void GarbageCollector::orphan_dependents(const ResourceType& type, const StoredPtr& object) {
  const std::string uid = json::text_at(object->json, "metadata.uid").value_or("");
  const auto found = dependents_.find(uid);
  const std::set<Id> dependents = found == dependents_.end() ? std::set<Id>() : found->second;
  for (const Id& id : dependents) {
    const ResourceTypePtr dependent = table_.find(id.group, id.resource);
    if (const StoredPtr current = dependent ? store_.get(*dependent, id.ns, id.name) : nullptr) drop_owners(*dependent, current, {uid});
  }
  Value next = object->value(type);
  drop_finalizer(next, kOrphanFinalizer);
  registry_.change(type, object, std::move(next));
}

// Waits for those dependents that block it; all of them are being deleted.
void GarbageCollector::finish_foreground(const ResourceType& type, const StoredPtr& object, const Value& value) {
  const std::string uid(value.text("metadata.uid"));
  const auto found = dependents_.find(uid);
  bool blocked = false;
  const std::set<Id> dependents = found == dependents_.end() ? std::set<Id>() : found->second;
  for (const Id& id : dependents) {
    const ResourceTypePtr dependent = table_.find(id.group, id.resource);
    const StoredPtr current = dependent ? store_.get(*dependent, id.ns, id.name) : nullptr;
    if (!current) continue;
    for (const Owner& owner : owners_of(current)) blocked |= owner.uid == uid && owner.blocks;
    if (!mentions(current, "\"deletionTimestamp\"")) enqueue(id);
  }
  if (blocked) return;
  Value next = object->value(type);
  drop_finalizer(next, kForegroundFinalizer);
  registry_.change(type, object, std::move(next));
}

ResourceTypePtr GarbageCollector::type_of(const Owner& owner) const {
  ResourceTypePtr out;
  table_.for_each([&](const ResourceType& type) {
    if (!out && type.stored && type.kind == owner.kind && type.api_version() == owner.api_version) out = table_.find(type.group, type.resource);
  });
  return out;
}

// An owner is found by kind, namespace, name and uid; one of another uid is another object. What cannot be
// looked up is left alone: a cluster-scoped object with an owner in some namespace, a kind that is not served.
GarbageCollector::Fate GarbageCollector::fate(const ResourceType& dependent, std::string_view ns, const Owner& owner) const {
  const ResourceTypePtr type = type_of(owner);
  if (!type || (type->namespaced && !dependent.namespaced)) return Fate::kUnknown;
  const StoredPtr found = store_.get(*type, type->namespaced ? ns : "", owner.name);
  if (!found || json::text_at(found->json, "metadata.uid").value_or("") != owner.uid) return Fate::kDangling;
  if (!mentions(found, kForegroundFinalizer)) return Fate::kSolid;
  const Value value = found->value();
  return deleting(value) && has_string(value, "metadata.finalizers", kForegroundFinalizer) ? Fate::kWaiting : Fate::kSolid;
}

void GarbageCollector::check_owners(const ResourceType& type, const StoredPtr& object, const Value& value) {
  const std::vector<Owner> owners = owners_of(value);
  if (owners.empty()) return;
  std::set<std::string> gone;
  bool solid = false, waiting = false;
  for (const Owner& owner : owners) {
    const Fate is = fate(type, object->ns, owner);
    if (is == Fate::kUnknown) return;
    solid |= is == Fate::kSolid;
    waiting |= is == Fate::kWaiting;
    if (is != Fate::kSolid) gone.insert(owner.uid);
  }
  if (solid) {
    if (!gone.empty()) drop_owners(type, object, gone);
    return;
  }
  DeleteOptions options;
  options.uid = std::string(value.text("metadata.uid"));
  const bool has_dependents = dependents_.contains(*options.uid);
  if ((waiting && has_dependents) || has_string(value, "metadata.finalizers", kForegroundFinalizer)) {
    options.propagation = Propagation::kForeground;
  } else {
    options.propagation = has_string(value, "metadata.finalizers", kOrphanFinalizer) ? Propagation::kOrphan : Propagation::kBackground;
  }
  registry_.remove_object(type, object, options);
}

void GarbageCollector::drop_owners(const ResourceType& type, const StoredPtr& object, const std::set<std::string>& uids) {
  Value next = object->value(type);
  Value* references = next["metadata"].make_object().find("ownerReferences");
  if (references == nullptr || references->array() == nullptr) return;
  std::erase_if(*references->array(), [&](const Value& r) { return uids.contains(std::string(r.text("uid"))); });
  if (references->array()->empty()) next["metadata"].make_object().erase("ownerReferences");
  registry_.change(type, object, std::move(next));
}

}  // namespace gs::apiserver
