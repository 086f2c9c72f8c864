package fsm

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// configEntry is a ConfigChange as it is read back, or a ConfigSet, which is one without options. The configuration stays as the bytes that
// were proposed: they are what is hashed and written into snapshots, so that a node that does not know a newer field does not drop it and diverge.
type configEntry struct {
	RequestID RequestID       `json:"requestId"`
	Expect    uint64          `json:"expect"`
	Actor     string          `json:"actor"`
	Message   string          `json:"message,omitempty"`
	Now       []Subject       `json:"now,omitempty"`
	Stopped   []Subject       `json:"stopped,omitempty"`
	Lock      uint64          `json:"lock,omitempty"`
	Schedule  string          `json:"schedule,omitempty"`
	Config    json.RawMessage `json:"config"`

	parsed *config.Config // nil when there is none
	old    bool           // a ConfigSet that an older version wrote
}

func (c *configEntry) kind() kind {
	if c.old {
		return kindConfigSet
	}
	return kindConfigChange
}

// configChange is the compare-and-swap of the configuration. It does not validate: the proposer has, and two versions that
// disagreed here about what is valid would diverge.
func (r *replica) configChange(index uint64, c *configEntry) Result {
	h := r.history.Load()
	current := h.current().Number
	if res, refused := r.configRefused(c, current); refused {
		return res
	}
	rev := &Revision{Number: current + 1, Index: index, Time: millis(r.now.Load()), Actor: c.Actor, Message: c.Message, Config: c.parsed, raw: c.Config}
	o := r.operating.Load()
	f, problem := r.prepare(rev, o.Registered, c.old)
	if problem != "" {
		return Result{Code: CodeInvalid, Revision: current, Message: problem}
	}
	next, forgotten := h.with(rev)
	for _, old := range forgotten {
		r.items.sub(itemSum(itemRevision, appendRevision(nil, old)))
	}
	r.items.add(itemSum(itemRevision, appendRevision(nil, rev)))
	effect := r.enforce(index, f, c.Now, c.Actor, func(o *Operating) {
		if c.Schedule != "" {
			o.Schedules = without(o.Schedules, func(s *Schedule) bool { return s.ID == c.Schedule })
		}
	})
	r.history.Store(next)
	if !c.old {
		r.tellChange(index, c, rev, &effect)
	}
	res := Result{Revision: rev.Number}
	if !c.old && !effect.empty() {
		res.Effect = &effect
	}
	return res
}

// configRefused says why a change of the configuration is refused, if it is.
func (r *replica) configRefused(c *configEntry, current uint64) (Result, bool) {
	o := r.operating.Load()
	if lock := r.locked(); lock != nil && lock.ID != c.Lock {
		return Result{Code: CodeLocked, Revision: current, Lock: lock, Message: lock.describe()}, true
	}
	if c.Expect != current {
		return Result{Code: CodeConflict, Revision: current,
			Message: fmt.Sprintf("the change was made from revision %d, the current one is %d", c.Expect, current)}, true
	}
	if c.parsed == nil {
		return Result{Code: CodeInvalid, Revision: current, Message: "the configuration is missing"}, true
	}
	if c.old {
		return Result{}, false
	}
	if at, problem := o.NamedProblem(c.parsed); problem != "" {
		return Result{Code: CodeInvalid, Revision: current, Message: at + ": " + problem}, true
	}
	var k check
	k.name("the actor", c.Actor)
	k.text("the message", c.Message)
	k.list("subjects to stop at once", len(c.Now))
	k.list("subjects that must be stopped", len(c.Stopped))
	if k.message == "" {
		k.stopped(o, c.Stopped)
	}
	if res, refused := k.refused(); refused {
		res.Revision = current
		return res, true
	}
	if c.Schedule != "" && !slices.ContainsFunc(o.Schedules, func(s Schedule) bool { return s.ID == c.Schedule }) {
		return Result{Code: CodeAbsent, Revision: current, Message: fmt.Sprintf("there is no schedule %q any more: it was carried out or taken back", clip(c.Schedule, maxNameBytes))}, true
	}
	return Result{}, false
}

// stopped makes sure that all of list are configured, disabled and quiesced.
func (k *check) stopped(o *Operating, list []Subject) {
	if len(list) == 0 {
		return
	}
	all := subjectsOf(o.Config)
	for _, s := range list {
		st, exists := all.of[s]
		q := o.quiesce(s)
		switch {
		case !exists:
			k.failf("there is no %s", clip(s.describe(), maxTextBytes))
		case st.enabled:
			k.failf("%s is enabled: disable it first, and wait until it is quiesced", s.describe())
		case q != nil:
			k.failf("%s is quiescing until %s: wait for that, or stop it at once", s.describe(), q.Deadline.Format(time.RFC3339))
		}
		if k.message != "" {
			return
		}
	}
}

// tellChange emits the events of a change.
func (r *replica) tellChange(index uint64, c *configEntry, rev *Revision, e *Effect) {
	r.emit(index, Event{Kind: EventConfig, Actor: c.Actor, Text: fmt.Sprintf("Configuration revision %d%s%s", rev.Number, by(c.Actor), because(c.Message))})
	r.tellEffect(index, c.Actor, e)
	if c.Schedule != "" {
		r.emit(index, Event{Kind: EventScheduleDone, Actor: c.Actor, Text: fmt.Sprintf("Schedule %s was carried out: revision %d", c.Schedule, rev.Number)})
	}
}

// tellEffect emits the events of what a change does to what runs.
func (r *replica) tellEffect(index uint64, actor string, e *Effect) {
	for i := range e.Started {
		s := &e.Started[i]
		r.emit(index, Event{Kind: EventQuiesceStarted, Subject: s.Subject, Actor: actor, Text: fmt.Sprintf("Quiesce of %s begins, with %d sessions, until %s",
			s.describe(), s.Sessions, r.after(s.Timeout).Format(time.RFC3339))})
	}
	for i := range e.Changed {
		s := &e.Changed[i]
		r.emit(index, Event{Kind: EventQuiesceChanged, Subject: s.Subject, Actor: actor, Text: fmt.Sprintf("Quiesce of %s now ends at %s",
			s.describe(), r.after(s.Remaining).Format(time.RFC3339))})
	}
	canceled := make(map[Subject]bool, len(e.Canceled))
	for _, s := range e.Canceled {
		canceled[s] = true
		r.emit(index, Event{Kind: EventQuiesceCanceled, Subject: s, Actor: actor, Text: fmt.Sprintf("Quiesce of %s is canceled", s.describe())})
	}
	for i := range e.Stopped {
		if s := &e.Stopped[i]; !canceled[s.Subject] {
			r.emit(index, Event{Kind: EventStopped, Subject: s.Subject, Actor: actor, Text: fmt.Sprintf("%s is %s without a quiesce, with %d sessions", capital(s.describe()), s.Why, s.Sessions)})
		}
	}
}

// capital begins a sentence: the words of describe begin with a small ASCII letter.
func capital(s string) string { return string(s[0]-'a'+'A') + s[1:] }
