// Planted bugs. A build with GULFSTREAM_MUTATIONS (the preset asan) can turn on one at a time, and test/sim/mutation_test.cc
// shows that the simulation finds each; what each breaks is said there. In every other build mutated() is false and costs nothing.
#pragma once

namespace gs {

enum class Mutation {
  kNone,
  // src/cache
  kWatchFromNow, kExpiredNotRelisted, kRelistFromAnyVersion, kRetryAfterIgnored, kTooLargeVersionKept, kListPageLost,
  kAnyBookmarkSyncs, kErrorEventIgnored, kDeletedEventLost, kFirstEventLost, kSilentWatchKept, kPartialListTaken,
  kReplacementNotCleared, kTombstoneIgnored, kUidChangeTakenForUpdate, kRelistChangesUntold, kHealthUntold,
  // src/kube, src/net
  kWritesRepeated, kUnknownOutcomeDenied, kTokenNotReread, kDeadConnectionKept, kIdleConnectionsKept,
  // src/queue
  kRequeueLost, kFailuresKept, kWakeupLost, kLaneStaysBlocked, kCapLeaked, kTransientForgotten, kConflictForgotten,
  kLostAttemptForgotten, kRequeueAfterForgotten,
  // src/delegate
  kFenceMissing, kCancelledCallServed, kFinishedCallServed, kCreditLeaked, kKeySentTwice, kUnansweredCancelFreesKey,
  kRevisionIgnored, kBreakerStaysOpen, kConfigUnsent, kReviewCreditLeaked, kReviewAnswersMixed, kReviewDeadlineIgnored,
  // src/gateway
  kRefusedForwarded, kOverlayEndedEarly, kOverlayKept, kOvertakenUntold,
  // src/control
  kVanishedUntold, kEventDuringRestoreLost, kUnmatchedIgnored, kOwnedChangeIgnored, kReferenceIgnored, kAbsenceForgotten,
  kRunningReadsIgnored, kConfigChangeIgnored, kStaleMarkMissing, kPrimaryNotCompared, kChildrenNotCompared, kReadsNotCompared,
  kConfigNotCompared, kFailedSavedAsSettled, kRequeueLostAtRestart, kRevisionNotAsked,
  // src/fleet
  kLeaseTakenEarly, kLeaseKeptTooLong, kForeignTermTrusted,
  kCount,
};

#ifdef GULFSTREAM_MUTATIONS
// Changed only while no loop runs.
inline Mutation mutation_in_force = Mutation::kNone;
inline bool mutated(Mutation mutation) { return mutation == mutation_in_force; }
#else
constexpr bool mutated(Mutation) { return false; }
#endif

}  // namespace gs
