package lb

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// reconcile puts the current revision into force: it keeps what the revision leaves alone, makes what is new and ends what is
// gone. It may be called at any time; without a change it does nothing.
func (b *Balancer) reconcile() {
	b.mu.Lock()
	defer b.mu.Unlock()
	rev := b.view.Revision()
	if b.closed || b.inForce && b.routing.Load().revision == rev.Number {
		return
	}
	rt := &routing{revision: rev.Number, exact: map[string][]*site{}, clusters: map[string]*cluster{}}
	for i := range rev.Config.Clusters {
		c := b.buildCluster(rev.Config, &rev.Config.Clusters[i])
		rt.clusters[c.name] = c
		b.addModules(rt, c, &rev.Config.Clusters[i])
	}
	rt.sort()
	b.routing.Store(rt)
	b.forget(rt)
	b.reconcileFronts(rev.Config.Listeners)
	b.inForce = true
	b.log.Info("configuration in force", "revision", rev.Number, "clusters", len(rt.clusters), "listeners", len(b.fronts))
}

// buildCluster makes the revision's view of a cluster on the long-lived state of the cluster of that name.
func (b *Balancer) buildCluster(all *config.Config, cc *config.Cluster) *cluster {
	state := b.clusters[cc.Name]
	if state == nil {
		state = &clusterState{name: cc.Name, instances: map[string]*instanceState{}}
		h := fnv.New32a()
		h.Write([]byte(b.opts.Node + "\x00" + cc.Name))
		state.turn.Store(uint64(h.Sum32())) // nodes begin at different instances
		b.clusters[cc.Name] = state
	}
	loss := cc.OnQuorumLoss
	if loss == "" {
		loss = all.OnQuorumLoss
	}
	c := &cluster{
		name: cc.Name, policy: cc.Policy, idle: time.Duration(cc.Affinity.IdleTimeout), provisional: loss != "refuse",
		health: newHealthSettings(cc.Health), byID: map[fsm.InstanceID]*instance{}, byRoute: map[string]*instance{}, state: state,
	}
	if c.idle <= 0 {
		c.idle = 30 * time.Minute
	}
	for i := range cc.Instances {
		in := b.buildInstance(c, &cc.Instances[i])
		c.instances = append(c.instances, in)
		c.byRoute[in.route] = in
		if in.id != 0 {
			c.byID[in.id] = in
		}
	}
	state.use(c)
	return c
}

func (b *Balancer) buildInstance(c *cluster, ci *config.Instance) *instance {
	id, ok := b.view.InstanceID(c.name, ci.Name)
	if !ok {
		b.log.Error("instance has no id in the group's state; it gets no requests", "cluster", c.name, "instance", ci.Name)
	}
	state := c.state.instances[ci.Name]
	if state == nil {
		state = &instanceState{cluster: c.name, name: ci.Name, created: time.Now(),
			counters: &instanceCounters{vec: b.metrics.requests, cluster: c.name, instance: ci.Name}}
		state.endpoints.Store(&[]*endpoint{})
		c.state.instances[ci.Name] = state
	}
	b.reconcileEndpoints(c, state, ci.Listeners)
	in := &instance{id: id, name: ci.Name, enabled: ci.Enabled, weight: ci.Weight, route: ci.Route, state: state}
	if in.route == "" {
		in.route = ci.Name
	}
	return in
}

// reconcileEndpoints keeps the endpoints of URLs that stay, with their health and connections.
func (b *Balancer) reconcileEndpoints(c *cluster, s *instanceState, urls []string) {
	old := *s.endpoints.Load()
	list := make([]*endpoint, 0, len(urls))
	for _, u := range urls {
		i := slices.IndexFunc(old, func(e *endpoint) bool { return e.url == u })
		if i >= 0 {
			old[i].prober.use(c.health)
			list = append(list, old[i])
			continue
		}
		e, err := newEndpoint(u, b.opts.ResponseTimeout)
		if err != nil {
			b.log.Error("listener URL of an instance is not usable", "cluster", s.cluster, "instance", s.name, "error", err)
			continue
		}
		b.watch(e, s, c)
		list = append(list, e)
	}
	s.endpoints.Store(&list)
	for _, e := range old {
		if !slices.Contains(list, e) {
			e.close()
		}
	}
}

// watch starts the health checks of an endpoint.
func (b *Balancer) watch(e *endpoint, s *instanceState, c *cluster) {
	ctx, cancel := context.WithCancel(b.ctx)
	e.stop = cancel
	log := b.log.With("cluster", s.cluster, "instance", s.name, "listener", e.url)
	e.prober = newProber(e.health, c.health, e.checkListener, func(up bool, reason string) {
		c.state.refresh()
		if up {
			log.Info("instance listener is available")
		} else {
			log.Warn("instance listener is unavailable", "reason", reason)
		}
	})
	b.probers.Go(func() { e.prober.run(ctx) })
}

// addModules enters the cluster's modules into the routing.
func (b *Balancer) addModules(rt *routing, c *cluster, cc *config.Cluster) {
	var a affinity = noAffinity{}
	switch cc.Affinity.Type {
	case "", "insert":
		name := cc.Affinity.Name
		if name == "" {
			name = provisionalCookie
		}
		a = &insertAffinity{name: name}
	case "learn":
		a = newLearnAffinity(cc.Affinity.Names)
	}
	for _, cm := range cc.Modules {
		m := &module{cluster: c, host: normalHost(cm.Host), root: normalRoot(cm.ContextRoot), enabled: cm.Enabled,
			retries: cm.Retries, affinity: a}
		m.scope = scopeOf(c.name, m.host, m.root)
		s := rt.site(m.host, m.root)
		if s == nil {
			s = &site{host: m.host, root: m.root, turn: b.turn(m.host, m.root)}
			rt.add(s)
		}
		s.modules = append(s.modules, m)
	}
}

func (b *Balancer) turn(host, root string) *atomic.Uint32 {
	name := host + "\x00" + root
	if b.turns[name] == nil {
		b.turns[name] = new(atomic.Uint32)
	}
	return b.turns[name]
}

// forget ends clusters and instances that the routing no longer has. Requests in flight finish.
func (b *Balancer) forget(rt *routing) {
	for name, state := range b.clusters {
		c := rt.clusters[name]
		for gone, s := range state.instances {
			if c != nil && slices.ContainsFunc(c.instances, func(in *instance) bool { return in.name == gone }) {
				continue
			}
			for _, e := range *s.endpoints.Load() {
				e.close()
			}
			b.metrics.forget(name, gone)
			delete(state.instances, gone)
		}
		if c == nil {
			b.metrics.forgetCluster(name)
			delete(b.clusters, name)
		}
	}
	for name := range b.turns {
		if host, root, _ := strings.Cut(name, "\x00"); rt.site(host, root) == nil {
			delete(b.turns, name)
		}
	}
}

// reconcileFronts opens and closes listeners. A listener that only changes its name goes on.
func (b *Balancer) reconcileFronts(listeners []config.Listener) {
	wanted := map[string]string{}
	var refusals []error
	for _, l := range listeners {
		address, err := frontAddress(l.Address, b.opts.BindAddress)
		if err == nil && l.Protocol != "" && l.Protocol != "http" {
			err = fmt.Errorf("protocol %s is not supported by this version", l.Protocol)
		}
		if err != nil {
			refusals = append(refusals, fmt.Errorf("listener %s: %w", l.Name, err))
			continue
		}
		wanted[address] = l.Name
	}
	b.refusals = errors.Join(refusals...)
	for address, f := range b.fronts {
		if name, ok := wanted[address]; ok {
			f.rename(name)
			continue
		}
		delete(b.fronts, address)
		f.stopListening()
		b.closing.Go(func() { f.close(b.ctx) }) // requests that it has may take as long as they like
	}
	for address, name := range wanted {
		if b.fronts[address] == nil {
			b.fronts[address] = b.newFront(name, address)
		}
	}
}
