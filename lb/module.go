package lb

import (
	"cmp"
	"slices"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// module is a web application of one cluster as one Operating sees it. It is immutable; what lives on between changes is in state.
type module struct {
	cluster *cluster
	host    string
	root    string
	id      fsm.ModuleID // 0 while the group's state has none for it
	phase   fsm.Phase
	retries int // -1: all other instances
	// idempotent are further requests that may be sent again after they may have reached an instance.
	idempotent patterns
	// replicated: another instance has what the application knows of a session.
	replicated  bool
	refuseLost  bool     // requests whose session is lost are refused
	hidden      bool     // a module that no cluster has enabled is not found, instead of unavailable
	backup      []string // clusters
	scope       []byte
	affinity    affinity
	state       *moduleState
	compression *compression // nil: none
	// stream: it is a whole cluster of streams, see builder.addStreams.
	stream bool
}

// stopped reports whether the module's sessions have ended in this cluster: the module has been stopped there, or every instance has. Sessions never leave
// their cluster, so their requests begin anew wherever else the module is served.
func (m *module) stopped() bool { return m.phase == fsm.PhaseStopped || m.cluster.stopped }

// off reports whether somebody has taken the module out of service here: the module itself, or every instance.
func (m *module) off() bool {
	return m.phase != fsm.PhaseServing ||
		len(m.cluster.instances) > 0 && !slices.ContainsFunc(m.cluster.instances, func(in *instance) bool { return in.phase == fsm.PhaseServing })
}

// moduleState is the long-lived part of a module, found again by cluster, host and context root.
type moduleState struct {
	cluster, host, root string // as configured
	inFlight            atomic.Int64
	storm               storm
	forsaken            seldom // said that its sessions have no affinity
}

// moduleKey finds a moduleState; host and root are normal.
type moduleKey struct{ cluster, host, root string }

func (b *Balancer) buildModule(o *fsm.Operating, c *cluster, cc *config.Cluster, cm *config.Module) *module {
	m := &module{
		cluster: c, host: normalHost(cm.Host), root: normalRoot(cm.ContextRoot), phase: o.ModulePhase(c.name, cm), retries: cm.Retries, idempotent: newPatterns(cm.Idempotent),
		replicated: cm.Replicated, refuseLost: cm.OnSessionLost == "refuse", hidden: cm.WhenDisabled == "not-found", backup: cc.Backup, affinity: c.affinity,
		compression: newCompression(cm.Compression),
	}
	m.id, _ = b.view.ModuleID(c.name, cm.Host, cm.ContextRoot)
	m.scope = scopeOf(c.name, m.host, m.root)
	key := moduleKey{c.name, m.host, m.root}
	if b.modules[key] == nil {
		b.modules[key] = &moduleState{cluster: c.name, host: cm.Host, root: cm.ContextRoot}
	}
	m.state = b.modules[key]
	return m
}

// forgetModules drops the states of modules that the routing no longer has and that have nothing under way.
func (b *Balancer) forgetModules(rt *routing) {
	for key, s := range b.modules {
		if rt.find(key.cluster, key.host, key.root) == nil && s.inFlight.Load() == 0 {
			delete(b.modules, key)
		}
	}
}

// Modules tells what this node has in flight for each module, by cluster, host and context root; also for those that are configured no more as long
// as requests of theirs are under way.
func (b *Balancer) Modules() []ModuleStatus {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetModules(b.routing.Load())
	list := make([]ModuleStatus, 0, len(b.modules))
	for _, s := range b.modules {
		list = append(list, ModuleStatus{Cluster: s.cluster, Host: s.host, ContextRoot: s.root, InFlight: s.inFlight.Load()})
	}
	slices.SortFunc(list, func(a, b ModuleStatus) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Host, b.Host), cmp.Compare(a.ContextRoot, b.ContextRoot))
	})
	return list
}
