// Pair: a Controller in a cluster. Watches what the Controller declares, maps changes to keys, and
// serves the reconciles of its keys. Lives on its cluster's loop; owned by the engine.
#pragma once

#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cache/informer.h"
#include "control/checkpoint.h"
#include "control/controller_spec.h"
#include "control/echoes.h"
#include "control/event_recorder.h"
#include "control/read_set.h"
#include "delegate/client.h"
#include "fleet/discovery_cache.h"
#include "gateway/gateway.h"
#include "gateway/pair_reads.h"
#include "queue/work_queue.h"

namespace gs::control {

// What a pair is doing, for conditions.
struct PairState {
  bool synced = false;
  std::string reason;   // CamelCase; empty when all is well
  std::string message;
  bool operator==(const PairState&) const = default;
};

// Config maps of the plane's own side (`source: Hub`), by name. Null: absent.
class HubConfigs {
 public:
  virtual kube::ObjectRef hub_config(const std::string& name) const = 0;

 protected:
  ~HubConfigs() = default;
};

// What the pair needs of its cluster; all of it outlives the pair.
struct PairContext {
  PairContext(Loop& l, kube::KubeTransport& t, cache::InformerSet& i, fleet::DiscoveryCache& d, queue::WorkQueue& q, const HubConfigs& h)
      : loop(l), transport(t), informers(i), discovery(d), queue(q), hub(h) {}
  Loop& loop;
  kube::KubeTransport& transport;
  cache::InformerSet& informers;
  fleet::DiscoveryCache& discovery;
  queue::WorkQueue& queue;
  const HubConfigs& hub;
  store::StateStore* state = nullptr;  // null: nothing is kept over a restart
  store::PairName state_name;
  Duration reconcile_timeout = std::chrono::minutes(2);  // of one attempt
};

struct PairStats {
  uint64_t reconciles = 0;
  uint64_t skipped = 0;  // resyncs of pure reconciles that would have read what they read before
  uint64_t enqueues_refused = 0;  // of keys without an object, beyond kMaxOutsideKeys
  uint64_t echoes = 0;   // changes that the delegate itself wrote, and ignores
};

class Pair final : private Present, private Checkpoint::Restored {
 public:
  // Times between looks at what the cluster serves, jittered: at first, and at most.
  static constexpr Duration kFirstRetry = std::chrono::seconds(1);
  static constexpr Duration kLastRetry = std::chrono::seconds(30);
  // Changes that are kept for reads that are told late.
  static constexpr size_t kMaxChanges = 1024;
  // Keys that only a delegate's Enqueue made: there is no such object, so the cluster does not bound them.
  static constexpr size_t kMaxOutsideKeys = 10'000;

  class Observer {
   public:
    // Something was put into the queue.
    virtual void work_added() = 0;
    virtual void pair_state_changed(PairId pair) = 0;

   protected:
    ~Observer() = default;
  };

  Pair(PairContext context, delegate::PairDescription description, PairId id, std::shared_ptr<const ControllerSpec> spec,
       delegate::Client& client, Observer& observer);
  ~Pair();

  // Asks what the cluster serves, then takes the informers; called once, when no older pair of the same
  // Controller and cluster works.
  void start();
  // No new work; what is in flight goes on.
  void stop();

  // Runs one item; its outcome has been applied to the queue when it returns.
  Task<void> work(queue::Work work);
  void enqueue(const std::string& ns, const std::string& name, Duration delay);
  // Serves calls of the delegate that belong to no reconcile: lists and watches of resources with
  // delegateWatch. Null where the Controller has none. Ended by stop().
  delegate::CallHandler* pair_calls() { return pair_reads_.get(); }
  void hub_configs_changed();
  // A changed config: all keys in the low lane.
  void resync_all();
  // The delegate said its revision: the keys that another one decided, in the low lane.
  void revision_is(const std::string& revision);

  PairId id() const { return view_.id; }
  const ControllerSpec& spec() const { return *spec_; }
  const PairState& state() const { return state_; }
  size_t in_flight() const { return in_flight_; }
  size_t keys() const { return ids_.size(); }
  size_t failing() const { return failing_; }
  const gateway::Gateway* gateway() const { return gateway_.get(); }
  const RestartStats& restart() const { return restart_; }
  const PairStats& stats() const { return stats_; }
  const EventRecorderStats& event_stats() const { return events_.stats(); }

 private:
  class Watch;
  class Recorder;
  struct Key;
  // What discovery said.
  struct Served {
    bool primary_namespaced = true;
    std::vector<std::string> config_resources;  // as spec.configs; empty for those from the hub
    gateway::Kinds kinds;
    bool operator==(const Served&) const = default;
  };

  // pair.cc: from what the cluster serves to synced caches
  Task<void> prepare();
  Task<void> recheck();
  Task<Result<Served>> ask_cluster();
  Task<Result<std::string>> config_resource(ConfigSpec config);
  void begin_watching(Served served);
  void watch_all();
  void set_state(PairState state);
  void check_state();
  PairState compute_state() const;
  void configs_changed();
  void load_configs();

  // pair_keys.cc: what a change means
  Key& key_of(std::string_view ns, std::string_view name);
  Key* find_key(std::string_view ns, std::string_view name);
  void forget_if_idle(Key& key);
  void set_outside(Key& key, bool outside);
  void add(Key& key, queue::Priority priority, Duration delay = Duration::zero());
  void primary_changed(const kube::ObjectRef& object, bool deleted, bool initial);
  void secondary_changed(const SecondarySpec& secondary, const kube::ObjectRef& before, const kube::ObjectRef& after, bool deleted);
  void owner_changed(const cache::GroupVersionResource& resource, const kube::Object& object, const kube::Object& changed, bool deleted);
  void note_change(const SecondarySpec& secondary, const kube::ObjectRef& before, const kube::ObjectRef& after);
  bool may_be_echo(const cache::GroupVersionResource& resource, const kube::Object& object, KeyId key);
  kube::ObjectRef primary(const Key& key) const;

  // pair_work.cc: one item
  delegate::Attempt make_attempt(Key& key, const queue::Work& work);
  void prefetch(Key& key, delegate::Attempt& attempt);
  bool nothing_changed(const Key& key) const;
  void finish(Key& key, const delegate::AttemptResult& result, const kube::ObjectRef& sent, MonoTime began);
  void finish_skipped(Key& key);
  bool take_own_reads(Key& key, const delegate::AttemptResult& result, MonoTime began);
  void note_pure(Key& key, const delegate::AttemptResult& result, const kube::ObjectRef& sent);
  void record_events(const Key& key, const delegate::AttemptResult& result);
  std::optional<Duration> schedule_resync(Key& key);
  Duration resync_of(Key& key);

  // pair_checkpoint.cc: what is kept over a restart
  void begin_keys();
  void new_keys();
  Task<void> ask_revision();
  void begin_saved(Key& key, const delegate::Attempt& attempt);
  void finish_saved(Key& key, const delegate::AttemptResult& result, std::optional<Duration> resync);
  void finish_unsaved(Key& key, std::optional<Duration> resync);
  void save(Key& key, std::optional<MonoTime> requeue, std::optional<Duration> resync);
  void note_enqueue(Key& key, Duration delay);
  void count_child(const SecondarySpec& secondary, const kube::Object& child, bool deleted);
  std::optional<std::pair<std::string, std::string>> owner_of(const kube::Object& object) const;
  void key_restored(const store::KeyRecord& record, Verdict verdict, ReadSets::Reads* reads) override;
  void restore_ended(bool known) override;
  store::Digest pair_digest() const override;
  kube::ObjectRef primary_now(const std::string& ns, const std::string& name) const override;
  std::optional<Seen> object_now(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name) const override;
  const cache::Store* collection(const cache::GroupVersionResource& resource, const std::string& ns) const override;

  PairContext context_;
  std::shared_ptr<const ControllerSpec> spec_;
  delegate::Client& client_;
  Observer& observer_;
  delegate::PairView view_;
  Served served_;
  std::shared_ptr<gateway::Gateway> gateway_;  // shared with the reconciles that began with it
  std::unique_ptr<gateway::PairReads> pair_reads_;
  ReadSets reads_;
  EventRecorder events_;
  std::map<std::pair<std::string, std::string>, uint32_t> ids_;
  std::map<uint32_t, std::unique_ptr<Key>> keys_;
  uint32_t next_key_ = 1;
  std::vector<std::unique_ptr<Watch>> watches_;  // the primary's first
  Echoes echoes_;  // empty where the delegate does not ignore them
  // The latest changes of Reference secondaries, once a delegate has told of reads of its own.
  struct Change {
    MonoTime at;
    const SecondarySpec* secondary;
    kube::ObjectRef before, after;
  };
  std::list<Change> changes_;  // a deque has 600 bytes when it is empty
  bool own_reads_ = false;
  bool listed_ = false;  // what is being told comes from a listing
  PairState state_;
  PairStats stats_;
  bool running_ = false;
  bool missing_ = false;    // a resource that was served is not; what it comes back as must be asked
  bool rechecking_ = false;
  size_t in_flight_ = 0;
  size_t failing_ = 0;
  size_t outside_keys_ = 0;
  OwnedChildren children_;
  store::Digest pair_digest_;
  RestartStats restart_;
  std::unique_ptr<Checkpoint> checkpoint_;  // null without state
  TaskScope scope_;
};

}  // namespace gs::control
