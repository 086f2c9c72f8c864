package lb

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// The ranks of instances: unassigned requests go to a rank only while none of those before it can take them.
const (
	rankFirst     = iota
	rankSuspect   // some node finds them unavailable
	rankBackup    // backup: true
	rankQuiescing // when all that are available quiesce, and onAllQuiescing is serve
)

// openSet is who takes unassigned requests right now. It is made anew when a verdict or the configuration changes.
type openSet struct {
	cluster *cluster
	tiers   []tier // by rank, near ones before far ones of the same rank
	// spare has the enabled and available instances of weight 0: they take a session over when nobody else can.
	spare []*instance
	// bounded: some instance has a limit of sessions or connections.
	bounded bool
	// byVerdict: the group has found some instance suspect or failed, so that the set depends on whether there is a quorum.
	byVerdict, quorum bool
	// thin: some instance takes only a portion of its share.
	thin      bool
	slowStart time.Duration
}

// tier is a number of instances that the policy chooses from.
type tier struct {
	rank   int
	list   []*instance
	policy policy
}

// newOpenSet ranks the instances of c by what is known of them now.
func newOpenSet(c *cluster, quorum bool, now time.Time) *openSet {
	set := &openSet{cluster: c, quorum: quorum, slowStart: c.slowStart}
	var near, far [rankQuiescing + 1][]*instance
	serving := false
	for _, in := range c.instances {
		set.byVerdict = set.byVerdict || in.verdict != ""
		set.bounded = set.bounded || in.maxSessions > 0 || in.bounded
		takes := in.serving(quorum)
		in.state.warm.follow(takes, now)
		serving = serving || takes
		switch {
		case takes && (in.weight == 0 || in.state.agentDrains()):
			set.spare = append(set.spare, in)
		case takes:
			set.thin = set.thin || in.portion(now, c.slowStart) < 1
			rank := in.rank(quorum)
			if in.near || !c.locality {
				near[rank] = append(near[rank], in)
			} else {
				far[rank] = append(far[rank], in)
			}
		case c.serveQuiescing && in.phase == fsm.PhaseQuiescing && in.weight > 0 && !in.state.agentDrains() && in.available(quorum):
			near[rankQuiescing] = append(near[rankQuiescing], in)
		}
	}
	if serving {
		near[rankQuiescing] = nil
	}
	for rank := range near {
		for _, list := range [][]*instance{near[rank], far[rank]} {
			if len(list) > 0 {
				set.tiers = append(set.tiers, tier{rank, list, newPolicy(c.policy, list, c.state.view)})
			}
		}
	}
	return set
}

// portion is what the instance takes of the share that its weight and the policy give it, above 0 and at most 1: less during a slow start, and what its
// agent leaves it.
func (in *instance) portion(now time.Time, slowStart time.Duration) float64 {
	return in.state.warm.share(now, slowStart) * in.state.agentShare()
}

// largestPortion is that of an instance of the tier: when all take only a part none has to yield to another. 0 means that all take everything.
func (t *tier) largestPortion(set *openSet, now time.Time) float64 {
	if !set.thin {
		return 0
	}
	most := 0.0
	for _, in := range t.list {
		most = max(most, in.portion(now, set.slowStart))
	}
	return most
}

// available reports whether requests can be handed to the instance: some listener of it can be reached from here, and the group has not found it failed,
// which counts while there is a quorum.
func (in *instance) available(quorum bool) bool {
	return in.id != 0 && in.state.up() && !(quorum && in.verdict == fsm.HealthFailed)
}

// serving reports whether the instance may get new sessions: it is enabled and available.
func (in *instance) serving(quorum bool) bool {
	return (in.phase == fsm.PhaseServing || mutant.On(mutant.QuiesceIgnored) && in.phase == fsm.PhaseQuiescing) && in.available(quorum)
}

func (in *instance) rank(quorum bool) int {
	switch {
	case in.backup:
		return rankBackup
	case quorum && in.verdict == fsm.HealthSuspect:
		return rankSuspect
	}
	return rankFirst
}
