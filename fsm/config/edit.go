package config

import (
	"encoding/json"
	"fmt"
)

// MaxEdits is how many edits one transaction has at most.
const MaxEdits = 10_000

// Edit is one change of a configuration by name, as operators make them. Several make one transaction.
type Edit struct {
	// Op is add, set, enable, disable or remove. enable and disable of a cluster mean all its instances; to remove a cluster removes its modules and
	// instances with it.
	Op string `json:"op"`
	// Kind is listener, cluster, instance or module; or group, which can only be set and has no name.
	Kind string `json:"kind"`
	// Name is that of the listener, the cluster or the instance; a module is named by Host and ContextRoot. Names cannot be changed.
	Name string `json:"name,omitempty"`
	// Cluster is where an instance or a module is.
	Cluster     string `json:"cluster,omitempty"`
	Host        string `json:"host,omitempty"`
	ContextRoot string `json:"contextRoot,omitempty"`
	// Values are the fields to set, for add and set: an object with the names of the configuration. Fields that are not there keep their value, or
	// their default with add; so do those of affinity, health, registration, instanceTemplate and holder one by one. A list is replaced as a whole. A null
	// resets a field to its default. With add of an instance, the further key template names an instance of the cluster: what it has, except name,
	// listeners and route, comes before the defaults. With add of a cluster it names a cluster: what that has, its modules included, except name and
	// instances.
	Values json.RawMessage `json:"values,omitempty"`
}

// Apply gives the configuration after the edits, made one after the other and validated as a whole. The receiver is not changed. The error is of type
// Errors; its paths begin with edits[N] where one edit is at fault.
//
// What depends on another value goes on doing so, as if the configuration were written down without its defaults and read again: a quiesceTimeout of
// a module or an instance that is the cluster's follows it, and so do the names of cookies when the affinity gets another type.
func (c *Config) Apply(edits []Edit) (*Config, error) {
	p := &problems{}
	all := (*path)(nil).child("edits")
	if len(edits) > MaxEdits {
		p.add(all, "make several transactions", "%d edits, at most %d are made at once", len(edits), MaxEdits)
		return nil, p.err()
	}
	e := newEditor(p, c)
	for i := range edits {
		if p.full() {
			p.more = true
			break
		}
		e.edit(all.item(i), &edits[i])
	}
	e.close()
	next := Empty()
	decoder{p: p, resets: true}.config(e.root, next)
	complete(p, next)
	if err := p.err(); err != nil {
		return nil, err
	}
	return next, nil
}

// newEditor takes the configuration apart into a tree without the values that depend on others.
func newEditor(p *problems, c *Config) *editor {
	bare := c.Clone()
	for i := range bare.Listeners {
		takeOutListener(&bare.Listeners[i])
	}
	for i := range bare.Clusters {
		takeOut(&bare.Clusters[i])
	}
	root, err := readPart(bare.Canonical())
	if err != nil {
		panic("BUG: canonical JSON cannot be read: " + err.Error())
	}
	e := &editor{p: p, root: root, index: map[*node]map[string]*node{}, gone: map[*node]bool{}}
	p.root = root
	for _, k := range e.list(root, "clusters").items {
		if t := firstOf(k.pairs, "instanceTemplate"); t != nil {
			dropUnset(t.value)
		}
		for _, key := range []string{"modules", "instances"} {
			for _, n := range e.list(k, key).items {
				dropUnset(n)
			}
		}
	}
	return e
}

func dropUnset(n *node) {
	if n.get("quiesceTimeout") == unset.String() {
		n.drop("quiesceTimeout")
	}
}

// subject names what an edit is about, for messages.
func (ed *Edit) subject() string {
	switch ed.Kind {
	case "group":
		return "the group"
	case "module":
		return fmt.Sprintf("module %q of cluster %q", clip(ed.key()), clip(ed.Cluster))
	case "instance":
		return fmt.Sprintf("instance %q of cluster %q", clip(ed.Name), clip(ed.Cluster))
	}
	return fmt.Sprintf("%s %q", ed.Kind, clip(ed.Name))
}
