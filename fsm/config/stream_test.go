package config

import (
	"os"
	"strings"
	"testing"
	"time"
)

const streamBase = `
listeners: [{name: db, address: ":5432", protocol: tcp, cluster: db}]
clusters: [{name: db, instances: [{name: i1, listeners: ["tcp://10.0.0.1:5432"]}]}]
`

// A cluster of streams has its own defaults, and they follow what its instances speak.
func TestStreamDefaults(t *testing.T) {
	c := mustParse(t, streamBase)
	k := &c.Clusters[0]
	if k.Affinity.Type != "source" || k.Affinity.Name != "" || k.Health.Type != "tcp" || k.SendProxy != "" || !k.Streams() || k.StreamProtocol() != "tcp" {
		t.Errorf("%+v", k)
	}
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("warnings: %q", w)
	}
	checkRoundTrip(t, c)
	off := mustParse(t, strings.Replace(strings.Replace(streamBase, "cluster: db}", "cluster: db, proxyProtocol: off, idleTimeout: 0s}", 1), "name: db, inst", "name: db, sendProxy: off, inst", 1))
	if string(off.Canonical()) != string(c.Canonical()) {
		t.Errorf("off: %s", off.Canonical())
	}
	full := mustParse(t, `
proxy: {trustedProxies: [10.0.0.9]}
listeners: [{name: db, address: ":5432", protocol: tcp, cluster: db, idleTimeout: 2h, proxyProtocol: require}, {name: web, address: ":80", proxyProtocol: accept}]
clusters: [{name: db, sendProxy: v2, affinity: {type: none}, health: {type: agent, agentPort: 9}, backup: [spare], instances: [{name: i1, listeners: ["TCP://Db1:5432/", "tcp://[2001:db8::1]:5433"]}]}, {name: spare}]
`)
	if l := full.Listeners[0]; l.IdleTimeout != Duration(2*time.Hour) || l.ProxyProtocol != "require" || full.Clusters[0].SendProxy != "v2" {
		t.Errorf("%+v", full)
	}
	if got := full.Clusters[0].Instances[0].Listeners; got[0] != "tcp://db1:5432" {
		t.Errorf("%q", got)
	}
	checkRoundTrip(t, full)

	empty := mustParse(t, `
listeners: [{name: db, address: ":5432", protocol: tcp, cluster: db}]
clusters: [{name: db}]
`)
	next, err := empty.Apply([]Edit{{Op: "add", Kind: "instance", Cluster: "db", Name: "i1", Values: []byte(`{"listeners": ["tcp://10.0.0.1:5432"]}`)}})
	if err != nil || next.Clusters[0].Affinity.Type != "source" || next.Clusters[0].Health.Type != "tcp" {
		t.Errorf("%+v, %v", next, err)
	}
}

// What does not go together is refused, with the place and what to do.
func TestStreamRefuses(t *testing.T) {
	for _, c := range []struct{ from, to, path, message string }{
		{"cluster: db}]\n", "cluster: bd}]\n", "listeners[0].cluster", `there is no cluster "bd"`},
		{", cluster: db}", "}", "listeners[0].cluster", "a listener of protocol tcp needs the cluster that it leads to"},
		{"protocol: tcp, ", "", "listeners[0].cluster", "only a listener of protocol tcp or udp has a cluster"},
		{"protocol: tcp, cluster: db", "idleTimeout: 1h", "listeners[0].idleTimeout", "idleTimeout belongs to a listener of protocol tcp or udp"},
		{"cluster: db}", "cluster: db, idleTimeout: 1ms}", "listeners[0].idleTimeout", "1ms is out of range"},
		{"cluster: db}", "cluster: db, idleTimeout: -1s}", "listeners[0].idleTimeout", "-1s is out of range"},
		{"cluster: db}", "cluster: db, proxyProtocol: accept}", "listeners[0].proxyProtocol", "nobody is trusted to send headers of the PROXY protocol"},
		{"cluster: db}", "cluster: db, trustedProxies: [10.0.0.9], proxyProtocol: on}", "listeners[0].proxyProtocol", `"on" is unknown`},
		{`"tcp://10.0.0.1:5432"`, `"http://10.0.0.1:5432"`, "listeners[0].cluster", `a listener of protocol tcp cannot lead to cluster "db", whose instances speak http`},
		{`"tcp://10.0.0.1:5432"`, `"tcp://10.0.0.1:5432", "http://10.0.0.1:80"`, "clusters[0].instances[0].listeners[1]", `"http://10.0.0.1:80" speaks http, and others of cluster "db" tcp`},
		{`"tcp://10.0.0.1:5432"`, `"tcp://10.0.0.1"`, "clusters[0].instances[0].listeners[0]", "must be HOST:PORT"},
		{`"tcp://10.0.0.1:5432"`, `"tcp://10.0.0.1:5432/db"`, "clusters[0].instances[0].listeners[0]", "must not have a path"},
		{"cluster: db}", "cluster: db, serverNames: [{name: a.example, cluster: x}]}", "listeners[0].serverNames[0].cluster", `there is no cluster "x"`},
		{"cluster: db}", "cluster: db, serverNames: [{name: a.example}]}", "listeners[0].serverNames[0].cluster", "needs the cluster"},
		{"cluster: db}", "cluster: db, serverNames: [{name: 10.0.0.1, cluster: db}]}", "listeners[0].serverNames[0].name", `"10.0.0.1" is not the name of a server`},
		{"cluster: db}", "cluster: db, serverNames: [{name: a.*.example, cluster: db}]}", "listeners[0].serverNames[0].name", "is not the name of a server"},
		{"cluster: db}", "cluster: db, serverNames: [{name: a.example, cluster: db}, {name: A.example, cluster: db}]}", "listeners[0].serverNames[1].name", `"a.example" is there twice`},
		{"protocol: tcp, cluster: db}", "serverNames: [{name: a.example, cluster: db}]}", "listeners[0].serverNames", "serverNames belongs to a listener of protocol tcp"},
		{`name: db, instances: [{name: i1, listeners: ["tcp:`, `name: db, affinity: {type: sni}, instances: [{name: i1, listeners: ["http:`, "clusters[0].affinity.type", "affinity of type sni is for streams"},
		{"name: db, inst", "name: db, modules: [{contextRoot: /}], inst", "clusters[0].modules", `cluster "db" speaks tcp, and so has no modules`},
		{"name: db, inst", "name: db, affinity: {type: insert}, inst", "clusters[0].affinity.type", "affinity of type insert is for others"},
		{"name: db, inst", "name: db, health: {type: http}, inst", "clusters[0].health.type", "a health check of type http is for requests"},
		{"name: db, inst", "name: db, health: {type: grpc}, inst", "clusters[0].health.type", "a health check of type grpc is for requests"},
		{"name: db, inst", "name: db, sendProxy: v3, inst", "clusters[0].sendProxy", `"v3" is unknown`},
		{`name: db, instances: [{name: i1, listeners: ["tcp:`, `name: db, sendProxy: v1, instances: [{name: i1, listeners: ["http:`, "clusters[0].sendProxy", "connections to instances that speak HTTP carry the requests of many clients"},
	} {
		text := strings.Replace(streamBase, c.from, c.to, 1)
		if text == streamBase {
			t.Fatalf("%q is not in the base", c.from)
		}
		_, err := Parse("", []byte(text))
		if list, ok := err.(Errors); !ok || !strings.Contains(list.Error(), c.path+": ") || !strings.Contains(list.Error(), c.message) {
			t.Errorf("%s: %v", c.to, err)
		}
	}
}

// Flows of datagrams have defaults and rules of their own, and their ports are others than those of tcp.
func TestFlows(t *testing.T) {
	base := `
listeners: [{name: dns, address: ":53", protocol: udp, cluster: dns}, {name: dns-tcp, address: ":53", protocol: tcp, cluster: dnst}]
clusters: [{name: dns, instances: [{name: i1, listeners: ["udp://10.0.0.1:53"]}]}, {name: dnst, instances: [{name: i1, listeners: ["tcp://10.0.0.1:53"]}]}]
`
	c := mustParse(t, base)
	if k := &c.Clusters[0]; k.StreamProtocol() != "udp" || k.Affinity.Type != "source" || k.Health.Type != "none" || k.Health.Passive[0] != "connect" {
		t.Errorf("%+v", k)
	}
	checkRoundTrip(t, c)
	for _, v := range [][3]string{
		{"cluster: dns}", "cluster: dns, proxyProtocol: accept}", "takes no headers of the PROXY protocol"},
		{"cluster: dns}", "cluster: dnst}", "a listener of protocol udp cannot lead to cluster"},
		{"cluster: dns}", "cluster: dns, serverNames: [{name: a.example, cluster: dns}]}", "serverNames belongs to a listener of protocol tcp"},
		{"name: dns, inst", "name: dns, sendProxy: v1, inst", "sendProxy is for instances with listeners as in tcp://"},
		{"name: dns, inst", "name: dns, affinity: {type: sni}, inst", "affinity of type sni is for others"},
		{"protocol: tcp, cluster: dnst", "protocol: udp, cluster: dns", `which listener "dns" has`},
	} {
		refuses(t, strings.Replace(base, v[0], v[1], 1), v[2])
	}
}

// What is allowed but keeps streams from an instance is a warning.
func TestStreamWarnings(t *testing.T) {
	c := mustParse(t, `
listeners: [{name: db, address: ":5432", protocol: tcp, cluster: db}]
clusters:
  - {name: db, backup: [web], instances: [{name: i1, listeners: ["tcp://10.0.0.1:5432"]}]}
  - {name: lone, instances: [{name: i1, listeners: ["tcp://10.0.0.2:5432"]}]}
  - {name: web, modules: [{contextRoot: /}], instances: [{name: i1, listeners: ["http://10.0.0.3:80"]}]}
`)
	all := strings.Join(c.Warnings(), "\n")
	for _, want := range []string{`backup cluster "web" of cluster "db" does not speak tcp`, `no listener of protocol tcp leads to cluster "lone"`} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
}

// The example of docs/TCP.md is taken, without a warning.
func TestDocumentedStreams(t *testing.T) {
	text, err := os.ReadFile("../../docs/TCP.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "\n```yaml\n")
	block, _, ok2 := strings.Cut(block, "\n```\n")
	if !ok || !ok2 {
		t.Fatal("docs/TCP.md has no block of YAML")
	}
	c := mustParse(t, block)
	if w := c.Warnings(); len(w) != 0 || len(c.Listeners) != 4 || len(c.Clusters) != 5 {
		t.Errorf("%d listeners, %d clusters, warnings %q", len(c.Listeners), len(c.Clusters), w)
	}
	checkRoundTrip(t, c)
}
