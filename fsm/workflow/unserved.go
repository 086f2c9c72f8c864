package workflow

import (
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Unserved lists the modules that nobody would serve while the target is disabled: enabled modules of its cluster for which neither the rest of the
// cluster nor another cluster has an enabled instance that has not failed.
func Unserved(o *fsm.Operating, ids func(cluster, instance string) (fsm.InstanceID, bool), target fsm.Subject) []fsm.Subject {
	cl := cluster(o.Config, target.Cluster)
	if cl == nil {
		return nil
	}
	if target.Instance != "" && available(o, ids, cl, target.Instance) {
		return nil
	}
	var list []fsm.Subject
	for i := range cl.Modules {
		m := &cl.Modules[i]
		if !m.Enabled || target.ContextRoot != "" && (m.Host != target.Host || m.ContextRoot != target.ContextRoot) {
			continue
		}
		if !servedElsewhere(o, ids, cl.Name, m) {
			list = append(list, fsm.Subject{Cluster: cl.Name, Host: m.Host, ContextRoot: m.ContextRoot})
		}
	}
	return list
}

func servedElsewhere(o *fsm.Operating, ids func(cluster, instance string) (fsm.InstanceID, bool), but string, m *config.Module) bool {
	for i := range o.Config.Clusters {
		other := &o.Config.Clusters[i]
		if other.Name == but {
			continue
		}
		if same := module(other, m.Host, m.ContextRoot); same != nil && same.Enabled && available(o, ids, other, "") {
			return true
		}
	}
	return false
}

// available tells whether a cluster has an instance, other than but, that takes unassigned requests.
func available(o *fsm.Operating, ids func(cluster, instance string) (fsm.InstanceID, bool), cl *config.Cluster, but string) bool {
	for i := range cl.Instances {
		in := &cl.Instances[i]
		if in.Name == but || !in.Enabled || in.Weight == 0 {
			continue
		}
		id, known := ids(cl.Name, in.Name)
		if !known || !failed(o, id) {
			return true
		}
	}
	return false
}

func failed(o *fsm.Operating, id fsm.InstanceID) bool {
	for i := range o.Verdicts {
		if o.Verdicts[i].Instance == id {
			return o.Verdicts[i].State == fsm.HealthFailed
		}
	}
	return false
}
