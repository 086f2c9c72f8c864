package config

import (
	"net/netip"
	"slices"
	"strings"
)

// validateStreamListener checks what a listener says about streams: where it leads, and how they begin and end.
func validateStreamListener(p *problems, at *path, l *Listener, c *Config) {
	validateProxyProtocol(p, at, l, c)
	if len(l.ServerNames) > 0 && l.Protocol != "tcp" {
		p.add(at.child("serverNames"), "remove it, or write protocol: tcp", "serverNames belongs to a listener of protocol tcp")
		return
	}
	if l.Protocol != "tcp" && l.Protocol != "udp" {
		if l.Cluster != "" {
			p.add(at.child("cluster"), "remove it: modules lead requests to their cluster", "only a listener of protocol tcp or udp has a cluster")
		}
		if l.IdleTimeout != 0 {
			p.add(at.child("idleTimeout"), "remove it; for requests it is proxy.timeouts.idle", "idleTimeout belongs to a listener of protocol tcp or udp")
		}
		return
	}
	if l.IdleTimeout != 0 {
		p.within(at.child("idleTimeout"), l.IdleTimeout, leastTimeout, year)
	}
	validateServerNames(p, at.child("serverNames"), l, c)
	validateTarget(p, at.child("cluster"), l, l.Cluster, c)
}

// validateServerNames checks the names and where they lead.
func validateServerNames(p *problems, list *path, l *Listener, c *Config) {
	const most = 1000
	if len(l.ServerNames) > most {
		p.add(list, "remove some", "%d names, at most %d are taken", len(l.ServerNames), most)
		return
	}
	first := map[string]*path{}
	for i, s := range l.ServerNames {
		if p.full() {
			p.more = true
			return
		}
		at := list.item(i)
		bare := strings.TrimPrefix(s.Name, "*.")
		_, err := netip.ParseAddr(bare)
		switch other, dup := first[s.Name]; {
		case !validHost(bare) || err == nil:
			p.add(at.child("name"), "write a name as in www.example.com, or *.example.com for all below it", "%q is not the name of a server", clip(s.Name))
		case dup:
			p.add(at.child("name"), "remove one of them", "%q is there twice: also %s", clip(s.Name), p.where(other))
		}
		first[s.Name] = at.child("name")
		validateTarget(p, at.child("cluster"), l, s.Cluster, c)
	}
}

// validateTarget checks where streams are to go.
func validateTarget(p *problems, where *path, l *Listener, name string, c *Config) {
	if name == "" {
		p.add(where, "write cluster: and the name of one whose instances have listeners as in "+l.Protocol+"://10.0.0.1:5432", "a listener of protocol %s needs the cluster that it leads to", l.Protocol)
		return
	}
	i := slices.IndexFunc(c.Clusters, func(k Cluster) bool { return k.Name == name })
	if i < 0 {
		names := make([]string, len(c.Clusters))
		for j := range c.Clusters {
			names[j] = c.Clusters[j].Name
		}
		p.add(where, meant(name, names), "there is no cluster %q", clip(name))
		return
	}
	if kind := c.Clusters[i].StreamProtocol(); kind != "" && kind != l.Protocol {
		p.add(where, "give it a cluster whose instances have listeners as in "+l.Protocol+"://10.0.0.1:5432", "a listener of protocol %s cannot lead to cluster %q, whose instances speak %s", l.Protocol, clip(name), kind)
	}
}

// validateProxyProtocol wants somebody whose headers are believed.
func validateProxyProtocol(p *problems, at *path, l *Listener, c *Config) {
	if l.ProxyProtocol == "" {
		return
	}
	where := at.child("proxyProtocol")
	if l.Protocol == "udp" {
		p.add(where, "remove it", "a listener of protocol udp takes no headers of the PROXY protocol")
		return
	}
	p.oneOf(where, l.ProxyProtocol, []string{"off", "accept", "require"}, nil)
	if len(l.TrustedProxies)+len(c.Proxy.TrustedProxies) == 0 {
		p.add(where, `name the proxies: trustedProxies: ["10.0.0.5/32"]`, "nobody is trusted to send headers of the PROXY protocol")
	}
}

// validateStreamCluster checks a cluster as a whole: what does not go together with what its instances speak.
func validateStreamCluster(p *problems, at *path, c *Cluster) {
	if c.SendProxy != "" {
		p.oneOf(at.child("sendProxy"), c.SendProxy, []string{"off", "v1", "v2"}, nil)
	}
	kind := c.StreamProtocol()
	if kind == "" {
		return
	}
	for i := range c.Instances {
		for j, text := range c.Instances[i].Listeners {
			if other := protocolOf(text); other != "" && other != kind {
				p.add(at.child("instances").item(i).child("listeners").item(j), "give each protocol a cluster of its own", "%s speaks %s, and others of cluster %q %s", describeURL(text), other, clip(c.Name), kind)
				return
			}
		}
	}
	if kind == "http" {
		if c.Affinity.Type == "sni" {
			p.add(at.child("affinity").child("type"), "write type: insert", "affinity of type sni is for streams; cluster %q speaks HTTP", clip(c.Name))
		}
		if c.SendProxy != "" {
			p.add(at.child("sendProxy"), "remove it: instances find the client in X-Forwarded-For (proxy.forwarded)",
				"sendProxy is for instances with listeners as in tcp://10.0.0.1:5432: connections to instances that speak HTTP carry the requests of many clients")
		}
		return
	}
	if kind == "udp" && c.SendProxy != "" {
		p.add(at.child("sendProxy"), "remove it", "sendProxy is for instances with listeners as in tcp://10.0.0.1:5432")
	}
	if len(c.Modules) > 0 {
		p.add(at.child("modules"), "remove them: a listener of protocol "+kind+" leads to the cluster as a whole", "cluster %q speaks %s, and so has no modules", clip(c.Name), kind)
	}
	if a := c.Affinity.Type; slices.Contains([]string{"insert", "learn", "header"}, a) || kind == "udp" && a == "sni" {
		p.add(at.child("affinity").child("type"), "write type: source or none", "affinity of type %s is for others; cluster %q speaks %s", a, clip(c.Name), kind)
	}
	if h := c.Health.Type; h == "http" || h == "grpc" {
		p.add(at.child("health").child("type"), "write type: tcp, agent or none", "a health check of type %s is for requests; cluster %q speaks %s", h, clip(c.Name), kind)
	}
}

// streamWarnings names what keeps streams from their cluster.
func streamWarnings(c *Config, k *Cluster, add warn) {
	leads := func(s ServerName) bool { return s.Cluster == k.Name }
	reached := slices.ContainsFunc(c.Listeners, func(l Listener) bool { return l.Cluster == k.Name || slices.ContainsFunc(l.ServerNames, leads) }) ||
		slices.ContainsFunc(c.Clusters, func(o Cluster) bool { return slices.Contains(o.Backup, k.Name) })
	if !reached {
		add("no listener of protocol %s leads to cluster %q", k.StreamProtocol(), k.Name)
	}
	for _, name := range k.Backup {
		for i := range c.Clusters {
			if b := &c.Clusters[i]; b.Name == name && len(b.Instances) > 0 && b.StreamProtocol() != k.StreamProtocol() {
				add("backup cluster %q of cluster %q does not speak %s: it takes none of its streams", b.Name, k.Name, k.StreamProtocol())
			}
		}
	}
}
