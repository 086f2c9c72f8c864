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

// reconcile puts into force what the state says now: it keeps what is as it was, makes what is new and ends what is
// gone. It may be called at any time; without a change it does nothing. Verdicts, shares and quiesces change often, so that addresses and listeners
// are looked at only when the configuration has changed.
func (b *Balancer) reconcile() {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.view.Operating()
	old := b.routing.Load()
	if b.closed && !b.handing || b.inForce && old.index == o.Index {
		return
	}
	build := builder{Balancer: b, o: o, whole: b.config != o.Config || !sameFiles(b.files, o.Files), known: known(o), rt: &routing{
		revision: o.Revision.Number, index: o.Index, exact: map[string][]*site{}, clusters: map[string]*cluster{},
	}}
	otherTLS := b.takeTLS(o, build.whole)
	if build.whole {
		b.settings = newSettings(&o.Config.Proxy)
		b.settings.useFiles(&o.Config.Proxy, o.Files)
		b.files = o.Files
	}
	for i := range o.Config.Clusters {
		c := build.cluster(&o.Config.Clusters[i])
		build.rt.clusters[c.name] = c
		build.addModules(c, &o.Config.Clusters[i])
	}
	build.addStreams()
	build.boundSites()
	build.rt.sort()
	b.routing.Store(build.rt)
	build.bound()
	build.hardStops()
	if build.whole {
		b.forget(build.rt)
		if !b.closed {
			b.reconcileFronts(o.Config.Listeners)
		}
		b.forgetLimiters(build.rt, o.Config.Listeners)
		b.config = o.Config
		b.contact.hears(true) // those that did not answer may be gone; the checks of the others will tell
	}
	if otherTLS {
		b.reconcileTLS()
	}
	if !b.inForce || old.revision != o.Revision.Number {
		b.log.Info("configuration in force", "revision", o.Revision.Number, "clusters", len(build.rt.clusters), "listeners", len(b.fronts))
	}
	b.inForce = true
	b.face()
}

// builder makes a routing. It works under Balancer.mu.
type builder struct {
	*Balancer
	o     *fsm.Operating
	whole bool // the configuration is another one
	known operatingByID
	rt    *routing
}

// operatingByID is what the group knows of instances, by id.
type operatingByID struct {
	verdicts map[fsm.InstanceID]fsm.HealthState
	shares   map[shareKey]int
}

type shareKey struct {
	instance fsm.InstanceID
	node     string
}

func known(o *fsm.Operating) operatingByID {
	k := operatingByID{verdicts: make(map[fsm.InstanceID]fsm.HealthState, len(o.Verdicts)), shares: make(map[shareKey]int, len(o.Shares))}
	for i := range o.Verdicts {
		if v := &o.Verdicts[i]; v.State != fsm.HealthUp {
			k.verdicts[v.Instance] = v.State
		}
	}
	for i := range o.Shares {
		k.shares[shareKey{o.Shares[i].Instance, o.Shares[i].Node}] = o.Shares[i].Limit
	}
	return k
}

// cluster makes today's view of a cluster on the long-lived state of the cluster of that name.
func (b *builder) cluster(cc *config.Cluster) *cluster {
	state := b.clusters[cc.Name]
	if state == nil {
		state = &clusterState{name: cc.Name, view: b.view, quorum: b.recorder.Quorum, instances: map[string]*instanceState{}}
		h := fnv.New32a()
		h.Write([]byte(b.opts.Node + "\x00" + cc.Name))
		state.turn.Store(uint64(h.Sum32())) // nodes begin at different instances
		b.clusters[cc.Name] = state
	}
	loss := cc.OnQuorumLoss
	if loss == "" {
		loss = b.o.Config.OnQuorumLoss
	}
	c := &cluster{
		name: cc.Name, policy: cc.Policy, idle: time.Duration(cc.Affinity.IdleTimeout), provisional: loss != "refuse",
		slowStart: time.Duration(cc.SlowStart), locality: cc.Locality == "host" || cc.Locality == "zone", serveQuiescing: cc.OnAllQuiescing == "serve",
		failBack: cc.FailBack != "session", sameVersion: cc.FailoverSameVersion, health: newHealthSettings(cc.Health), affinity: newAffinity(&cc.Affinity),
		byID: map[fsm.InstanceID]*instance{}, byName: map[string]*instance{}, byRoute: map[string]*instance{}, state: state,
	}
	c.responseTimeout, c.bodyBuffer = time.Duration(cc.ResponseTimeout), int64(cc.BodyBuffer)
	c.hard = time.Duration(cc.HardTimeout)
	c.sendProxy = sendProxyVersions[cc.SendProxy]
	c.health.sendProxy = c.sendProxy
	c.health.serverName, c.health.passedTLS = passedTLS(b.o.Config, cc)
	c.h2 = cc.Protocol == "h2"
	if c.idle <= 0 {
		c.idle = 30 * time.Minute
	}
	near := b.nearness(cc.Locality)
	c.stopped = true
	for i := range cc.Instances {
		in := b.instance(c, &cc.Instances[i])
		c.stopped = c.stopped && in.phase == fsm.PhaseStopped
		in.near = near.near(&cc.Instances[i])
		c.instances = append(c.instances, in)
		c.byName[in.name], c.byRoute[in.route] = in, in
		if in.id != 0 {
			c.byID[in.id] = in
		}
	}
	state.use(c)
	return c
}

func (b *builder) instance(c *cluster, ci *config.Instance) *instance {
	id, ok := b.view.InstanceID(c.name, ci.Name)
	if !ok {
		b.log.Error("instance has no id in the group's state; it gets no requests", "cluster", c.name, "instance", ci.Name)
	}
	state := c.state.instances[ci.Name]
	if state == nil {
		state = &instanceState{cluster: c.name, name: ci.Name, created: time.Now(),
			counters: &instanceCounters{metrics: b.metrics, cluster: c.name, instance: ci.Name}}
		state.endpoints.Store(&[]*endpoint{})
		if !b.inForce {
			state.warm.startWarm()
		}
		c.state.instances[ci.Name] = state
	}
	state.counters.retired.Store(false) // it may have come back while requests were under way
	if b.whole {
		b.reconcileEndpoints(c, state, ci.Listeners)
	}
	in := &instance{
		id: id, name: ci.Name, enabled: ci.Enabled, phase: b.o.InstancePhase(c.name, ci), weight: ci.Weight, route: ci.Route, version: ci.Version,
		backup: ci.Backup, host: hostOf(ci.Listeners), verdict: b.known.verdicts[id], maxSessions: ci.MaxSessions, bounded: ci.MaxConnections > 0, failoverTo: ci.FailoverTo, cluster: c.state, state: state,
	}
	if in.bounded {
		in.share = b.known.shares[shareKey{id, b.opts.Node}]
	}
	if in.route == "" {
		in.route = ci.Name
	}
	if in.hard = time.Duration(ci.HardTimeout); in.hard == 0 {
		in.hard = c.hard
	}
	return in
}

// bound puts the bounds on connections into force. It comes after the new routing: a request that a wider bound lets pass then sees what else is new. An
// instance that is stopped has none, so that those who wait for it go elsewhere.
func (b *builder) bound() {
	for _, c := range b.rt.clusters {
		for _, in := range c.instances {
			if in.bounded && in.phase != fsm.PhaseStopped {
				in.state.limit(in.share)
			} else {
				in.state.limit(-1)
			}
		}
	}
}

// reconcileEndpoints keeps the endpoints of URLs that stay, with their health and connections.
func (b *Balancer) reconcileEndpoints(c *cluster, s *instanceState, urls []string) {
	old := *s.endpoints.Load()
	list := make([]*endpoint, 0, len(urls))
	for _, u := range urls {
		i := slices.IndexFunc(old, func(e *endpoint) bool { return e.url == u && e.h2 == c.h2 })
		if i >= 0 {
			old[i].use(c.health)
			old[i].connect.Store(int64(b.settings.connect))
			list = append(list, old[i])
			continue
		}
		e, err := newEndpoint(u, c.h2)
		if err != nil {
			b.log.Error("listener URL of an instance is not usable", "cluster", s.cluster, "instance", s.name, "error", err)
			continue
		}
		e.keepFrom(b.opts.Private)
		e.connect.Store(int64(b.settings.connect))
		e.trust.Store(b.vault.trusts[c.name])
		e.compare = func() { b.compareCertificates(c.state) }
		e.expires = func(shown *presentation) { b.warnOfEnd(s, u, shown) }
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
	e.prober.contact, e.prober.tried = b.contact, b.tried
	e.prober.own = func(err error) bool {
		own := e.ownFault(err)
		if own {
			b.short.note(err)
		}
		return own
	}
	e.prober.phase, e.agent.weighed = probePhase(b.opts.Node, e.url), c.state.refresh
	b.probers.Go(func() { e.prober.run(ctx) })
}

// addModules enters the cluster's modules into the routing.
func (b *builder) addModules(c *cluster, cc *config.Cluster) {
	for i := range cc.Modules {
		m := b.buildModule(b.o, c, cc, &cc.Modules[i])
		s := b.rt.site(m.host, m.root)
		if s == nil {
			s = &site{host: m.host, root: m.root, turn: b.turn(m.host, m.root)}
			b.rt.add(s)
		}
		s.modules = append(s.modules, m)
		s.limits = together(s.limits, cc.Modules[i].Limits)
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
			for _, e := range *s.endpoints.Swap(&[]*endpoint{}) {
				e.close()
			}
			s.counters.retire()
			b.metrics.forget(name, gone)
			s.warm.follow(false, time.Now())
			s.limit(-1) // those who wait for it go elsewhere
			b.hardStop(s, s.hard.limit)
			if s.load() == 0 || c == nil {
				delete(state.instances, gone) // else it stays counted, should it come back
			}
		}
		if c == nil {
			b.metrics.forgetCluster(name)
			delete(b.clusters, name)
		}
	}
	b.forgetModules(rt)
	for name := range b.turns {
		if host, root, _ := strings.Cut(name, "\x00"); rt.site(host, root) == nil {
			delete(b.turns, name)
		}
	}
}

// serves reports whether the listener is for this node: it names its zone or its name, or neither any zone nor any node.
func (b *Balancer) serves(l *config.Listener) bool {
	return len(l.Zones) == 0 && len(l.Nodes) == 0 || slices.Contains(l.Nodes, b.opts.Node) || b.opts.Zone != "" && slices.Contains(l.Zones, b.opts.Zone)
}

// reconcileFronts opens and closes listeners. One that keeps its address goes on, whatever else of it changes but TLS.
func (b *Balancer) reconcileFronts(listeners []config.Listener) {
	wanted, packets := map[string]*edge{}, map[string]*edge{}
	var refusals []error
	b.edge.Store(newEdge(b.settings, nil, nil))
	for i := range listeners {
		l := &listeners[i]
		if !b.serves(l) {
			continue
		}
		address, err := frontAddress(l.Address, b.opts.BindAddress)
		if err == nil && l.Protocol != "" && !slices.Contains([]string{"http", "https", "tcp", "udp"}, l.Protocol) {
			err = fmt.Errorf("protocol %s is not supported by this version", l.Protocol)
		}
		if err != nil {
			refusals = append(refusals, fmt.Errorf("listener %s: %w", l.Name, err))
			continue
		}
		e := newEdge(b.settings, l, b.newBounds(listenerLimiter(l.Name), l.Limits.All(), l.Limits.PerClient, 0))
		if l.Protocol == "udp" {
			packets[address] = e
			continue
		}
		wanted[address] = e
	}
	b.refusals = errors.Join(refusals...)
	for address, f := range b.fronts {
		if e := wanted[address]; e != nil && f.fits(e) {
			f.use(e)
			continue
		}
		delete(b.fronts, address)
		f.stopListening()
		b.closing.Go(func() { f.close(b.ctx) }) // requests that it has may take as long as they like
	}
	b.reconcilePackets(packets)
	b.startLoops()
	for address, e := range wanted {
		if b.fronts[address] == nil {
			b.fronts[address] = b.newFront(e, address)
		}
	}
	b.reconcileHTTP3()
	b.face()
}
