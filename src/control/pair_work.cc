// One item's work: what the delegate is told, what it reads and writes, and what becomes of the result.
#include <algorithm>

#include "base/log.h"
#include "base/mutation.h"
#include "control/pair_internal.h"

namespace gs::control {
namespace {

constexpr double kResyncJitter = 0.1;      // resyncs of a fleet spread
constexpr Duration kUnsyncedRetry = std::chrono::seconds(1);
constexpr size_t kPrunedPerReconcile = 16;

std::string_view outcome_name(queue::Outcome outcome) {
  switch (outcome) {
    case queue::Outcome::kOk: return "ok";
    case queue::Outcome::kSkip: return "skip";
    case queue::Outcome::kRequeueAfter: return "requeue after";
    case queue::Outcome::kConflict: return "conflict";
    case queue::Outcome::kPermanent: return "permanent error";
    case queue::Outcome::kTransient: return "transient error";
    case queue::Outcome::kUnavailable: return "delegate lost";
  }
  return "";
}

// What was read is complete: the reconcile came to its end.
bool came_to_its_end(queue::Outcome outcome) {
  return outcome == queue::Outcome::kOk || outcome == queue::Outcome::kSkip || outcome == queue::Outcome::kRequeueAfter;
}

}  // namespace

// Puts the reads and writes of one reconcile into the pair's read sets.
class Pair::Recorder final : public gateway::ReadObserver {
 public:
  Recorder(Pair& pair, KeyId key) : pair_(pair), key_(key) {}

  void read_name(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name, const kube::ObjectRef& seen,
                 bool backed) override {
    pair_.reads_.read_name(key_, resource, ns, name, Seen::of(seen));
    if (!backed) read_other();
  }
  void read_list(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& selector,
                 const std::string& version, std::optional<gateway::ListDigest> digest, bool backed) override {
    pair_.reads_.read_list(key_, resource, ns, selector, version, digest);
    if (!backed) read_other();
  }
  void overtaken() override {
    const auto key = pair_.keys_.find(key_.value());
    if (pair_.running_ && key != pair_.keys_.end() && !mutated(Mutation::kOvertakenUntold)) pair_.add(*key->second, queue::Priority::kEvent);
  }
  void read_other() override { pair_.reads_.never_skip(key_); }
  // A write that changed nothing is as a read. One that did makes its echo requeue, as in Kubernetes, unless
  // the delegate ignores those; and the reconcile was no fixed point.
  void wrote(const cache::GroupVersionResource& resource, const std::string& ns, const std::string& name, const kube::ObjectRef& before,
             const kube::ObjectRef& after) override {
    const bool nothing = before && after && before->uid() == after->uid() && before->resource_version() == after->resource_version();
    const bool ignored = after && pair_.client_.peer(pair_.view_.id).ignores_echoes;
    if (!nothing) read_other();
    pair_.reads_.read_name(key_, resource, ns, name, nothing || ignored ? Seen::of(after) : Seen::unknown());
    if (!nothing && ignored) pair_.stats_.echoes += pair_.echoes_.wrote(key_, resource.to_string(), *after);
  }

 private:
  Pair& pair_;
  KeyId key_;
};

delegate::Attempt Pair::make_attempt(Key& key, const queue::Work& work) {
  delegate::Attempt attempt;
  attempt.ns = key.ns;
  attempt.name = key.name;
  attempt.number = context_.queue.failures(work.item) + 1;
  attempt.reason = work.priority;
  attempt.time_limit = context_.reconcile_timeout;
  kube::ObjectRef object = primary(key);
  // Where the overlay would have it read live, the cache's state is near enough: another event will come.
  const auto view = gateway_->overlay().merge(watches_[0]->informer(), key.ns, key.name, object, context_.loop.now());
  if (!view.live) object = view.object;
  attempt.primary = object;
  if (!object) {
    attempt.state = delegate::PrimaryState::kGone;
    attempt.primary = key.last_state;
  } else if (!matches(spec_->primary.match, object->json())) {
    attempt.state = delegate::PrimaryState::kUnmatched;
  }
  prefetch(key, attempt);
  return attempt;
}

// What the last reconcile read by name, as the caches have it now; authorised again.
void Pair::prefetch(Key& key, delegate::Attempt& attempt) {
  const ReadSets::Reads* last = reads_.last(key.key_id());
  if (last == nullptr) return;
  for (const ReadSets::NameRead& read : last->names) {
    const cache::Informer* informer = gateway_->covering(read.resource, read.ns);
    if (informer == nullptr || !gateway_->may_get(read.resource, read.ns, read.name, {key.ns, key.name})) continue;
    // The primary is sent anyway.
    if (read.resource == spec_->primary.resource && read.ns == key.ns && read.name == key.name) continue;
    auto view = gateway_->overlay().merge(*informer, read.ns, read.name, informer->store().get(read.ns, read.name), context_.loop.now());
    if (!view.live) attempt.prefetched.push_back({read.resource, read.ns, read.name, std::move(view.object)});
  }
}

// Whether a resync of the key would see what its last, pure reconcile saw. Only what a synced and live informer
// has can be known to be unchanged.
bool Pair::nothing_changed(const Key& key) const {
  const Key::Pure& pure = key.pure;
  if (!pure.valid || !client_.peer(view_.id).pure || pure.delegate_revision != client_.peer(view_.id).revision) return false;
  if (pure.config_revision != view_.configs.revision || !(pure.primary == Seen::of(primary(key)))) return false;
  if (watches_[0]->informer().health() != cache::Health::kLive) return false;
  const auto now = [&](const ReadSets::NameRead& read) -> std::optional<Seen> {
    const cache::Informer* informer = gateway_->covering(read.resource, read.ns);
    if (informer == nullptr) return std::nullopt;
    return Seen::of(informer->store().get(read.ns, read.name));
  };
  const auto list_now = [&](const ReadSets::ListRead& read) -> std::optional<gateway::ListDigest> {
    const cache::Informer* informer = gateway_->covering(read.resource, read.ns);
    if (informer == nullptr) return std::nullopt;
    return gateway::digest_of(*informer, read.ns, read.selector);
  };
  return reads_.unchanged(key.key_id(), now, list_now);
}

Task<void> Pair::work(queue::Work work) {
  const auto found = keys_.find(work.item.key.value());
  GS_CHECK(found != keys_.end());
  Key& key = *found->second;
  if (!state_.synced) {
    // The caches are being made anew; what they do not have yet is not gone.
    context_.queue.add_after(work.item, kUnsyncedRetry, work.priority, context_.loop.now());
    context_.queue.done(work.item, context_.loop.now());
    co_return;
  }
  if (work.priority == queue::Priority::kResync && nothing_changed(key)) {
    finish_skipped(key);
    co_return;
  }
  struct Count {
    explicit Count(size_t& n) : value(n) { ++value; }
    ~Count() { --value; }
    size_t& value;
  } in_flight(in_flight_);
  const std::shared_ptr<gateway::Gateway> gateway = gateway_;
  Recorder recorder(*this, work.item.key);
  gateway::Gateway::Reconcile handler(*gateway, {key.ns, key.name}, recorder);
  reads_.begin(work.item.key);
  key.pure.valid = false;
  delegate::Attempt attempt = make_attempt(key, work);
  begin_saved(key, attempt);
  const kube::ObjectRef sent = attempt.primary;
  const MonoTime began = context_.loop.now();
  const delegate::AttemptResult result = co_await client_.reconcile(view_, std::move(attempt), handler);
  ++stats_.reconciles;
  const bool missed = take_own_reads(key, result, began);
  reads_.end(work.item.key, came_to_its_end(result.outcome));
  if (missed && running_) add(key, queue::Priority::kEvent);
  finish(key, result, sent, began);
}

// Reads of the delegate's own copies, fed by watches of the plane's cache: they are as the cache is. True where
// one of them changed while the reconcile ran.
bool Pair::take_own_reads(Key& key, const delegate::AttemptResult& result, MonoTime began) {
  if (result.reads.empty()) return false;
  // The first time nothing was kept: once more, to be sure.
  bool missed = !own_reads_;
  own_reads_ = true;
  for (const delegate::OwnRead& read : result.reads) {
    const auto selector = kube::LabelSelector::parse(read.label_selector);
    if (!selector) continue;
    missed |= std::any_of(changes_.begin(), changes_.end(), [&](const Change& change) {
      if (change.at < began || change.secondary->resource != read.resource || (!read.ns.empty() && read.ns != change.after->ns())) return false;
      if (!read.name.empty()) return read.name == change.after->name();
      return selector->matches(change.after->labels()) || (change.before && selector->matches(change.before->labels()));
    });
    const cache::Informer* informer = gateway_->covering(read.resource, read.ns);
    if (informer == nullptr) reads_.never_skip(key.key_id());
    if (!read.name.empty()) {
      const Seen seen = informer != nullptr ? Seen::of(informer->store().get(read.ns, read.name)) : Seen::unknown();
      reads_.read_name(key.key_id(), read.resource, read.ns, read.name, seen);
      continue;
    }
    std::optional<gateway::ListDigest> digest;
    if (informer != nullptr) digest = gateway::digest_of(*informer, read.ns, *selector);
    reads_.read_list(key.key_id(), read.resource, read.ns, read.label_selector, informer != nullptr ? informer->resource_version() : "", digest);
  }
  return missed;
}

Duration Pair::resync_of(Key& key) {
  const kube::ObjectRef object = primary(key);
  if (!object || !matches(spec_->primary.match, object->json())) return Duration::zero();
  const auto own = resync_annotation(*object);
  if (own) {
    key.bad_resync = false;
    return own->value_or(spec_->primary.resync_period);
  }
  if (!key.bad_resync) {
    key.bad_resync = true;
    log::warning("the Controller's resyncPeriod is used", {{"controller", spec_->name}, {"cluster", view_.description.cluster}, {"key", key.text()}, {"err", own.error()}});
    events_.record(*object, {"Warning", "InvalidResync", own.error().message});
  }
  return spec_->primary.resync_period;
}

std::optional<Duration> Pair::schedule_resync(Key& key) {
  const Duration resync = running_ ? resync_of(key) : Duration::zero();
  if (resync <= Duration::zero()) return std::nullopt;
  const Duration when = context_.loop.random().jitter(resync, kResyncJitter);
  context_.queue.add_after(queue::Item{view_.id, key.key_id()}, when, queue::Priority::kResync, context_.loop.now());
  return when;
}

void Pair::finish_skipped(Key& key) {
  ++stats_.skipped;
  finish_unsaved(key, schedule_resync(key));
  context_.queue.done(queue::Item{view_.id, key.key_id()}, context_.loop.now());
  forget_if_idle(key);
}

// What a later resync compares with; only where the delegate said that it decides by nothing else.
void Pair::note_pure(Key& key, const delegate::AttemptResult& result, const kube::ObjectRef& sent) {
  const bool pure = result.pure && client_.peer(view_.id).pure && (result.outcome == queue::Outcome::kOk || result.outcome == queue::Outcome::kSkip);
  if (!pure || !sent) return;
  key.pure.valid = true;
  key.pure.primary = Seen::of(sent);
  key.pure.config_revision = view_.configs.revision;
  key.pure.delegate_revision = client_.peer(view_.id).revision;
}

void Pair::record_events(const Key& key, const delegate::AttemptResult& result) {
  if (result.events.empty()) return;
  const kube::ObjectRef object = primary(key) ? primary(key) : key.last_state;
  if (!object) return;  // nobody knows what they are about
  for (const delegate::RecordedEvent& event : result.events) events_.record(*object, event);
}

void Pair::finish(Key& key, const delegate::AttemptResult& result, const kube::ObjectRef& sent, MonoTime began) {
  const queue::Item item{view_.id, key.key_id()};
  const MonoTime now = context_.loop.now();
  if (echoes_.settle(item.key) && running_) add(key, queue::Priority::kEvent);
  queue::apply_outcome(context_.queue, item, result.outcome, result.after, now);
  const bool failed = result.outcome == queue::Outcome::kTransient || result.outcome == queue::Outcome::kPermanent;
  if (failed != key.failing) failing_ += failed ? 1 : -1;
  key.failing = failed;
  const log::Level level = failed ? log::Level::kWarning : log::Level::kDebug;
  if (log::enabled(level)) {
    log::write(level, failed ? "reconcile failed" : "reconciled",
               {{"controller", spec_->name}, {"cluster", view_.description.cluster}, {"key", key.text()}, {"reconcileID", result.id},
                {"outcome", outcome_name(result.outcome)}, {"seconds", to_seconds(now - began)}, {"attempt", context_.queue.failures(item)},
                {"reason", result.reason}, {"err", result.message}});
  }
  record_events(key, result);
  note_pure(key, result, sent);
  gateway_->prune_overlay(kPrunedPerReconcile);
  if (gateway_->overlay().has_vanished()) {
    for (const auto& watch : watches_) watch->look_for_vanished();
  }
  // An Enqueue for later that another attempt came before.
  if (key.outside_due && running_) context_.queue.add_after(item, std::max(*key.outside_due - now, Duration::zero()), queue::Priority::kRequeue, now);
  finish_saved(key, result, schedule_resync(key));
  context_.queue.done(item, now);
  forget_if_idle(key);
}

}  // namespace gs::control
