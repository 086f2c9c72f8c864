package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// What the documents about clusters ask of a configuration.

const oneModule = "modules: [{contextRoot: /fortune}]"

func mustParse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse("", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func refuses(t *testing.T, text, want string) {
	t.Helper()
	if _, err := Parse("", []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s\ngives %v, want %q", text, err, want)
	}
}

// A cluster is instances that serve the same modules; its checks, its policy and its time-outs are one for all of them. An instance is in one cluster,
// and whatever takes a session over is in the same cluster. (SUN-02, SUN-03)
func TestClusterIsHomogeneous(t *testing.T) {
	shared := "clusters: [{name: a, " + oneModule + ", instances: [{name: i1, listeners: ['http://h:1']}]}, {name: b, " + oneModule + ", instances: [{name: i1, listeners: ['http://h:1']}]}]"
	if w := strings.Join(mustParse(t, shared).Warnings(), "\n"); !strings.Contains(w, `h:1 is instance "i1" of cluster "a" and instance "i1" of cluster "b"`) {
		t.Errorf("warnings: %s", w)
	}
	refuses(t, "clusters: [{name: a, instances: [{name: i1, listeners: ['http://h:1'], failoverTo: i2}]}, {name: b, instances: [{name: i2, listeners: ['http://h:2']}]}]", `cluster "a" has no instance "i2"`)
	refuses(t, "clusters: [{name: a, instances: [{name: i1, listeners: ['http://h:1'], policy: round-robin}]}]", `unknown key "policy"`)
	refuses(t, "clusters: [{name: a, instances: [{name: i1, listeners: ['http://h:1'], modules: []}]}]", `unknown key "modules"`)
}

// There may be several clusters, and their names are unique. (SUN-07, SUN-08)
func TestClusterNamesAreUnique(t *testing.T) {
	if c := mustParse(t, "clusters: [{name: cluster1}, {name: cluster2}, {name: Cluster1}]"); len(c.Clusters) != 3 {
		t.Errorf("got %+v", c.Clusters)
	}
	refuses(t, "clusters: [{name: cluster1}, {name: cluster1}]", `cluster "cluster1" is there twice`)
	refuses(t, "clusters: [{policy: round-robin}]", "the cluster has no name")
}

// One health check for each cluster. (SUN-16)
func TestOneHealthCheckPerCluster(t *testing.T) {
	c := mustParse(t, "clusters: [{name: a, health: {interval: 10s, timeout: 20s}}, {name: b}]")
	if a, b := c.Clusters[0].Health, c.Clusters[1].Health; a.Interval != Duration(10*time.Second) || a.Timeout != Duration(20*time.Second) || b.Interval != Duration(30*time.Second) || b.Timeout != Duration(10*time.Second) {
		t.Errorf("got %+v and %+v", a, b)
	}
	refuses(t, "clusters: [{name: a, health: {path: /a}, health: {path: /b}}]", "is there twice")
	refuses(t, "clusters: [{name: a, health: [{path: /a}]}]", "must be a mapping")
}

// Name and listeners are required, the name is unique in its cluster and need not be anything else's; enabled and the time-out have defaults: true, and
// 31 minutes, one more than sessions are idle for. Listeners are http and https URLs, mixed. (SUN-17 to SUN-21)
func TestInstanceValues(t *testing.T) {
	c := mustParse(t, "clusters: [{name: a, instances: [{name: myinstance1, listeners: ['http://www.example.com:41', 'https://www.example.com:42']}]}, {name: b, instances: [{name: myinstance1, listeners: ['http://h:1'], enabled: false}]}]")
	in := c.Clusters[0].Instances[0]
	if !in.Enabled || c.Clusters[1].Instances[0].Enabled || in.QuiesceTimeout != Duration(31*time.Minute) || c.Clusters[0].Affinity.IdleTimeout != Duration(30*time.Minute) || len(in.Listeners) != 2 {
		t.Errorf("got %+v", in)
	}
	refuses(t, "clusters: [{name: a, instances: [{listeners: ['http://h:1']}]}]", "the instance has no name")
	refuses(t, "clusters: [{name: a, instances: [{name: i}]}]", "an instance has 1 to 16 listener URLs, this one 0")
	refuses(t, "clusters: [{name: a, instances: [{name: i, listeners: ['http://h:1']}, {name: i, listeners: ['http://h:2']}]}]", `instance "i" is there twice in cluster "a"`)
	for quiesce, warned := range map[string]bool{"29m": true, "30m": true, "30m1s": false, "31m": false} {
		c := mustParse(t, "listeners: [{name: w, address: ':80'}]\nclusters: [{name: a, "+oneModule+", quiesceTimeout: "+quiesce+", instances: [{name: i, listeners: ['http://h:1']}]}]")
		if w := c.Warnings(); (len(w) == 1 && strings.Contains(w[0], "is not longer than idleTimeout 30m")) != warned || !warned && len(w) > 0 {
			t.Errorf("%s: %q", quiesce, w)
		}
	}
}

// No two modules with one context root in a cluster, but in two clusters; enabled by default, for 31 minutes. (SUN-36 to SUN-39, SUN-63)
func TestModuleValues(t *testing.T) {
	c := mustParse(t, "clusters: [{name: a, modules: [{contextRoot: /fortune}, {contextRoot: /shopping}]}, {name: b, "+oneModule+"}]")
	for _, m := range c.Clusters[0].Modules {
		if !m.Enabled || !m.Replicated || m.QuiesceTimeout != Duration(31*time.Minute) {
			t.Errorf("got %+v", m)
		}
	}
	refuses(t, "clusters: [{name: a, modules: [{contextRoot: /fortune}, {contextRoot: /fortune/}]}]", `cluster "a" has the module "/fortune" of host "" already`)
}

// 60 seconds for a response, and 0 for no bound. (SUN-90)
func TestResponseTimeout(t *testing.T) {
	c := mustParse(t, "clusters: [{name: a}, {name: b, responseTimeout: 0s}]")
	if c.Clusters[0].ResponseTimeout != Duration(60*time.Second) || c.Clusters[1].ResponseTimeout != 0 {
		t.Errorf("got %v and %v", c.Clusters[0].ResponseTimeout, c.Clusters[1].ResponseTimeout)
	}
}

// Instances of a cluster share nothing but their modules: each has its own weight, limits, addresses and versions. (WAS-04) The documents' weights from
// 0 to 20 are taken, and larger ones up to 1000. (WAS-12)
func TestInstancesDiffer(t *testing.T) {
	c := mustParse(t, `clusters:
  - name: a
    instances:
      - {name: i1, listeners: ["http://h1:1"], weight: 20, maxSessions: 10, maxConnections: 5, zone: east, version: "1"}
      - {name: i2, listeners: ["https://h2:2", "http://h2:3"], weight: 0, quiesceTimeout: 5m, enabled: false, backup: true, failoverTo: i1}
`)
	a, b := c.Clusters[0].Instances[0], c.Clusters[0].Instances[1]
	if a.Weight != 20 || b.Weight != 0 || a.MaxSessions != 10 || b.MaxSessions != 0 || a.Zone != "east" || b.Zone != "" || a.QuiesceTimeout == b.QuiesceTimeout {
		t.Errorf("got %+v and %+v", a, b)
	}
	for weight := -1; weight <= 1001; weight++ {
		_, err := Parse("", fmt.Appendf(nil, "clusters: [{name: a, instances: [{name: i, listeners: ['http://h:1'], weight: %d}]}]", weight))
		if ok := weight >= 0 && weight <= 1000; ok != (err == nil) {
			t.Errorf("weight %d: %v", weight, err)
		}
	}
}

// Several instances on one computer have ports of their own, and so have listeners; who has it already is named. (TC-25)
func TestPortConflicts(t *testing.T) {
	refuses(t, "clusters: [{name: a, instances: [{name: i1, listeners: ['http://Host:80']}, {name: i2, listeners: ['https://host:80']}]}]", `host:80 of cluster "a" is there twice, in instance "i1" and in instance "i2": also clusters[0].instances[0].listeners[0] in line 1`)
	refuses(t, "listeners: [{name: a, address: '10.0.0.1:80'}, {name: b, address: '0.0.0.0:80'}]", `listener "b" wants 0.0.0.0:80, which listener "a" has`)
	// A node of zone z1 that is called n1 would have both.
	refuses(t, "listeners: [{name: a, address: ':80', zones: [z1], nodes: [n1]}, {name: b, address: ':80', zones: [z2], nodes: [n1]}]", `listener "b" wants :80`)
	refuses(t, "listeners: [{name: a, address: ':80', zones: [z1]}, {name: b, address: ':80', nodes: [n1]}]", `listener "b" wants :80`)
	refuses(t, "listeners: [{name: a, address: ':80', zones: [z1]}, {name: b, address: ':80'}]", `listener "b" wants :80`)
	mustParse(t, "clusters: [{name: a, instances: [{name: i1, listeners: ['http://h:80', 'https://h:443']}, {name: i2, listeners: ['http://h:81', 'https://h:444']}]}]")
}

// The values of a cluster are the defaults of its modules and instances, and replicated with it. (TIP-07g)
func TestClusterDefaultsAreInherited(t *testing.T) {
	c := mustParse(t, `clusters:
  - name: a
    instances:
      - {name: i1, listeners: ["http://h:1"]}
      - {name: i2, listeners: ["http://h:2"], quiesceTimeout: 1h, weight: 7}
    modules: [{contextRoot: /a}, {contextRoot: /b, quiesceTimeout: 2h}]
    quiesceTimeout: 36m
    instanceTemplate: {weight: 20, zone: east}
`)
	k := c.Clusters[0]
	if k.Instances[0].QuiesceTimeout != Duration(36*time.Minute) || k.Modules[0].QuiesceTimeout != Duration(36*time.Minute) || k.Instances[0].Weight != 20 || k.Instances[1].Zone != "east" {
		t.Errorf("got %+v", k)
	}
	if k.Instances[1].QuiesceTimeout != hour || k.Instances[1].Weight != 7 || k.Modules[1].QuiesceTimeout != 2*hour {
		t.Errorf("got %+v", k)
	}
	// What the group holds has every value written, so every node has the same, whatever its own defaults are.
	for _, want := range []string{`"quiesceTimeout":"36m","zone":"east"`, `"contextRoot":"/a","host":"","enabled":true,"quiesceTimeout":"36m"`, `"instanceTemplate":{"enabled":true,"weight":20,"quiesceTimeout":"36m"`} {
		if !strings.Contains(string(c.Canonical()), want) {
			t.Errorf("%s\nlacks %s", c.Canonical(), want)
		}
	}
}

// Instances of one cluster are upgraded together, or else sessions may fail over between versions: who has that is told. Instances that are disabled, or
// name no version, do not count, and neither does a cluster that keeps sessions to their version. (SUN-73)
func TestMixedVersionsAreWarnedOf(t *testing.T) {
	const three = `clusters: [{name: a, %s modules: [{contextRoot: /a}], instances: [{name: i1, listeners: ['http://h:1'], version: "%s"}, {name: i2, listeners: ['http://h:2'], version: "%s"}, {name: i3, listeners: ['http://h:3'], version: "%s", enabled: %t}]}]`
	for _, tc := range []struct {
		key, v1, v2, v3 string
		enabled         bool
		want            string
	}{
		{"", "1.0", "1.0", "1.0", true, ""},
		{"", "2.0", "1.0", "", true, `("1.0", "2.0")`},
		{"", "1.0", "", "2.0", true, `("1.0", "2.0")`},
		{"", "1.0", "1.0", "2.0", false, ""},
		{"", "", "", "1.0", true, ""},
		{"", "", "", "", true, ""},
		{"failoverSameVersion: false,", "1.0", "2.0", "3.0", true, `("1.0", "2.0", "3.0")`},
		{"failoverSameVersion: true,", "1.0", "2.0", "3.0", true, ""},
	} {
		warned := ""
		for _, w := range mustParse(t, "listeners: [{name: web, address: ':80'}]\n"+fmt.Sprintf(three, tc.key, tc.v1, tc.v2, tc.v3, tc.enabled)).Warnings() {
			if strings.Contains(w, "different versions") {
				warned += w
			}
		}
		if (warned == "") != (tc.want == "") || !strings.Contains(warned, tc.want) || warned != "" && !strings.Contains(warned, `cluster "a"`) {
			t.Errorf("%+v: warned %q", tc, warned)
		}
	}
}

// TestWeightsThatNobodyGoesBy: round-robin, also as the default, with weights that differ is probably meant to be weighted-round-robin.
func TestWeightsThatNobodyGoesBy(t *testing.T) { // WAS-10, WAS-21
	const three = `clusters: [{name: a, %s modules: [{contextRoot: /a}], instances: [{name: i1, listeners: ['http://h:1'] %s}, {name: i2, listeners: ['http://h:2'] %s}, {name: i3, listeners: ['http://h:3'] %s}]}]`
	for _, tc := range []struct{ policy, w1, w2, w3, want string }{
		{"", "", "", "", ""},
		{"", ", weight: 3", ", weight: 3", ", weight: 3", ""},
		{"", ", weight: 0", ", weight: 0", "", ""}, // 0 counts with every policy
		{"", ", weight: 0", ", weight: 7", ", weight: 7", ""},
		{"", ", weight: 2", "", "", "(1 to 2)"},
		{"policy: round-robin,", "", ", weight: 0", ", weight: 1000, enabled: false", "(1 to 1000)"},
		{"policy: round-robin, instanceTemplate: {weight: 4},", "", ", weight: 5", "", "(4 to 5)"},
		{"policy: weighted-round-robin,", ", weight: 2", "", "", ""},
		{"policy: least-sessions,", ", weight: 2", "", "", ""},
	} {
		warned := ""
		for _, w := range mustParse(t, "listeners: [{name: web, address: ':80'}]\n"+fmt.Sprintf(three, tc.policy, tc.w1, tc.w2, tc.w3)).Warnings() {
			if strings.Contains(w, "round-robin") {
				warned += w
			}
		}
		want := ""
		if tc.want != "" {
			want = `instances of cluster "a" have different weights ` + tc.want + `, which policy round-robin ignores; weighted-round-robin goes by them`
		}
		if warned != want {
			t.Errorf("%+v: warned %q, want %q", tc, warned, want)
		}
	}
}
