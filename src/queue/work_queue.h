// WorkQueue: which key of which pair is reconciled next. client-go's work queue (dirty and processing
// sets, delays, per-item backoff; k8s.io/client-go/util/workqueue) with a lane for each delegate,
// priorities, fair over tenants and clusters, and caps. One per loop; pure: it reads no clock and never sleeps, the owner passes the
// time and asks when to look again.
//
// Semantics
// - An item is in one of: absent, delayed, ready, parked (its controller is at its cap),
//   processing. At most one entry an item, so the queue is bounded by the keys there are.
// - Adding coalesces: the higher priority and the earlier time win. Adding while processing is
//   remembered and takes effect at done().
// - Order: classes by priority, but every kLowerTurn-th pop goes to the next lower class that has
//   something, and so on down, so that nothing starves (controller-runtime#3496): a class k below the
//   highest busy one gets at least 1/kLowerTurn^k of all pops. Within a class tenants take turns,
//   within a tenant its clusters, within a cluster first in, first out. All this within a lane; lanes
//   take turns. A delegate that takes no more blocks its lane, which is then not looked at: its items
//   cost nothing and keep their order.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace gs::queue {

enum class Priority : uint8_t { kResync, kInitialList, kRequeue, kEvent };
inline constexpr size_t kPriorities = 4;

struct Item {
  PairId pair;
  KeyId key;
  bool operator==(const Item&) const = default;
};

struct PairInfo {
  ControllerId controller;
  ClusterId cluster;
  TenantId tenant;
  DelegateId delegate;
};

struct QueueOptions {
  // client-go's DefaultTypedControllerRateLimiter without its overall bucket.
  Duration base_backoff = std::chrono::milliseconds(5);
  Duration max_backoff = std::chrono::seconds(1000);
  // In flight at once; 0: no cap.
  uint32_t controller_cap = 0;
  uint32_t cluster_cap = 0;
};

struct QueueStats {
  uint64_t adds = 0;
  uint64_t retries = 0;
  size_t ready[kPriorities] = {};
  size_t delayed = 0;
  size_t parked = 0;
  size_t processing = 0;
};

struct Work {
  Item item;
  Priority priority = Priority::kEvent;
  MonoTime ready_since{};
};

class WorkQueue {
 public:
  static constexpr unsigned kLowerTurn = 4;

  explicit WorkQueue(QueueOptions options = {}) : options_(options) {}

  void add_pair(PairId pair, const PairInfo& info);
  // Drops what waits; what is in flight is forgotten when it is done.
  void remove_pair(PairId pair);

  void add(Item item, Priority priority, MonoTime now);
  void add_after(Item item, Duration delay, Priority priority, MonoTime now);
  // With the item's backoff, which doubles each time.
  void add_rate_limited(Item item, MonoTime now);
  void forget(Item item);
  uint32_t failures(Item item) const;
  void set_failures(Item item, uint32_t count);
  // Waiting or in flight.
  bool contains(Item item) const { return index_.contains(item); }
  bool processing(Item item) const;

  // The next item, now in flight; nullopt where nothing may run.
  std::optional<Work> pop(MonoTime now);
  void done(Item item, MonoTime now);

  // A delegate that takes no more: its items wait, at no cost, until it is unblocked.
  void block(DelegateId delegate) { lanes_[delegate].blocked = true; }
  void unblock(DelegateId delegate);
  bool blocked(DelegateId delegate) const;

  // When a delayed item becomes ready; kNoDeadline where there is none.
  MonoTime next_wakeup() const;
  const QueueStats& stats() const { return stats_; }
  size_t size() const { return index_.size(); }
  // Of its tables, whose bound is what there are pairs of.
  size_t rows() const;

 private:
  using Index = uint32_t;
  static constexpr Index kNone = UINT32_MAX;
  enum class State : uint8_t { kFree, kDelayed, kReady, kParked, kProcessing };

  struct Entry {
    Item item;
    Index next = kNone;  // in its list
    Index previous = kNone;
    Index heap = kNone;  // place among the delayed
    State state = State::kFree;
    Priority priority = Priority::kResync;
    bool dirty = false;  // added while processing
    Priority dirty_priority = Priority::kResync;
    bool orphan = false;  // its pair is gone; forget it when done
    MonoTime due{};       // delayed: when; ready: since when; processing and dirty: when to come back
  };
  struct List {
    Index head = kNone;
    Index tail = kNone;
    bool empty() const { return head == kNone; }
  };
  struct ItemHash {
    size_t operator()(const Item& item) const {
      return (uint64_t{item.pair.value()} << 32 | item.key.value()) * 0x9E3779B97F4A7C15ull;
    }
  };
  struct Controller {
    uint32_t in_flight = 0;
    uint32_t pairs = 0;
    List parked;
  };
  struct Cluster {
    TenantId tenant;
    uint32_t in_flight = 0;
    uint32_t pairs = 0;
    std::vector<DelegateId> lanes;  // in which it has had items
  };
  // A cluster's and a tenant's place in one lane.
  struct Ready {
    List list[kPriorities];
    bool in_ring[kPriorities] = {};
  };
  struct Tenant {
    std::deque<ClusterId> ring[kPriorities];  // clusters with something ready
    bool in_ring[kPriorities] = {};
  };
  struct Lane {
    std::map<ClusterId, Ready> clusters;
    std::map<TenantId, Tenant> tenants;
    std::deque<TenantId> ring[kPriorities];  // tenants with something ready
    unsigned turns[kPriorities] = {};
    bool blocked = false;
    bool in_turn = false;
    bool empty() const;
  };

  void use_room(const PairInfo& info);
  void forget_cluster(ClusterId id);
  bool forget_if_unused(std::map<DelegateId, Lane>::iterator lane);
  Entry& entry(Index index) { return entries_[index]; }
  Index find_or_make(Item item);
  void release(Index index);
  void push(List& list, Index index);
  void unlink(List& list, Index index);

  void make_ready(Index index, MonoTime since);
  void make_delayed(Index index, MonoTime due);
  void take_out(Index index);
  void activate(DelegateId delegate, ClusterId cluster, Priority priority);
  void take_turn(DelegateId id, Lane& lane);
  void promote_due(MonoTime now);
  std::optional<Index> pop_class(Lane& lane, size_t priority);
  std::optional<Index> pop_tenant(Lane& lane, Tenant& tenant, size_t priority);
  std::optional<Index> pop_cluster(Ready& ready, size_t priority);
  bool runnable(Controller& controller) const;
  std::optional<Index> pick();
  std::optional<Index> pick_in(Lane& lane);

  void heap_insert(Index index);
  void heap_remove(Index index);
  void heap_fix(size_t at);
  bool heap_before(Index a, Index b) const { return entries_[a].due < entries_[b].due; }

  QueueOptions options_;
  QueueStats stats_;
  std::vector<Entry> entries_;
  std::vector<Index> free_;
  std::vector<Index> heap_;
  boost::unordered_flat_map<Item, Index, ItemHash> index_;
  boost::unordered_flat_map<Item, uint32_t, ItemHash> failures_;
  std::map<PairId, PairInfo> pairs_;
  std::map<ControllerId, Controller> controllers_;
  std::map<ClusterId, Cluster> clusters_;
  std::map<DelegateId, Lane> lanes_;
  std::deque<DelegateId> turn_;  // lanes with something ready
};

}  // namespace gs::queue
