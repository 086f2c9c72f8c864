package raftnode

import (
	"errors"
	"fmt"
	"time"
)

// TimingSums is why no two nodes hold what Node.Lease is for at once, in the intervals of one profile.
//
// Every follower that vouches for its leader says when it last heard of it. Let that be C. The leader holds until C + Lease at most, and it has let go
// by C + Lease + Drop. The follower votes for nobody else before C + Takeover, by its own clock. RoundTrip is the reserve between the two, for clocks
// that do not run equally fast and for timers that fire late; the way of the question itself costs nothing of it, since the leader counts from the
// moment before it asked. So with
//
//	Lease + RoundTrip + Drop <= Takeover
//
// the old holder has let go before the followers that vouched for it can elect another one, and without one of them there is no majority:
//
//	fast   60 ms +   4 ms +  16 ms <=   80 ms
//	lan   320 ms +  20 ms +  60 ms <=  400 ms
//	wan   750 ms + 100 ms + 150 ms <= 1000 ms
//
// Nodes may run different profiles, as while it is being changed. So a follower says its Takeover with its word, and by that word the leader holds until
// C + min(Lease, Takeover - RoundTrip - Drop), with its own Lease, RoundTrip and Drop: not at all when that is too short to be renewed (timing.leaseBy).
//
// What the sum cannot bound: a machine whose clocks stand still while others go on (a virtual machine that is paused), or a process that is stopped
// right between its look at the deadline and what it does to keep it. For these there is the kernel's own lifetime of an address.
type TimingSums struct {
	Profile   string
	Lease     time.Duration // from the last contact that a follower has vouched for
	RoundTrip time.Duration // reserve
	Drop      time.Duration // to let go when the lease is over
	Takeover  time.Duration // from the same contact to the first vote for another node
	Renew     time.Duration // between two questions
}

// TimingSum gives the sums of a profile: lan, wan or fast; "" is lan. An unknown profile is an error.
func TimingSum(profile string) (TimingSums, error) {
	t, err := timingByName(profile)
	if err != nil {
		return TimingSums{}, err
	}
	s := t.sum()
	if s.Profile = profile; profile == "" {
		s.Profile = "lan"
	}
	return s, nil
}

// String is the sum as documents and the log show it.
func (s TimingSums) String() string {
	return fmt.Sprintf("lease %v + round trip %v + drop %v = %v <= takeover %v", s.Lease, s.RoundTrip, s.Drop, s.Lease+s.RoundTrip+s.Drop, s.Takeover)
}

// check refuses intervals with which two nodes could hold at once, or a leader could not keep its lease.
func (s TimingSums) check() error {
	if s.Lease <= 0 || s.RoundTrip <= 0 || s.Drop <= 0 || s.Renew <= 0 {
		return errors.New("BUG: a part of the lease's sum is not above zero")
	}
	if s.Lease+s.RoundTrip+s.Drop > s.Takeover {
		return fmt.Errorf("BUG: two nodes could hold at once: not %v", s)
	}
	// A follower hears of its leader every fifth of its time-out at the latest (raft, heartbeat); two questions may be lost.
	if s.Takeover/5+3*s.Renew >= s.Lease {
		return fmt.Errorf("BUG: a lease of %v is too short to be renewed every %v", s.Lease, s.Renew)
	}
	return nil
}

func (t timing) sum() TimingSums {
	return TimingSums{Lease: t.lease, RoundTrip: t.roundTrip, Drop: t.drop, Takeover: t.heartbeat, Renew: t.renew}
}

// LeaseTiming tells how often Lease should be called to keep it, and how long it lasts from the last contact of a majority.
func (n *Node) LeaseTiming() (renewEvery, length time.Duration) {
	return n.timing.renew, n.timing.lease
}
