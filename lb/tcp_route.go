package lb

import (
	"slices"
	"sync/atomic"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// A stream is a connection of a tcp listener. To everything that is decided it is one request that lasts as long as the connection: of a module that
// stands for the whole cluster. So quiesces, fail-over, weights, bounds and records are those of requests, by the same code.

// addStreams gives the clusters that listeners lead to, and their backups, a module that stands for the whole of them.
func (b *builder) addStreams() {
	b.rt.streams = map[string]*site{}
	modules := map[string]*module{}
	for i := range b.o.Config.Listeners {
		l := &b.o.Config.Listeners[i]
		if l.Cluster == "" {
			continue
		}
		b.addStream(modules, l.Cluster, l.Protocol)
		for _, s := range l.ServerNames {
			b.addStream(modules, s.Cluster, l.Protocol)
		}
	}
}

// addStream makes the site of one cluster.
func (b *builder) addStream(modules map[string]*module, cluster, protocol string) {
	if b.rt.streams[cluster] != nil {
		return
	}
	s := &site{turn: new(atomic.Uint32)}
	for names := []string{cluster}; len(names) > 0; names = names[1:] { // grows: backups may have backups
		m := b.streamModule(modules, names[0], protocol)
		if m == nil || slices.Contains(s.modules, m) {
			continue
		}
		s.modules = append(s.modules, m)
		names = append(names, m.backup...)
	}
	if len(s.modules) > 0 {
		s.rankClusters()
		b.rt.streams[cluster] = s
	}
}

// streamModule makes the module of a cluster when it is asked for first; nil when the cluster is of another protocol.
func (b *builder) streamModule(made map[string]*module, name, protocol string) *module {
	if m := made[name]; m != nil {
		return m
	}
	c := b.rt.clusters[name]
	i := slices.IndexFunc(b.o.Config.Clusters, func(k config.Cluster) bool { return k.Name == name })
	if c == nil || i < 0 {
		return nil
	}
	cc := &b.o.Config.Clusters[i]
	if kind := cc.StreamProtocol(); kind != "" && kind != protocol {
		return nil
	}
	m := &module{
		cluster: c, root: "/", phase: fsm.PhaseServing, retries: -1, replicated: true, backup: cc.Backup, scope: scopeOf(name, "", ""),
		affinity: noAffinity{}, state: &c.state.whole, stream: true,
	}
	switch c.affinity.(type) {
	case sourceAffinity, sniAffinity:
		m.affinity = c.affinity
	}
	made[name], c.stream = m, m
	return m
}

// again gives what a module of an earlier routing is in this one, nil when it is gone.
func (rt *routing) again(m *module) *module {
	if !m.stream {
		return rt.find(m.cluster.name, m.host, m.root)
	}
	if c := rt.clusters[m.cluster.name]; c != nil {
		return c.stream
	}
	return nil
}
