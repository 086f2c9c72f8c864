package admin

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

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
			by[ref] = append(by[ref], wire.NodeHealth{Node: node, Health: i.health(), Reason: i.Reason, Since: i.Since, InFlight: i.InFlight, Waiting: i.Waiting, Suspect: i.Suspect,
				Agent: i.Agent, Withheld: i.Withheld})
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

// overview is what a description of the clusters is made from.
type overview struct {
	op         *fsm.Operating
	phases     map[fsm.Subject]fsm.Phase
	by         map[fsm.InstanceRef][]wire.NodeHealth
	verdicts   map[fsm.InstanceID]fsm.Verdict
	inFlight   map[fsm.Subject]int64
	registered map[fsm.InstanceRef]bool
	presented  map[fsm.InstanceRef]*wire.InstanceCertificate
}

// clusters describes the clusters in force together with what the nodes and the table say about them.
func (a *API) clusters(op *fsm.Operating, members []Member, inFlight map[fsm.Subject]int64) []wire.Cluster {
	v := overview{op: op, phases: phases(op), by: a.reports(members), verdicts: verdicts(op), inFlight: inFlight, registered: map[fsm.InstanceRef]bool{}, presented: a.firstToEnd(members)}
	for i := range op.Registered {
		v.registered[fsm.InstanceRef{Cluster: op.Registered[i].Cluster, Instance: op.Registered[i].Instance.Name}] = true
	}
	list := make([]wire.Cluster, 0, len(op.Config.Clusters))
	for i := range op.Config.Clusters {
		cl := &op.Config.Clusters[i]
		out := wire.Cluster{Name: cl.Name, Policy: cl.Policy, Affinity: cl.Affinity.Type, Modules: []wire.Module{}, Instances: []wire.Instance{}}
		for j := range cl.Modules {
			m := &cl.Modules[j]
			s := moduleSubject(cl.Name, m)
			out.Modules = append(out.Modules, wire.Module{Host: m.Host, ContextRoot: m.ContextRoot, Enabled: m.Enabled, Admin: adminState(v.phases[s]),
				Sessions: a.sessionsOf(s), InFlight: inFlight[s]})
		}
		for j := range cl.Instances {
			inst := a.instance(&v, cl.Name, &cl.Instances[j])
			out.Sessions += inst.Sessions
			out.InFlight += inst.InFlight
			out.Instances = append(out.Instances, inst)
		}
		shares(cl.Policy, out.Instances)
		list = append(list, out)
	}
	return list
}

func (a *API) instance(v *overview, cluster string, c *config.Instance) wire.Instance {
	ref := fsm.InstanceRef{Cluster: cluster, Instance: c.Name}
	s := fsm.Subject{Cluster: cluster, Instance: c.Name}
	out := wire.Instance{
		Name: c.Name, URLs: c.Listeners, Admin: adminState(v.phases[s]), Weight: c.Weight, Backup: c.Backup, Zone: c.Zone, Version: c.Version, Health: wire.HealthUnknown,
		Verdict: string(fsm.HealthUp), Registered: v.registered[ref], Sessions: a.sessionsOf(s), InFlight: v.inFlight[s], Nodes: v.by[ref], Certificate: v.presented[ref],
	}
	if out.Nodes == nil {
		out.Nodes = []wire.NodeHealth{}
	}
	if id, ok := a.opt.State.InstanceID(cluster, c.Name); ok {
		if verdict, has := v.verdicts[id]; has {
			out.Verdict, out.VerdictReason, out.VerdictSince = string(verdict.State), verdictReason(&verdict, out.Nodes), verdict.Since
		}
	}
	out.Health = overallHealth(out.Nodes)
	out.Agent, _ = agentWord(out.Nodes)
	return out
}

// verdictReason is why the group does not hold an instance for available: what the nodes that answer find now, when any of them finds something; else what was found when the verdict was made. The state has
// the latter alone: an instance that goes on failing, each time in another way perhaps, costs no entry of the log.
func verdictReason(v *fsm.Verdict, nodes []wire.NodeHealth) string {
	if v.State == fsm.HealthUp {
		return v.Reason
	}
	var now []string
	for _, n := range nodes {
		switch {
		case n.Health == wire.HealthDown && n.Reason != "":
			now = append(now, fmt.Sprintf("node %s: %s", n.Node, n.Reason))
		case n.Health != wire.HealthDown && n.Suspect:
			now = append(now, fmt.Sprintf("node %s: checks have failed", n.Node))
		}
	}
	if len(now) == 0 {
		return v.Reason
	}
	return strings.Join(now, "; ")
}

// overallHealth sums up what the nodes say.
func overallHealth(nodes []wire.NodeHealth) string {
	up, down := 0, 0
	for _, n := range nodes {
		switch n.Health {
		case wire.HealthUp:
			up++
		case wire.HealthDown:
			down++
		}
	}
	switch {
	case len(nodes) == 0:
		return wire.HealthUnknown
	case up == len(nodes):
		return wire.HealthUp
	case down == len(nodes):
		return wire.HealthDown
	}
	return wire.HealthPartial
}

// shares says which percentage of the new sessions each instance gets, where weights alone decide: equal parts with round-robin, by weight with
// weighted-round-robin, and of that what the agent leaves. Backup instances get some only while no other is there.
func shares(policy string, list []wire.Instance) {
	if policy != "round-robin" && policy != "weighted-round-robin" {
		return
	}
	part := func(i *wire.Instance, backup bool) float64 {
		_, withheld := agentWord(i.Nodes)
		switch {
		case i.Admin != wire.AdminEnabled || i.Health == wire.HealthDown || i.Verdict == string(fsm.HealthFailed) || i.Backup != backup || i.Weight == 0:
			return 0
		case policy == "round-robin":
			return 1 - withheld
		}
		return float64(i.Weight) * (1 - withheld)
	}
	sum := func(backup bool) (all float64) {
		for i := range list {
			all += part(&list[i], backup)
		}
		return all
	}
	backup := sum(false) == 0
	all := sum(backup)
	for i := range list {
		percent := 0.0
		if all > 0 {
			percent = math.Round(part(&list[i], backup)/all*1000) / 10
		}
		list[i].Share = &percent
	}
}
