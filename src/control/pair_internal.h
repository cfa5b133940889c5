// What the parts of Pair share (pair.cc, pair_keys.cc, pair_work.cc); nobody else's.
#pragma once

#include "base/mutation.h"
#include "control/pair.h"

namespace gs::control {

// A key that is known: its primary exists and matches, or something of it is in the queue.
struct Pair::Key {
  uint32_t id = 0;
  std::string ns;
  std::string name;
  bool matched = false;        // its primary satisfied `match` when last seen
  kube::ObjectRef last_state;  // of a primary that is gone
  bool failing = false;
  bool outside = false;        // an Enqueue made it; no primary of it was seen since
  bool bad_resync = false;     // its annotation is invalid, and that was said
  // The last result was pure and ok, and this is what it rested on beside its reads.
  struct Pure {
    bool valid = false;
    Seen primary;
    uint64_t config_revision = 0;
    std::string delegate_revision;
  } pure;
  // For the next start, and for a delegate of another revision (pair_checkpoint.cc).
  SavedKey saved;
  std::unique_ptr<AttemptBasis> basis;  // of the attempt in flight, or the last one
  std::optional<MonoTime> outside_due;  // of an Enqueue that no attempt has answered
  store::Digest revision;               // of the delegate that answered last; empty: none has
  bool restored = false;                // by an earlier process, and no delegate has said its revision since

  KeyId key_id() const { return KeyId(id); }
  std::string text() const { return ns.empty() ? name : ns + "/" + name; }
};

// One informer of the pair, and what its changes mean.
class Pair::Watch final : public cache::InformerHandler {
 public:
  enum class Role { kPrimary, kSecondary, kConfig };
  Watch(Pair& pair, Role role, const SecondarySpec* secondary)
      : pair_(pair), role_(role), secondary_(secondary), vanished_(pair.context_.loop, [this] { look_for_vanished(); }) {}

  void take(const cache::InformerKey& key) { handle_ = pair_.context_.informers.acquire(key, *this); }
  const cache::Informer& informer() const { return *handle_; }
  const SecondarySpec* secondary() const { return secondary_; }
  Role role() const { return role_; }
  // Of two watches of the same informer the first tells the pair's readers.
  void tell_readers() { tells_readers_ = true; }

  void on_added(const kube::ObjectRef& object, bool initial) override { changed(kube::ObjectRef(), object, false, initial); }
  void on_updated(const kube::ObjectRef& before, const kube::ObjectRef& after) override { changed(before, after, false, false); }
  void on_deleted(const kube::ObjectRef& last, bool) override { changed(kube::ObjectRef(), last, true, false); }
  void on_synced() override { pair_.check_state(); }
  void on_replaced() override { vanished_.arm_after(Duration::zero()); }
  void on_health(cache::Health, const std::string&) override { pair_.check_state(); }
  // What this pair wrote or read and somebody else deleted while no watch looked is a deletion too.
  void look_for_vanished() {
    if (!pair_.gateway_ || !pair_.state_.synced || role_ == Role::kConfig || mutated(Mutation::kVanishedUntold)) return;
    for (const kube::ObjectRef& object : pair_.gateway_->overlay().take_vanished(informer())) changed(kube::ObjectRef(), object, true, false);
    if (pair_.gateway_->overlay().take_lost()) pair_.resync_all();
  }

 private:
  void changed(const kube::ObjectRef& before, const kube::ObjectRef& after, bool deleted, bool initial) {
    if (tells_readers_) {
      pair_.gateway_->overlay().seen(informer().key().resource, *after);
      pair_.pair_reads_->changed(informer(), before, after, deleted);
    }
    if (!pair_.state_.synced) return;  // check_state() will look at the whole store
    pair_.listed_ = informer().replacing();
    if (mutated(Mutation::kEventDuringRestoreLost) && pair_.checkpoint_ && pair_.checkpoint_->restoring()) return;
    switch (role_) {
      case Role::kPrimary: return pair_.primary_changed(after, deleted, initial);
      case Role::kSecondary: return pair_.secondary_changed(*secondary_, before, after, deleted);
      case Role::kConfig: return pair_.configs_changed();
    }
  }
  Pair& pair_;
  Role role_;
  const SecondarySpec* secondary_;
  CallbackTimer vanished_;
  bool tells_readers_ = false;
  cache::InformerHandle handle_;
};

}  // namespace gs::control
