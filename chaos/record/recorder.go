package record

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// Aftermath is how long after its heal a fault still answers for what clients see.
const Aftermath = 2 * time.Second

// Recorder gathers a Run while it goes on.
type Recorder struct {
	began time.Time // with the monotonic clock

	mu      sync.Mutex
	run     Run
	open    map[int]bool // faults that are not healed, by position
	recent  []int        // faults that may still answer for what is seen
	second  second
	last    time.Duration // when the last good answer came, or the load began
	idle    bool          // nothing is asked, so nobody waits
	leader  string
	holder  string
	ended   bool
	listens []func(Event)
	telling sync.Mutex // keeps the order of events for those who listen
}

// New begins a record. What the run says about scenario, seed, nodes, budget and replay is taken from head; the time is now.
func New(head Run) *Recorder {
	r := &Recorder{began: time.Now(), run: head, open: map[int]bool{}, idle: true}
	r.run.Format, r.run.Began, r.run.Verdict = Format, r.began.UTC().Truncate(time.Millisecond), ""
	return r
}

// Listen has tell called with each event from now on, in their order. It must not call the recorder.
func (r *Recorder) Listen(tell func(Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listens = append(r.listens, tell)
}

// Now is the time since the run began.
func (r *Recorder) Now() time.Duration { return time.Since(r.began) }

// Since turns a moment into the time since the run began. It must come from time.Now of this process.
func (r *Recorder) Since(t time.Time) time.Duration { return t.Sub(r.began) }

// Note records an event.
func (r *Recorder) Note(kind Kind, subject, format string, args ...any) {
	r.happens(func(time.Duration) *Event {
		return &Event{Kind: kind, Subject: subject, Text: fmt.Sprintf(format, args...)}
	})
}

// happens makes one change of the record and tells of the event that it gives, if any.
func (r *Recorder) happens(change func(at time.Duration) *Event) {
	r.telling.Lock()
	defer r.telling.Unlock()
	r.mu.Lock()
	at := r.Now()
	var event *Event
	if !r.ended {
		if event = change(at); event != nil {
			event.At = at
			r.run.Events = append(r.run.Events, *event)
		}
	}
	listens := r.listens
	r.mu.Unlock()
	if event == nil {
		return
	}
	for _, tell := range listens {
		tell(*event)
	}
}

// Begin records that a fault is being injected, and gives the number by which it is healed.
func (r *Recorder) Begin(name, target, text string) (number int) {
	r.happens(func(at time.Duration) *Event {
		number = len(r.run.Faults)
		r.run.Faults = append(r.run.Faults, Fault{Name: name, Target: target, From: at, Text: text})
		r.open[number] = true
		r.recent = append(r.recent, number)
		return &Event{Kind: FaultBegins, Subject: target, Text: name + on(target) + because(text)}
	})
	return number
}

// Heal records that a fault was taken away; a problem says that this did not work.
func (r *Recorder) Heal(number int, problem error) {
	r.happens(func(at time.Duration) *Event {
		if !r.open[number] {
			return nil
		}
		delete(r.open, number)
		f := &r.run.Faults[number]
		f.To, f.Healed = at, problem == nil
		if problem != nil {
			f.Text = "not healed: " + problem.Error()
			return &Event{Kind: FaultEnds, Subject: f.Target, Text: f.Name + on(f.Target) + " is " + f.Text}
		}
		return &Event{Kind: FaultEnds, Subject: f.Target, Text: fmt.Sprintf("%s%s is over after %s", f.Name, on(f.Target), Short(f.To-f.From))}
	})
}

// Void records that a fault that was begun did not happen, and why: what was seen meanwhile is not its doing.
func (r *Recorder) Void(number int, why string) {
	r.happens(func(at time.Duration) *Event {
		if !r.open[number] {
			return nil
		}
		delete(r.open, number)
		r.recent = slices.DeleteFunc(r.recent, func(n int) bool { return n == number })
		f := &r.run.Faults[number]
		*f = Fault{Name: f.Name, Target: f.Target, From: f.From, To: at, Healed: true, Text: f.Text, Void: why}
		return &Event{Kind: FaultEnds, Subject: f.Target, Text: f.Name + on(f.Target) + " did not happen" + because(why)}
	})
}

// LeftOut records a fault of the plan that was not even begun, and why.
func (r *Recorder) LeftOut(name, target, text, why string) {
	r.happens(func(at time.Duration) *Event {
		r.run.Faults = append(r.run.Faults, Fault{Name: name, Target: target, From: at, To: at, Healed: true, Text: text, Void: why})
		return &Event{Kind: Noted, Subject: target, Text: "left out: " + name + on(target) + because(why)}
	})
}

// Leader records who leads, empty for nobody. Saying the same again records nothing.
func (r *Recorder) Leader(name string) {
	r.happens(func(at time.Duration) *Event {
		r.turn(at)
		r.second.leaderless = r.second.leaderless || name == ""
		if name == r.leader {
			return nil
		}
		r.leader = name
		return &Event{Kind: LeaderIs, Subject: name, Text: whoIs(name, "leads", "nobody leads")}
	})
}

// Holder records who holds the virtual address, empty for nobody. Saying the same again records nothing.
func (r *Recorder) Holder(name string) {
	r.happens(func(at time.Duration) *Event {
		r.turn(at)
		if name == r.holder {
			return nil
		}
		r.holder = name
		return &Event{Kind: HolderIs, Subject: name, Text: whoIs(name, "holds the virtual address", "nobody holds the virtual address")}
	})
}

// Sessions records how many sessions clients know.
func (r *Recorder) Sessions(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Sessions = n
}

// Check records what a check says; a check of the same name replaces what it said before.
func (r *Recorder) Check(c Result) {
	r.happens(func(time.Duration) *Event {
		event := &Event{Kind: Checked, Subject: c.Name, Text: c.Name + " holds" + because(c.Saw)}
		switch {
		case !c.OK:
			event.Text = c.Name + " is broken" + because(c.Saw)
		case c.Nothing:
			event.Text = c.Name + " had nothing to judge" + because(c.Saw)
		}
		for i, before := range r.run.Checks {
			if before.Name == c.Name {
				r.run.Checks[i] = c
				return event
			}
		}
		r.run.Checks = append(r.run.Checks, c)
		return event
	})
}

// Keep records a file that was kept, by its path below the folder of the run.
func (r *Recorder) Keep(path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run.Artefacts = append(r.run.Artefacts, path)
}

// Snapshot is a copy of the run so far, for a display.
func (r *Recorder) Snapshot() *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return r.copy(r.run.Took)
	}
	at := r.Now()
	r.turn(at)
	run := r.copy(at)
	run.Series = append(run.Series, r.so())
	return run
}

// Finish ends the record and gives the run. The verdict is error with a problem, failed when a check is broken, or when there is none: a
// run that nobody judged has not passed.
func (r *Recorder) Finish(problem error) *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return r.copy(r.run.Took)
	}
	at := r.Now()
	r.turn(at)
	r.close()
	if !r.idle {
		r.silence(at)
	}
	r.ended, r.run.Took = true, at
	r.run.Verdict = Passed
	switch {
	case problem != nil:
		r.run.Verdict, r.run.Problem = Errored, problem.Error()
	case len(r.run.Checks) == 0:
		r.run.Verdict, r.run.Problem = Errored, "no check was made"
	case len(r.run.Broken()) > 0:
		r.run.Verdict = Failed
	}
	return r.copy(at)
}

// copy gives a run that nobody else changes, as of the given time.
func (r *Recorder) copy(at time.Duration) *Run {
	run := r.run
	run.Took = at
	run.Nodes, run.Instances, run.Artefacts = clone(run.Nodes), clone(run.Instances), clone(run.Artefacts)
	run.Events, run.Faults, run.Series, run.Checks = clone(run.Events), clone(run.Faults), clone(run.Series), clone(run.Checks)
	for i := range run.Faults {
		if r.open[i] {
			run.Faults[i].To = at
		}
	}
	return &run
}

// clone copies a list; an empty one is a list in JSON too, not null.
func clone[T any](list []T) []T { return append([]T{}, list...) }
