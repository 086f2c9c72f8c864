package workflow

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Action is what the leader is to do now; exactly one of its parts is set beside Step.
type Action struct {
	// Step is the ID of the step, Attempt the number of the announcement: the outcome belongs to them.
	Step    string
	Attempt int
	// Change is proposed as it is.
	Change *fsm.ConfigChange
	// Deadlines are proposed one after the other.
	Deadlines []*fsm.QuiesceSet
	Hook      *Call
}

// Call is one call of a hook.
type Call struct {
	Workflow string
	Kind     string
	// Step is stop, upgrade or start; Target what it is about.
	Step   string
	Target fsm.Subject
	// Hook is the text of the specification, Key the same for every call of this step.
	Hook, Key string
	Attempt   int
	Timeout   time.Duration
}

// requestID is the same for the same parts.
func requestID(parts ...string) (id fsm.RequestID) {
	h := sha256.New()
	for _, part := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(part)))
		h.Write(n[:])
		h.Write([]byte(part))
	}
	copy(id[:], h.Sum(nil))
	return id
}

// requestID names this attempt of a step's action. A refusal is remembered under its id, so another attempt needs another one.
func (m *machine) requestID(step, what string) fsm.RequestID {
	return requestID("workflow", m.w.ID, step, what, fmt.Sprint(m.p.Attempt))
}

// locked tells whether the maintenance lock is in the way.
func (m *machine) locked(s string) bool {
	l := m.world.Operating.Lock
	if l == nil {
		return false
	}
	m.wait(waitLock, "%s: the maintenance lock of %s is on; this goes on when it is off", s, l.Owner)
	return true
}

// disable takes everything of the target out of service in one transaction.
func (m *machine) disable(s Step) bool {
	on := having(m.world.config(), subjects(m.world.config(), s.Target), true)
	if len(on) == 0 {
		return true
	}
	if m.locked(s.String()) {
		return false
	}
	for _, sub := range on {
		if !slices.Contains(m.p.Disabled, sub) {
			m.p.Disabled = append(slices.Clip(m.p.Disabled), sub)
		}
	}
	a := &Action{Step: s.ID}
	m.announce(a)
	a.Change = m.change(s.ID, s.String(), on, false, "")
	if q := m.spec.QuiesceTimeout; q != nil && *q == 0 {
		a.Change.Now = on
	}
	m.note = s.String()
	return false
}

// change makes a configuration in which list is enabled or not, and the whole target has the version when there is one.
func (m *machine) change(step, message string, list []fsm.Subject, on bool, version string) *fsm.ConfigChange {
	rev := m.world.Operating.Revision
	next := rev.Config.Clone()
	for _, s := range list {
		if e := enabled(next, s); e != nil {
			*e = on
		}
	}
	if version != "" {
		if cl := cluster(next, m.steps[m.p.Step].Target.Cluster); cl != nil {
			for i := range cl.Instances {
				cl.Instances[i].Version = version
			}
		}
	}
	return &fsm.ConfigChange{
		RequestID: m.requestID(step, fmt.Sprint("config ", rev.Number)), Expect: rev.Number, Actor: "workflow " + m.w.ID,
		Message: message, Config: next,
	}
}

// deadline gives the quiesces that the workflow began its own time-out.
func (m *machine) deadline(s Step) bool {
	a := &Action{Step: s.ID}
	for _, sub := range m.p.Disabled {
		q := quiesceOf(m.world.Operating, sub)
		if q == nil || sub.Cluster != s.Target.Cluster || q.Deadline.Sub(q.Started) == time.Duration(*m.spec.QuiesceTimeout) {
			continue
		}
		a.Deadlines = append(a.Deadlines, &fsm.QuiesceSet{ID: q.ID, Subject: sub, Total: *m.spec.QuiesceTimeout, Actor: "workflow " + m.w.ID})
	}
	if len(a.Deadlines) == 0 {
		return true
	}
	if m.locked(s.String()) {
		return false
	}
	m.announce(a)
	for _, d := range a.Deadlines {
		d.RequestID = m.requestID(s.ID, fmt.Sprint("deadline ", d.ID, d.Subject.Name()))
	}
	m.note = s.String()
	return false
}

// hook calls what the specification names, or a person.
func (m *machine) hook(s Step) bool {
	if !m.stillDisabled(s) {
		return false
	}
	if s.Hook == Manual {
		m.wait(waitManual, "%s: a person does it, then resumes this workflow", s)
		return false
	}
	a := &Action{Step: s.ID}
	m.announce(a)
	a.Hook = &Call{Workflow: m.w.ID, Kind: m.w.Kind, Step: s.Name, Target: s.Target, Hook: s.Hook, Key: m.w.ID + "." + s.ID, Attempt: m.p.Attempt,
		Timeout: time.Duration(m.spec.Timeouts.Hook)}
	if m.p.Failures == 0 {
		m.note = s.String() + ": called"
	}
	return false
}

// enable gives the target its version and back its requests in one transaction.
func (m *machine) enable(s Step) bool {
	off := having(m.world.config(), m.p.Disabled, false)
	version := m.spec.Version
	if version != "" && !m.lacksVersion(s.Target.Cluster, version) {
		version = ""
	}
	if len(off) == 0 && version == "" {
		m.p.Disabled = nil
		return true
	}
	if m.locked(s.String()) {
		return false
	}
	a := &Action{Step: s.ID}
	m.announce(a)
	a.Change = m.change(s.ID, s.String(), off, true, version)
	m.note = s.String()
	return false
}

func (m *machine) lacksVersion(name, version string) bool {
	cl := cluster(m.world.config(), name)
	if cl == nil {
		return false
	}
	for i := range cl.Instances {
		if cl.Instances[i].Version != version {
			return true
		}
	}
	return false
}

// abort enables what the workflow disabled, in one transaction.
func (m *machine) abort() {
	off := having(m.world.config(), m.p.Disabled, false)
	if len(off) == 0 {
		m.state, m.note, m.p.Disabled, m.p.Begun = Aborted, "aborted; what hooks did is not undone", nil, false
		return
	}
	if m.world.Operating.Lock != nil {
		m.note = "abort: the maintenance lock of " + m.world.Operating.Lock.Owner + " is on; what was disabled is enabled when it is off"
		return
	}
	if m.p.Fault != "" {
		m.note = "abort: " + m.p.Fault
	}
	if m.world.Now.Before(m.p.NotBefore) {
		return
	}
	a := &Action{Step: stepAbort}
	m.announce(a)
	a.Change = m.change(stepAbort, "abort", off, true, "")
}

// stepAbort is the ID of the action of an abort, which is no step of the list.
const stepAbort = "abort"
