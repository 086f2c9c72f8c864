package config

import (
	"net"
	"slices"
	"strings"
	"time"
)

// Bounds of durations. A year is more than any session lasts, and keeps sums of them far from overflow.
const (
	second = Duration(time.Second)
	hour   = Duration(time.Hour)
	year   = 8760 * hour
)

// Validate checks a configuration against all rules. The error is of type Errors, without lines. Values that Parse
// would have brought into one spelling or filled in must be so here.
func (c *Config) Validate() error {
	p := &problems{}
	validate(p, c)
	return p.err()
}

func validate(p *problems, c *Config) {
	validateListeners(p, c)
	p.oneOf((*path)(nil).child("onQuorumLoss"), c.OnQuorumLoss, []string{"provisional", "refuse"}, nil)
	names := uniqueNames{p: p, what: "cluster"}
	clusters := (*path)(nil).child("clusters")
	for i := range c.Clusters {
		if p.full() {
			p.more = true
			return
		}
		at := clusters.item(i)
		names.check(at.child("name"), c.Clusters[i].Name)
		validateCluster(p, at, &c.Clusters[i])
	}
}

func validateListeners(p *problems, c *Config) {
	names := uniqueNames{p: p, what: "listener"}
	at := (*path)(nil).child("listeners")
	used := map[string][]bound{} // by port
	for i := range c.Listeners {
		if p.full() {
			p.more = true
			return
		}
		l, at := &c.Listeners[i], at.item(i)
		names.check(at.child("name"), l.Name)
		p.oneOf(at.child("protocol"), l.Protocol, []string{"http"}, []string{"https", "tcp"})
		if len(l.Certificates) > 0 {
			p.add(at.child("certificates"), "remove it", "certificates are not supported by this version")
		}
		if l.Cluster != "" {
			p.add(at.child("cluster"), "remove it: modules lead requests to their cluster", "only a listener of protocol tcp has a cluster, and those are not supported by this version")
		}
		validateAddress(p, at, l, used)
	}
}

// bound is a host on whose port a listener listens.
type bound struct {
	host string
	at   *path
	name string
}

func validateAddress(p *problems, at *path, l *Listener, used map[string][]bound) {
	where := at.child("address")
	if l.Address == "" {
		p.add(where, `write ":8080" or "10.0.0.1:8080"`, "an address is missing")
		return
	}
	host, port, err := splitHostPort(l.Address)
	if err != nil {
		p.add(where, `write ":8080" or "10.0.0.1:8080"`, "%q: %v", clip(l.Address), err)
		return
	}
	for _, other := range used[port] {
		if other.host == host || isWildcard(other.host) || isWildcard(host) {
			p.add(where, "give one of them another port", "listener %q wants %s, which listener %q has (%s)", clip(l.Name), net.JoinHostPort(host, port), clip(other.name), p.where(other.at))
			return
		}
	}
	used[port] = append(used[port], bound{host, at, l.Name})
}

// isWildcard: an explicit wildcard collides with every host. No host at all stands for each node's --bind-address, which
// is known to the node alone.
func isWildcard(host string) bool { return host == "0.0.0.0" || host == "::" }

func validateCluster(p *problems, at *path, c *Cluster) {
	p.oneOf(at.child("policy"), c.Policy, []string{"round-robin", "weighted-round-robin"},
		[]string{"least-sessions", "least-requests", "power-of-two", "peak-ewma"})
	validateAffinity(p, at.child("affinity"), &c.Affinity)
	validateHealth(p, at.child("health"), &c.Health)
	p.within(at.child("quiesceTimeout"), c.QuiesceTimeout, second, year)
	p.oneOf(at.child("locality"), c.Locality, []string{"none"}, []string{"host", "zone"})
	if len(c.Backup) > 0 {
		p.add(at.child("backup"), "remove it", "backup clusters are not supported by this version")
	}
	if c.FailBack != "" {
		p.add(at.child("failBack"), "remove it", "backup clusters, and so failBack, are not supported by this version")
	}
	if c.OnQuorumLoss != "" {
		p.oneOf(at.child("onQuorumLoss"), c.OnQuorumLoss, []string{"provisional", "refuse"}, nil)
	}
	validateModules(p, at.child("modules"), c)
	validateInstances(p, at.child("instances"), c)
}

func validateAffinity(p *problems, at *path, a *Affinity) {
	p.oneOf(at.child("type"), a.Type, []string{"insert", "learn", "none"}, []string{"header", "source"})
	p.within(at.child("idleTimeout"), a.IdleTimeout, second, year)
	switch {
	case a.Type == "insert" && len(a.Names) > 0:
		p.add(at.child("names"), "write name, or type: learn", "names belongs to affinity of type learn")
	case a.Type == "none" && (a.Name != "" || len(a.Names) > 0):
		p.add(at, "remove name and names", "affinity of type none has no cookie")
	}
	if a.Name != "" {
		p.cookieName(at.child("name"), a.Name)
	}
	for i, name := range a.Names {
		where := at.child("names").item(i)
		p.cookieName(where, name)
		switch {
		case slices.Contains(a.Names[:i], name):
			p.add(where, "remove one of them", "%q is there twice", clip(name))
		case name == a.Name:
			p.add(where, "give Holdfast's cookie (affinity.name) another name", "%q is the name of Holdfast's own cookie", clip(name))
		}
	}
}

func validateHealth(p *problems, at *path, h *Health) {
	p.oneOf(at.child("type"), h.Type, []string{"http", "tcp", "none"}, []string{"grpc"})
	if err := checkHealthPath(h.Path); err != nil {
		p.add(at.child("path"), "", "%q: %v", clip(h.Path), err)
	}
	p.within(at.child("interval"), h.Interval, Duration(10*time.Millisecond), 24*hour)
	p.within(at.child("timeout"), h.Timeout, Duration(time.Millisecond), hour)
	p.between(at.child("rise"), h.Rise, 1, 1000)
	p.between(at.child("fall"), h.Fall, 1, 1000)
	if _, err := ParseExpect(h.Expect); err != nil {
		p.add(at.child("expect"), `write "100-500" or "200,204,300-399"`, "%v", err)
	}
}

func validateModules(p *problems, at *path, c *Cluster) {
	type key struct{ host, root string }
	first := map[key]*path{}
	for i := range c.Modules {
		if p.full() {
			p.more = true
			return
		}
		m, at := &c.Modules[i], at.item(i)
		if why, hint := checkContextRoot(m.ContextRoot); why != "" {
			p.add(at.child("contextRoot"), hint, "%s", why)
		}
		if m.Host != "" && !validHost(strings.ToLower(m.Host)) {
			p.add(at.child("host"), "write a name as in www.example.com, without a port, or leave it out for all hosts", "%q is not a host name or an IPv4 address", clip(m.Host))
		}
		p.inherited(at.child("quiesceTimeout"), m.QuiesceTimeout, c.QuiesceTimeout)
		p.between(at.child("retries"), m.Retries, -1, 100)
		k := key{strings.ToLower(m.Host), trimRoot(m.ContextRoot)}
		if other, dup := first[k]; dup && m.ContextRoot != "" {
			p.add(at, "remove one; the same module in another cluster is allowed", "cluster %q has the module %q of host %q already: %s", clip(c.Name), k.root, k.host, p.where(other))
			continue
		}
		first[k] = at
	}
}

func validateInstances(p *problems, at *path, c *Cluster) {
	names := uniqueNames{p: p, what: "instance", scope: c.Name}
	routes := uniqueNames{p: p, what: "route", scope: c.Name}
	first := map[string]*path{} // by host:port
	owner := map[string]string{}
	for i := range c.Instances {
		if p.full() {
			p.more = true
			return
		}
		in, at := &c.Instances[i], at.item(i)
		if names.check(at.child("name"), in.Name) {
			routes.check(at.child("route"), in.Route)
		}
		p.between(at.child("weight"), in.Weight, 0, 1000)
		p.inherited(at.child("quiesceTimeout"), in.QuiesceTimeout, c.QuiesceTimeout)
		p.label(at.child("zone"), in.Zone)
		p.label(at.child("version"), in.Version)
		at = at.child("listeners")
		if len(in.Listeners) == 0 || len(in.Listeners) > 16 {
			p.add(at, `write listeners: ["http://10.0.0.1:8080"]`, "an instance has 1 to 16 listener URLs, this one %d", len(in.Listeners))
		}
		for j, text := range in.Listeners {
			at := at.item(j)
			_, hostPort, err := parseEndpoint(text)
			if err != nil {
				p.add(at, "write it as http://10.0.0.1:8080", "%s %v", describeURL(text), err)
				continue
			}
			if other, dup := first[hostPort]; dup {
				p.add(at, "one address and port is one server; correct one of them", "%s of cluster %q is there twice, in instance %q and in instance %q: also %s", hostPort, clip(c.Name), clip(owner[hostPort]), clip(in.Name), p.where(other))
				continue
			}
			first[hostPort], owner[hostPort] = at, in.Name
		}
	}
}
