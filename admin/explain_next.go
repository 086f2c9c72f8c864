package admin

import (
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// explainer says what would become of a request, by the rules that docs/OPERATIONS.md gives.
type explainer struct {
	a     *API
	o     *fsm.Operating
	now   time.Time
	nodes map[fsm.InstanceRef][]wire.NodeHealth
	why   []string
}

func (e *explainer) say(format string, args ...any) {
	e.why = append(e.why, fmt.Sprintf(format, args...))
}

func (e *explainer) end(outcome, instance string) wire.Next {
	return wire.Next{Outcome: outcome, Instance: instance, Why: e.why}
}

func (e *explainer) cluster(name string) *config.Cluster {
	for i := range e.o.Config.Clusters {
		if e.o.Config.Clusters[i].Name == name {
			return &e.o.Config.Clusters[i]
		}
	}
	return nil
}

func (e *explainer) instance(cl *config.Cluster, name string) *config.Instance {
	for i := range cl.Instances {
		if cl.Instances[i].Name == name {
			return &cl.Instances[i]
		}
	}
	return nil
}

// unknown explains a request of a session that the table has not.
func (e *explainer) unknown(c *wire.Cookie, decided bool) wire.Next {
	if decided {
		e.say("the table has no assignment any more: the last decision above dropped it")
	} else {
		e.say("the table has no assignment: the session has expired, or there never was one")
	}
	if c == nil || c.Instance == "" {
		e.say("a request is treated as one of a new session")
		return e.end(wire.NextNew, "")
	}
	e.say("the client's cookie names instance %s of cluster %s", c.Instance, c.Cluster)
	cl := e.cluster(c.Cluster)
	if cl == nil {
		e.say("that cluster is not configured any more, so a request is treated as one of a new session")
		return e.end(wire.NextNew, "")
	}
	n := e.atInstance(cl, c.Instance, nil)
	if n.Outcome == wire.NextStays {
		n.Why = append(n.Why, "the request goes there, and the table is repaired from the cookie")
	}
	return n
}

// assigned explains a request of a session that the table has.
func (e *explainer) assigned(as fsm.Assignment, s *wire.Session) wire.Next {
	e.say("the table assigns it to instance %s of cluster %s (%s)", s.Instance, s.Cluster, s.Reason)
	if e.now.After(s.Expires) {
		e.say("it has been idle since %s, longer than it may: it goes with the next sweep, a request before that revives it", stamp(s.Seen))
	}
	cl := e.cluster(s.Cluster)
	if cl == nil {
		e.say("cluster %s is not configured any more, so a request is treated as one of a new session", s.Cluster)
		return e.end(wire.NextNew, "")
	}
	var m *config.Module
	if ref, ok := e.a.opt.State.ModuleRef(as.Module); ok {
		for i := range cl.Modules {
			if cl.Modules[i].Host == ref.Host && cl.Modules[i].ContextRoot == ref.ContextRoot {
				m = &cl.Modules[i]
			}
		}
		if m == nil {
			e.say("its module %s is not configured there any more; requests go by whatever else matches their address", ref.Host+ref.ContextRoot)
			return e.end(wire.NextNew, "")
		}
		if n, over := e.atModule(cl, m); over {
			return n
		}
	}
	return e.atInstance(cl, s.Instance, m)
}

// atModule says what the module's phase decides; over is false when the instance decides.
func (e *explainer) atModule(cl *config.Cluster, m *config.Module) (n wire.Next, over bool) {
	name := m.Host + m.ContextRoot
	switch e.o.ModulePhase(cl.Name, m) {
	case fsm.PhaseQuiescing:
		e.say("module %s quiesces: known sessions are served until %s", name, e.deadline(fsm.Subject{Cluster: cl.Name, Host: m.Host, ContextRoot: m.ContextRoot}))
	case fsm.PhaseStopped:
		e.say("module %s of cluster %s is stopped", name, cl.Name)
		if other := e.elsewhere(cl, m); other != "" {
			e.say("cluster %s has it too: there a request is one of a new session", other)
			return e.end(wire.NextNew, ""), true
		}
		status := "503"
		if m.WhenDisabled == "not-found" {
			status = "404"
		}
		e.say("no other cluster has it: requests get %s", status)
		return e.end(wire.NextRefused, ""), true
	}
	return wire.Next{}, false
}

// elsewhere names another cluster that has the module enabled, "" for none.
func (e *explainer) elsewhere(cl *config.Cluster, m *config.Module) string {
	for i := range e.o.Config.Clusters {
		other := &e.o.Config.Clusters[i]
		for j := range other.Modules {
			if o := &other.Modules[j]; other.Name != cl.Name && o.Host == m.Host && o.ContextRoot == m.ContextRoot && o.Enabled {
				return other.Name
			}
		}
	}
	return ""
}

// allStopped tells whether every instance of the cluster is disabled and quiesced.
func (e *explainer) allStopped(cl *config.Cluster) bool {
	for i := range cl.Instances {
		if e.o.InstancePhase(cl.Name, &cl.Instances[i]) != fsm.PhaseStopped {
			return false
		}
	}
	return true
}

// deadline of a running quiesce in words.
func (e *explainer) deadline(s fsm.Subject) string {
	for _, q := range e.o.Quiesces {
		if q.Subject == s {
			return stamp(q.Deadline)
		}
	}
	return "its deadline"
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// atInstance says what the instance's state decides. m is nil when the module is not known.
func (e *explainer) atInstance(cl *config.Cluster, name string, m *config.Module) wire.Next {
	in := e.instance(cl, name)
	if in == nil {
		e.say("instance %s is not configured any more", name)
		return e.failOver(cl, name, m)
	}
	switch e.o.InstancePhase(cl.Name, in) {
	case fsm.PhaseQuiescing:
		e.say("instance %s quiesces: known sessions are served until %s, and fail over after that", name, e.deadline(fsm.Subject{Cluster: cl.Name, Instance: name}))
	case fsm.PhaseStopped:
		e.say("instance %s is disabled and quiesced", name)
		return e.failOver(cl, name, m)
	default:
		e.say("instance %s is enabled", name)
	}
	id, _ := e.a.opt.State.InstanceID(cl.Name, name)
	list := e.nodes[fsm.InstanceRef{Cluster: cl.Name, Instance: name}]
	if v := verdict(e.o, id); v.State != fsm.HealthUp {
		e.say("the group's verdict on its health is %s since %s: %s", v.State, stamp(v.Since), verdictReason(&v, list))
		if v.State == fsm.HealthFailed {
			return e.failOver(cl, name, m)
		}
	}
	down := 0
	for _, n := range list {
		if n.Health == wire.HealthDown {
			down++
			e.say("node %s cannot reach it: %s", n.Node, n.Reason)
		} else {
			e.say("node %s finds it %s, with %d requests in flight", n.Node, n.Health, n.InFlight)
		}
	}
	switch {
	case down == 0:
		return e.end(wire.NextStays, name)
	case down == len(list):
		return e.failOver(cl, name, m)
	}
	e.say("a request through a node that cannot reach it fails over, through the others it stays")
	return e.end(wire.NextDepends, "")
}

// failOver says what becomes of a session whose instance cannot serve it.
func (e *explainer) failOver(cl *config.Cluster, but string, m *config.Module) wire.Next {
	if m != nil && !m.Replicated && m.OnSessionLost == "refuse" {
		e.say("module %s does not replicate its sessions (replicated: false, onSessionLost: refuse): the request gets 503", m.Host+m.ContextRoot)
		return e.end(wire.NextRefused, "")
	}
	var candidates []string
	for i := range cl.Instances {
		in := &cl.Instances[i]
		id, _ := e.a.opt.State.InstanceID(cl.Name, in.Name)
		if in.Name == but || e.o.InstancePhase(cl.Name, in) != fsm.PhaseServing || verdict(e.o, id).State == fsm.HealthFailed || e.downEverywhere(cl.Name, in.Name) {
			continue
		}
		candidates = append(candidates, in.Name)
	}
	switch len(candidates) {
	case 0:
		if m != nil && e.allStopped(cl) {
			if other := e.elsewhere(cl, m); other != "" {
				e.say("every instance of cluster %s is stopped, and cluster %s has the module too: there a request is one of a new session", cl.Name, other)
				return e.end(wire.NextNew, "")
			}
		}
		e.say("cluster %s has no other instance that takes sessions, and sessions never leave their cluster: the request gets 503", cl.Name)
		return e.end(wire.NextRefused, "")
	case 1:
		e.say("it fails over inside its cluster, to %s: no other instance takes sessions", candidates[0])
		return e.end(wire.NextFailOver, candidates[0])
	}
	e.say("it fails over inside its cluster, to one of %d instances by the policy %s", len(candidates), cl.Policy)
	return e.end(wire.NextFailOver, "")
}

func (e *explainer) downEverywhere(cluster, instance string) bool {
	list := e.nodes[fsm.InstanceRef{Cluster: cluster, Instance: instance}]
	for _, n := range list {
		if n.Health != wire.HealthDown {
			return false
		}
	}
	return len(list) > 0
}
