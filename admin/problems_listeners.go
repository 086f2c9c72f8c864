package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// bound tells of a listener that is for some nodes only.
func bound(l *config.Listener) bool { return len(l.Zones)+len(l.Nodes) > 0 }

// unplaced says which nodes take no traffic because no listener is for them. They are ready, for nothing that they should do is missing.
func unplaced(nodes []wire.Node, c *config.Config) (list []string) {
	if len(c.Listeners) == 0 {
		return nil
	}
	for i := range nodes {
		n := &nodes[i]
		takes := func(l config.Listener) bool {
			return !bound(&l) || slices.Contains(l.Nodes, n.Name) || n.Zone != "" && slices.Contains(l.Zones, n.Zone)
		}
		if n.Reachable && !slices.ContainsFunc(c.Listeners, takes) {
			list = append(list, fmt.Sprintf("node %s takes no traffic: no listener names it or its zone%s; put it into nodes or zones of one, or start it with a --name or --zone that is there", n.Name, inBrackets(n.Zone)))
		}
	}
	return list
}

func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// changedListeners are those of next that current does not have in the same form.
func changedListeners(current, next *config.Config) (list []config.Listener) {
	for i := range next.Listeners {
		l := &next.Listeners[i]
		if !slices.ContainsFunc(current.Listeners, func(o config.Listener) bool {
			return o.Name == l.Name && slices.Equal(o.Nodes, l.Nodes) && slices.Equal(o.Zones, l.Zones)
		}) {
			list = append(list, *l)
		}
	}
	return list
}

// placeWarnings names the nodes and zones of listeners that the group does not have. The members are asked only when a listener is for some of them; zones are known of those that answer.
func (a *API) placeWarnings(ctx context.Context, listeners []config.Listener) (list []string) {
	if !slices.ContainsFunc(listeners, func(l config.Listener) bool { return bound(&l) }) {
		return nil
	}
	var names, zones []string
	all := true
	for _, m := range a.opt.Node.Members(ctx) {
		names, zones = append(names, m.Name), append(zones, m.Zone)
		all = all && m.Reachable
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	for i := range listeners {
		l := &listeners[i]
		for _, n := range l.Nodes {
			if !slices.Contains(names, n) {
				list = append(list, fmt.Sprintf("listener %s names node %s, which is no member of the group: nothing listens there until it is; the members are %s", l.Name, n, strings.Join(names, ", ")))
			}
		}
		for _, z := range l.Zones {
			if all && !slices.Contains(zones, z) {
				list = append(list, fmt.Sprintf("listener %s names zone %s, which no node has: nothing listens there until one is started with --zone %s", l.Name, z, z))
			}
		}
	}
	return list
}
