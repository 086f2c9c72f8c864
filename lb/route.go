package lb

import (
	"slices"
	"sync/atomic"
)

// routing is everything a request needs of one configuration revision: one immutable value behind one pointer.
type routing struct {
	revision uint64
	// exact has the sites of modules with a host, by that host; anyHost those of modules without. Longest context root first.
	exact    map[string][]*site
	anyHost  []*site
	clusters map[string]*cluster
}

// site is one (host, context root): the same module may be served by several clusters.
type site struct {
	host, root string
	modules    []*module
	turn       *atomic.Uint32 // alternates unassigned requests between the clusters; survives every change
}

// module is a web application of one cluster.
type module struct {
	cluster  *cluster
	host     string
	root     string
	enabled  bool
	retries  int // -1: all other instances
	scope    []byte
	affinity affinity
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
// is available. nil means that there is none.
func (s *site) choose() *module {
	first := 0
	if len(s.modules) > 1 {
		first = int(s.turn.Add(1)-1) % len(s.modules)
	}
	for i := range s.modules {
		m := s.modules[(first+i)%len(s.modules)]
		if m.enabled && m.cluster.state.available() {
			return m
		}
	}
	return nil
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

// sort brings the longest context roots to the front. It is the last step of making a routing.
func (rt *routing) sort() {
	longestFirst := func(a, b *site) int { return len(b.root) - len(a.root) }
	slices.SortStableFunc(rt.anyHost, longestFirst)
	for _, sites := range rt.exact {
		slices.SortStableFunc(sites, longestFirst)
	}
}
