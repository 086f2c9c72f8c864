package lb

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// cluster is one cluster as one configuration revision sees it. It is immutable.
type cluster struct {
	name        string
	policy      string
	idle        time.Duration
	provisional bool // what becomes of new sessions without a quorum: served (true) or refused
	health      healthSettings
	instances   []*instance
	byID        map[fsm.InstanceID]*instance
	byRoute     map[string]*instance
	state       *clusterState
}

// clusterState is the long-lived part of a cluster, found again by name.
type clusterState struct {
	name string
	turn atomic.Uint64 // position of the policy; survives every change
	open atomic.Pointer[openSet]

	mu      sync.Mutex // held while the open set is made anew
	current *cluster

	instances map[string]*instanceState // guarded by Balancer.mu
}

// openSet is who takes unassigned requests right now. It is made anew when a verdict or the configuration changes.
type openSet struct {
	list   []*instance
	policy policy // nil when the list is empty
	// spare has the enabled and available instances of weight 0: they take a session over when nobody else can.
	spare []*instance
}

// use makes c the revision that the open set is made from.
func (s *clusterState) use(c *cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.current = c
	s.refreshLocked()
}

// refresh makes the open set anew after a verdict has changed.
func (s *clusterState) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refreshLocked()
}

func (s *clusterState) refreshLocked() {
	if s.current == nil {
		return
	}
	set := &openSet{}
	for _, in := range s.current.instances {
		switch {
		case !in.enabled || in.id == 0 || !in.state.up():
		case in.weight == 0:
			set.spare = append(set.spare, in)
		default:
			set.list = append(set.list, in)
		}
	}
	if len(set.list) > 0 {
		set.policy = newPolicy(s.current.policy, set.list)
	}
	s.open.Store(set)
}

// available reports whether an unassigned request can be taken.
func (s *clusterState) available() bool { return len(s.open.Load().list) > 0 }

// pick chooses an instance for an unassigned request that is none of tried; nil when there is none.
func (s *clusterState) pick(tried []*instanceState) *instance {
	set := s.open.Load()
	for range set.list {
		if in := set.policy.pick(s.turn.Add(1) - 1); !slices.Contains(tried, in.state) {
			return in
		}
	}
	return firstUntried(set.list, tried)
}

// pickOther chooses who takes a session over: like pick, with the instances of weight 0 as the last resort.
func (s *clusterState) pickOther(tried []*instanceState) *instance {
	if in := s.pick(tried); in != nil {
		return in
	}
	return firstUntried(s.open.Load().spare, tried)
}

func firstUntried(list []*instance, tried []*instanceState) *instance {
	for _, in := range list {
		if !slices.Contains(tried, in.state) {
			return in
		}
	}
	return nil
}
