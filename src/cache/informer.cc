#include "cache/informer.h"

#include <algorithm>

#include "base/mutation.h"

namespace gs::cache {
namespace {

bool same_object(const kube::Object& a, const kube::Object& b) { return a.uid() == b.uid() || mutated(Mutation::kUidChangeTakenForUpdate); }

bool unchanged(const kube::Object& a, const kube::Object& b) {
  return a.uid() == b.uid() && a.resource_version() == b.resource_version();
}

}  // namespace

Informer::Informer(Loop& loop, kube::KubeTransport& transport, InformerKey key, ReflectorOptions options,
                   std::function<void()> moved)
    : key_(key),
      reflector_(loop, transport, std::move(key), *this, options),
      prime_(loop, [this] { prime_new_users(); }),
      moved_(std::move(moved)),
      scope_(loop) {
  scope_.spawn(reflector_.run());
}

Informer::~Informer() {
  if (moved_) moved_();
}

void Informer::add(User& user) {
  users_.push_back(&user);
  prime_.arm_after(Duration::zero());
}

// A late user sees what is there now, and from then on what changes.
void Informer::prime_new_users() {
  for (size_t i = 0; i < users_.size(); ++i) {
    User& user = *users_[i];
    if (user.primed) continue;
    user.primed = true;
    store_.for_each({}, [&](const kube::ObjectRef& object) { user.handler.on_added(object, true); });
    if (synced()) user.handler.on_synced();
    user.handler.on_health(health(), reason());
  }
}

template <class Call>
void Informer::tell(Call call) {
  for (size_t i = 0; i < users_.size(); ++i) {
    if (users_[i]->primed) call(users_[i]->handler);
  }
}

void Informer::replace_begin() {
  replace_abandoned();
  if (store_.indexes_owners()) replacement_.index_owners();
}

void Informer::replace_abandoned() {
  if (mutated(Mutation::kReplacementNotCleared)) return;
  Store empty;
  replacement_.swap(empty);
}

// Keeps the object that we have where it is the same one, so that a relist does not hold all twice.
void Informer::replace_item(kube::ObjectRef object) {
  const kube::ObjectRef old = store_.get(object->ns(), object->name());
  if (old && unchanged(*old, *object)) object = old;
  replacement_.put(std::move(object));
}

void Informer::replace_finish() {
  const bool first = !synced();
  Store old;
  old.swap(store_);
  store_.swap(replacement_);
  replacing_ = true;
  // Readers see the new state as a whole; handlers are told what that changed.
  old.for_each({}, [&](const kube::ObjectRef& before) {
    const kube::ObjectRef after = store_.get(before->ns(), before->name());
    if ((after && same_object(*after, *before)) || mutated(Mutation::kTombstoneIgnored)) return;
    tell([&](InformerHandler& h) { h.on_deleted(before, true); });
  });
  store_.for_each({}, [&](const kube::ObjectRef& after) {
    const kube::ObjectRef before = old.get(after->ns(), after->name());
    if (!before || !same_object(*before, *after)) {
      tell([&](InformerHandler& h) { h.on_added(after, first); });
    } else if (!unchanged(*before, *after) && !mutated(Mutation::kRelistChangesUntold)) {
      tell([&](InformerHandler& h) { h.on_updated(before, after); });
    }
  });
  replacing_ = false;
  if (first) tell([](InformerHandler& h) { h.on_synced(); });
  tell([](InformerHandler& h) { h.on_replaced(); });
}

void Informer::changed(EventType type, kube::ObjectRef object) {
  if (type == EventType::kDeleted) {
    drop(object->ns(), object->name(), object, false);
  } else {
    put(std::move(object), false);
  }
}

void Informer::put(kube::ObjectRef object, bool initial) {
  const kube::ObjectRef present = store_.get(object->ns(), object->name());
  if (present && unchanged(*present, *object)) return;
  const kube::ObjectRef old = store_.put(object);
  if (old && same_object(*old, *object)) {
    tell([&](InformerHandler& h) { h.on_updated(old, object); });
    return;
  }
  // Deleted and created anew while we did not look.
  if (old) tell([&](InformerHandler& h) { h.on_deleted(old, true); });
  tell([&](InformerHandler& h) { h.on_added(object, initial); });
}

void Informer::drop(std::string_view ns, std::string_view name, const kube::ObjectRef& last_state, bool tombstone) {
  const kube::ObjectRef old = store_.erase(ns, name);
  if (!old) return;
  tell([&](InformerHandler& h) { h.on_deleted(last_state, tombstone); });
}

void Informer::health_changed() {
  if (moved_) moved_();
  tell([&](InformerHandler& h) { h.on_health(health(), reason()); });
}

InformerHandle& InformerHandle::operator=(InformerHandle&& other) noexcept {
  release();
  informer_ = std::move(other.informer_);
  user_ = std::move(other.user_);
  return *this;
}

void InformerHandle::release() {
  if (!informer_) return;
  std::erase(informer_->users_, user_.get());
  user_.reset();
  informer_.reset();
}

InformerSet::InformerSet(Loop& loop, kube::KubeTransport& transport, ReflectorOptions options)
    : loop_(loop), transport_(transport), options_(options), look_(loop, [this] { look(); }) {}

InformerSet::~InformerSet() {
  for_each([](Informer& informer) { informer.moved_ = nullptr; });
}

InformerHandle InformerSet::acquire(const InformerKey& key, InformerHandler& handler) {
  InformerHandle handle;
  std::weak_ptr<Informer>& slot = informers_[key];
  handle.informer_ = slot.lock();
  if (!handle.informer_) {
    handle.informer_ = std::make_shared<Informer>(loop_, transport_, key, options_, [this] { look_.arm_after(Duration::zero()); });
    slot = handle.informer_;
    // Forget those that have ended; their number is bounded by what is in use now.
    std::erase_if(informers_, [](const auto& entry) { return entry.second.expired(); });
  }
  handle.user_ = std::make_unique<Informer::User>(handler);
  handle.informer_->add(*handle.user_);
  return handle;
}

Informer* InformerSet::find_covering(const GroupVersionResource& resource, std::string_view ns) {
  for (auto& [key, weak] : informers_) {
    if (key.resource != resource || !key.label_selector.empty() || !key.field_selector.empty()) continue;
    if (!key.ns.empty() && key.ns != ns) continue;
    if (const auto informer = weak.lock()) return informer.get();
  }
  return nullptr;
}

void InformerSet::kick() {
  for_each([](Informer& informer) { informer.kick(); });
}

// In a turn of its own: neither an informer nor the watch is in the middle of something.
void InformerSet::look() {
  bool missing = false;
  bool trouble = false;
  for_each([&](Informer& informer) {
    trouble |= informer.health() == Health::kRetrying;
    missing |= informer.health() == Health::kMissing && !informer.key().resource.group.empty();
  });
  if (!missing) {
    crds_.reset();
  } else if (!crds_) {
    crds_ = std::make_unique<CrdWatch>(loop_, transport_, options_, [this](std::string_view name) { crd_changed(name); });
  }
  if (trouble && trouble_) trouble_();
}

void InformerSet::crd_changed(std::string_view name) {
  for_each([&](Informer& informer) {
    const GroupVersionResource& resource = informer.key().resource;
    if (informer.health() == Health::kMissing && name == resource.resource + "." + resource.group) informer.kick();
  });
}

size_t InformerSet::size() const {
  return static_cast<size_t>(
      std::count_if(informers_.begin(), informers_.end(), [](const auto& entry) { return !entry.second.expired(); }));
}

}  // namespace gs::cache
