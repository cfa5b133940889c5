#include "queue/work_queue.h"

#include <algorithm>

#include "base/check.h"
#include "base/mutation.h"

namespace gs::queue {

void WorkQueue::add_pair(PairId pair, const PairInfo& info) {
  GS_CHECK(!pairs_.contains(pair));
  pairs_[pair] = info;
  ++controllers_[info.controller].pairs;
  Cluster& cluster = clusters_[info.cluster];
  if (cluster.pairs++ == 0) cluster.tenant = info.tenant;
  if (std::find(cluster.lanes.begin(), cluster.lanes.end(), info.delegate) == cluster.lanes.end()) cluster.lanes.push_back(info.delegate);
}

void WorkQueue::remove_pair(PairId pair) {
  const PairInfo info = pairs_.at(pair);
  std::vector<Item> items;
  for (const auto& [item, index] : index_) {
    if (item.pair == pair) items.push_back(item);
  }
  size_t freed = 0;
  for (const Item item : items) {
    const Index index = index_.at(item);
    if (entry(index).state == State::kProcessing) {
      ++freed;
      entry(index).orphan = true;
      entry(index).dirty = false;
      --controllers_[info.controller].in_flight;
      --clusters_[info.cluster].in_flight;
    } else {
      take_out(index);
      release(index);
    }
  }
  boost::unordered::erase_if(failures_, [&](const auto& f) { return f.first.pair == pair; });
  pairs_.erase(pair);
  --clusters_[info.cluster].pairs;
  --controllers_[info.controller].pairs;
  for (; freed > 0; --freed) use_room(info);
  if (controllers_[info.controller].pairs == 0) controllers_.erase(info.controller);
  if (clusters_[info.cluster].pairs == 0) forget_cluster(info.cluster);
}

// A cluster is attached anew, under another id, whenever its credentials change: its rows must not stay.
void WorkQueue::forget_cluster(ClusterId id) {
  const Cluster& cluster = clusters_.at(id);
  for (const DelegateId delegate : cluster.lanes) {
    const auto at = lanes_.find(delegate);
    if (at == lanes_.end()) continue;
    Lane& lane = at->second;
    lane.clusters.erase(id);
    if (const auto tenant = lane.tenants.find(cluster.tenant); tenant != lane.tenants.end()) {
      bool empty = true;
      for (size_t p = 0; p < kPriorities; ++p) {
        std::erase(tenant->second.ring[p], id);
        empty &= tenant->second.ring[p].empty();
      }
      if (empty) {
        for (auto& ring : lane.ring) std::erase(ring, cluster.tenant);
        lane.tenants.erase(tenant);
      }
    }
    forget_if_unused(at);
  }
  clusters_.erase(id);
}

bool WorkQueue::forget_if_unused(std::map<DelegateId, Lane>::iterator lane) {
  if (!lane->second.clusters.empty() || lane->second.blocked) return false;
  std::erase(turn_, lane->first);
  lanes_.erase(lane);
  return true;
}

size_t WorkQueue::rows() const {
  size_t sum = controllers_.size() + clusters_.size() + lanes_.size();
  for (const auto& [id, lane] : lanes_) sum += lane.clusters.size() + lane.tenants.size();
  return sum;
}

WorkQueue::Index WorkQueue::find_or_make(Item item) {
  const auto found = index_.find(item);
  if (found != index_.end()) return found->second;
  Index index;
  if (free_.empty()) {
    index = static_cast<Index>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
    entries_[index] = Entry();
  }
  entries_[index].item = item;
  index_[item] = index;
  return index;
}

void WorkQueue::release(Index index) {
  index_.erase(entry(index).item);
  entry(index).state = State::kFree;
  free_.push_back(index);
}

void WorkQueue::push(List& list, Index index) {
  Entry& e = entry(index);
  e.next = kNone;
  e.previous = list.tail;
  (list.tail == kNone ? list.head : entry(list.tail).next) = index;
  list.tail = index;
}

void WorkQueue::unlink(List& list, Index index) {
  const Entry& e = entry(index);
  (e.previous == kNone ? list.head : entry(e.previous).next) = e.next;
  (e.next == kNone ? list.tail : entry(e.next).previous) = e.previous;
}

bool WorkQueue::Lane::empty() const {
  return std::all_of(std::begin(ring), std::end(ring), [](const auto& tenants) { return tenants.empty(); });
}

void WorkQueue::activate(DelegateId delegate, ClusterId id, Priority priority) {
  const auto p = static_cast<size_t>(priority);
  const Cluster& cluster = clusters_[id];
  Lane& lane = lanes_[delegate];
  Ready& ready = lane.clusters[id];
  if (ready.list[p].empty() || (options_.cluster_cap > 0 && cluster.in_flight >= options_.cluster_cap)) return;
  Tenant& tenant = lane.tenants[cluster.tenant];
  if (!ready.in_ring[p]) {
    ready.in_ring[p] = true;
    tenant.ring[p].push_back(id);
  }
  if (!tenant.in_ring[p]) {
    tenant.in_ring[p] = true;
    lane.ring[p].push_back(cluster.tenant);
  }
  take_turn(delegate, lane);
}

void WorkQueue::take_turn(DelegateId id, Lane& lane) {
  if (lane.blocked || lane.in_turn || lane.empty()) return;
  lane.in_turn = true;
  turn_.push_back(id);
}

void WorkQueue::make_ready(Index index, MonoTime since) {
  Entry& e = entry(index);
  const PairInfo& pair = pairs_.at(e.item.pair);
  e.state = State::kReady;
  e.due = since;
  push(lanes_[pair.delegate].clusters[pair.cluster].list[static_cast<size_t>(e.priority)], index);
  ++stats_.ready[static_cast<size_t>(e.priority)];
  activate(pair.delegate, pair.cluster, e.priority);
}

void WorkQueue::make_delayed(Index index, MonoTime due) {
  entry(index).state = State::kDelayed;
  entry(index).due = due;
  heap_insert(index);
  ++stats_.delayed;
}

// Out of whatever list it waits in; its state is then the caller's to set.
void WorkQueue::take_out(Index index) {
  Entry& e = entry(index);
  const PairInfo& pair = pairs_.at(e.item.pair);
  if (e.state == State::kDelayed) {
    heap_remove(index);
    --stats_.delayed;
  } else if (e.state == State::kReady) {
    unlink(lanes_[pair.delegate].clusters[pair.cluster].list[static_cast<size_t>(e.priority)], index);
    --stats_.ready[static_cast<size_t>(e.priority)];
  } else if (e.state == State::kParked) {
    unlink(controllers_[pair.controller].parked, index);
    --stats_.parked;
  }
}

void WorkQueue::add(Item item, Priority priority, MonoTime now) { add_after(item, Duration::zero(), priority, now); }

void WorkQueue::add_after(Item item, Duration delay, Priority priority, MonoTime now) {
  if (!pairs_.contains(item.pair)) return;
  ++stats_.adds;
  const MonoTime due = delay > Duration::zero() ? saturating_add(now, delay) : now;
  const Index index = find_or_make(item);
  Entry& e = entry(index);
  if (e.state == State::kProcessing) {
    if (e.orphan) return;
    e.due = e.dirty ? std::min(e.due, due) : due;
    e.dirty_priority = e.dirty ? std::max(e.dirty_priority, priority) : priority;
    e.dirty = true;
    return;
  }
  const bool fresh = e.state == State::kFree;
  if (!fresh && e.state != State::kDelayed && (due > now || priority <= e.priority)) return;
  const MonoTime since = e.state == State::kReady || e.state == State::kParked ? e.due : now;
  const MonoTime earliest = e.state == State::kDelayed ? std::min(e.due, due) : due;
  if (!fresh) take_out(index);
  e.priority = fresh ? priority : std::max(e.priority, priority);
  if (earliest > now) {
    make_delayed(index, earliest);
  } else {
    make_ready(index, since);
  }
}

void WorkQueue::add_rate_limited(Item item, MonoTime now) {
  if (!pairs_.contains(item.pair)) return;
  uint32_t& count = failures_[item];
  const unsigned doublings = std::min(count, 40u);
  const double seconds = std::min(to_seconds(options_.base_backoff) * static_cast<double>(1ull << doublings),
                                  to_seconds(options_.max_backoff));
  ++count;
  ++stats_.retries;
  add_after(item, from_seconds(seconds), Priority::kRequeue, now);
}

void WorkQueue::forget(Item item) {
  if (!mutated(Mutation::kFailuresKept)) failures_.erase(item);
}

uint32_t WorkQueue::failures(Item item) const {
  const auto found = failures_.find(item);
  return found == failures_.end() ? 0 : found->second;
}

void WorkQueue::set_failures(Item item, uint32_t count) {
  if (count > 0) failures_[item] = count;
}

bool WorkQueue::processing(Item item) const {
  const auto found = index_.find(item);
  return found != index_.end() && entries_[found->second].state == State::kProcessing;
}

void WorkQueue::promote_due(MonoTime now) {
  while (!heap_.empty() && entry(heap_.front()).due <= now) {
    const Index index = heap_.front();
    take_out(index);
    make_ready(index, entry(index).due);
  }
}

bool WorkQueue::runnable(Controller& controller) const {
  return options_.controller_cap == 0 || controller.in_flight < options_.controller_cap;
}

std::optional<WorkQueue::Index> WorkQueue::pop_cluster(Ready& ready, size_t priority) {
  List& list = ready.list[priority];
  while (!list.empty()) {
    const Index index = list.head;
    Controller& controller = controllers_[pairs_.at(entry(index).item.pair).controller];
    take_out(index);
    if (runnable(controller)) return index;
    entry(index).state = State::kParked;
    push(controller.parked, index);
    ++stats_.parked;
  }
  return std::nullopt;
}

// One item of the next cluster in turn; the cluster goes to the back while it has more.
std::optional<WorkQueue::Index> WorkQueue::pop_tenant(Lane& lane, Tenant& tenant, size_t priority) {
  auto& ring = tenant.ring[priority];
  while (!ring.empty()) {
    const ClusterId id = ring.front();
    Ready& ready = lane.clusters[id];
    ring.pop_front();
    ready.in_ring[priority] = false;
    if (options_.cluster_cap > 0 && clusters_[id].in_flight >= options_.cluster_cap) continue;
    const auto index = pop_cluster(ready, priority);
    if (!ready.list[priority].empty()) {
      ready.in_ring[priority] = true;
      ring.push_back(id);
    }
    if (index) return index;
  }
  return std::nullopt;
}

std::optional<WorkQueue::Index> WorkQueue::pop_class(Lane& lane, size_t priority) {
  auto& ring = lane.ring[priority];
  while (!ring.empty()) {
    const TenantId id = ring.front();
    Tenant& tenant = lane.tenants[id];
    ring.pop_front();
    tenant.in_ring[priority] = false;
    const auto index = pop_tenant(lane, tenant, priority);
    if (!tenant.ring[priority].empty()) {
      tenant.in_ring[priority] = true;
      ring.push_back(id);
    }
    if (index) return index;
  }
  return std::nullopt;
}

// From the highest class down; at every kLowerTurn-th turn of a class the lower ones go first.
std::optional<WorkQueue::Index> WorkQueue::pick_in(Lane& lane) {
  size_t deferred[kPriorities];
  size_t count = 0;
  for (size_t p = kPriorities; p-- > 0;) {
    if (lane.ring[p].empty()) continue;
    if (++lane.turns[p] % kLowerTurn == 0) {
      deferred[count++] = p;
      continue;
    }
    if (const auto index = pop_class(lane, p)) return index;
  }
  for (size_t i = 0; i < count; ++i) {
    if (const auto index = pop_class(lane, deferred[i])) return index;
  }
  return std::nullopt;
}

// Of the next lane in turn; it goes to the back while it has more.
std::optional<WorkQueue::Index> WorkQueue::pick() {
  while (!turn_.empty()) {
    const DelegateId id = turn_.front();
    Lane& lane = lanes_[id];
    turn_.pop_front();
    lane.in_turn = false;
    if (lane.blocked) continue;
    const auto index = pick_in(lane);
    take_turn(id, lane);
    if (index) return index;
  }
  return std::nullopt;
}

std::optional<Work> WorkQueue::pop(MonoTime now) {
  promote_due(now);
  const auto index = pick();
  if (!index) return std::nullopt;
  Entry& e = entry(*index);
  const PairInfo& pair = pairs_.at(e.item.pair);
  ++controllers_[pair.controller].in_flight;
  ++clusters_[pair.cluster].in_flight;
  ++stats_.processing;
  Work work;
  work.item = e.item;
  work.priority = e.priority;
  work.ready_since = e.due;
  e.state = State::kProcessing;
  e.dirty = false;
  e.next = e.previous = kNone;
  return work;
}

void WorkQueue::done(Item item, MonoTime now) {
  const auto found = index_.find(item);
  GS_CHECK(found != index_.end() && entry(found->second).state == State::kProcessing);
  const Index index = found->second;
  --stats_.processing;
  const auto pair = pairs_.find(item.pair);
  if (pair == pairs_.end()) return release(index);
  Controller& controller = controllers_[pair->second.controller];
  Cluster& cluster = clusters_[pair->second.cluster];
  --controller.in_flight;
  if (!mutated(Mutation::kCapLeaked)) --cluster.in_flight;
  Entry& e = entry(index);
  if (e.dirty && !mutated(Mutation::kRequeueLost)) {
    e.priority = e.dirty_priority;
    e.dirty = false;
    const MonoTime due = e.due;
    e.state = State::kFree;
    if (due > now) {
      make_delayed(index, due);
    } else {
      make_ready(index, now);
    }
  } else {
    release(index);
  }
  use_room(pair->second);
}

// One less is in flight of the Controller and the cluster: what waited for that may run.
void WorkQueue::use_room(const PairInfo& info) {
  if (options_.cluster_cap > 0) {
    for (const DelegateId lane : clusters_[info.cluster].lanes) {
      for (size_t p = 0; p < kPriorities; ++p) activate(lane, info.cluster, static_cast<Priority>(p));
    }
  }
  Controller& controller = controllers_[info.controller];
  if (!runnable(controller) || controller.parked.empty()) return;
  const Index parked = controller.parked.head;
  take_out(parked);
  make_ready(parked, entry(parked).due);
}

void WorkQueue::unblock(DelegateId delegate) {
  const auto at = lanes_.find(delegate);
  if (at == lanes_.end() || mutated(Mutation::kLaneStaysBlocked)) return;
  at->second.blocked = false;
  if (!forget_if_unused(at)) take_turn(delegate, at->second);
}

bool WorkQueue::blocked(DelegateId delegate) const {
  const auto found = lanes_.find(delegate);
  return found != lanes_.end() && found->second.blocked;
}

MonoTime WorkQueue::next_wakeup() const { return heap_.empty() || mutated(Mutation::kWakeupLost) ? kNoDeadline : entries_[heap_.front()].due; }

void WorkQueue::heap_insert(Index index) {
  heap_.push_back(index);
  entry(index).heap = static_cast<Index>(heap_.size() - 1);
  heap_fix(heap_.size() - 1);
}

void WorkQueue::heap_remove(Index index) {
  const size_t at = entry(index).heap;
  const Index last = heap_.back();
  heap_.pop_back();
  entry(index).heap = kNone;
  if (last == index) return;
  heap_[at] = last;
  entry(last).heap = static_cast<Index>(at);
  heap_fix(at);
}

// Moves the element at `at` up or down to where it belongs.
void WorkQueue::heap_fix(size_t at) {
  const auto swap_at = [this](size_t a, size_t b) {
    std::swap(heap_[a], heap_[b]);
    entry(heap_[a]).heap = static_cast<Index>(a);
    entry(heap_[b]).heap = static_cast<Index>(b);
  };
  while (at > 0 && heap_before(heap_[at], heap_[(at - 1) / 2])) {
    swap_at(at, (at - 1) / 2);
    at = (at - 1) / 2;
  }
  while (true) {
    size_t least = at;
    for (const size_t child : {2 * at + 1, 2 * at + 2}) {
      if (child < heap_.size() && heap_before(heap_[child], heap_[least])) least = child;
    }
    if (least == at) return;
    swap_at(at, least);
    at = least;
  }
}

}  // namespace gs::queue
