package lb

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
)

// maxSuffixes bounds how many separators of an id are tried.
const maxSuffixes = 8

// splitID takes the route (".route") or clone ids (":c1:c2") off a session id and gives the instances of the cluster that they
// name, in order. A suffix counts only when it is the route of an instance, or the name of one, present or past; otherwise it is part of the
// id. So the id keeps its key when the application marks it with another instance after a fail-over; when routes change, lookupOther helps.
func (c *cluster) splitID(view View, id string) (bare string, named []*instance) {
	tried := 0
	for i := 1; i < len(id) && tried < maxSuffixes; i++ {
		if id[i] != '.' && id[i] != ':' {
			continue
		}
		tried++
		if named, ok := c.routes(view, id[i+1:]); ok {
			return id[:i], named
		}
		if id[i] != ':' {
			continue
		}
		if named, ok := c.clones(view, id[i+1:]); ok {
			return id[:i], named
		}
	}
	return id, nil
}

// routes reports whether a suffix names an instance; the list is empty for one that has been removed.
func (c *cluster) routes(view View, suffix string) ([]*instance, bool) {
	if suffix == "" {
		return nil, false
	}
	if in, ok := c.byRoute[suffix]; ok {
		return []*instance{in}, true
	}
	_, ok := view.InstanceID(c.name, suffix)
	return nil, ok
}

// clones reads "c1:c2": each must name an instance.
func (c *cluster) clones(view View, suffix string) (named []*instance, ok bool) {
	if strings.IndexByte(suffix, ':') < 0 || strings.Count(suffix, ":") > maxSuffixes {
		return nil, false
	}
	for clone := range strings.SplitSeq(suffix, ":") {
		one, ok := c.routes(view, clone)
		if !ok {
			return nil, false
		}
		named = append(named, one...)
	}
	return named, true
}

// SessionKey gives the key of a session id as the client or the application writes it, suffix included.
func (b *Balancer) SessionKey(cluster, host, contextRoot, id string) (fsm.Key, error) {
	keys, err := b.keys()
	if err != nil {
		return fsm.Key{}, fmt.Errorf("session key: %w", err)
	}
	c, ok := b.routing.Load().clusters[cluster]
	if !ok {
		return fsm.Key{}, fmt.Errorf("session key: no cluster %q", cluster)
	}
	bare, _ := c.splitID(b.view, id)
	return keys.sessionKey(scopeOf(cluster, host, contextRoot), bare), nil
}
