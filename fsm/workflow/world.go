package workflow

import (
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// World is what a workflow sees of the group.
type World struct {
	// Now is replicated time, or the leader's clock when that is later: replicated time stands still while nothing is written.
	Now time.Time
	// Term is that of the leader that asks.
	Term      uint64
	Operating *fsm.Operating
	// InstanceID gives the ids that verdicts go by.
	InstanceID func(cluster, instance string) (fsm.InstanceID, bool)
	// Nodes has a report of each member; nil when nobody was asked.
	Nodes []Node
}

// Node is what one member reports.
type Node struct {
	Name      string
	Reachable bool
	// InForce is the Operating.Index that its data plane obeys.
	InForce   uint64
	Instances []Instance
	Modules   []Module
}

// Instance is how one member sees an instance.
type Instance struct {
	Cluster, Name string
	// Healthy: available, and no check has failed since.
	Healthy bool
	// InFlight counts requests on their way, and those that wait for a connection.
	InFlight int64
}

// Module is what one member has in flight for a module.
type Module struct {
	Cluster, Host, ContextRoot string
	InFlight                   int64
}

// config is the configuration that changes are made to: without the instances that registered themselves.
func (w *World) config() *config.Config { return w.Operating.Revision.Config }

func cluster(c *config.Config, name string) *config.Cluster {
	for i := range c.Clusters {
		if c.Clusters[i].Name == name {
			return &c.Clusters[i]
		}
	}
	return nil
}

func instance(cl *config.Cluster, name string) *config.Instance {
	for i := range cl.Instances {
		if cl.Instances[i].Name == name {
			return &cl.Instances[i]
		}
	}
	return nil
}

func module(cl *config.Cluster, host, contextRoot string) *config.Module {
	for i := range cl.Modules {
		if m := &cl.Modules[i]; m.Host == host && m.ContextRoot == contextRoot {
			return m
		}
	}
	return nil
}

// enabled points to what says whether a subject is enabled; nil when it is not configured.
func enabled(c *config.Config, s fsm.Subject) *bool {
	cl := cluster(c, s.Cluster)
	if cl == nil {
		return nil
	}
	if s.IsModule() {
		if m := module(cl, s.Host, s.ContextRoot); m != nil {
			return &m.Enabled
		}
		return nil
	}
	if in := instance(cl, s.Instance); in != nil {
		return &in.Enabled
	}
	return nil
}

// subjects lists what a target is made of: the instances of a cluster, or the target itself. Empty when it is not configured.
func subjects(c *config.Config, target fsm.Subject) []fsm.Subject {
	if target.Instance != "" || target.ContextRoot != "" {
		if enabled(c, target) == nil {
			return nil
		}
		return []fsm.Subject{target}
	}
	cl := cluster(c, target.Cluster)
	if cl == nil {
		return nil
	}
	var list []fsm.Subject
	for i := range cl.Instances {
		list = append(list, fsm.Subject{Cluster: cl.Name, Instance: cl.Instances[i].Name})
	}
	return list
}

// having lists the subjects that are configured and enabled, or disabled.
func having(c *config.Config, list []fsm.Subject, state bool) []fsm.Subject {
	var out []fsm.Subject
	for _, s := range list {
		if e := enabled(c, s); e != nil && *e == state {
			out = append(out, s)
		}
	}
	return out
}

// quiesceOf gives the running quiesce of a subject.
func quiesceOf(o *fsm.Operating, s fsm.Subject) *fsm.Quiesce {
	for i := range o.Quiesces {
		if o.Quiesces[i].Subject == s {
			return &o.Quiesces[i]
		}
	}
	return nil
}

// registered tells whether instances of a cluster registered themselves: no configuration change disables those.
func registered(o *fsm.Operating, cluster string) bool {
	return slices.ContainsFunc(o.Registered, func(r fsm.Registration) bool { return r.Cluster == cluster })
}

// flights is what is on its way to a target over all nodes.
type flights struct {
	count int64
	// behind is a node that answers, but does not obey yet what it should; silent is one that does not answer. Empty for none.
	behind, silent string
}

// inFlight counts what is on its way to the subjects on the nodes that obey what was in force at index.
func (w *World) inFlight(list []fsm.Subject, index uint64) (f flights) {
	for i := range w.Nodes {
		n := &w.Nodes[i]
		switch {
		case !n.Reachable:
			f.silent = n.Name
			continue
		case n.InForce < index:
			f.behind = n.Name
		}
		for _, in := range n.Instances {
			if slices.Contains(list, fsm.Subject{Cluster: in.Cluster, Instance: in.Name}) {
				f.count += in.InFlight
			}
		}
		for _, m := range n.Modules {
			if slices.Contains(list, fsm.Subject{Cluster: m.Cluster, Host: m.Host, ContextRoot: m.ContextRoot}) {
				f.count += m.InFlight
			}
		}
	}
	return f
}

// healthy tells whether all nodes that answer find an instance available, and the group's verdict agrees.
func (w *World) healthy(cluster, name string) bool {
	said := false
	for i := range w.Nodes {
		for _, in := range w.Nodes[i].Instances {
			if in.Cluster == cluster && in.Name == name && w.Nodes[i].Reachable {
				if said = true; !in.Healthy {
					return false
				}
			}
		}
	}
	return said
}

// healthyCount counts the healthy instances among a target's: of a cluster or a module those that are enabled, or that the workflow disabled.
func (w *World) healthyCount(target fsm.Subject, ours []fsm.Subject) (healthy, all int) {
	cl := cluster(w.config(), target.Cluster)
	if cl == nil {
		return 0, 0
	}
	for i := range cl.Instances {
		in := &cl.Instances[i]
		counts := in.Enabled || slices.Contains(ours, fsm.Subject{Cluster: cl.Name, Instance: in.Name})
		if target.Instance != "" {
			counts = target.Instance == in.Name
		}
		if !counts {
			continue
		}
		all++
		if w.healthy(cl.Name, in.Name) {
			healthy++
		}
	}
	return healthy, all
}
