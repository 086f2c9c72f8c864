package config

// Parse reads a configuration in YAML or JSON (told apart by the text itself) and gives it complete and in canonical
// spelling. name is the file's name for the messages. The error is of type Errors: everything that is wrong, with places.
func Parse(name string, data []byte) (*Config, error) {
	p := &problems{file: name}
	root := readTree(p, data)
	if root == nil {
		return nil, p.err()
	}
	p.root = root
	c := Empty()
	if root.kind == kindNull {
		p.add(nil, "to remove everything, write: clusters: []", "the text is empty")
		return nil, p.err()
	}
	decoder{p: p}.config(root, c)
	complete(p, c)
	if err := p.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// complete fills in, brings into one spelling and checks what has been decoded.
func complete(p *problems, c *Config) {
	for i := range c.Listeners {
		fillInListener(&c.Listeners[i])
	}
	for i := range c.Clusters {
		fillIn(&c.Clusters[i])
	}
	normalise(c)
	validate(p, c)
}

func (d decoder) config(n *node, c *Config) {
	d.object(n, nil, []field{
		{"listeners", d.list(func(n *node, at *path) { c.Listeners = append(c.Listeners, d.listener(n, at)) })},
		{"clusters", d.list(func(n *node, at *path) { c.Clusters = append(c.Clusters, d.cluster(n, at)) })},
		{"onQuorumLoss", d.text(&c.OnQuorumLoss)},
		{"holder", d.holder(&c.Holder)},
		{"proxy", d.proxy(&c.Proxy)},
		{"acme", d.acme(&c.ACME)},
	})
}

func (d decoder) holder(h *Holder) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"prefer", d.texts(&h.Prefer)},
			{"zone", d.text(&h.Zone)},
			{"settle", d.duration(&h.Settle)},
		})
	}
}

func (d decoder) listener(n *node, at *path) Listener {
	l := Listener{Protocol: "http", HTTP2: speaksHTTP(n)}
	d.object(n, at, []field{
		{"name", d.text(&l.Name)},
		{"address", d.text(&l.Address)},
		{"protocol", d.text(&l.Protocol)},
		{"http2", d.boolean(&l.HTTP2)},
		{"http3", d.boolean(&l.HTTP3)},
		{"certificates", d.texts(&l.Certificates)},
		{"cluster", d.text(&l.Cluster)},
		{"serverNames", d.list(func(n *node, at *path) { l.ServerNames = append(l.ServerNames, d.serverName(n, at)) })},
		{"idleTimeout", d.duration(&l.IdleTimeout)},
		{"proxyProtocol", d.text(&l.ProxyProtocol)},
		{"zones", d.texts(&l.Zones)},
		{"nodes", d.texts(&l.Nodes)},
		{"trustedProxies", d.texts(&l.TrustedProxies)},
		{"limits", d.listenerLimits(&l.Limits)},
		{"tls", d.tls(&l.TLS)},
		{"httpsRedirect", d.httpsRedirect(&l.HTTPSRedirect)},
	})
	return l
}

func (d decoder) serverName(n *node, at *path) (s ServerName) {
	d.object(n, at, []field{{"name", d.text(&s.Name)}, {"cluster", d.text(&s.Cluster)}})
	return s
}

func (d decoder) cluster(n *node, at *path) Cluster {
	c := defaultCluster()
	// First of all, wherever it stands: the instances take their defaults from it.
	if kv := firstOf(n.pairs, "instanceTemplate"); kv != nil {
		c.InstanceTemplate = d.template(kv.value, at.child(kv.key))
	}
	d.object(n, at, []field{
		{"name", d.text(&c.Name)},
		{"policy", d.text(&c.Policy)},
		{"affinity", d.affinity(&c.Affinity)},
		{"health", d.health(&c.Health)},
		{"quiesceTimeout", d.duration(&c.QuiesceTimeout)},
		{"hardTimeout", d.duration(&c.HardTimeout)},
		{"locality", d.text(&c.Locality)},
		{"backup", d.texts(&c.Backup)},
		{"failBack", d.text(&c.FailBack)},
		{"onQuorumLoss", d.text(&c.OnQuorumLoss)},
		{"slowStart", d.duration(&c.SlowStart)},
		{"onAllQuiescing", d.text(&c.OnAllQuiescing)},
		{"responseTimeout", d.duration(&c.ResponseTimeout)},
		{"protocol", d.text(&c.Protocol)},
		{"bodyBuffer", d.size(&c.BodyBuffer)},
		{"sendProxy", d.text(&c.SendProxy)},
		{"failoverSameVersion", d.boolean(&c.FailoverSameVersion)},
		{"registration", d.registration(&c.Registration)},
		{"instanceTLS", d.instanceTLS(&c.InstanceTLS)},
		{"instanceTemplate", func(*node, *path) {}}, // has been read
		{"modules", d.list(func(n *node, at *path) { c.Modules = append(c.Modules, d.module(n, at)) })},
		{"instances", d.list(func(n *node, at *path) { c.Instances = append(c.Instances, d.instance(n, at, c.InstanceTemplate)) })},
	})
	return c
}

func (d decoder) affinity(a *Affinity) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"type", d.text(&a.Type)},
			{"name", d.text(&a.Name)},
			{"names", d.texts(&a.Names)},
			{"idleTimeout", d.duration(&a.IdleTimeout)},
			{"routes", d.texts(&a.Routes)},
		})
	}
}

func (d decoder) health(h *Health) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"path", d.text(&h.Path)},
			{"interval", d.duration(&h.Interval)},
			{"timeout", d.duration(&h.Timeout)},
			{"expect", d.text(&h.Expect)},
			{"rise", d.integer(&h.Rise)},
			{"fall", d.integer(&h.Fall)},
			{"type", d.text(&h.Type)},
			{"mode", d.text(&h.Mode)},
			{"retryInterval", d.duration(&h.RetryInterval)},
			{"grpcService", d.text(&h.GRPCService)},
			{"agentPort", d.integer(&h.AgentPort)},
			{"passive", d.instead(&h.Passive)},
			{"passiveFails", d.integer(&h.PassiveFails)},
		})
	}
}

func (d decoder) registration(r *Registration) func(n *node, at *path) {
	return func(n *node, at *path) {
		d.object(n, at, []field{
			{"allow", d.boolean(&r.Allow)},
			{"heartbeat", d.duration(&r.Heartbeat)},
			{"dropAfter", d.duration(&r.DropAfter)},
		})
	}
}

// instead reads a list that takes the place of the default, also when it is empty.
func (d decoder) instead(dst *[]string) func(n *node, at *path) {
	return func(n *node, at *path) {
		list := []string{}
		d.texts(&list)(n, at)
		*dst = list
	}
}

func (d decoder) module(n *node, at *path) Module {
	m := defaultModule()
	d.object(n, at, []field{
		{"contextRoot", d.text(&m.ContextRoot)},
		{"host", d.text(&m.Host)},
		{"enabled", d.boolean(&m.Enabled)},
		{"quiesceTimeout", d.duration(&m.QuiesceTimeout)},
		{"replicated", d.boolean(&m.Replicated)},
		{"retries", d.integer(&m.Retries)},
		{"idempotent", d.list(func(n *node, at *path) { m.Idempotent = append(m.Idempotent, d.pattern(n, at)) })},
		{"onSessionLost", d.text(&m.OnSessionLost)},
		{"whenDisabled", d.text(&m.WhenDisabled)},
		{"limits", d.moduleLimits(&m.Limits)},
		{"store", d.store(&m.Store)},
		{"compression", d.compression(&m.Compression)},
	})
	return m
}

func (d decoder) pattern(n *node, at *path) Pattern {
	v := Pattern{Retries: -1}
	d.object(n, at, []field{
		{"pattern", d.text(&v.Pattern)},
		{"retries", d.integer(&v.Retries)},
	})
	return v
}

// template gives nil when there is none.
func (d decoder) template(n *node, at *path) *Template {
	if n.kind == kindNull {
		return nil
	}
	t := defaultTemplate()
	d.object(n, at, []field{
		{"enabled", d.boolean(&t.Enabled)},
		{"weight", d.integer(&t.Weight)},
		{"quiesceTimeout", d.duration(&t.QuiesceTimeout)},
		{"zone", d.text(&t.Zone)},
		{"version", d.text(&t.Version)},
		{"backup", d.boolean(&t.Backup)},
		{"maxSessions", d.integer(&t.MaxSessions)},
		{"maxConnections", d.integer(&t.MaxConnections)},
	})
	return &t
}

func (d decoder) instance(n *node, at *path, t *Template) Instance {
	in := newInstance(t)
	d.object(n, at, []field{
		{"name", d.text(&in.Name)},
		{"listeners", d.texts(&in.Listeners)},
		{"enabled", d.boolean(&in.Enabled)},
		{"weight", d.integer(&in.Weight)},
		{"quiesceTimeout", d.duration(&in.QuiesceTimeout)},
		{"zone", d.text(&in.Zone)},
		{"version", d.text(&in.Version)},
		{"route", d.text(&in.Route)},
		{"backup", d.boolean(&in.Backup)},
		{"maxSessions", d.integer(&in.MaxSessions)},
		{"maxConnections", d.integer(&in.MaxConnections)},
		{"failoverTo", d.text(&in.FailoverTo)},
		{"hardTimeout", d.duration(&in.HardTimeout)},
	})
	return in
}
