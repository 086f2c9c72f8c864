package workflow

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// MaxFailures is how often in a row a hook may fail before a person decides.
const MaxFailures = 5

// Decision is where a workflow stands, and what is to be done now. State, Progress and Note are stored before Action is carried out.
type Decision struct {
	State    string
	Progress Progress
	Note     string
	// Action is nil when there is nothing to do but wait.
	Action *Action
}

// machine is one call of Next.
type machine struct {
	w     *fsm.Workflow
	spec  *Spec
	steps []Step
	world World
	p     Progress
	state string
	note  string
	do    *Action
}

// Next says where the workflow stands and what is to be done. An error means that this version cannot read it, and must leave it alone.
func Next(w *fsm.Workflow, world World) (Decision, error) {
	p, err := DecodeProgress(w.Progress)
	if err != nil {
		return Decision{}, err
	}
	m := &machine{w: w, world: world, p: p, state: w.State, note: w.Note}
	switch m.spec, err = Decode(w.Kind, w.Spec); {
	case err == nil:
		m.steps = Steps(w.Kind, m.spec)
	case w.State != Aborting: // the progress alone says what there is to enable
		return Decision{}, err
	}
	still := w.State == Paused || w.Ended() || w.State == Waiting && (p.Wait == waitManual || p.Wait == waitPerson)
	switch {
	case still, p.Term > world.Term: // or a newer leader is at it
	case w.State == Aborting:
		m.abort()
	default:
		m.run()
	}
	return Decision{State: m.state, Progress: m.p, Note: clip(m.note, maxNote), Action: m.do}, nil
}

// CurrentStep is the step that the workflow is at; ok is false at its end, or when it cannot be read.
func CurrentStep(w *fsm.Workflow) (Step, bool) {
	spec, err := Decode(w.Kind, w.Spec)
	if err != nil {
		return Step{}, false
	}
	p, err := DecodeProgress(w.Progress)
	steps := Steps(w.Kind, spec)
	if err != nil || p.Step >= len(steps) {
		return Step{}, false
	}
	return steps[p.Step], true
}

// run goes through steps until one has to wait or has something to be done.
func (m *machine) run() {
	m.state, m.p.Wait = Running, ""
	for m.p.Step < len(m.steps) {
		if m.p.Since.IsZero() {
			m.p.Since = m.world.Now
		}
		step := m.steps[m.p.Step]
		if m.p.Fault != "" {
			m.wait(waitPerson, "%s: %s", step, m.p.Fault)
			return
		}
		if len(subjects(m.world.config(), step.Target)) == 0 {
			m.state, m.note = Failed, describe(step.Target)+" is not configured any more, or has no instance"
			return
		}
		if m.world.Now.Before(m.p.NotBefore) || !m.step(step) {
			return
		}
		m.p = m.p.at(m.p.Step + 1)
	}
	m.state, m.note = Done, "done"
}

// step tells whether a step is over.
func (m *machine) step(s Step) bool {
	switch s.Kind {
	case StepCheck:
		return m.check(s)
	case StepDisable:
		return m.disable(s)
	case StepDeadline:
		return m.deadline(s)
	case StepQuiesce:
		return m.quiesced(s)
	case StepInFlight:
		return m.nothingInFlight(s)
	case StepHook:
		return m.hook(s)
	case StepHealthy:
		return m.becomesHealthy(s)
	case StepEnable:
		return m.enable(s)
	default:
		return m.gate(s)
	}
}

// wait stops the workflow until what is named happens.
func (m *machine) wait(what, format string, args ...any) {
	m.state, m.p.Wait, m.note = Waiting, what, clip(fmt.Sprintf(format, args...), maxNote)
}

// overdue tells whether the present step takes longer than limit.
func (m *machine) overdue(limit config.Duration) bool {
	return m.world.Now.Sub(m.p.Since) >= time.Duration(limit)
}

// announce is the progress that is stored before an action.
func (m *machine) announce(a *Action) {
	m.p.Begun, m.p.Term = true, m.world.Term
	m.p.Attempt++
	a.Attempt = m.p.Attempt
	m.do = a
}

func (m *machine) check(s Step) bool {
	target := s.Target
	if other := m.before(target.Cluster); other != "" {
		m.wait(waitTurn, "%s: workflow %s is at this cluster; this one goes on after it", s, other)
		return false
	}
	if target.ContextRoot == "" && target.Instance == "" && registered(m.world.Operating, target.Cluster) {
		m.wait(waitPerson, "%s: instances of cluster %s registered themselves, and only they can take themselves out", s, target.Cluster)
		return false
	}
	if m.spec.Force || m.p.Accept {
		return true
	}
	if list := Unserved(m.world.Operating, m.world.InstanceID, target); len(list) > 0 {
		m.wait(waitServers, "%s: nobody would serve %s meanwhile; it goes on when another cluster does, or after resume", s, names(list))
		return false
	}
	return true
}

// before gives the id of an older workflow that has not ended and is about the same cluster.
func (m *machine) before(name string) string {
	for _, other := range m.world.Operating.Workflows {
		if other.ID == m.w.ID {
			return ""
		}
		if !other.Ended() && Touches(other, name) {
			return other.ID
		}
	}
	return ""
}

// Touches tells whether a workflow is about a cluster. One that cannot be read is not.
func Touches(w *fsm.Workflow, cluster string) bool {
	spec, err := Decode(w.Kind, w.Spec)
	if err != nil {
		return false
	}
	for _, name := range spec.clusters() {
		if name == cluster {
			return true
		}
	}
	return false
}

// clusters lists the clusters that the workflow is about.
func (s *Spec) clusters() []string {
	if s.Subject != nil {
		return []string{s.Subject.Cluster}
	}
	return s.Clusters
}

func names(list []fsm.Subject) string {
	var b strings.Builder
	for i, s := range list {
		if i == 5 {
			fmt.Fprintf(&b, " and %d more", len(list)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.Name())
	}
	return b.String()
}
