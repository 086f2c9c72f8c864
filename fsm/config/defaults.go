package config

import "time"

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
)

// Empty is the configuration of a new group: no listeners, no clusters.
func Empty() *Config {
	return &Config{Listeners: []Listener{}, Clusters: []Cluster{}, OnQuorumLoss: "provisional"}
}

func defaultCluster() Cluster {
	return Cluster{
		Policy:         "round-robin",
		Affinity:       Affinity{Type: "insert", IdleTimeout: defaultIdleTimeout},
		Health:         Health{Path: "/", Interval: Duration(30 * time.Second), Timeout: Duration(10 * time.Second), Expect: defaultExpect, Rise: 1, Fall: 1, Type: "http"},
		QuiesceTimeout: defaultQuiesce,
		Locality:       "none",
		Modules:        []Module{},
		Instances:      []Instance{},
	}
}

func defaultModule() Module {
	return Module{Enabled: true, QuiesceTimeout: unset, Replicated: true, Retries: 1}
}

func defaultInstance() Instance {
	return Instance{Enabled: true, Weight: 1, QuiesceTimeout: unset}
}

// fillIn gives the values that depend on others their defaults.
func fillIn(c *Cluster) {
	a := &c.Affinity
	if a.Name == "" && (a.Type == "insert" || a.Type == "learn") {
		a.Name = defaultCookie // with learn it is the cookie of provisional assignments
	}
	if len(a.Names) == 0 && a.Type == "learn" {
		a.Names = []string{defaultLearn}
	}
	for i := range c.Modules {
		if c.Modules[i].QuiesceTimeout == unset {
			c.Modules[i].QuiesceTimeout = c.QuiesceTimeout
		}
	}
	for i := range c.Instances {
		in := &c.Instances[i]
		if in.QuiesceTimeout == unset {
			in.QuiesceTimeout = c.QuiesceTimeout
		}
		if in.Route == "" {
			in.Route = in.Name
		}
	}
}
