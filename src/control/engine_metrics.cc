// What an Engine counts, for /metrics.
#include "control/engine_internal.h"

namespace gs::control {

MetricSums Engine::metrics() const {
  MetricSums out = departed_;
  for (const auto& [id, slot] : pairs_) count(*slot, out);
  show_queue(out);
  show_caches(out);
  show_delegates(out);
  webhooks_->count(out);
  out.gauge("gulfstream_clusters", "Attached clusters.", double(clusters_.size()));
  out.gauge("gulfstream_pairs", "Controllers in clusters.", double(pairs_.size()));
  return out;
}

void Engine::show_queue(MetricSums& out) const {
  const queue::QueueStats& q = queue_.stats();
  const char* const priorities[] = {"resync", "initial_list", "requeue", "event"};
  for (size_t i = 0; i < std::size(priorities); ++i) {
    out.gauge("gulfstream_workqueue_depth", "Items that are ready, by priority.", {{"priority", priorities[i]}}, double(q.ready[i]));
  }
  out.gauge("gulfstream_workqueue_delayed", "Items that wait for their time.", double(q.delayed));
  out.gauge("gulfstream_reconciles_in_flight", "Reconciles that were sent and have no result yet.", double(q.processing));
  out.count("gulfstream_workqueue_retries_total", "Retries with backoff.", q.retries);
}

void Engine::show_caches(MetricSums& out) const {
  size_t objects = 0, bytes = 0, informers = 0;
  for (const auto& slot : clusters_) {
    if (!slot->cluster) continue;
    slot->cluster->informers().for_each([&](cache::Informer& informer) {
      ++informers;
      objects += informer.store().size();
      bytes += informer.store().object_bytes();
    });
  }
  out.gauge("gulfstream_informers", "Informers that run.", double(informers));
  out.gauge("gulfstream_cached_objects", "Objects in caches.", double(objects));
  out.gauge("gulfstream_cached_bytes", "Bytes of objects in caches.", double(bytes));
}

void Engine::show_delegates(MetricSums& out) const {
  size_t streams = 0;
  clients_.for_each([&](delegate::Client& client) { streams += client.streams(); });
  const delegate::SessionStats counts = clients_.counts();
  out.gauge("gulfstream_delegate_streams", "Streams to delegates.", double(streams));
  out.count("gulfstream_delegate_reconciles_total", "Reconciles that were sent to delegates.", counts.reconciles);
  out.count("gulfstream_delegate_reviews_total", "Reviews that were sent to delegates in sessions.", counts.reviews);
  out.count("gulfstream_delegate_refused_calls_total", "Calls of no reconcile or review in flight, or beyond a bound.", counts.refused_calls);
  out.count("gulfstream_delegate_protocol_errors_total", "Answers and ids of delegates that nobody asked for.", counts.protocol_errors);
  out.count("gulfstream_delegate_throttled_total", "Times that a delegate was read more slowly for its rate of Enqueues.", counts.throttled);
  out.count("gulfstream_delegate_failures_total", "Dials, Hellos and streams of delegates that failed.", counts.failures);
  out.count("gulfstream_delegate_timeouts_total", "Reconciles that had no result within --reconcile-timeout.", counts.timeouts);
  out.count("gulfstream_delegate_review_timeouts_total", "Of reviews in sessions, those that had no answer in time.", counts.review_timeouts);
  out.count("gulfstream_delegate_lost_reviews_total", "Reviews in sessions that were cancelled, and not answered within the grace either.", counts.lost_reviews);
}

// Of one pair; those of pairs that have ended are kept in departed_.
void Engine::count(const PairSlot& slot, MetricSums& out) const {
  const Pair& pair = *slot.pair;
  if (const gateway::Gateway* gateway = pair.gateway(); gateway != nullptr) {
    const char* const help = "Calls of delegates by what became of them.";
    out.count("gulfstream_calls_total", help, {{"result", "forwarded"}}, gateway->stats().forwarded);
    out.count("gulfstream_calls_total", help, {{"result", "cache"}}, gateway->stats().from_cache);
    out.count("gulfstream_calls_total", help, {{"result", "refused"}}, gateway->refusals().total());
    for (size_t i = 0; i < gateway::kRefusals; ++i) {
      const auto reason = static_cast<gateway::Refusal>(i);
      out.count("gulfstream_calls_refused_total", "Calls of delegates that were refused, by what was wrong.", {{"reason", std::string(gateway::refusal_name(reason))}},
                gateway->refusals().counted(reason));
    }
  }
  out.count("gulfstream_resyncs_skipped_total", "Resyncs of pure reconciles that had nothing new to read.", pair.stats().skipped);
  out.count("gulfstream_delegate_refused_enqueues_total", "Enqueues of keys without an object, beyond what a pair may have of those.",
            pair.stats().enqueues_refused);
  out.count("gulfstream_events_total", "Events of delegates by what became of them.", {{"result", "written"}}, pair.event_stats().written);
  out.count("gulfstream_events_total", "Events of delegates by what became of them.", {{"result", "dropped"}}, pair.event_stats().dropped);
  if (deps_.state == nullptr) return;
  for (size_t v = 0; v < kVerdicts; ++v) {
    out.count("gulfstream_restart_keys_total", "Keys with a record at the start, by what was found; unchanged ones were skipped.",
              {{"result", std::string(verdict_name(static_cast<Verdict>(v)))}}, pair.restart().keys[v]);
  }
  out.count("gulfstream_restart_requeues_due_total", "Requeues that fell due while the plane was down.", pair.restart().due);
}

}  // namespace gs::control
