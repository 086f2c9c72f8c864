package lb

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// cluster is one cluster as one Operating sees it. It is immutable.
type cluster struct {
	name           string
	policy         string
	idle           time.Duration
	provisional    bool // what becomes of new sessions without a quorum: served (true) or refused
	slowStart      time.Duration
	locality       bool          // near instances come first
	hard           time.Duration // hardTimeout of instances that have none of their own; 0: none
	serveQuiescing bool          // unassigned requests are served when all instances quiesce
	failBack       bool          // sessions leave backup instances as soon as others are available
	sameVersion    bool          // sessions fail over to instances of their version only
	stopped        bool          // every instance has been stopped, or there is none
	health         healthSettings
	affinity       affinity
	instances      []*instance
	byID           map[fsm.InstanceID]*instance
	byName         map[string]*instance
	byRoute        map[string]*instance
	state          *clusterState
	stream         *module // that stands for the whole of it; nil where no listener leads

	responseTimeout time.Duration // 0: no bound
	bodyBuffer      int64         // bytes
	sendProxy       int           // version of the PROXY protocol; 0: none
	h2              bool          // its instances are spoken to in HTTP/2
}

// clusterState is the long-lived part of a cluster, found again by name.
type clusterState struct {
	name   string
	view   View
	quorum func() bool   // nil: there is one
	turn   atomic.Uint64 // position of the policy; survives every change
	open   atomic.Pointer[openSet]

	presents atomic.Pointer[string] // which certificates its instances present, see compareCertificates

	mu       sync.Mutex // held while the open set is made anew
	current  *cluster
	versions map[fsm.InstanceID]string // of all instances that this node has seen configured

	instances map[string]*instanceState // guarded by Balancer.mu
	whole     moduleState               // that of the module which stands for the whole of it, see builder.addStreams
}

// use makes c the revision that the open set is made from.
func (s *clusterState) use(c *cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = c
	if s.versions == nil {
		s.versions = map[fsm.InstanceID]string{}
	}
	for _, in := range c.instances {
		s.versions[in.id] = in.version
	}
	s.refreshLocked()
}

// refresh makes the open set anew after a verdict has changed.
func (s *clusterState) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshLocked()
}

func (s *clusterState) refreshLocked() {
	if s.current != nil {
		s.open.Store(newOpenSet(s.current, s.hasQuorum(), time.Now()))
	}
}

func (s *clusterState) hasQuorum() bool { return s.quorum == nil || s.quorum() }

// set gives who takes unassigned requests now. Where the group's verdicts matter it depends on the quorum: without one they may be stale.
func (s *clusterState) set() *openSet {
	set := s.open.Load()
	if set.byVerdict && set.quorum != s.hasQuorum() {
		s.refresh()
		set = s.open.Load()
	}
	return set
}

// version gives that of an instance, also of one that has been removed since this node runs.
func (s *clusterState) version(id fsm.InstanceID) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.versions[id]
	return v, ok
}

// available reports whether an unassigned request can be taken, quiescing instances left aside.
func (s *clusterState) available() bool {
	return s.takes(func(rank int) bool { return rank < rankQuiescing })
}

// availableAtLast does so for the quiescing ones alone, which take them when nobody else can and the configuration says so.
func (s *clusterState) availableAtLast() bool {
	return s.takes(func(rank int) bool { return rank == rankQuiescing })
}

func (s *clusterState) takes(fits func(rank int) bool) bool {
	set := s.set()
	for i := range set.tiers {
		t := &set.tiers[i]
		if fits(t.rank) && (!set.bounded || slices.ContainsFunc(t.list, s.hasRoom)) {
			return true
		}
	}
	return false
}

// hasRoom reports whether the instance may get another session, as far as this node knows; the record decides.
func (s *clusterState) hasRoom(in *instance) bool {
	return in.maxSessions == 0 || s.view.Sessions(in.id) < in.maxSessions
}

// pick chooses an instance for an unassigned request that is none of tried; nil when there is none.
func (s *clusterState) pick(tried []*instanceState) *instance {
	return s.pickUpTo(rankQuiescing, tried, nil)
}

// pickPrimary does so among those that are neither backup nor suspect.
func (s *clusterState) pickPrimary(tried []*instanceState) *instance {
	return s.pickUpTo(rankFirst, tried, nil)
}

// pickAway does as pick, and prefers instances that are on none of the hosts.
func (s *clusterState) pickAway(tried []*instanceState, hosts []string) *instance {
	return s.pickUpTo(rankQuiescing, tried, hosts)
}

func (s *clusterState) pickUpTo(rank int, tried []*instanceState, hosts []string) *instance {
	set := s.set()
	for i := 0; i < len(set.tiers) && set.tiers[i].rank <= rank; {
		end := i + 1
		for end < len(set.tiers) && set.tiers[end].rank == set.tiers[i].rank {
			end++
		}
		if in := s.pickAmong(set, set.tiers[i:end], tried, hosts); in != nil {
			return in
		}
		i = end
	}
	return nil
}

// pickAmong chooses from tiers of one rank: from the first that has an instance with a free connection, or else from the first at all.
func (s *clusterState) pickAmong(set *openSet, tiers []tier, tried []*instanceState, hosts []string) *instance {
	if !set.bounded {
		for i := range tiers {
			if in := s.pickFrom(set, &tiers[i], tried, hosts); in != nil {
				return in
			}
		}
		return nil
	}
	var full, busy []*instanceState
	full = append(full, tried...)
	for i := range tiers {
		for _, in := range tiers[i].list {
			switch {
			case !s.hasRoom(in):
				full = append(full, in.state)
			case !in.state.free():
				busy = append(busy, in.state)
			}
		}
	}
	for _, skip := range [][]*instanceState{slices.Concat(full, busy), full} {
		for i := range tiers {
			if in := s.pickFrom(set, &tiers[i], skip, hosts); in != nil {
				noteYield(tiers[:i], full, skip)
				return in
			}
		}
	}
	return nil
}

// noteYield counts a request for the instances of better tiers that it passed by only because they are busy: nothing waits there, so this is how the leader
// hears that the node needs a larger share of them. full are those that could not take it anyway.
func noteYield(better []tier, full, passed []*instanceState) {
	for i := range better {
		for _, in := range better[i].list {
			if skipped(in, passed) && !skipped(in, full) {
				in.state.yielded.Add(1)
			}
		}
	}
}

// pickFrom asks the policy until it names one that is not skipped and takes the request: one that has only a portion of its share lets some pass.
func (s *clusterState) pickFrom(set *openSet, t *tier, skip []*instanceState, hosts []string) *instance {
	if away := besides(t.list, skip, hosts); away != nil {
		skip = away
	}
	const thinTries = 64 // enough for the smallest of portions
	if !slices.ContainsFunc(t.list, func(in *instance) bool { return !skipped(in, skip) }) {
		return nil // and no turn is used up: a pattern of those would favour someone
	}
	now, most, tries := time.Time{}, 0.0, len(t.list)
	if set.thin {
		now, tries = time.Now(), tries+thinTries
		most = t.largestPortion(set, now)
	}
	var passed *instance
	for range tries {
		in := t.policy.pick(s.turn.Add(1)-1, skip)
		switch {
		case in == nil:
			return passed
		case skipped(in, skip):
			continue
		case most == 0 || in.state.warm.admit(in.portion(now, set.slowStart)/most):
			return in
		}
		if passed == nil {
			passed = in
		}
		if comparesLoads(t.policy) {
			skip = append(slices.Clip(skip), in.state)
		}
	}
	if passed != nil {
		return passed
	}
	return firstUntried(t.list, s.turn.Add(1)-1, skip)
}

// takeover says who may take a session over.
type takeover struct {
	tried []*instanceState
	// preferred is the name of the instance that its old one names as failoverTo.
	preferred string
	// version binds the choice, if sameVersion is set.
	version     string
	sameVersion bool
	// away are the hosts of instances that have failed; others are preferred.
	away []string
}

// pickOther chooses who takes a session over: the preferred instance, else as pick, with the instances of weight 0 as the last resort.
func (s *clusterState) pickOther(t takeover) *instance {
	set := s.set()
	skip := t.tried
	if t.sameVersion {
		for _, in := range set.cluster.instances {
			if in.version != t.version {
				skip = append(slices.Clip(skip), in.state)
			}
		}
	}
	if in := set.cluster.byName[t.preferred]; in != nil && in.serving(set.quorum) && !skipped(in, skip) && s.hasRoom(in) {
		return in
	}
	if in := s.pickAway(skip, t.away); in != nil {
		return in
	}
	spare := set.spare
	if set.bounded {
		spare = slices.DeleteFunc(slices.Clone(spare), func(in *instance) bool { return !s.hasRoom(in) })
	}
	if away := besides(spare, skip, t.away); away != nil {
		skip = away
	}
	return firstUntried(spare, s.turn.Load(), skip)
}

// firstUntried goes through the list from another instance each turn.
func firstUntried(list []*instance, turn uint64, tried []*instanceState) *instance {
	for i := range list {
		if in := list[(turn+uint64(i))%uint64(len(list))]; !skipped(in, tried) {
			return in
		}
	}
	return nil
}
