package websphere

import (
	"net"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/migrate/build"
	"github.com/holdfast-lb/holdfast/migrate/markup"
)

func (in *importer) server(n *markup.Node, key, cluster string) (config.Instance, server) {
	n.Mark.Map("%s", key)
	noText(n)
	inst, s := build.Instance(""), server{node: n}
	inst.Weight = defaultWeight
	if a := required(n, "Name"); a != nil {
		inst.Name, inst.Route = a.Value, a.Value
		a.Mark.Map("%s.name", key)
	}
	for _, a := range n.Attrs {
		m := &a.Mark
		switch a.Name {
		case "CloneID":
			inst.Route = a.Value
			m.Map("%s.route", key)
			if a.Value == "" {
				m.Fail("is empty; remove it, or give the server's id")
			}
		case "LoadBalanceWeight":
			s.weight = a
			inst.Weight = number(a, defaultWeight, 0, 1<<30, key+".weight")
		case "ServerIOTimeout":
			s.io = number(a, 0, -build.MaxSeconds, build.MaxSeconds, cluster+".responseTimeout")
			if s.io < 0 {
				s.io, s.down = -s.io, true
			}
		case "MaxConnections":
			inst.MaxConnections = max(0, number(a, 0, -1, 1<<20, key+".maxConnections"))
			if inst.MaxConnections > 0 {
				m.Approximate(m.Key(), "counted over all nodes of the group, no longer for each process of the web server")
			}
		case "ConnectTimeout":
			if _, ok := build.Int(a.Value, m, 0, build.MaxSeconds); ok {
				m.Approximate("", "Holdfast has a bound of its own for connecting")
			}
		case "ExtendedHandshake":
			if _, ok := build.Bool(a.Value, m); ok {
				m.Approximate("", "an instance that is unavailable is found by its check: see health.type")
			}
		case "WaitForContinue":
			if _, ok := build.Bool(a.Value, m); ok {
				m.Ignore("Expect: 100-continue is answered by the instance")
			}
		case "wsServerIOTimeout", "wsServerIdleTimeout":
			if _, ok := build.Int(a.Value, m, -build.MaxSeconds, build.MaxSeconds); ok {
				m.Approximate("", "a WebSocket stays open as long as its two ends want")
			}
		}
	}
	for _, e := range n.All("Transport") {
		if url := transport(e, key+".listeners"); url != "" {
			inst.Listeners = append(inst.Listeners, url)
		}
	}
	for _, e := range n.All("Property") {
		hideSecrets(e)
		e.IgnoreAll("a setting of the plug-in itself")
	}
	return inst, s
}

// transport gives the listener URL.
func transport(n *markup.Node, key string) string {
	n.Mark.Map("%s", key)
	noText(n)
	for _, e := range n.All("Property") {
		hideSecrets(e)
		e.IgnoreAll("key stores of the plug-in (kdb, sth) cannot be read")
	}
	scheme := "http"
	if a := n.Attr("Protocol"); a != nil {
		switch scheme = strings.ToLower(a.Value); scheme {
		case "http", "https":
			a.Mark.Map("%s", key)
		default:
			a.Mark.Fail("%q is not spoken; write http or https", clip(a.Value))
		}
	}
	for _, name := range []string{"ConnectionTTL", "UseSSL"} {
		if a := n.Attr(name); a != nil {
			a.Mark.Ignore("Holdfast decides by itself how long a connection is kept")
		}
	}
	host, port := required(n, "Hostname"), required(n, "Port")
	if host == nil || port == nil {
		for _, a := range []*markup.Attr{host, port} {
			if a != nil {
				a.Mark.Ignore("the transport is not whole")
			}
		}
		return ""
	}
	host.Mark.Map("%s", key)
	if _, ok := build.Int(port.Value, &port.Mark, 1, 65535); !ok {
		return ""
	}
	port.Mark.Map("%s", key)
	return scheme + "://" + net.JoinHostPort(strings.Trim(host.Value, "[]"), strings.TrimSpace(port.Value))
}

// roles reads PrimaryServers and BackupServers.
func (in *importer) roles(n *markup.Node, c *config.Cluster, byName map[string]int) {
	named := map[int]bool{}
	primary := in.role(n, "PrimaryServers", byName, func(i int, _ *markup.Node) { named[i] = true })
	backups := 0
	in.role(n, "BackupServers", byName, func(i int, m *markup.Node) {
		if named[i] {
			m.Mark.Fail("the server is a primary one already, or named twice")
			return
		}
		named[i] = true
		c.Instances[i].Backup = true
		backups++
	})
	if backups > 1 {
		in.res.Report.Note("cluster %q has %d backup servers: all of them serve while no other is available, not one after the other", clip(c.Name), backups)
	}
	for i := range c.Instances {
		if primary && !named[i] {
			c.Instances[i].Weight = 0
			in.res.Report.Note("cluster %q: server %q is neither a primary nor a backup server, so it gets weight 0: assigned requests only", clip(c.Name), clip(c.Instances[i].Name))
		}
	}
}

func (in *importer) role(n *markup.Node, kind string, byName map[string]int, each func(int, *markup.Node)) (any bool) {
	for _, list := range n.All(kind) {
		any = true
		list.Mark.Map("clusters[*].instances[*].backup")
		noText(list)
		for _, e := range list.All("Server") {
			noText(e)
			a := required(e, "Name")
			if a == nil {
				continue
			}
			i, ok := byName[a.Value]
			if !ok {
				a.Mark.Fail("there is no server %q in the cluster", clip(a.Value))
				continue
			}
			a.Mark.Map("clusters[*].instances[*].backup")
			each(i, e)
			e.Mark.Map("clusters[*].instances[*].backup")
		}
	}
	return any
}
