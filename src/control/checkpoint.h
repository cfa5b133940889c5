// Checkpoint: what a pair keeps over a restart of each of its keys, and at the start the comparison that
// decides which keys need no reconcile (docs/adr/0006). One a pair, on its loop; none without --state.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "cache/store.h"
#include "control/controller_spec.h"
#include "control/owned_children.h"
#include "control/read_set.h"
#include "delegate/attempt.h"
#include "runtime/task_scope.h"
#include "store/state_store.h"

namespace gs::control {

// What an attempt rests on besides its reads, taken when it begins: never later state.
struct AttemptBasis {
  std::string uid;  // of the primary; empty: there was none
  std::string version;
  bool kept = false;     // the primary is there and matches: the key is one to remember
  bool settled = false;  // the attempt ended well, and all it rests on can be compared
  store::Digest pair;
  store::Digest children;
};

// The Checkpoint's part of a key.
struct SavedKey {
  bool marked = false;  // and not yet answered by a record
  bool stored = false;  // there is, or may be, a record
};

// What became of the keys at a start.
struct RestartStats {
  size_t keys[6] = {};  // by Verdict
  size_t due = 0;       // of the unchanged: a requeue that fell due while the plane was down
};

// Why a key is reconciled at the start, or not.
enum class Verdict : uint8_t { kUnchanged, kUnsettled, kControllerOrConfig, kPrimary, kChildren, kReads };
inline constexpr size_t kVerdicts = 6;
std::string_view verdict_name(Verdict verdict);

// How things are now, by the pair's own synced informers: those of other pairs may not be there after a restart.
class Present {
 public:
  virtual kube::ObjectRef primary_now(const std::string& ns, const std::string& name) const = 0;
  // nullopt: no informer can say (an informer with a selector proves no absence).
  virtual std::optional<Seen> object_now(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name) const = 0;
  // All objects of the namespace, or of all; null where no informer has them all.
  virtual const cache::Store* collection(const cache::GroupVersionResource& resource, const std::string& ns) const = 0;

 protected:
  ~Present() = default;
};

// Of the Controller's uid and generation and of the configs' versions.
store::Digest digest_of_pair(const ControllerSpec& spec, const delegate::ConfigSet& configs);
store::PairRecord describe_pair(const ControllerSpec& spec, const delegate::ConfigSet& configs, const std::string& revision);
store::Digest digest_of_revision(const std::string& revision);

// All of the reads can be compared after a restart.
bool comparable(const ReadSets::Reads& reads, const Present& present);
// The records of the reads, and the digest of the states that were seen.
std::vector<store::ReadRecord> records_of(const ReadSets::Reads& reads);
store::Digest digest_of_reads(const ReadSets::Reads& reads);

// Compares records with what is there. Lists of the same collection and selector are looked through once a turn.
class Comparison {
 public:
  // Objects that are looked at for lists in all, and in one turn of the loop. Keys beyond are reconciled.
  static constexpr size_t kMostObjects = 20'000'000;
  static constexpr size_t kObjectsPerTurn = 50'000;

  Comparison(const Present& present, const OwnedChildren& children, store::Digest pair) : present_(present), children_(children), pair_(pair) {}

  Verdict judge(const store::KeyRecord& record);
  // The read set with the states that are there now, equal to what was seen.
  ReadSets::Reads reads_of(const store::KeyRecord& record);
  bool turn_is_full() const { return this_turn_ >= kObjectsPerTurn; }
  // The caches may have changed since.
  void new_turn();
  void pair_is(store::Digest pair) { pair_ = pair; }

 private:
  std::optional<ReadSets::Reads> read_again(const std::vector<store::ReadRecord>& records);
  std::optional<gateway::ListDigest> list_now(const store::ReadRecord& record, const kube::LabelSelector& selector);

  const Present& present_;
  const OwnedChildren& children_;
  store::Digest pair_;
  std::map<std::tuple<std::string, std::string, std::string>, gateway::ListDigest> lists_;  // of this turn
  size_t this_turn_ = 0;
  size_t looked_at_ = 0;
};

// How long until a stored time, whatever the clock did meanwhile: never longer than was asked for.
Duration delay_until(WallTime at, WallTime saved_at, WallTime now);

class Checkpoint {
 public:
  // Told of what the start brings, key by key.
  class Restored {
   public:
    // Called for each record; `reads` is null where the key is to be reconciled.
    virtual void key_restored(const store::KeyRecord& record, Verdict verdict, ReadSets::Reads* reads) = 0;
    // All records were seen; keys without one are new. False: nothing is known of any key.
    virtual void restore_ended(bool known) = 0;
    virtual store::Digest pair_digest() const = 0;

   protected:
    ~Restored() = default;
  };
  static constexpr Duration kPatience = std::chrono::minutes(1);

  Checkpoint(Loop& loop, store::StateStore& store, store::PairName name)
      : loop_(loop), store_(store), name_(std::make_shared<const store::PairName>(std::move(name))), scope_(loop) {}

  // Both outlive this. Calls back until restore_ended().
  void restore(const Present& present, const OwnedChildren& children, Restored& restored);
  void stop_restoring() { scope_.cancel(); }
  bool restoring() const { return !scope_.empty(); }

  // An attempt begins, or an Enqueue came: what is stored does not count from here on.
  void mark(SavedKey& key, const std::string& ns, const std::string& name);
  void save(SavedKey& key, store::KeyRecord record);
  void forget(SavedKey& key, const std::string& ns, const std::string& name);
  void save_pair(store::PairRecord record);
  WallTime wall_time_of(MonoTime t) const { return loop_.wall_now() + (t - loop_.now()); }

 private:
  Task<void> run_restore(const Present* present, const OwnedChildren* children, Restored* restored);
  Task<Result<store::LoadedBatch>> load(std::string after_ns, std::string after_name);

  Loop& loop_;
  store::StateStore& store_;
  std::shared_ptr<const store::PairName> name_;
  store::PairRecord saved_pair_;
  TaskScope scope_;
};

}  // namespace gs::control
