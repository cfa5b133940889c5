// What becomes of an item after its reconcile: Knative's result meanings, in Knative's order
// (knative.dev/pkg controller/controller.go, handleErr).
#pragma once

#include "base/mutation.h"
#include "queue/work_queue.h"

namespace gs::queue {

enum class Outcome {
  kOk,            // nil: forget
  kSkip,          // forget
  kRequeueAfter,  // again later; failures stay
  kConflict,      // again with backoff; not an error log
  kPermanent,     // forget
  kTransient,     // again with backoff
  // The delegate was lost, or a write's outcome is unknown: again at once, and the key has not failed.
  // (The endpoint's own breaker and backoff hold its items back.)
  kUnavailable,
};

// Call before done(): what is added takes effect then.
inline void apply_outcome(WorkQueue& queue, Item item, Outcome outcome, Duration after, MonoTime now) {
  const bool lost = (outcome == Outcome::kTransient && mutated(Mutation::kTransientForgotten)) || (outcome == Outcome::kConflict && mutated(Mutation::kConflictForgotten)) ||
                    (outcome == Outcome::kUnavailable && mutated(Mutation::kLostAttemptForgotten)) ||
                    (outcome == Outcome::kRequeueAfter && mutated(Mutation::kRequeueAfterForgotten));
  if (lost) return;
  switch (outcome) {
    case Outcome::kOk:
    case Outcome::kSkip:
    case Outcome::kPermanent: return queue.forget(item);
    case Outcome::kRequeueAfter: return queue.add_after(item, after, Priority::kRequeue, now);
    case Outcome::kConflict:
    case Outcome::kTransient: return queue.add_rate_limited(item, now);
    case Outcome::kUnavailable: return queue.add(item, Priority::kRequeue, now);
  }
}

}  // namespace gs::queue
