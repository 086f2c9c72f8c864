package config

import (
	"fmt"
	"strings"
)

// maxWarnings bounds a list that nobody reads to its end.
const maxWarnings = 100

// Warnings names what is allowed but probably not meant, in the order of the configuration. It expects a valid one. There are at most 100, and one
// that says how many more.
func (c *Config) Warnings() []string {
	var out []string
	more := 0
	add := func(format string, args ...any) {
		if len(out) == maxWarnings {
			more++
			return
		}
		out = append(out, fmt.Sprintf(format, args...))
	}
	byName := make(map[string]*Cluster, len(c.Clusters))
	for i := range c.Clusters {
		byName[c.Clusters[i].Name] = &c.Clusters[i]
	}
	if len(c.Listeners) == 0 && len(c.Clusters) > 0 {
		add("there are no listeners: no request can come in")
	}
	proxyWarnings(c, add)
	instances := 0
	var lenient []string
	for i := range c.Clusters {
		k := &c.Clusters[i]
		instances += len(k.Instances)
		quiesceWarnings(k, add)
		clusterWarnings(k, byName, add)
		agentWarnings(k, add)
		switch {
		case k.Streams():
			streamWarnings(c, k, add)
		case len(k.Modules) == 0:
			add("cluster %q has no modules: no request leads to it", k.Name)
		case len(k.Instances) == 0:
			add("cluster %q has no instances: its modules cannot be served", k.Name)
		}
		// The default is not named: it is the documents', and a warning about every configuration would warn of nothing.
		if s, err := ParseExpect(k.Health.Expect); err == nil && k.Health.Type == "http" && k.Health.Expect != defaultExpect && (s.Contains(404) || s.Contains(500)) {
			lenient = append(lenient, k.Name)
		}
	}
	if instances == 0 {
		add("no cluster has instances")
	}
	if len(lenient) > 0 {
		add("health.expect of %s counts error answers (404 or 500) as healthy, as the Sun documents do (SUN-11); \"200-399\" does not", listNames(lenient))
	}
	sharedEndpoints(c, add)
	loopWarnings(c, add)
	routeWarnings(c, add)
	if more > 0 {
		out = append(out, fmt.Sprintf("and %d warnings more", more))
	}
	return out
}

// quiesceWarnings: a quiesce that ends before idle sessions do moves sessions that would have ended by themselves (SUN-20).
func quiesceWarnings(k *Cluster, add warn) {
	idle := k.Affinity.IdleTimeout
	if k.Affinity.Type == "none" {
		return
	}
	const text = "quiesceTimeout %v of %s is not longer than idleTimeout %v: sessions fail over that would have ended by themselves; one minute more is usual"
	if k.QuiesceTimeout <= idle {
		add(text, k.QuiesceTimeout, fmt.Sprintf("cluster %q", k.Name), idle)
	}
	// Those that only inherit the cluster's value are not named again.
	for i := range k.Modules {
		if m := &k.Modules[i]; m.QuiesceTimeout <= idle && m.QuiesceTimeout != k.QuiesceTimeout {
			add(text, m.QuiesceTimeout, fmt.Sprintf("module %q of cluster %q", m.Host+m.ContextRoot, k.Name), idle)
		}
	}
	for i := range k.Instances {
		if in := &k.Instances[i]; in.QuiesceTimeout <= idle && in.QuiesceTimeout != k.QuiesceTimeout {
			add(text, in.QuiesceTimeout, fmt.Sprintf("instance %q of cluster %q", in.Name, k.Name), idle)
		}
	}
}

// sharedEndpoints: an instance belongs to one cluster (SUN-03).
func sharedEndpoints(c *Config, add warn) {
	type owner struct{ cluster, instance string }
	first := map[string]owner{}
	for i := range c.Clusters {
		k := &c.Clusters[i]
		for j := range k.Instances {
			for _, text := range k.Instances[j].Listeners {
				_, hostPort, err := parseEndpoint(text)
				if err != nil {
					continue
				}
				me := owner{k.Name, k.Instances[j].Name}
				if other, dup := first[hostPort]; dup && other.cluster != me.cluster {
					add("%s is instance %q of cluster %q and instance %q of cluster %q", hostPort, other.instance, other.cluster, me.instance, me.cluster)
					continue
				}
				first[hostPort] = me
			}
		}
	}
}

func listNames(names []string) string {
	const most = 5
	quoted := make([]string, 0, most)
	for _, n := range names[:min(most, len(names))] {
		quoted = append(quoted, fmt.Sprintf("%q", clip(n)))
	}
	text := strings.Join(quoted, ", ")
	if len(names) > most {
		text += fmt.Sprintf(" and %d more", len(names)-most)
	}
	return text
}
