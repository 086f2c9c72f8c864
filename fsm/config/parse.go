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
	decoder{p}.config(root, c)
	for i := range c.Clusters {
		fillIn(&c.Clusters[i])
	}
	normalise(c)
	validate(p, c)
	if err := p.err(); err != nil {
		return nil, err
	}
	return c, nil
}

func (d decoder) config(n *node, c *Config) {
	d.object(n, nil, []field{
		{"listeners", d.list(func(n *node, at *path) { c.Listeners = append(c.Listeners, d.listener(n, at)) })},
		{"clusters", d.list(func(n *node, at *path) { c.Clusters = append(c.Clusters, d.cluster(n, at)) })},
		{"onQuorumLoss", d.text(&c.OnQuorumLoss)},
	})
}

func (d decoder) listener(n *node, at *path) Listener {
	l := Listener{Protocol: "http"}
	d.object(n, at, []field{
		{"name", d.text(&l.Name)},
		{"address", d.text(&l.Address)},
		{"protocol", d.text(&l.Protocol)},
		{"certificates", d.texts(&l.Certificates)},
		{"cluster", d.text(&l.Cluster)},
	})
	return l
}

func (d decoder) cluster(n *node, at *path) Cluster {
	c := defaultCluster()
	a, h := &c.Affinity, &c.Health
	d.object(n, at, []field{
		{"name", d.text(&c.Name)},
		{"policy", d.text(&c.Policy)},
		{"affinity", func(n *node, at *path) {
			d.object(n, at, []field{
				{"type", d.text(&a.Type)},
				{"name", d.text(&a.Name)},
				{"names", d.texts(&a.Names)},
				{"idleTimeout", d.duration(&a.IdleTimeout)},
			})
		}},
		{"health", func(n *node, at *path) {
			d.object(n, at, []field{
				{"path", d.text(&h.Path)},
				{"interval", d.duration(&h.Interval)},
				{"timeout", d.duration(&h.Timeout)},
				{"expect", d.text(&h.Expect)},
				{"rise", d.integer(&h.Rise)},
				{"fall", d.integer(&h.Fall)},
				{"type", d.text(&h.Type)},
			})
		}},
		{"quiesceTimeout", d.duration(&c.QuiesceTimeout)},
		{"locality", d.text(&c.Locality)},
		{"backup", d.texts(&c.Backup)},
		{"failBack", d.text(&c.FailBack)},
		{"onQuorumLoss", d.text(&c.OnQuorumLoss)},
		{"modules", d.list(func(n *node, at *path) { c.Modules = append(c.Modules, d.module(n, at)) })},
		{"instances", d.list(func(n *node, at *path) { c.Instances = append(c.Instances, d.instance(n, at)) })},
	})
	return c
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
	})
	return m
}

func (d decoder) instance(n *node, at *path) Instance {
	in := defaultInstance()
	d.object(n, at, []field{
		{"name", d.text(&in.Name)},
		{"listeners", d.texts(&in.Listeners)},
		{"enabled", d.boolean(&in.Enabled)},
		{"weight", d.integer(&in.Weight)},
		{"quiesceTimeout", d.duration(&in.QuiesceTimeout)},
		{"zone", d.text(&in.Zone)},
		{"version", d.text(&in.Version)},
		{"route", d.text(&in.Route)},
	})
	return in
}
