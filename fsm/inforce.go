package fsm

import (
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// enforced is a revision's configuration with the registered instances, and those of them that it lets stay: their cluster exists and allows it,
// and it has no instance of that name itself. c is not changed.
func enforced(c *config.Config, registered []Registration) ([]Registration, *config.Config) {
	if len(registered) == 0 {
		return nil, c
	}
	// All in one pass: there may be thousands, and each that comes has them put together anew.
	places, taken := map[string]int{}, map[InstanceRef]bool{}
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		if _, twice := places[cl.Name]; twice {
			continue // of two with one name, which no valid configuration has, the first one counts
		}
		places[cl.Name] = i
		for j := range cl.Instances {
			taken[InstanceRef{cl.Name, cl.Instances[j].Name}] = true
		}
	}
	lost := func(g *Registration) bool {
		i, exists := places[g.Cluster]
		return !exists || !c.Clusters[i].Registration.Allow || taken[InstanceRef{g.Cluster, g.Instance.Name}]
	}
	stay := without(registered, lost)
	if len(stay) == 0 {
		return nil, c
	}
	added := map[int][]config.Instance{} // by the place of their cluster
	for i := range stay {
		place := places[stay[i].Cluster]
		added[place] = append(added[place], stay[i].Instance)
	}
	next := *c
	next.Clusters = slices.Clone(c.Clusters)
	for i := range next.Clusters {
		if more := added[i]; len(more) > 0 {
			next.Clusters[i].Instances = slices.Concat(next.Clusters[i].Instances, more)
		}
	}
	return stay, &next
}

// clusterOf is the first cluster of that name, or nil.
func clusterOf(c *config.Config, name string) *config.Cluster {
	i := slices.IndexFunc(c.Clusters, func(cl config.Cluster) bool { return cl.Name == name })
	if i < 0 {
		return nil
	}
	return &c.Clusters[i]
}

func hasInstance(cl *config.Cluster, name string) bool {
	return slices.ContainsFunc(cl.Instances, func(in config.Instance) bool { return in.Name == name })
}

// inForce is a configuration that is to be put in force, with all that must be true of it first.
type inForce struct {
	revision   *Revision
	config     *config.Config
	registered []Registration
	names      []InstanceRef // that need an id
	modules    []ModuleRef
	// old: it comes from a command of an older version, which knew no quiesces, no module ids and no events.
	old bool
}

// prepare finds out what enforcing rev with registered takes; a message says why it cannot be.
func (r *replica) prepare(rev *Revision, registered []Registration, old bool) (inForce, string) {
	f := inForce{revision: rev, old: old}
	f.registered, f.config = enforced(rev.Config, registered)
	n, m := r.names.Load(), r.modules.Load()
	if f.names = n.fresh(f.config); len(n.refs)+len(f.names) > maxInstances {
		return f, fmt.Sprintf("more than %d instances over the life of the group", maxInstances)
	}
	if old {
		return f, ""
	}
	if f.modules = m.fresh(f.config); len(m.refs)+len(f.modules) > maxModules {
		return f, fmt.Sprintf("more than %d modules over the life of the group", maxModules)
	}
	// Names are kept for ever, so they are the one thing of a configuration that is looked at here.
	var c check
	for _, ref := range f.names {
		c.subject(Subject{Cluster: ref.Cluster, Instance: ref.Instance})
	}
	for _, ref := range f.modules {
		c.subject(Subject{Cluster: ref.Cluster, Host: ref.Host, ContextRoot: ref.ContextRoot})
	}
	return f, c.message
}

// enforce puts f in force. Names come before the configuration: who sees an instance or a module there can ask for its id. What is said of
// things that are configured no more goes. also, which may be nil, changes what else changes with it.
func (r *replica) enforce(index uint64, f inForce, stop []Subject, actor string, also func(*Operating)) Effect {
	n, m := r.names.Load(), r.modules.Load()
	for i, ref := range f.names {
		r.items.add(itemSum(itemName, appendName(nil, InstanceID(len(n.refs)+i+1), ref)))
	}
	for i, ref := range f.modules {
		r.items.add(itemSum(itemModule, appendModule(nil, ModuleID(len(m.refs)+i+1), ref)))
	}
	n, m = n.with(f.names, f.config), m.with(f.modules)
	o := r.operating.Load()
	e := effectOf(o, f.config, stop, counter(n, m))
	if f.old {
		e.Started = nil // stopped at once, as that version did
	}
	r.names.Store(n)
	r.modules.Store(m)
	r.operate(index, func(o *Operating) {
		o.Quiesces = r.quiescesAfter(o, &e, index, f.revision.Number, actor)
		o.Revision, o.Config, o.Registered = f.revision, f.config, f.registered
		o.Verdicts = verdictsFor(o.Verdicts, n, f.config)
		o.Shares = sharesFor(o.Shares, n, f.config)
		if also != nil {
			also(o)
		}
	})
	return e
}

// configuredInstances maps the ids of the instances of c to their place in it.
func configuredInstances(n *names, c *config.Config) map[InstanceID]*config.Instance {
	out := make(map[InstanceID]*config.Instance)
	for i := range c.Clusters {
		for j := range c.Clusters[i].Instances {
			in := &c.Clusters[i].Instances[j]
			id := n.ids[InstanceRef{c.Clusters[i].Name, in.Name}]
			if out[id] == nil {
				out[id] = in
			}
		}
	}
	return out
}
