package fsm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// maxRegistered bounds the instances that have registered themselves.
const maxRegistered = 4096

// registerEntry is an InstanceRegister as it is read back. The instance stays as the bytes that were proposed, like a configuration.
type registerEntry struct {
	RequestID RequestID       `json:"requestId"`
	Cluster   string          `json:"cluster"`
	Instance  json.RawMessage `json:"instance"`
	Actor     string          `json:"actor"`

	parsed config.Instance
}

func (*registerEntry) kind() kind { return kindInstanceRegister }

// parseInstance reads an instance by itself as part of a configuration, so that a key that an older version did not write has its default.
func parseInstance(raw []byte) (config.Instance, error) {
	if len(raw) == 0 || raw[0] != '{' || !json.Valid(raw) {
		return config.Instance{}, fmt.Errorf("instance: no object")
	}
	var b bytes.Buffer
	b.WriteString(`{"clusters":[{"name":"c","instances":[`)
	b.Write(raw)
	b.WriteString(`]}]}`)
	c, err := config.Load(b.Bytes())
	if err != nil {
		return config.Instance{}, fmt.Errorf("instance: %w", err)
	}
	if c == nil || len(c.Clusters) != 1 || len(c.Clusters[0].Instances) != 1 {
		return config.Instance{}, fmt.Errorf("instance: no instance")
	}
	return c.Clusters[0].Instances[0], nil
}

func findRegistration(list []Registration, cluster, name string) int {
	return slices.IndexFunc(list, func(g Registration) bool { return g.Cluster == cluster && g.Instance.Name == name })
}

func (r *replica) instanceRegister(index uint64, c *registerEntry) Result {
	g := Registration{Cluster: c.Cluster, Instance: c.parsed, Since: millis(r.now.Load()), raw: c.Instance}
	var k check
	k.id("the cluster's name", c.Cluster)
	k.id("the instance's name", c.parsed.Name)
	k.name("the actor", c.Actor)
	k.size("the instance", len(c.Instance), maxBlobBytes)
	o := r.operating.Load()
	cl := clusterOf(o.Revision.Config, c.Cluster)
	i := findRegistration(o.Registered, c.Cluster, c.parsed.Name)
	switch {
	case cl == nil:
		k.failf("there is no cluster %s", clip(c.Cluster, maxNameBytes))
	case !cl.Registration.Allow:
		k.failf("cluster %s does not let instances register themselves: set its registration.allow", c.Cluster)
	case hasInstance(cl, c.parsed.Name):
		k.failf("cluster %s has an instance %s in its configuration: that one is not registered", c.Cluster, clip(c.parsed.Name, maxNameBytes))
	case i < 0 && len(o.Registered) >= maxRegistered:
		k.failf("%d instances have registered themselves, the most that a group takes", maxRegistered)
	}
	if res, refused := k.refused(); refused {
		return res
	}
	next, what := slices.Clone(o.Registered), "registered"
	if i < 0 {
		next = append(next, g)
	} else {
		if bytes.Equal(next[i].raw, g.raw) {
			return Result{}
		}
		g.Since, what = next[i].Since, "changed its registration"
		next[i] = g
	}
	f, problem := r.prepare(o.Revision, next, false)
	if problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	e := r.enforce(index, f, nil, c.Actor, nil)
	s := Subject{Cluster: c.Cluster, Instance: c.parsed.Name}
	r.emit(index, Event{Kind: EventRegistered, Subject: s, Actor: c.Actor, Text: fmt.Sprintf("%s %s", capital(s.describe()), what)})
	r.tellEffect(index, c.Actor, &e)
	return Result{}
}

func (r *replica) instanceDrop(index uint64, c *InstanceDrop) Result {
	var k check
	k.list("instances", len(c.Instances))
	k.text("the reason", c.Reason)
	if res, refused := k.refused(); refused {
		return res
	}
	named := make(map[InstanceRef]bool, len(c.Instances))
	for _, ref := range c.Instances {
		named[ref] = true
	}
	o := r.operating.Load()
	gone := func(g *Registration) bool { return named[InstanceRef{g.Cluster, g.Instance.Name}] }
	next := without(o.Registered, gone)
	if len(next) == len(o.Registered) {
		return Result{}
	}
	f, problem := r.prepare(o.Revision, next, false)
	if problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	r.enforce(index, f, nil, "", nil)
	for i := range o.Registered {
		if g := &o.Registered[i]; gone(g) {
			s := Subject{Cluster: g.Cluster, Instance: g.Instance.Name}
			r.emit(index, Event{Kind: EventDropped, Subject: s, Text: fmt.Sprintf("%s is dropped%s", capital(s.describe()), because(c.Reason))})
		}
	}
	return Result{}
}

// appendRegistration is the canonical form of a registration. The instance is the JSON that was proposed, byte for byte.
func appendRegistration(b []byte, g *Registration) []byte {
	b = appendBytes(b, g.Cluster)
	b = appendBytes(b, g.raw)
	return appendTime(b, g.Since)
}

func parseRegistration(b []byte) (Registration, error) {
	p := parser{b: b}
	g := Registration{Cluster: p.string(), raw: p.bytes(), Since: p.time()}
	if !p.done() {
		return g, fmt.Errorf("registration: wrong length")
	}
	var err error
	g.Instance, err = parseInstance(g.raw)
	return g, err
}
