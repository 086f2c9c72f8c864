// Package mutant switches known bugs on, one by one, so that the tests can show that they would be caught.
//
// A normal build has none: Built is the constant false, On is a constant false that the compiler removes together with
// the code behind it. Only a binary built with `-tags mutants` carries the bugs, and even there each one sleeps until
// the environment variable HOLDFAST_MUTANT (a comma-separated list) names it. A release is never built with the tag, and
// a binary built with it says so at start.
//
// Both functions may be called at any time from any goroutine. The package imports nothing of ours, so every floor may
// use it. A new mutant is one line in the list below and one `if mutant.On(...)` at the place of the bug.
package mutant

// The known bugs.
const (
	// AckBeforeCommit answers a new session before a majority has its assignment (raftnode).
	AckBeforeCommit = "ack-before-commit"
	// BarrierSkipped lets a new leader serve before everything of earlier terms is applied (raftnode).
	BarrierSkipped = "barrier-skipped"
	// BatchDropped takes a batch for recorded when its leader is lost, instead of sending it again (raftnode).
	BatchDropped = "batch-dropped"
	// ClockLocal writes the leader's own clock into entries instead of the group's time (raftnode).
	ClockLocal = "clock-local"
	// CookieUnauthenticated believes an insert cookie whose authentication failed (lb).
	CookieUnauthenticated = "cookie-unauthenticated"
	// CookieOldEpoch believes what a cookie of an older epoch says of its session's instance, whatever the table says (lb).
	CookieOldEpoch = "cookie-old-epoch"
	// FailoverAcrossClusters fails a session over to an instance of any cluster (lb).
	FailoverAcrossClusters = "failover-across-clusters"
	// LoseOpFollower has one follower lose a session when it applies the log, once; LoseOpLeader has the leader do so (raftnode).
	LoseOpFollower = "lose-op-follower"
	LoseOpLeader   = "lose-op-leader"
	// ForwardedTwice sends a request that must not be repeated once more after it was answered (lb).
	ForwardedTwice = "forwarded-twice"
	// MapIterated goes through what a change of the configuration does in the order of a map, another one on each node (fsm).
	MapIterated = "map-iterated"
	// OwnFaultBlamed takes an instance for failed when this node itself is out of descriptors (lb).
	OwnFaultBlamed = "own-fault-blamed"
	// PostRepeated sends a POST again after it may have reached an instance (lb).
	PostRepeated = "post-repeated"
	// PromoteSameEpoch begins a group again from a standby without raising its epoch (fsm).
	PromoteSameEpoch = "promote-same-epoch"
	// QuiesceIgnored gives new sessions to instances that quiesce (lb).
	QuiesceIgnored = "quiesce-ignored"
	// QuiesceRestarted begins running quiesces anew with any change of the configuration (fsm).
	QuiesceRestarted = "quiesce-restarted"
	// SnapshotTorn leaves the last change of one shard of the table out of each snapshot (fsm).
	SnapshotTorn = "snapshot-torn"
	// StrayGuessed sends a session that a node without a quorum has never heard of to any instance (lb).
	StrayGuessed = "stray-guessed"
	// LeaseUnconfirmed holds the virtual address without asking whether others still follow this node (raftnode).
	LeaseUnconfirmed = "lease-unconfirmed"
)

// Names lists the known bugs in a fixed order.
func Names() []string {
	return []string{AckBeforeCommit, BarrierSkipped, BatchDropped, ClockLocal, CookieOldEpoch, CookieUnauthenticated, FailoverAcrossClusters, ForwardedTwice, LeaseUnconfirmed, LoseOpFollower,
		LoseOpLeader, MapIterated, OwnFaultBlamed, PostRepeated, PromoteSameEpoch, QuiesceIgnored, QuiesceRestarted, SnapshotTorn, StrayGuessed}
}
