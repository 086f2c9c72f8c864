package config

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Any valid configuration survives being written and read, and being taken apart into what does not depend on other values.
func TestRoundTripOfAnyConfig(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		c := drawConfig(r)
		fill := c.Clone()
		for i := range fill.Listeners {
			takeOutListener(&fill.Listeners[i])
			fillInListener(&fill.Listeners[i])
		}
		for i := range fill.Clusters {
			takeOut(&fill.Clusters[i])
			fillIn(&fill.Clusters[i])
		}
		if !reflect.DeepEqual(c, fill) {
			r.Fatal("the generator left a default out, or takeOut takes out what fillIn does not give back")
		}
		checkRoundTrip(t, c)
		loaded, err := Load(c.Canonical())
		if err != nil || !reflect.DeepEqual(c, loaded) {
			r.Fatalf("Load gives %+v, %v", loaded, err)
		}
		if edited, err := c.Apply(nil); err != nil || !reflect.DeepEqual(c, edited) {
			r.Fatalf("no edit gives %+v, %v", edited, err)
		}
		if t.Failed() {
			r.Fatal("no round trip")
		}
	})
}

func drawConfig(r *rapid.T) *Config {
	c := Empty()
	c.OnQuorumLoss = rapid.SampledFrom([]string{"provisional", "refuse"}).Draw(r, "loss")
	c.Holder.Prefer = rapid.SampledFrom([][]string{nil, {"n1"}, {"n2", "no", "1.2"}}).Draw(r, "prefer")
	c.Holder.Zone = rapid.SampledFrom([]string{"", "z1", "~"}).Draw(r, "holder zone")
	c.Holder.Settle = drawDuration(r, second, 24*hour)
	c.Proxy = drawProxy(r)
	c.ACME = drawACME(r)
	for i := range rapid.IntRange(0, 3).Draw(r, "listeners") {
		l := Listener{Name: fmt.Sprint("l", i), Address: fmt.Sprintf(":%d", 1000+i), Protocol: "http", HTTP2: rapid.Bool().Draw(r, "http2")}
		l.Zones = rapid.SampledFrom([][]string{nil, {"z1"}, {"z1", "no"}}).Draw(r, "zones")
		l.Nodes = rapid.SampledFrom([][]string{nil, {"node1", "1.2"}}).Draw(r, "nodes")
		l.TrustedProxies = rapid.SampledFrom(anyNetworks).Draw(r, "trusted here")
		all := drawRates(r)
		l.Limits = ListenerLimits{all.RequestsPerSecond, all.Burst, all.Connections, drawRates(r)}
		drawTLS(r, &l)
		c.Listeners = append(c.Listeners, l)
	}
	for i := range rapid.IntRange(0, 3).Draw(r, "clusters") {
		k := drawCluster(r, i)
		// Backups lead forwards only, so there is no cycle.
		for j := range c.Clusters {
			if rapid.IntRange(0, 3).Draw(r, "backup") == 0 {
				k.Backup = append(k.Backup, c.Clusters[j].Name)
			}
		}
		if hasBackup(&k) {
			k.FailBack = rapid.SampledFrom([]string{"immediate", "session"}).Draw(r, "failBack")
		}
		c.Clusters = append(c.Clusters, k)
	}
	drawStreams(r, c)
	return c
}

// makeFlows has a cluster of tcp speak udp.
func makeFlows(k *Cluster) {
	for j := range k.Instances {
		for l, url := range k.Instances[j].Listeners {
			k.Instances[j].Listeners[l] = "udp" + url[len("tcp"):]
		}
	}
	k.SendProxy = ""
	if k.Affinity.Type == "sni" {
		k.Affinity.Type = "source"
	}
}

// drawStreams makes some listeners and clusters those of streams.
func drawStreams(r *rapid.T, c *Config) {
	for i := range c.Clusters {
		k := &c.Clusters[i]
		if len(k.Instances) == 0 || rapid.IntRange(0, 2).Draw(r, "streams") > 0 {
			continue
		}
		for j := range k.Instances {
			k.Instances[j].Listeners = []string{fmt.Sprintf("tcp://10.0.0.%d:80", j), fmt.Sprintf("tcp://[::%d]:443", j+1)}
		}
		k.Modules, k.SendProxy = []Module{}, rapid.SampledFrom([]string{"", "v1", "v2"}).Draw(r, "send")
		k.Affinity = Affinity{Type: rapid.SampledFrom([]string{"source", "sni", "none"}).Draw(r, "stream affinity"), IdleTimeout: k.Affinity.IdleTimeout}
		if k.Health.Type == "http" || k.Health.Type == "grpc" {
			k.Health.Type, k.Health.GRPCService = "tcp", ""
		}
		if rapid.IntRange(0, 2).Draw(r, "datagrams") == 0 {
			makeFlows(k)
			c.Listeners = append(c.Listeners, Listener{Name: fmt.Sprint("u", i), Address: fmt.Sprintf(":%d", 2000+i), Protocol: "udp", Cluster: k.Name})
			continue
		}
		c.Listeners = append(c.Listeners, Listener{
			Name: fmt.Sprint("s", i), Address: fmt.Sprintf(":%d", 2000+i), Protocol: "tcp", Cluster: k.Name,
			IdleTimeout: rapid.SampledFrom([]Duration{0, second, hour}).Draw(r, "idle"),
			ServerNames: rapid.SampledFrom([][]ServerName{nil, {{"no", k.Name}, {"*.example.com", k.Name}}}).Draw(r, "names"),
		})
	}
	if len(c.Proxy.TrustedProxies) > 0 {
		for i := range c.Listeners {
			if c.Listeners[i].Protocol == "udp" {
				continue
			}
			c.Listeners[i].ProxyProtocol = rapid.SampledFrom([]string{"", "accept", "require"}).Draw(r, "proxy protocol")
		}
	}
}

func drawDuration(r *rapid.T, low, high Duration) Duration {
	return Duration(rapid.Int64Range(int64(low), int64(high)).Draw(r, "ns"))
}

// drawQuiesce is often the cluster's, so that there is something to follow.
func drawQuiesce(r *rapid.T, k *Cluster) Duration {
	if rapid.Bool().Draw(r, "inherit") {
		return k.QuiesceTimeout
	}
	return drawDuration(r, second, year)
}

var anyName = rapid.StringMatching(`[A-Za-z0-9_][A-Za-z0-9._-]{0,4}`)

func drawCluster(r *rapid.T, i int) Cluster {
	c := defaultCluster()
	c.Name = fmt.Sprintf("%s%d", anyName.Draw(r, "cluster"), i)
	c.Policy = rapid.SampledFrom(policies).Draw(r, "policy")
	c.QuiesceTimeout = rapid.SampledFrom([]Duration{defaultQuiesce, hour, second}).Draw(r, "quiesce")
	c.OnQuorumLoss = rapid.SampledFrom([]string{"", "provisional", "refuse"}).Draw(r, "loss")
	c.Affinity = rapid.SampledFrom([]Affinity{
		{Type: "insert", Name: "C~!#$%&'*+-.^_`|"},
		{Type: "insert", Name: defaultCookie},
		{Type: "learn", Name: defaultCookie, Names: []string{"true", "null", "0x1", "1e3"}},
		{Type: "learn", Name: "X", Names: []string{defaultLearn}, Routes: []string{"JROUTE", "off"}},
		{Type: "header", Name: "X-Session-Id"},
		{Type: "source"},
		{Type: "none"},
	}).Draw(r, "affinity")
	c.Affinity.IdleTimeout = drawDuration(r, second, year)
	c.InstanceTLS = rapid.SampledFrom([]*InstanceTLS{nil, {Authorities: []string{"ca", "null"}}, {ServerName: "1.2.3.4"}, {Authorities: []string{"ca"}, ServerName: "shop.example"}}).Draw(r, "instanceTLS")
	c.Health = drawHealth(r)
	c.Locality = rapid.SampledFrom([]string{"none", "host", "zone"}).Draw(r, "locality")
	c.SlowStart = drawDuration(r, 0, hour)
	c.OnAllQuiescing = rapid.SampledFrom([]string{"refuse", "serve"}).Draw(r, "quiescing")
	c.ResponseTimeout = drawDuration(r, 0, hour)
	c.Protocol = rapid.SampledFrom([]string{"http1", "h2"}).Draw(r, "protocol")
	c.BodyBuffer = rapid.SampledFrom([]Size{0, 1, 1023, 1 << 10, 64 << 10, 1 << 20, 16<<20 - 1, 16 << 20}).Draw(r, "buffer")
	c.FailoverSameVersion = rapid.Bool().Draw(r, "version")
	c.Registration.Allow = rapid.Bool().Draw(r, "allow")
	c.Registration.Heartbeat = drawDuration(r, Duration(50*time.Millisecond), Duration(time.Minute))
	c.Registration.DropAfter = drawDuration(r, c.Registration.Heartbeat+1, hour)
	if rapid.Bool().Draw(r, "template") {
		in := drawInstance(r, &c, 99)
		c.InstanceTemplate = &Template{
			Enabled: in.Enabled, Weight: in.Weight, QuiesceTimeout: in.QuiesceTimeout, Zone: in.Zone, Version: in.Version, Backup: in.Backup,
			MaxSessions: in.MaxSessions, MaxConnections: in.MaxConnections,
		}
	}
	for j := range rapid.IntRange(0, 3).Draw(r, "modules") {
		c.Modules = append(c.Modules, drawModule(r, &c, j))
	}
	for j := range rapid.IntRange(0, 3).Draw(r, "instances") {
		c.Instances = append(c.Instances, drawInstance(r, &c, j))
	}
	c.HardTimeout = rapid.SampledFrom([]Duration{0, second, hour}).Draw(r, "hard")
	if n := len(c.Instances); n > 0 {
		c.Instances[n-1].HardTimeout = rapid.SampledFrom([]Duration{0, 2 * second}).Draw(r, "hard of one")
	}
	if n := len(c.Instances); n > 1 && rapid.Bool().Draw(r, "failover") {
		c.Instances[0].FailoverTo = c.Instances[n-1].Name
	}
	return c
}

func drawHealth(r *rapid.T) Health {
	h := defaultCluster().Health
	h.Path = rapid.StringMatching(`/[!-"$-~]{0,8}`).Draw(r, "path")
	h.Type = rapid.SampledFrom([]string{"http", "tcp", "grpc", "agent", "none"}).Draw(r, "type")
	h.Mode = rapid.SampledFrom([]string{"active", "recover-only"}).Draw(r, "mode")
	h.Interval = drawDuration(r, second, hour)
	h.RetryInterval = rapid.SampledFrom([]Duration{0, second}).Draw(r, "retry")
	h.Rise, h.Fall, h.PassiveFails = rapid.IntRange(1, 1000).Draw(r, "rise"), rapid.IntRange(1, 1000).Draw(r, "fall"), rapid.IntRange(1, 1000).Draw(r, "fails")
	if h.Type == "grpc" {
		h.GRPCService = rapid.SampledFrom([]string{"", "a.B", "no"}).Draw(r, "service")
	}
	h.AgentPort = rapid.SampledFrom([]int{0, 1, 65535}).Draw(r, "port")
	if h.Type == "agent" {
		h.AgentPort = 1
	}
	h.Passive = slices.Clone(passiveSigns[:rapid.IntRange(0, 4).Draw(r, "passive")])
	return h
}

func drawModule(r *rapid.T, c *Cluster, j int) Module {
	m := defaultModule()
	m.QuiesceTimeout = drawQuiesce(r, c)
	m.ContextRoot = fmt.Sprintf("/%s%d", rapid.StringMatching(`[A-Za-z0-9_~!$&'()*+,=:@-]{1,4}`).Draw(r, "root"), j)
	m.Host = rapid.SampledFrom([]string{"", "a.example", "10.0.0.1", "no", "0x1f"}).Draw(r, "host")
	m.Enabled, m.Replicated = rapid.Bool().Draw(r, "enabled"), rapid.Bool().Draw(r, "replicated")
	m.Retries = rapid.IntRange(-1, 100).Draw(r, "retries")
	m.Idempotent = rapid.SampledFrom([][]Pattern{nil, {{"/", -1}}, {{"/foo/bar/*", 0}, {"*.jpg", 100}, {"/x", 1}, {"/*", 2}}}).Draw(r, "idempotent")
	m.OnSessionLost = rapid.SampledFrom([]string{"reassign", "refuse"}).Draw(r, "lost")
	m.WhenDisabled = rapid.SampledFrom([]string{"unavailable", "not-found"}).Draw(r, "disabled")
	m.Compression = rapid.SampledFrom([]*Compression{nil, new(DefaultCompression()), {Encodings: []string{"gzip"}, MinLength: 0, Types: []string{"text/*", "a/null"}, Level: "best"}}).Draw(r, "compression")
	all := drawRates(r)
	m.Limits = ModuleLimits{all.RequestsPerSecond, all.Burst, all.Connections, rapid.SampledFrom([]Size{0, 1, 1 << 20, maxBody}).Draw(r, "body"), drawRates(r)}
	m.Store = drawStore(r)
	return m
}

func drawInstance(r *rapid.T, c *Cluster, j int) Instance {
	in := newInstance(nil)
	in.Name = fmt.Sprintf("%s%d", anyName.Draw(r, "instance"), j)
	in.Route = rapid.SampledFrom([]string{in.Name, fmt.Sprintf("route%d", j)}).Draw(r, "route")
	in.Listeners = []string{fmt.Sprintf("http://10.0.0.%d:80", j), fmt.Sprintf("https://[::%d]:443", j+1)}
	in.Enabled, in.Backup = rapid.Bool().Draw(r, "enabled"), rapid.Bool().Draw(r, "backup")
	in.Weight = rapid.IntRange(0, 1000).Draw(r, "weight")
	in.QuiesceTimeout = drawQuiesce(r, c)
	in.Zone = rapid.StringMatching(`[!-~]{0,8}`).Draw(r, "zone")
	in.Version = rapid.SampledFrom([]string{"", "1.10", "0x10", "1e5", "~", "null", "yes", "2026-01-01", "12:30", "-", "#a", ".inf", "---", "99999999999999999999", "1_0", "<<", "="}).Draw(r, "version")
	in.MaxSessions, in.MaxConnections = rapid.IntRange(0, 1e9).Draw(r, "sessions"), rapid.IntRange(0, 1e6).Draw(r, "connections")
	return in
}
