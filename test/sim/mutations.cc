#include "test/sim/mutations.h"

namespace gs::sim {
namespace {

#define PLANTED(name) Mutation::k##name, #name

// Bugs that no seed is known for: too rare for the first few hundred seeds, or the workload or the oracle is too weak for them
// (GULFSTREAM_FIND_SEEDS looks for one).
[[maybe_unused]] constexpr uint64_t kNotCaught = 0;

constexpr PlantedBug kBugs[] = {
    {PLANTED(WatchFromNow), "a watch is resumed from now instead of from the version last seen", run_reflector, 1},
    {PLANTED(ExpiredNotRelisted), "a watch whose version is too old is tried again, and nothing is listed", run_reflector, 1},
    {PLANTED(RelistFromAnyVersion), "a relist takes any version, also one older than what was seen", run_failovers, 1},
    {PLANTED(RetryAfterIgnored), "a list or watch that was answered 429 does not wait for as long as it was told", run_failovers, 3},
    {PLANTED(TooLargeVersionKept), "a version that the server does not have is asked for for ever", run_reflector, 6},
    {PLANTED(ListPageLost), "of a list in pages only the first is read", run_reflector, 4},
    {PLANTED(AnyBookmarkSyncs), "any bookmark is taken for the end of the initial events", run_reflector, 3},
    {PLANTED(ErrorEventIgnored), "an ERROR event of a watch is ignored", run_reflector, 1},
    {PLANTED(DeletedEventLost), "a DELETED event is ignored", run_reflector, 1},
    {PLANTED(FirstEventLost), "the first event of a watch that was opened again is dropped", run_reflector, 1},
    {PLANTED(SilentWatchKept), "a watch that says nothing any more is kept", run_reflector, 5},
    {PLANTED(PartialListTaken), "a list that broke off after a page is taken for the whole", run_reflector, 4},
    {PLANTED(ReplacementNotCleared), "what a list brought that was abandoned is mixed into the next", run_reflector, 4},
    {PLANTED(TombstoneIgnored), "what is missing in a relist is not told as deleted", run_reflector, 1},
    {PLANTED(UidChangeTakenForUpdate), "another object under the same name is told as a change", run_reflector, 1},
    {PLANTED(RelistChangesUntold), "what a relist shows as changed is not told", run_reflector, 1},
    {PLANTED(HealthUntold), "a watch that came back and broke again within one step is not told", run_failovers, 1},
    {PLANTED(WritesRepeated), "a write is sent again that may have happened", run_plane, 2},
    {PLANTED(UnknownOutcomeDenied), "a write whose answer was lost is said not to have happened", run_plane, 2},
    {PLANTED(TokenNotReread), "a token's file is read once", run_plane, 37},
    {PLANTED(DeadConnectionKept), "a connection that answers no PING is kept", run_plane, 1},
    {PLANTED(IdleConnectionsKept), "connections that nobody uses stay open", run_plane, 1},
    {PLANTED(RequeueLost), "what is added while its key is in flight is forgotten", run_plane, 3},
    {PLANTED(FailuresKept), "a success does not reset a key's backoff", run_plane, 1},
    {PLANTED(WakeupLost), "nobody looks when a delay is over", run_plane, 7},
    {PLANTED(LaneStaysBlocked), "a delegate that has room again is not noticed", run_plane, 1},
    {PLANTED(CapLeaked), "a cluster's share of what may be in flight is not given back", run_plane, 9},
    {PLANTED(TransientForgotten), "a key that failed is not tried again", run_plane, 3},
    {PLANTED(ConflictForgotten), "a key that met a conflict is not tried again", run_plane, 8},
    {PLANTED(LostAttemptForgotten), "a key whose delegate was lost is not tried again", run_plane, 3},
    {PLANTED(RequeueAfterForgotten), "a delegate that wants to come back later is not asked", run_plane, 15},
    {PLANTED(FenceMissing), "a key is free while a write of its last attempt is still under way", run_plane, 22},
    {PLANTED(CancelledCallServed), "a call of a cancelled reconcile is served", run_plane, 3},
    {PLANTED(FinishedCallServed), "a call of a reconcile that has ended is served for another one", run_plane, 1},
    {PLANTED(CreditLeaked), "of a delegate's credit some does not come back", run_plane, 5},
    {PLANTED(KeySentTwice), "a key is sent twice at once", run_plane, 1},
    {PLANTED(UnansweredCancelFreesKey), "a key whose reconcile was cancelled is free before the delegate has let go of it", run_plane, 1},
    {PLANTED(RevisionIgnored), "what a delegate of an older revision decided stands", run_restarts, 3},
    {PLANTED(BreakerStaysOpen), "a delegate that failed once is never tried again", run_plane, 3},
    {PLANTED(ConfigUnsent), "a changed config is not sent to streams that had an older one", run_plane, 4},
    {PLANTED(RefusedForwarded), "a call that the rules forbid is forwarded", run_plane, 1},
    {PLANTED(OverlayEndedEarly), "own writes are not seen before the watch shows them", run_plane, 1},
    {PLANTED(OverlayKept), "own writes hide what others wrote since", run_plane, 1},
    {PLANTED(OvertakenUntold), "a change that the watch showed while a read was under way is taken for seen", run_races, 18},
    {PLANTED(VanishedUntold), "what was written and deleted between two watches is not missed", run_races, 20},
    {PLANTED(EventDuringRestoreLost), "changes are dropped while the state file is read", run_restarts, 9},
    {PLANTED(UnmatchedIgnored), "a primary that leaves `match` is not reconciled", run_races, 2},
    {PLANTED(OwnedChangeIgnored), "a change of an owned object does not start a reconcile", run_plane, 4},
    {PLANTED(ReferenceIgnored), "a change of what a reconcile read does not start another", run_plane, 4},
    {PLANTED(AbsenceForgotten), "what a reconcile did not find does not start another when it appears", run_plane, 8},
    {PLANTED(RunningReadsIgnored), "a change of what a reconcile read while it runs is missed", run_races, 6},
    {PLANTED(ConfigChangeIgnored), "a changed config is not noticed", run_plane, 3},
    {PLANTED(StaleMarkMissing), "an attempt that is under way when the plane dies is taken for ended after the restart", run_restarts, 29},
    {PLANTED(PrimaryNotCompared), "a key is skipped after a restart though its primary changed", run_restarts, 22},
    {PLANTED(ChildrenNotCompared), "a key is skipped after a restart though a child changed", run_restarts, 14},
    {PLANTED(ReadsNotCompared), "a key is skipped after a restart though what it read changed", run_restarts, 2},
    {PLANTED(ConfigNotCompared), "a key is skipped after a restart though the Controller or a config changed", run_restarts, 12},
    {PLANTED(FailedSavedAsSettled), "a failed attempt counts as a success after a restart", run_restarts, 1},
    {PLANTED(RequeueLostAtRestart), "what a delegate wanted to come back for is forgotten by a restart", run_restarts, 5},
    {PLANTED(RevisionNotAsked), "a delegate that was upgraded while the plane was down is not noticed", run_restarts, 3},
    {PLANTED(LeaseTakenEarly), "a lease is taken that another plane holds", run_plane, 8},
    {PLANTED(LeaseKeptTooLong), "a plane works on though it could not renew its lease", run_plane, 16},
    {PLANTED(ForeignTermTrusted), "a state file counts though another plane has led since", run_restarts, 7},
    {PLANTED(ReviewCreditLeaked), "the credit of reviews that nobody answered does not come back", run_reviews, 2},
    {PLANTED(ReviewAnswersMixed), "an answer is taken for another review", run_reviews, 1},
    {PLANTED(ReviewDeadlineIgnored), "a review waits beyond its deadline", run_reviews, 1},
};

}  // namespace

std::span<const PlantedBug> planted_bugs() { return kBugs; }

}  // namespace gs::sim
