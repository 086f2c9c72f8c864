package config

func validateInstances(p *problems, list *path, c *Cluster) {
	names := uniqueNames{p: p, what: "instance", scope: c.Name}
	routes := uniqueNames{p: p, what: "route", scope: c.Name}
	first := map[string]*path{} // by host:port
	owner := map[string]string{}
	for i := range c.Instances {
		if p.full() {
			p.more = true
			return
		}
		in, at := &c.Instances[i], list.item(i)
		if names.check(at.child("name"), in.Name) {
			routes.check(at.child("route"), in.Route)
		}
		own := ownValues(in, c)
		validateTemplate(p, at, &own, c)
		p.within(at.child("hardTimeout"), in.HardTimeout, 0, year)
		at = at.child("listeners")
		if len(in.Listeners) == 0 || len(in.Listeners) > 16 {
			p.add(at, `write listeners: ["http://10.0.0.1:8080"]`, "an instance has 1 to 16 listener URLs, this one %d", len(in.Listeners))
		}
		for j, text := range in.Listeners {
			at := at.item(j)
			_, hostPort, err := parseEndpoint(text)
			if err != nil {
				p.add(at, "write it as http://10.0.0.1:8080 or tcp://10.0.0.1:5432", "%s %v", describeURL(text), err)
				continue
			}
			if other, dup := first[hostPort]; dup {
				p.add(at, "one address and port is one server; correct one of them", "%s of cluster %q is there twice, in instance %q and in instance %q: also %s", hostPort, clip(c.Name), clip(owner[hostPort]), clip(in.Name), p.where(other))
				continue
			}
			first[hostPort], owner[hostPort] = at, in.Name
		}
	}
	validateFailoverTo(p, list, c, names.first)
}

// validateTemplate checks what an instance and a template have in common.
func validateTemplate(p *problems, at *path, t *Template, c *Cluster) {
	p.between(at.child("weight"), t.Weight, 0, 1000)
	p.inherited(at.child("quiesceTimeout"), t.QuiesceTimeout, c.QuiesceTimeout)
	p.label(at.child("zone"), t.Zone)
	p.label(at.child("version"), t.Version)
	p.between(at.child("maxSessions"), t.MaxSessions, 0, 1_000_000_000)
	p.between(at.child("maxConnections"), t.MaxConnections, 0, 1_000_000)
}

// ownValues gives the values that an instance does not only have from its template: those have been checked there.
func ownValues(in *Instance, c *Cluster) Template {
	own := Template{Weight: in.Weight, QuiesceTimeout: in.QuiesceTimeout, Zone: in.Zone, Version: in.Version, MaxSessions: in.MaxSessions, MaxConnections: in.MaxConnections}
	t := c.InstanceTemplate
	if t == nil {
		return own
	}
	keep := func(v *int, template int) {
		if *v == template {
			*v = 0
		}
	}
	keep(&own.Weight, t.Weight)
	keep(&own.MaxSessions, t.MaxSessions)
	keep(&own.MaxConnections, t.MaxConnections)
	if own.QuiesceTimeout == t.QuiesceTimeout {
		own.QuiesceTimeout = c.QuiesceTimeout
	}
	if own.Zone == t.Zone {
		own.Zone = ""
	}
	if own.Version == t.Version {
		own.Version = ""
	}
	return own
}

func validateFailoverTo(p *problems, at *path, c *Cluster, known map[string]*path) {
	var names []string
	for i := range c.Instances {
		in, at := &c.Instances[i], at.item(i).child("failoverTo")
		if in.FailoverTo == "" {
			continue
		}
		if p.full() {
			p.more = true
			return
		}
		if in.FailoverTo == in.Name {
			p.add(at, "name another instance of the cluster, or remove it", "an instance cannot fail over to itself")
			continue
		}
		if known[in.FailoverTo] == nil {
			if names == nil {
				names = instanceNames(c)
			}
			p.add(at, meant(in.FailoverTo, names), "cluster %q has no instance %q", clip(c.Name), clip(in.FailoverTo))
		}
	}
}

func instanceNames(c *Cluster) []string {
	names := make([]string, len(c.Instances))
	for i := range c.Instances {
		names[i] = c.Instances[i].Name
	}
	return names
}
