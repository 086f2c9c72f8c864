package fsm

import "github.com/holdfast-lb/holdfast/fsm/config"

// standing is what the configuration says of a subject.
type standing struct {
	enabled bool
	timeout config.Duration
}

// subjects are the instances and modules of a configuration, in its order. Of two with one name, which no valid configuration has, the first one
// counts; an instance without a name is none.
type subjects struct {
	order []Subject
	of    map[Subject]standing
}

func subjectsOf(c *config.Config) subjects {
	s := subjects{of: make(map[Subject]standing)}
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		for j := range cl.Modules {
			m := &cl.Modules[j]
			s.add(Subject{Cluster: cl.Name, Host: m.Host, ContextRoot: m.ContextRoot}, standing{m.Enabled, m.QuiesceTimeout})
		}
		for j := range cl.Instances {
			if in := &cl.Instances[j]; in.Name != "" {
				s.add(Subject{Cluster: cl.Name, Instance: in.Name}, standing{in.Enabled, in.QuiesceTimeout})
			}
		}
	}
	return s
}

func (s *subjects) add(subject Subject, st standing) {
	if _, twice := s.of[subject]; twice {
		return
	}
	st.timeout = max(st.timeout, 0)
	s.of[subject] = st
	s.order = append(s.order, subject)
}

// effectOf is what replacing the configuration in force by next does to what runs. It decides everything: what is done later follows from it.
// sessions counts the assignments of a subject.
func effectOf(o *Operating, next *config.Config, stop []Subject, sessions func(Subject) int) Effect {
	before, after := subjectsOf(o.Config), subjectsOf(next)
	quiescing := make(map[Subject]bool, len(o.Quiesces))
	for i := range o.Quiesces {
		quiescing[o.Quiesces[i].Subject] = true
	}
	stopped := make(map[Subject]bool, len(stop))
	for _, s := range stop {
		stopped[s] = true
	}
	var e Effect
	for _, s := range after.inOrder() {
		was, is := before.of[s], after.of[s]
		switch {
		case is.enabled && quiescing[s]:
			e.Canceled = append(e.Canceled, s)
		case is.enabled || !was.enabled && !quiescing[s]:
			// Nothing ends: it is on, or it was off before, or it has just been configured.
		case stopped[s]:
			e.Stopped = append(e.Stopped, Displaced{Subject: s, Why: whyStopped, Sessions: sessions(s)})
		case was.enabled || restarts() && quiescing[s]:
			e.Started = append(e.Started, QuiesceStart{Subject: s, Timeout: is.timeout, Sessions: sessions(s)})
		case was.timeout != is.timeout:
			e.Changed = append(e.Changed, QuiesceChange{Subject: s, Remaining: is.timeout})
		}
	}
	for _, s := range before.order {
		if _, stays := after.of[s]; stays {
			continue
		}
		if quiescing[s] {
			e.Canceled = append(e.Canceled, s)
		}
		if quiescing[s] || before.of[s].enabled {
			e.Stopped = append(e.Stopped, Displaced{Subject: s, Why: whyRemoved, Sessions: sessions(s)})
		}
	}
	return e
}

// What Displaced.Why can be.
const (
	whyStopped = "stopped"
	whyRemoved = "removed"
)

func (e *Effect) empty() bool {
	return len(e.Started)+len(e.Changed)+len(e.Canceled)+len(e.Stopped) == 0
}

// Plan says what replacing the configuration by next would do now: the Effect of a ConfigChange that is applied to this very state. now names what
// would be stopped without a quiesce.
func (s *State) Plan(next *config.Config, now []Subject) Effect {
	if next == nil {
		return Effect{}
	}
	r := s.cur.Load()
	o := r.operating.Load()
	_, inForce := enforced(next, o.Registered)
	return effectOf(o, inForce, now, counter(r.names.Load(), r.modules.Load()))
}

// counter counts the assignments of a subject.
func counter(n *names, m *modules) func(Subject) int {
	return func(s Subject) int {
		if s.IsModule() {
			return m.sessions(m.ids[ModuleRef{s.Cluster, s.Host, s.ContextRoot}])
		}
		return n.sessions(n.ids[InstanceRef{s.Cluster, s.Instance}])
	}
}

// quiescesAfter are the quiesces that run after e.
func (r *replica) quiescesAfter(o *Operating, e *Effect, index, revision uint64, actor string) []Quiesce {
	if e.empty() {
		return o.Quiesces
	}
	gone, changed := map[Subject]bool{}, map[Subject]config.Duration{}
	for _, s := range e.Canceled {
		gone[s] = true
	}
	for i := range e.Stopped {
		gone[e.Stopped[i].Subject] = true
	}
	for i := range e.Changed {
		changed[e.Changed[i].Subject] = e.Changed[i].Remaining
	}
	var out []Quiesce
	for _, q := range o.Quiesces {
		if gone[q.Subject] {
			continue
		}
		if d, ok := changed[q.Subject]; ok {
			q.Deadline = r.after(d)
		}
		out = append(out, q)
	}
	for i := range e.Started {
		s := &e.Started[i]
		out = append(out, Quiesce{ID: index, Subject: s.Subject, Started: millis(r.now.Load()), Deadline: r.after(s.Timeout), Actor: actor, Revision: revision})
	}
	return out
}
