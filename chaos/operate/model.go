package operate

import (
	"fmt"
	"maps"
	"slices"
)

// Edit is one change by name, as POST /v1/config/edits takes it.
type Edit struct {
	Op          string         `json:"op"`
	Kind        string         `json:"kind"`
	Name        string         `json:"name,omitempty"`
	Cluster     string         `json:"cluster,omitempty"`
	Host        string         `json:"host,omitempty"`
	ContextRoot string         `json:"contextRoot,omitempty"`
	Values      map[string]any `json:"values,omitempty"`
}

// Change is one transaction, and what it means for the instances that it names.
type Change struct {
	Edits []Edit
	// Now: what is disabled is stopped, without a quiesce.
	Now bool

	fate *Fate
	oust []place // their sessions may leave
	gone []place // take no requests afterwards
	back []place // may take requests again
}

// Sent is to be called before the change is sent.
func (c *Change) Sent() {
	for _, p := range c.back {
		c.fate.back(p)
	}
	for _, p := range c.oust {
		c.fate.oust(p)
	}
}

// Done is to be called when it has been acknowledged.
func (c *Change) Done() {
	for _, p := range c.oust {
		c.fate.oust(p)
	}
	for _, p := range c.gone {
		c.fate.gone(p)
	}
}

// Model is the configuration as far as changes are drawn from it.
type Model struct {
	// Settled clusters have clients: instance1 of each is left alone, so that there is always somebody to go to.
	Settled []string
	// Addresses are where instances may be, by name: host:port.
	Addresses map[string]string

	fate     *Fate
	clusters map[string]*cluster
	extra    map[string]bool // listeners beside the group's own
	counter  int
}

type cluster struct {
	instances map[string]bool // enabled?
	modules   map[string]bool // by context root; enabled?
}

// NewModel is the model of a group whose settled clusters have the instances of addresses, all enabled, and one module each, /NAME.
func NewModel(fate *Fate, settled []string, addresses map[string]string) *Model {
	m := &Model{Settled: settled, Addresses: addresses, fate: fate, clusters: map[string]*cluster{}, extra: map[string]bool{}}
	for _, name := range settled {
		c := &cluster{instances: map[string]bool{}, modules: map[string]bool{"/" + name: true}}
		for instance := range addresses {
			c.instances[instance] = true
		}
		m.clusters[name] = c
	}
	return m
}

func (m *Model) settled(cluster string) bool { return slices.Contains(m.Settled, cluster) }

// touchable lists the instances of a cluster that a change may stop or remove.
func (m *Model) touchable(cluster string, want func(enabled bool) bool) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(m.clusters[cluster].instances)) {
		if want(m.clusters[cluster].instances[name]) && (!m.settled(cluster) || name != "instance1") {
			names = append(names, name)
		}
	}
	return names
}

func (m *Model) fresh(what string) string {
	m.counter++
	return fmt.Sprintf("%s-%d", what, m.counter)
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Describe gives a line for each cluster, sorted: what is in it and what of that is enabled.
func (m *Model) Describe() []string {
	var lines []string
	for name, c := range m.clusters {
		parts := maps.Clone(c.instances)
		maps.Copy(parts, c.modules)
		lines = append(lines, Describe(name, parts))
	}
	slices.Sort(lines)
	return lines
}

// Describe is the line of one cluster.
func Describe(cluster string, parts map[string]bool) string {
	line := cluster + ":"
	for _, name := range keys(parts) {
		line += fmt.Sprintf(" %s=%v", name, parts[name])
	}
	return line
}
