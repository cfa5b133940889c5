// What a change in the cluster means: which keys are to be reconciled.
#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "control/pair_internal.h"
#include "json/scan.h"

namespace gs::control {
namespace {

// metadata.ownerReferences: the one that has controller: true.
struct Owner {
  std::string api_version;
  std::string kind;
  std::string name;
};
std::optional<Owner> controller_of(const kube::Object& object) {
  std::optional<Owner> out;
  if (object.owner_references().empty()) return out;
  json::for_each_element(object.owner_references(), [&](std::string_view reference) {
    Owner owner;
    bool controls = false;
    json::for_each_member(reference, [&](std::string_view member, std::string_view value) {
      if (member == "controller") controls = value == "true";
      if (member == "apiVersion") owner.api_version = json::text_of(value);
      if (member == "kind") owner.kind = json::text_of(value);
      if (member == "name") owner.name = json::text_of(value);
    });
    if (controls) out = std::move(owner);
  });
  return out;
}

std::string group_of(const std::string& api_version) {
  const size_t slash = api_version.find('/');
  return slash == std::string::npos ? "" : api_version.substr(0, slash);
}

}  // namespace

Pair::Key* Pair::find_key(std::string_view ns, std::string_view name) {
  const auto found = ids_.find(std::pair(std::string(ns), std::string(name)));
  return found == ids_.end() ? nullptr : keys_.at(found->second).get();
}

Pair::Key& Pair::key_of(std::string_view ns, std::string_view name) {
  if (Key* known = find_key(ns, name)) return *known;
  auto key = std::make_unique<Key>();
  key->id = next_key_++;
  key->ns = std::string(ns);
  key->name = std::string(name);
  ids_[{key->ns, key->name}] = key->id;
  return *(keys_[key->id] = std::move(key));
}

// A key is kept while its primary exists and matches, or the queue knows it.
void Pair::forget_if_idle(Key& key) {
  const queue::Item item{view_.id, key.key_id()};
  if (context_.queue.contains(item)) return;
  const kube::ObjectRef object = primary(key);
  if (object && matches(spec_->primary.match, object->json())) return;
  reads_.forget(key.key_id());
  context_.queue.forget(item);
  if (key.failing) --failing_;
  set_outside(key, false);
  if (checkpoint_ && running_) checkpoint_->forget(key.saved, key.ns, key.name);
  ids_.erase({key.ns, key.name});
  keys_.erase(key.id);
}

void Pair::set_outside(Key& key, bool outside) {
  if (key.outside == outside) return;
  key.outside = outside;
  outside_keys_ += outside ? 1 : size_t(-1);
}

kube::ObjectRef Pair::primary(const Key& key) const {
  return watches_.empty() ? kube::ObjectRef() : watches_[0]->informer().store().get(key.ns, key.name);
}

void Pair::add(Key& key, queue::Priority priority, Duration delay) {
  context_.queue.add_after(queue::Item{view_.id, key.key_id()}, delay, priority, context_.loop.now());
  observer_.work_added();
}

void Pair::primary_changed(const kube::ObjectRef& object, bool deleted, bool initial) {
  if (!running_) return;
  const bool now_matches = !deleted && matches(spec_->primary.match, object->json());
  Key* known = find_key(object->ns(), object->name());
  // Neither of ours now nor before.
  if (!now_matches && (known == nullptr || !(known->matched || deleted))) return;
  if (!now_matches && !deleted && mutated(Mutation::kUnmatchedIgnored)) return;
  Key& key = known != nullptr ? *known : key_of(object->ns(), object->name());
  key.last_state = deleted ? object : kube::ObjectRef();
  set_outside(key, false);
  if (deleted) client_.cancel(view_.id, key.ns, key.name, "the primary was deleted");
  const bool matched = key.matched;
  key.matched = now_matches;
  if (!deleted && matched == now_matches && may_be_echo(spec_->primary.resource, *object, key.key_id())) return;
  add(key, initial ? queue::Priority::kInitialList : queue::Priority::kEvent);
}

void Pair::secondary_changed(const SecondarySpec& secondary, const kube::ObjectRef& before, const kube::ObjectRef& after, bool deleted) {
  count_child(secondary, *after, deleted);
  const bool matters = matches(secondary.match, after->json()) || (before && matches(secondary.match, before->json()));
  if (!running_ || !matters) return;
  const bool reference = secondary.relationship == Relationship::kReference;
  if (mutated(reference ? Mutation::kReferenceIgnored : Mutation::kOwnedChangeIgnored)) return;
  if (reference) {
    // The primary's own kind is never a trigger by reading.
    if (secondary.resource == spec_->primary.resource) return;
    note_change(secondary, before, after);
    for (const KeyId id : reads_.triggered_by(secondary.resource, before.get(), *after, deleted)) {
      if (!deleted && may_be_echo(secondary.resource, *after, id)) continue;
      add(*keys_.at(id.value()), queue::Priority::kEvent);
    }
    return;
  }
  owner_changed(secondary.resource, *after, *after, deleted);
  if (before && before->owner_references() != after->owner_references()) owner_changed(secondary.resource, *before, *after, deleted);
}

// An owner reference maps `object` to its primary: in its own namespace, or a cluster-scoped one. By name and
// kind, not by uid: what an earlier primary of that name left behind stands in the way of the present one,
// which must hear when it goes.
void Pair::owner_changed(const cache::GroupVersionResource& resource, const kube::Object& object, const kube::Object& changed, bool deleted) {
  const auto owner = owner_of(object);
  if (!owner) return;
  const kube::ObjectRef found = watches_[0]->informer().store().get(owner->first, owner->second);
  if (!found || !matches(spec_->primary.match, found->json())) return;
  Key& key = key_of(owner->first, owner->second);
  if (!deleted && may_be_echo(resource, changed, key.key_id())) return;
  add(key, queue::Priority::kEvent);
}

// Namespace and name of the key that owns it, were there one.
std::optional<std::pair<std::string, std::string>> Pair::owner_of(const kube::Object& object) const {
  auto owner = controller_of(object);
  if (!owner || owner->kind != served_.kinds.at(spec_->primary.resource) || group_of(owner->api_version) != spec_->primary.resource.group) return std::nullopt;
  return std::pair(served_.primary_namespaced ? std::string(object.ns()) : std::string(), std::move(owner->name));
}

// Reads that delegates make from copies of their own are told late, with the Result: changes since the
// reconcile began are kept for them.
void Pair::note_change(const SecondarySpec& secondary, const kube::ObjectRef& before, const kube::ObjectRef& after) {
  if (!own_reads_) return;
  changes_.push_back({context_.loop.now(), &secondary, before, after});
  if (changes_.size() > kMaxChanges) changes_.pop_front();
}

// A change that this key's reconcile made, or may have made: then finish() says, when the answers of its writes are in.
// Of an object a listing tells the last state only: it may have somebody else's change under the own write.
bool Pair::may_be_echo(const cache::GroupVersionResource& resource, const kube::Object& object, KeyId key) {
  if (listed_ || !client_.peer(view_.id).ignores_echoes) return false;
  const Echoes::Verdict verdict = echoes_.seen(key, resource.to_string(), object, context_.queue.processing({view_.id, key}));
  stats_.echoes += verdict == Echoes::Verdict::kEcho;
  return verdict != Echoes::Verdict::kChange;
}

void Pair::enqueue(const std::string& ns, const std::string& name, Duration delay) {
  // A delegate's word for a key: bounded by what a name may be, or its memory would be ours.
  const bool possible = !name.empty() && name.size() <= 253 && ns.size() <= 63 && ns.empty() != served_.primary_namespaced;
  if (!running_ || !state_.synced || !possible) return;
  const bool outside = find_key(ns, name) == nullptr && !primary_now(ns, name);
  if (outside && outside_keys_ >= kMaxOutsideKeys) {
    if (stats_.enqueues_refused++ > 0) return;
    return log::warning("a delegate enqueues too many keys that have no object; such are counted from here on",
                        {{"controller", spec_->name}, {"cluster", view_.description.cluster}, {"key", ns.empty() ? name : ns + "/" + name}, {"limit", kMaxOutsideKeys}});
  }
  Key& key = key_of(ns, name);
  if (outside) set_outside(key, true);
  note_enqueue(key, delay);
  add(key, queue::Priority::kRequeue, delay);
}

void Pair::resync_all() {
  if (!running_ || !state_.synced) return;
  for (auto& [id, key] : keys_) add(*key, queue::Priority::kResync);
}

}  // namespace gs::control
