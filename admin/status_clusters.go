package admin

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// reports collects what each node that answers says about each instance. This node's own word is always there.
func (a *API) reports(members []Member) map[fsm.InstanceRef][]wire.NodeHealth {
	by := map[fsm.InstanceRef][]wire.NodeHealth{}
	add := func(node string, list []InstanceStatus) {
		for _, i := range list {
			ref := fsm.InstanceRef{Cluster: i.Cluster, Instance: i.Instance}
			by[ref] = append(by[ref], wire.NodeHealth{Node: node, Health: i.health(), Reason: i.Reason, Since: i.Since, InFlight: i.InFlight})
		}
	}
	add(a.opt.Node.Info().Name, a.opt.Node.Instances())
	for i := range members {
		if !members[i].Self && members[i].Reachable {
			add(members[i].Name, members[i].Instances)
		}
	}
	for _, list := range by {
		slices.SortFunc(list, func(a, b wire.NodeHealth) int { return cmp.Compare(a.Node, b.Node) })
	}
	return by
}

// health is the word for what one node thinks.
func (i InstanceStatus) health() string {
	switch {
	case !i.Up:
		return wire.HealthDown
	case i.Partial:
		return wire.HealthPartial
	}
	return wire.HealthUp
}

// clusters describes the configuration's clusters together with what the nodes and the table say about them.
func (a *API) clusters(c *config.Config, by map[fsm.InstanceRef][]wire.NodeHealth) []wire.Cluster {
	list := make([]wire.Cluster, 0, len(c.Clusters))
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		out := wire.Cluster{Name: cl.Name, Policy: cl.Policy, Affinity: cl.Affinity.Type, Modules: []wire.Module{}, Instances: []wire.Instance{}}
		for _, m := range cl.Modules {
			out.Modules = append(out.Modules, wire.Module{Host: m.Host, ContextRoot: m.ContextRoot, Enabled: m.Enabled})
		}
		for j := range cl.Instances {
			inst := a.instance(cl.Name, &cl.Instances[j], by)
			out.Sessions += inst.Sessions
			out.InFlight += inst.InFlight
			out.Instances = append(out.Instances, inst)
		}
		list = append(list, out)
	}
	return list
}

func (a *API) instance(cluster string, c *config.Instance, by map[fsm.InstanceRef][]wire.NodeHealth) wire.Instance {
	out := wire.Instance{
		Name: c.Name, URLs: c.Listeners, Admin: "disabled", Weight: c.Weight, Zone: c.Zone, Version: c.Version, Health: wire.HealthUnknown,
		Nodes: by[fsm.InstanceRef{Cluster: cluster, Instance: c.Name}],
	}
	if c.Enabled {
		out.Admin = "enabled"
	}
	if out.Nodes == nil {
		out.Nodes = []wire.NodeHealth{}
	}
	if id, ok := a.opt.State.InstanceID(cluster, c.Name); ok {
		out.Sessions = a.opt.State.Sessions(id)
	}
	up, down := 0, 0
	for _, n := range out.Nodes {
		out.InFlight += n.InFlight
		switch n.Health {
		case wire.HealthUp:
			up++
		case wire.HealthDown:
			down++
		}
	}
	switch {
	case len(out.Nodes) == 0:
	case up == len(out.Nodes):
		out.Health = wire.HealthUp
	case down == len(out.Nodes):
		out.Health = wire.HealthDown
	default:
		out.Health = wire.HealthPartial
	}
	return out
}

// maxSkew is the clock difference from which on an operator should hear of it: logs of two nodes can no longer be read
// side by side. Holdfast itself does not mind, its deadlines are replicated time.
const maxSkew = 500 * time.Millisecond

// problems says in words what is wrong, the most urgent first.
func problems(s *wire.Status) []string {
	list := []string{}
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	if !s.Quorum || s.Leader == "" {
		add("no quorum: known sessions are served, nothing can be recorded or changed until a majority of the nodes is back")
	}
	for _, n := range s.Nodes {
		if n.HashState == wire.HashDiffers {
			add("node %s has another state than the leader (log index %d): stop it, and let it join again with an empty data directory", n.Name, n.HashIndex)
		}
	}
	for _, n := range s.Nodes {
		switch {
		case !n.Reachable:
			add("node %s does not answer: %s", n.Name, cmp.Or(n.Error, "unknown"))
		case !n.Ready:
			add("node %s is not ready: %s", n.Name, cmp.Or(n.Reason, "unknown"))
		}
	}
	for _, c := range s.Clusters {
		down := 0
		for _, i := range c.Instances {
			switch {
			case i.Health == wire.HealthDown:
				down++
				add("instance %s of cluster %s is down: %s", i.Name, c.Name, cmp.Or(i.Nodes[0].Reason, "unknown"))
			case i.Health == wire.HealthPartial:
				add("instance %s of cluster %s is not available everywhere: %s", i.Name, c.Name, whereDown(i))
			}
		}
		if down > 0 && down == len(c.Instances) {
			add("cluster %s has no available instance", c.Name)
		}
	}
	for _, n := range s.Nodes {
		if skew := time.Duration(n.ClockSkewMillis) * time.Millisecond; skew.Abs() > maxSkew {
			add("the clock of node %s is %v off that of node %s", n.Name, skew, s.Node)
		}
	}
	return list
}

// whereDown lists the nodes for which an instance is not fully available, with their reasons.
func whereDown(i wire.Instance) string {
	var list []string
	for _, n := range i.Nodes {
		if n.Health != wire.HealthUp {
			list = append(list, n.Node+": "+cmp.Or(n.Reason, n.Health))
		}
	}
	return strings.Join(list, "; ")
}
