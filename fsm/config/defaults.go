package config

import (
	"slices"
	"time"
)

// The default of every value that has one. They come from the Sun documents: probes of 30 s and
// 10 s with 100 to 500 as healthy (SUN-11 to SUN-13), a quiesce of one minute more than the usual idle time (SUN-20).
const (
	defaultCookie      = "HOLDFAST"
	defaultLearn       = "JSESSIONID"
	defaultExpect      = "100-500"
	defaultIdleTimeout = Duration(30 * time.Minute)
	defaultQuiesce     = Duration(31 * time.Minute)
	// unset marks a quiesceTimeout that the text does not give; it takes the one of the level above.
	unset = Duration(-1)
	// defaultFailBack is that of clusters that have a backup of some kind.
	defaultFailBack = "immediate"
	// defaultSettle is long enough for a node that comes back to show that it stays.
	defaultSettle = Duration(time.Minute)
)

// Empty is the configuration of a new group: no listeners, no clusters.
func Empty() *Config {
	return &Config{Listeners: []Listener{}, Clusters: []Cluster{}, OnQuorumLoss: "provisional", Holder: Holder{Settle: defaultSettle}, Proxy: defaultProxy()}
}

// defaultProxy believes nobody and bounds what can be bounded for everybody: bodies and tunnels may take their time.
func defaultProxy() Proxy {
	return Proxy{
		Forwarded: Forwarded{Mode: "set", Read: "x-forwarded", Write: "x-forwarded"},
		RequestID: RequestID{Trust: "proxies"},
		Limits:    HeadLimits{Head: 32 << 10, Target: 8 << 10, Lines: 100},
		Timeouts:  Timeouts{Connect: 5 * second, Head: 10 * second, Idle: 75 * second},
		AccessLog: AccessLog{Format: "json", Sample: 1},
	}
}

func defaultCluster() Cluster {
	return Cluster{
		Policy:          "round-robin",
		Affinity:        Affinity{IdleTimeout: defaultIdleTimeout},
		Health:          Health{Path: "/", Interval: Duration(30 * time.Second), Timeout: Duration(10 * time.Second), Expect: defaultExpect, Rise: 1, Fall: 1, Mode: "active", Passive: []string{"connect"}, PassiveFails: 1},
		QuiesceTimeout:  defaultQuiesce,
		Locality:        "none",
		OnAllQuiescing:  "refuse",
		ResponseTimeout: Duration(60 * time.Second),
		Protocol:        "http1",
		BodyBuffer:      64 << 10,
		Registration:    Registration{Heartbeat: Duration(500 * time.Millisecond), DropAfter: Duration(3 * time.Second)},
		Modules:         []Module{},
		Instances:       []Instance{},
	}
}

func defaultModule() Module {
	return Module{Enabled: true, QuiesceTimeout: unset, Replicated: true, Retries: 1, OnSessionLost: "reassign", WhenDisabled: "unavailable"}
}

func defaultTemplate() Template {
	return Template{Enabled: true, Weight: 1, QuiesceTimeout: unset}
}

// newInstance gives an instance with the defaults of its cluster's template, if there is one.
func newInstance(t *Template) Instance {
	if t == nil {
		d := defaultTemplate()
		t = &d
	}
	return Instance{
		Enabled: t.Enabled, Weight: t.Weight, QuiesceTimeout: t.QuiesceTimeout, Zone: t.Zone, Version: t.Version, Backup: t.Backup,
		MaxSessions: t.MaxSessions, MaxConnections: t.MaxConnections,
	}
}

// fillIn gives the values that depend on others their defaults.
func fillIn(c *Cluster) {
	a := &c.Affinity
	if a.Type == "" {
		a.Type = c.defaultAffinity()
	}
	if c.Health.Type == "" {
		c.Health.Type = c.defaultCheck()
	}
	if a.Name == "" && (a.Type == "insert" || a.Type == "learn") {
		a.Name = defaultCookie // with learn it is the cookie of provisional assignments
	}
	if len(a.Names) == 0 && a.Type == "learn" {
		a.Names = []string{defaultLearn}
	}
	if c.FailBack == "" && hasBackup(c) {
		c.FailBack = defaultFailBack
	}
	inherit := func(d *Duration) {
		if *d == unset {
			*d = c.QuiesceTimeout
		}
	}
	if c.InstanceTemplate != nil {
		inherit(&c.InstanceTemplate.QuiesceTimeout)
	}
	for i := range c.Modules {
		inherit(&c.Modules[i].QuiesceTimeout)
	}
	for i := range c.Instances {
		in := &c.Instances[i]
		inherit(&in.QuiesceTimeout)
		if in.Route == "" {
			in.Route = in.Name
		}
	}
}

// takeOut is the reverse of fillIn: what is equal to what fillIn would give depends on the other values again.
func takeOut(c *Cluster) {
	a := &c.Affinity
	if a.Name == defaultCookie && (a.Type == "insert" || a.Type == "learn") {
		a.Name = ""
	}
	if a.Type == "learn" && len(a.Names) == 1 && a.Names[0] == defaultLearn {
		a.Names = nil
	}
	if a.Type == c.defaultAffinity() {
		a.Type = ""
	}
	if c.Health.Type == c.defaultCheck() {
		c.Health.Type = ""
	}
	if c.FailBack == defaultFailBack && hasBackup(c) {
		c.FailBack = ""
	}
	for i := range c.Modules {
		if m := &c.Modules[i]; m.QuiesceTimeout == c.QuiesceTimeout {
			m.QuiesceTimeout = unset
		}
	}
	// Instances of a template with a time-out of its own take none from the cluster.
	inherits := c.InstanceTemplate == nil || c.InstanceTemplate.QuiesceTimeout == c.QuiesceTimeout
	if c.InstanceTemplate != nil && inherits {
		c.InstanceTemplate.QuiesceTimeout = unset
	}
	for i := range c.Instances {
		in := &c.Instances[i]
		if inherits && in.QuiesceTimeout == c.QuiesceTimeout {
			in.QuiesceTimeout = unset
		}
		if in.Route == in.Name {
			in.Route = ""
		}
	}
}

// hasBackup tells whether anybody stands in for the cluster's instances.
func hasBackup(c *Cluster) bool {
	return len(c.Backup) > 0 || slices.ContainsFunc(c.Instances, func(in Instance) bool { return in.Backup })
}
