// What a pair knows after a restart, and what it keeps for the next one (checkpoint.h).
#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "control/pair_internal.h"

namespace gs::control {
namespace {

MonoTime earlier(const std::optional<MonoTime>& a, MonoTime b) { return a ? std::min(*a, b) : b; }

}  // namespace

// Once the caches are complete. Without state every primary is a key; with it only those are reconciled whose
// record does not match what is there.
void Pair::begin_keys() {
  // Of an earlier time, before the cluster served something else: gone, or here.
  for (auto& [id, key] : keys_) add(*key, queue::Priority::kInitialList);
  if (!checkpoint_) return new_keys();
  children_ = OwnedChildren();
  for (const auto& watch : watches_) {
    if (watch->role() != Watch::Role::kSecondary || watch->secondary()->relationship == Relationship::kReference) continue;
    watch->informer().store().for_each({}, [&](const kube::ObjectRef& child) { count_child(*watch->secondary(), *child, false); });
  }
  restart_ = RestartStats();
  checkpoint_->restore(*this, children_, *this);
}

void Pair::new_keys() {
  watches_[0]->informer().store().for_each({}, [&](const kube::ObjectRef& object) {
    if (find_key(object->ns(), object->name()) == nullptr) primary_changed(object, false, true);
  });
}

void Pair::key_restored(const store::KeyRecord& record, Verdict verdict, ReadSets::Reads* reads) {
  if (Key* known = find_key(record.ns, record.name)) {
    known->saved.stored = true;  // an event was faster
    return;
  }
  Key& key = key_of(record.ns, record.name);
  key.saved.stored = true;
  const kube::ObjectRef object = primary(key);
  key.matched = object && matches(spec_->primary.match, object->json());
  set_outside(key, !object);
  const queue::Item item{view_.id, key.key_id()};
  context_.queue.set_failures(item, record.failures);
  ++restart_.keys[static_cast<size_t>(verdict)];
  if (verdict != Verdict::kUnchanged) return add(key, queue::Priority::kInitialList);
  key.revision = record.revision;
  key.restored = true;
  reads_.begin(key.key_id());
  for (ReadSets::NameRead& read : reads->names) reads_.read_name(key.key_id(), read.resource, read.ns, read.name, read.seen);
  for (ReadSets::ListRead& read : reads->lists) reads_.read_list(key.key_id(), read.resource, read.ns, read.selector_text, read.version, read.digest);
  reads_.end(key.key_id(), true);
  const WallTime now = context_.loop.wall_now();
  if (record.resync_at) add(key, queue::Priority::kResync, delay_until(*record.resync_at, record.saved_at, now));
  if (record.requeue_at && !mutated(Mutation::kRequeueLostAtRestart)) {
    restart_.due += *record.requeue_at <= now;
    add(key, queue::Priority::kRequeue, delay_until(*record.requeue_at, record.saved_at, now));
  }
}

void Pair::restore_ended(bool) {
  new_keys();
  const auto count = [this](Verdict v) { return restart_.keys[static_cast<size_t>(v)]; };
  log::info("keys were compared with the state", {{"controller", spec_->name}, {"cluster", view_.description.cluster},
            {"unchanged", count(Verdict::kUnchanged)}, {"unsettled", count(Verdict::kUnsettled)}, {"primaryChanged", count(Verdict::kPrimary)},
            {"childrenChanged", count(Verdict::kChildren)}, {"readsChanged", count(Verdict::kReads)},
            {"controllerOrConfigChanged", count(Verdict::kControllerOrConfig)}, {"requeuesDue", restart_.due}});
  checkpoint_->save_pair(describe_pair(*spec_, view_.configs, client_.revision(view_.id).value_or("")));
  if (count(Verdict::kUnchanged) == 0 || mutated(Mutation::kRevisionNotAsked)) return;
  // A delegate that was upgraded in the meantime must not go unnoticed. An event's reconcile may have told which it is
  // before these keys were known; else nothing may be to be done, so it is asked.
  if (const auto revision = client_.revision(view_.id)) return revision_is(*revision);
  scope_.spawn(ask_revision());
}

Task<void> Pair::ask_revision() {
  co_await client_.ask(view_);
}

store::Digest Pair::pair_digest() const { return pair_digest_; }

// The delegate's logic is of this revision now: what another one decided is decided again, in the low lane.
void Pair::revision_is(const std::string& revision) {
  if (!running_) return;
  const store::Digest now = digest_of_revision(revision);
  size_t changed = 0;
  for (auto& [id, key] : keys_) {
    // A delegate that does not say its revision may have been upgraded while we did not look.
    const bool unknown = revision.empty() && key->restored;
    key->restored = false;
    if (!unknown && (key->revision.empty() || key->revision == now)) continue;
    ++changed;
    add(*key, queue::Priority::kResync);
  }
  if (changed > 0) {
    log::info("the delegate has another revision; its keys are reconciled again",
              {{"controller", spec_->name}, {"cluster", view_.description.cluster}, {"revision", revision}, {"keys", changed}});
  }
  if (checkpoint_) checkpoint_->save_pair(describe_pair(*spec_, view_.configs, revision));
}

void Pair::count_child(const SecondarySpec& secondary, const kube::Object& child, bool deleted) {
  if (!checkpoint_ || secondary.relationship == Relationship::kReference) return;
  const std::string resource = secondary.resource.to_string();
  const auto owner = deleted || !matches(secondary.match, child.json()) ? std::nullopt : owner_of(child);
  if (!owner) return children_.erase(resource, child);
  children_.put(resource, child, owner->first + "/" + owner->second);
}

// What the attempt rests on besides its reads, as it is now; before anything goes to the delegate.
void Pair::begin_saved(Key& key, const delegate::Attempt& attempt) {
  if (key.outside_due && *key.outside_due <= context_.loop.now()) key.outside_due.reset();
  if (!checkpoint_) return;
  checkpoint_->mark(key.saved, key.ns, key.name);
  auto basis = std::make_unique<AttemptBasis>();
  basis->kept = attempt.state == delegate::PrimaryState::kPresent;
  if (basis->kept) {
    basis->uid = std::string(attempt.primary->uid());
    basis->version = std::string(attempt.primary->resource_version());
  }
  basis->pair = pair_digest_;
  basis->children = children_.of(key.ns + "/" + key.name);
  key.basis = std::move(basis);
}

void Pair::finish_saved(Key& key, const delegate::AttemptResult& result, std::optional<Duration> resync) {
  key.restored = false;
  if (result.outcome != queue::Outcome::kUnavailable) key.revision = digest_of_revision(result.revision);
  if (!checkpoint_ || result.outcome == queue::Outcome::kUnavailable) return;  // not answered: the mark stays
  const MonoTime now = context_.loop.now();
  std::optional<MonoTime> requeue = key.outside_due;
  if (result.outcome == queue::Outcome::kRequeueAfter) requeue = earlier(requeue, saturating_add(now, result.after));
  const bool good = result.outcome == queue::Outcome::kOk || result.outcome == queue::Outcome::kRequeueAfter || mutated(Mutation::kFailedSavedAsSettled);
  if (good && !key.basis->kept && !requeue) return checkpoint_->forget(key.saved, key.ns, key.name);
  const ReadSets::Reads* reads = reads_.last(key.key_id());
  key.basis->settled = good && key.basis->kept && running_ && (reads == nullptr || comparable(*reads, *this));
  save(key, requeue, resync);
}

// A resync that was left out since nothing had changed: the record stands, with another time.
void Pair::finish_unsaved(Key& key, std::optional<Duration> resync) {
  if (checkpoint_ && key.basis && !key.outside_due) save(key, std::nullopt, resync);
}

void Pair::save(Key& key, std::optional<MonoTime> requeue, std::optional<Duration> resync) {
  store::KeyRecord record;
  record.ns = key.ns;
  record.name = key.name;
  record.uid = key.basis->uid;
  record.version = key.basis->version;
  record.settled = key.basis->settled;
  record.failures = context_.queue.failures(queue::Item{view_.id, key.key_id()});
  record.basis = key.basis->pair;
  record.children = key.basis->children;
  record.revision = key.revision;
  if (requeue) record.requeue_at = checkpoint_->wall_time_of(*requeue);
  if (resync) record.resync_at = context_.loop.wall_now() + *resync;
  const ReadSets::Reads* reads = reads_.last(key.key_id());
  if (record.settled && reads != nullptr) record.read_set = records_of(*reads);
  record.reads = digest_of_reads(reads != nullptr ? *reads : ReadSets::Reads());
  checkpoint_->save(key.saved, std::move(record));
}

// An Enqueue shows nowhere in the cluster, so it is kept until an attempt that began after it has ended.
void Pair::note_enqueue(Key& key, Duration delay) {
  key.outside_due = earlier(key.outside_due, saturating_add(context_.loop.now(), delay));
  if (checkpoint_) checkpoint_->mark(key.saved, key.ns, key.name);
}

kube::ObjectRef Pair::primary_now(const std::string& ns, const std::string& name) const {
  return watches_.empty() ? kube::ObjectRef() : watches_[0]->informer().store().get(ns, name);
}

std::optional<Seen> Pair::object_now(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name) const {
  for (const auto& watch : watches_) {
    const cache::InformerKey& key = watch->informer().key();
    if (key.resource != resource || watch->role() == Watch::Role::kConfig || !(key.ns.empty() || key.ns == ns)) continue;
    const kube::ObjectRef object = watch->informer().store().get(ns, name);
    // An informer with a selector proves no absence.
    if (object || (key.field_selector.empty() && key.label_selector.empty())) return Seen::of(object);
  }
  return std::nullopt;
}

const cache::Store* Pair::collection(const cache::GroupVersionResource& resource, const std::string& ns) const {
  for (const auto& watch : watches_) {
    const cache::InformerKey& key = watch->informer().key();
    const bool whole = key.field_selector.empty() && key.label_selector.empty() && watch->role() != Watch::Role::kConfig;
    if (whole && key.resource == resource && (key.ns.empty() || key.ns == ns)) return &watch->informer().store();
  }
  return nullptr;
}

}  // namespace gs::control
