package admin

import (
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// turning is a change from one configuration to the next, with what else is in force.
type turning struct {
	op         *fsm.Operating
	from, next *config.Config
	failed     func(cluster, instance string) bool
}

func (a *API) turning(from, next *config.Config) *turning {
	op := a.opt.State.Operating()
	by := verdicts(op)
	return &turning{op: op, from: from, next: next, failed: func(cluster, instance string) bool {
		id, known := a.opt.State.InstanceID(cluster, instance)
		return known && by[id].State == fsm.HealthFailed
	}}
}

// goes says where the sessions go of s, which the change takes out at once: they stay in their cluster as long as it has an instance for them.
func (t *turning) goes(s fsm.Subject) string {
	if !s.IsModule() && t.serves(s.Cluster, s.Instance) {
		return wire.GoesToInstances
	}
	served, all := 0, 0
	for _, m := range t.modules(s) {
		all++
		if t.elsewhere(s.Cluster, m) {
			served++
		}
	}
	switch served {
	case 0:
		return wire.GoesNowhere
	case all:
		return wire.GoesToClusters
	}
	return wire.GoesToSome
}

// modules are those that sessions of s can be of: it, or all of its cluster, for one that is disabled keeps its sessions.
func (t *turning) modules(s fsm.Subject) (list []*config.Module) {
	cl := clusterOf(t.next, s.Cluster)
	if cl == nil || s.IsModule() {
		cl = clusterOf(t.from, s.Cluster) // the change may have removed it
	}
	if cl == nil {
		return nil
	}
	for i := range cl.Modules {
		if m := &cl.Modules[i]; s.IsModule() && moduleSubject(cl.Name, m) == s || !s.IsModule() {
			list = append(list, m)
		}
	}
	return list
}

// elsewhere tells whether a cluster other than but serves m.
func (t *turning) elsewhere(but string, m *config.Module) bool {
	for i := range t.next.Clusters {
		cl := &t.next.Clusters[i]
		for j := range cl.Modules {
			if o := &cl.Modules[j]; cl.Name != but && o.Enabled && o.Host == m.Host && o.ContextRoot == m.ContextRoot && t.serves(cl.Name, "") {
				return true
			}
		}
	}
	return false
}

// serves tells whether a cluster has an enabled instance, other than but, that has not failed; those that register themselves count.
func (t *turning) serves(cluster, but string) bool {
	cl := clusterOf(t.next, cluster)
	if cl == nil {
		return false
	}
	takes := func(in *config.Instance) bool { return in.Name != but && in.Enabled && !t.failed(cluster, in.Name) }
	for i := range cl.Instances {
		if takes(&cl.Instances[i]) {
			return true
		}
	}
	for i := range t.op.Registered {
		if r := &t.op.Registered[i]; r.Cluster == cluster && takes(&r.Instance) {
			return true
		}
	}
	return false
}
