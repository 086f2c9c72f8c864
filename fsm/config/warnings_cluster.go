package config

import (
	"net"
	"slices"
)

type warn func(format string, args ...any)

// clusterWarnings names what keeps a cluster from doing what its configuration seems to want.
func clusterWarnings(k *Cluster, byName map[string]*Cluster, add warn) {
	enabled, weights, backups := 0, 0, 0
	least, most := 0, 0 // of the weights above 0
	for i := range k.Instances {
		in := &k.Instances[i]
		if in.Enabled {
			enabled++
			weights += in.Weight
		}
		if in.Backup {
			backups++
		}
		if in.Weight > 0 && (least == 0 || in.Weight < least) {
			least = in.Weight
		}
		most = max(most, in.Weight)
	}
	if k.Policy == "round-robin" && least != most {
		add("instances of cluster %q have different weights (%d to %d), which policy round-robin ignores; weighted-round-robin goes by them", k.Name, least, most)
	}
	if enabled > 0 && weights == 0 {
		add("all enabled instances of cluster %q have weight 0: it gets assigned requests only", k.Name)
	}
	if len(k.Instances) > 0 && backups == len(k.Instances) {
		add("every instance of cluster %q is a backup: there is none that they stand in for", k.Name)
	}
	if len(k.Backup) > 0 && !slices.ContainsFunc(k.Backup, func(name string) bool { return servesAnything(byName[name]) }) {
		add("no backup cluster of cluster %q has an enabled instance", k.Name)
	}
	if alone := k.withoutBackup(byName); len(alone) > 0 {
		add("no backup cluster of cluster %q has module %s: backup clusters get requests for the modules that they have, too", k.Name, listNames(alone))
	}
	if h := &k.Health; h.Type == "none" && h.AgentPort == 0 && len(h.Passive) == 0 {
		add("health of cluster %q has type none and no passive signs: an instance that fails keeps its requests", k.Name)
	}
	if versions := k.MixedVersions(); len(versions) > 0 && !k.FailoverSameVersion {
		add("enabled instances of cluster %q have different versions (%s): sessions may fail over from one version to another; upgrade all instances of a cluster together, or set failoverSameVersion", k.Name, listNames(versions))
	}
	for i := range k.Modules {
		m := &k.Modules[i]
		if m.Replicated && m.OnSessionLost != "reassign" {
			add("onSessionLost of module %q of cluster %q has no effect while replicated is true", m.Host+m.ContextRoot, k.Name)
		}
		if !m.Replicated && k.Affinity.Type == "none" {
			add("module %q of cluster %q is not replicated, but affinity of type none sends its sessions to any instance", m.Host+m.ContextRoot, k.Name)
		}
	}
}

// MixedVersions lists the versions of the enabled instances, sorted, when there is more than one; instances that name none do not count. (SUN-73)
func (c *Cluster) MixedVersions() []string {
	var list []string
	for i := range c.Instances {
		if in := &c.Instances[i]; in.Enabled && in.Version != "" && !slices.Contains(list, in.Version) {
			list = append(list, in.Version)
		}
	}
	if len(list) < 2 {
		return nil
	}
	slices.Sort(list)
	return list
}

// withoutBackup lists the modules that a cluster with backup clusters has and none of those.
func (c *Cluster) withoutBackup(byName map[string]*Cluster) (list []string) {
	for i := range c.Modules {
		m := &c.Modules[i]
		same := func(o Module) bool { return o.Host == m.Host && o.ContextRoot == m.ContextRoot }
		has := func(name string) bool { return byName[name] != nil && slices.ContainsFunc(byName[name].Modules, same) }
		if len(c.Backup) > 0 && !slices.ContainsFunc(c.Backup, has) {
			list = append(list, m.Host+m.ContextRoot)
		}
	}
	return list
}

// agentWarnings: the agent is asked on the host of the instance, at one port for the whole cluster, so instances of one host have one agent.
func agentWarnings(k *Cluster, add warn) {
	if k.Health.AgentPort == 0 {
		return
	}
	first := map[string]string{}
	for i := range k.Instances {
		in, told := &k.Instances[i], false
		for _, text := range in.Listeners {
			_, hostPort, err := parseEndpoint(text)
			host, _, err2 := splitHostPort(hostPort)
			if err != nil || err2 != nil {
				continue
			}
			if other := first[host]; other == "" {
				first[host] = in.Name
			} else if other != in.Name && !told {
				told = true
				add("instances %q and %q of cluster %q are on the host %s, and so have one agent (agentPort %d): what it says of one it says of both", other, in.Name, k.Name, host, k.Health.AgentPort)
			}
		}
	}
}

func servesAnything(k *Cluster) bool {
	return k != nil && slices.ContainsFunc(k.Instances, func(in Instance) bool { return in.Enabled })
}

// loopWarnings: an instance whose address is a listener of the group gives Holdfast its own requests.
func loopWarnings(c *Config, add warn) {
	own := map[string]string{}
	for i := range c.Listeners {
		if host, port, err := splitHostPort(c.Listeners[i].Address); err == nil {
			own[net.JoinHostPort(host, port)] = c.Listeners[i].Name
		}
	}
	for i := range c.Clusters {
		for j := range c.Clusters[i].Instances {
			in := &c.Clusters[i].Instances[j]
			for _, text := range in.Listeners {
				_, hostPort, err := parseEndpoint(text)
				if listener, loop := own[hostPort]; err == nil && loop {
					add("%s is the address of listener %q and of instance %q of cluster %q: requests would go round in circles", hostPort, listener, in.Name, c.Clusters[i].Name)
				}
			}
		}
	}
}

// routeWarnings: a session id says which route it belongs to, but not in which cluster, so where two clusters have one module it may lead to the
// wrong one. One module of a pair is enough.
func routeWarnings(c *Config, add warn) {
	first := map[string]int{} // by module
	routes := map[int]map[string]bool{}
	type pair struct{ a, b int }
	told := map[pair]bool{}
	for i := range c.Clusters {
		k := &c.Clusters[i]
		if k.Affinity.Type != "learn" {
			continue
		}
		for j := range k.Modules {
			key := moduleKey(k.Modules[j].Host, k.Modules[j].ContextRoot)
			other, dup := first[key]
			if !dup {
				first[key] = i
				continue
			}
			if other == i || told[pair{other, i}] {
				continue
			}
			told[pair{other, i}] = true
			if routes[other] == nil {
				routes[other] = routesOf(&c.Clusters[other])
			}
			for l := range k.Instances {
				if in := &k.Instances[l]; routes[other][in.Route] {
					add("clusters %q and %q both have module %q and route %q: a session id with it does not say which cluster it is from", c.Clusters[other].Name, k.Name, key, in.Route)
					break
				}
			}
		}
	}
}

func routesOf(k *Cluster) map[string]bool {
	routes := map[string]bool{}
	for i := range k.Instances {
		routes[k.Instances[i].Route] = true
	}
	return routes
}
