package lb

import (
	"slices"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// routing is everything a request needs of what is in force: one immutable value behind one pointer.
type routing struct {
	revision uint64
	index    uint64 // Operating.Index
	// exact has the sites of modules with a host, by that host; anyHost those of modules without. Longest context root first.
	exact    map[string][]*site
	anyHost  []*site
	clusters map[string]*cluster
	streams  map[string]*site // by the cluster that listeners lead to
}

// site is one (host, context root): the same module may be served by several clusters.
type site struct {
	host, root string
	modules    []*module
	// primaries take unassigned requests in turn; spares, in order, when none of them can: their clusters are the backups of others.
	primaries, spares []*module
	turn              *atomic.Uint32      // alternates unassigned requests between the clusters; survives every change
	limits            config.ModuleLimits // of its modules together
	bounds            *bounds             // nil: none
}

// match finds the site of a request. The longest context root wins; of two equal ones that with a host.
func (rt *routing) match(host, path string) *site {
	var best *site
	if len(rt.exact) > 0 {
		best = longest(rt.exact[normalHost(host)], path)
	}
	if other := longest(rt.anyHost, path); best == nil || other != nil && len(other.root) > len(best.root) {
		best = other
	}
	return best
}

func longest(sites []*site, path string) *site {
	for _, s := range sites {
		if under(s.root, path) {
			return s
		}
	}
	return nil
}

// choose gives the module that takes an unassigned request: in turn among the clusters in which it is enabled and an instance
// is available, or else in the first backup cluster of which that is true, or else where quiescing instances serve at last. nil means that
// there is none.
func (s *site) choose() *module {
	first := 0
	if len(s.primaries) > 1 {
		first = int(s.turn.Add(1)-1) % len(s.primaries)
	}
	if m := firstOf(s.primaries, first, (*clusterState).available); m != nil {
		return m
	}
	if m := firstOf(s.spares, 0, (*clusterState).available); m != nil {
		return m
	}
	return firstOf(s.primaries, first, (*clusterState).availableAtLast)
}

func firstOf(list []*module, first int, fits func(*clusterState) bool) *module {
	for i := range list {
		m := list[(first+i)%len(list)]
		if m.phase == fsm.PhaseServing && fits(m.cluster.state) {
			return m
		}
	}
	return nil
}

// refusal is the answer to an unassigned request that no cluster takes.
func (s *site) refusal() error {
	err := errNoModule
	for _, m := range s.modules {
		switch {
		case !m.off():
			return errUnavailable
		case !m.hidden || m.phase == fsm.PhaseServing:
			err = errMaintenance
		}
	}
	return err
}

// rankClusters tells primaries and spares apart: a cluster is a spare when another one of the site names it as its backup, unless the two name each other.
// When that leaves no primary, all are.
func (s *site) rankClusters() {
	names := func(m *module, other string) bool { return slices.Contains(m.backup, other) }
	for _, m := range s.modules {
		spare := slices.ContainsFunc(s.modules, func(o *module) bool {
			return o != m && names(o, m.cluster.name) && !names(m, o.cluster.name)
		})
		if !spare {
			s.primaries = append(s.primaries, m)
		}
	}
	if len(s.primaries) == 0 {
		s.primaries = s.modules
		return
	}
	reached := slices.Clone(s.primaries)
	for i := 0; i < len(reached); i++ { // grows: backups may have backups
		for _, name := range reached[i].backup {
			for _, m := range s.modules {
				if m.cluster.name == name && !slices.Contains(reached, m) {
					reached = append(reached, m)
					s.spares = append(s.spares, m)
				}
			}
		}
	}
}

// find gives the module with that exact scope; names as an operator writes them.
func (rt *routing) find(cluster, host, root string) *module {
	s := rt.site(normalHost(host), normalRoot(root))
	if s == nil {
		return nil
	}
	for _, m := range s.modules {
		if m.cluster.name == cluster {
			return m
		}
	}
	return nil
}

// site gives the site of exactly that host and root, nil for none; both normal.
func (rt *routing) site(host, root string) *site {
	sites := rt.anyHost
	if host != "" {
		sites = rt.exact[host]
	}
	for _, s := range sites {
		if s.root == root {
			return s
		}
	}
	return nil
}

func (rt *routing) add(s *site) {
	if s.host == "" {
		rt.anyHost = append(rt.anyHost, s)
		return
	}
	rt.exact[s.host] = append(rt.exact[s.host], s)
}

// sort brings the longest context roots to the front and ranks the clusters of each site. It is the last step of making a routing.
func (rt *routing) sort() {
	longestFirst := func(a, b *site) int { return len(b.root) - len(a.root) }
	slices.SortStableFunc(rt.anyHost, longestFirst)
	for _, sites := range rt.exact {
		slices.SortStableFunc(sites, longestFirst)
	}
	for _, sites := range rt.exact {
		for _, s := range sites {
			s.rankClusters()
		}
	}
	for _, s := range rt.anyHost {
		s.rankClusters()
	}
}
