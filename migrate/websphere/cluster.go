package websphere

import (
	"fmt"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
)

// cluster reads a ServerCluster into clusters[i].
func (in *importer) cluster(n *markup.Node, i int) {
	key := fmt.Sprintf("clusters[%d]", i)
	n.Mark.Map("%s", key)
	noText(n)
	c := build.Cluster("")
	// The plug-in has no checks of its own: a server that cannot be reached is left alone for RetryInterval (formats: mark-down rules).
	c.Health.Type, c.Health.Mode, c.Health.Passive = "tcp", "recover-only", []string{"connect"}
	c.Health.RetryInterval = build.Seconds(defaultRetrySeconds)
	c.BodyBuffer = defaultBufferKB << 10
	c.ResponseTimeout = 0 // ServerIOTimeout 0
	c.Policy = "weighted-round-robin"
	if a := required(n, "Name"); a != nil {
		c.Name = a.Value
		a.Mark.Map("%s.name", key)
	}
	for _, a := range n.Attrs {
		in.clusterAttr(a, &c, key)
	}
	servers := in.servers(n, &c, key)
	in.roles(n, &c, servers)
	for _, e := range n.All("ClusterAddress") {
		hideSecrets(e)
		e.IgnoreAll("Holdfast takes the place of the balancer in front that this names")
	}
	for _, e := range n.All("Property") {
		hideSecrets(e)
		e.IgnoreAll("a setting of the plug-in itself")
	}
	in.out.Clusters = append(in.out.Clusters, c)
}

func (in *importer) clusterAttr(a *markup.Attr, c *config.Cluster, key string) {
	m := &a.Mark
	switch a.Name {
	case "LoadBalance":
		switch strings.ReplaceAll(strings.ToLower(a.Value), "-", " ") {
		case "round robin":
			m.Map("%s.policy", key)
		case "random":
			c.Policy = "round-robin"
			m.Approximate(key+".policy", "round-robin spreads as evenly, without chance; weights count in neither")
		default:
			m.Fail("%q is unknown; write Round Robin or Random", clip(a.Value))
		}
	case "RetryInterval":
		c.Health.RetryInterval = build.Seconds(number(a, defaultRetrySeconds, 0, 3600, key+".health.retryInterval"))
		m.Approximate(m.Key(), "a connection is tried instead of a client's request; 0 is every second")
	case "PostBufferSize":
		kb := number(a, defaultBufferKB, -1, 1<<20, key+".bodyBuffer")
		if kb < 0 {
			kb = 1 << 10
			m.Approximate(m.Key(), "1MiB; without a bound one request could use up the memory")
		}
		c.BodyBuffer = config.Size(kb) << 10
	case "PostSizeLimit":
		if v, ok := build.Int(a.Value, m, -1, 1<<31-1); ok && v < 0 {
			m.Ignore("no bound, as with Holdfast")
		} else if ok {
			m.Approximate("", "Holdfast has no bound on bodies")
		}
	case "ServerIOTimeoutRetry":
		if _, ok := build.Int(a.Value, m, -1, 1<<31-1); ok {
			m.Approximate("", "what was sent and not answered is sent again only when it is idempotent: see modules[].idempotent")
		}
	case "IgnoreAffinityRequests":
		if v, ok := build.Bool(a.Value, m); ok && v {
			m.Ignore("assigned requests never count in the weights")
		} else if ok {
			m.Approximate("", "assigned requests never count in the weights; least-requests looks at them")
		}
	case "RemoveSpecialHeaders":
		if _, ok := build.Bool(a.Value, m); ok {
			m.Approximate("", "Holdfast sends no $WS headers and passes those of clients on: have the instances not trust them")
		}
	case "CloneSeparatorChange":
		if v, ok := build.Bool(a.Value, m); ok && v {
			m.Approximate("", "clone ids behind + are not read: sessions that are there already begin on any instance and keep to it from then on")
		} else if ok {
			m.Map("%s.affinity.names", key)
		}
	case "GetDWLMTable":
		if v, ok := build.Bool(a.Value, m); ok && v {
			m.Approximate("", "partition ids are not read: sessions that are there already begin on any instance and keep to it from then on")
		} else if ok {
			m.Ignore("no partition ids are in use")
		}
	}
}

// server is an instance on its way.
type server struct {
	node   *markup.Node
	weight *markup.Attr
	// io is ServerIOTimeout in seconds, without its sign; down that it was negative.
	io   int
	down bool
}

func (in *importer) servers(n *markup.Node, c *config.Cluster, key string) map[string]int {
	byName := map[string]int{}
	var list []server
	clones := false
	for _, e := range n.All("Server") {
		inst, s := in.server(e, fmt.Sprintf("%s.instances[%d]", key, len(c.Instances)), key)
		clones = clones || e.Attr("CloneID") != nil
		if _, dup := byName[inst.Name]; !dup {
			byName[inst.Name] = len(c.Instances)
		}
		c.Instances, list = append(c.Instances, inst), append(list, s)
	}
	weights := make([]int, len(list))
	for i := range list {
		weights[i] = c.Instances[i].Weight
	}
	scaled, exact := build.Weights(weights)
	for i := range list {
		c.Instances[i].Weight = scaled[i]
		if a := list[i].weight; a != nil && !exact {
			a.Mark.Approximate(a.Mark.Key(), "brought into 0 to 1000, with the ratios to the others nearly kept")
		}
	}
	in.timeouts(c, list)
	if !clones {
		c.Affinity.Type, c.Affinity.Name, c.Affinity.Names, c.Affinity.Routes = "none", "", nil, nil
		in.res.Report.Note("cluster %q: no server has a CloneID, so requests are not kept together (affinity none)", clip(c.Name))
	} else {
		c.Affinity.Names = nil // what the Uri elements say
	}
	return byName
}

// timeouts makes one bound of those of the servers: the longest, none when one says that it has none. Servers that say nothing take it over.
func (in *importer) timeouts(c *config.Cluster, list []server) {
	var first *server
	longest, down, differ, none := 0, false, false, false
	for i := range list {
		s := &list[i]
		if s.node.Attr("ServerIOTimeout") == nil {
			continue
		}
		if first == nil {
			first = s
		}
		differ = differ || s.io != first.io || s.down != first.down
		longest, down, none = max(longest, s.io), down || s.down, none || s.io == 0
	}
	if none {
		longest = 0
	}
	for _, s := range list {
		if a := s.node.Attr("ServerIOTimeout"); a != nil && differ {
			a.Mark.Approximate(a.Mark.Key(), "all instances of a cluster have one bound: the longest, or none when one has none")
		}
	}
	c.ResponseTimeout = build.Seconds(longest)
	if down && longest > 0 {
		c.Health.Passive = append(c.Health.Passive, "timeout")
	}
}
