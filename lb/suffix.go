package lb

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
)

// maxSuffixes bounds how many separators of an id are tried.
const maxSuffixes = 8

// isSeparator tells what may stand between an id and a route: "." of Tomcat, ":" of Sun and WebSphere, "+" of WebSphere with CloneSeparatorChange.
func isSeparator(c byte) bool { return c == '.' || c == ':' || c == '+' }

// splitID takes the route (".route") or clone ids (":c1:c2", "+c1+c2") off a session id and gives the instances of the cluster that they
// name, in order. A suffix counts only when it is the route of an instance, or the name of one, present or past; otherwise it is part of the
// id. So the id keeps its key when the application marks it with another instance after a fail-over; when routes change, lookupOther helps.
func (c *cluster) splitID(view View, id string) (bare string, named []*instance) {
	tried := 0
	for i := 1; i < len(id) && tried < maxSuffixes; i++ {
		if !isSeparator(id[i]) {
			continue
		}
		tried++
		if named, ok := c.routes(view, id[i+1:]); ok {
			return id[:i], named
		}
		if id[i] == '.' {
			continue
		}
		if named, ok := c.clones(view, id[i+1:], id[i:i+1]); ok {
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
func (c *cluster) clones(view View, suffix, separator string) (named []*instance, ok bool) {
	if n := strings.Count(suffix, separator); n == 0 || n > maxSuffixes {
		return nil, false
	}
	for clone := range strings.SplitSeq(suffix, separator) {
		one, ok := c.routes(view, clone)
		if !ok {
			return nil, false
		}
		named = append(named, one...)
	}
	return named, true
}

// SessionKey gives the key of a session id as the client or the application writes it, suffix included; with affinity header it is the header's value,
// with affinity source the client's address.
func (b *Balancer) SessionKey(cluster, host, contextRoot, id string) (fsm.Key, error) {
	keys, err := b.keys()
	if err != nil {
		return fsm.Key{}, fmt.Errorf("session key: %w", err)
	}
	c, ok := b.routing.Load().clusters[cluster]
	if !ok {
		return fsm.Key{}, fmt.Errorf("session key: no cluster %q", cluster)
	}
	var bare string
	switch c.affinity.(type) {
	case *headerAffinity:
		bare = id
	case sourceAffinity:
		bare = sourceID(id)
	case sniAffinity:
		bare = strings.ToLower(id)
	default:
		bare, _ = c.splitID(b.view, id)
	}
	return keys.sessionKey(scopeOf(cluster, host, contextRoot), bare), nil
}
