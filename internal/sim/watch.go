package sim

import (
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// watchEvery is how often all nodes are looked at.
	watchEvery = 100 * time.Millisecond
	// clockError is how far the group's time may be from the right one: a leader follows its own clock within half a second.
	clockError = 600 * time.Millisecond
	// inTime is how late an end may be while nothing is broken, and calmFor how long that must have been so.
	inTime  = time.Second
	calmFor = 8 * time.Second
)

// watch looks at all nodes again and again.
func (w *world) watch() {
	for w.pause(watchEvery) {
		for _, m := range w.machines {
			if p := m.running(); p != nil {
				w.look(p)
			}
		}
		w.quiesces.overdue(w.machines)
	}
}

// look holds what one node has against what others had at the same place, and against what it had before.
func (w *world) look(p *process) {
	w.digests.take(p)
	w.quiesces.take(p)
}

// calmSince tells since when nothing is broken; false while something is.
func (w *world) calmSince() (time.Duration, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calm, w.faults == 0
}

// digests knows the digest of the state at each index at which a node was looked at.
type digests struct {
	w *world

	mu sync.Mutex
	at map[uint64]digestOf
}

type digestOf struct {
	sum  fsm.Digest
	node string
}

func (d *digests) take(p *process) {
	index, sum := p.state.DigestAt()
	d.mu.Lock()
	defer d.mu.Unlock()
	was, known := d.at[index]
	if known && was.sum != sum {
		d.w.violated("at index %d the state of %v differs from that of node %s", index, p, was.node)
	}
	if !known {
		d.at[index] = digestOf{sum, p.m.name}
	}
	if r := p.state.Checkpoint(); r.Diverged != 0 {
		d.w.violated("%v has found that its state differs from the leader's at index %d", p, r.Diverged)
	}
}

// audit is what one process has been seen to say, event by event.
type audit struct {
	events  uint64
	running map[fsm.Subject]bool
}

// quiesces knows when each quiesce is to end, and that it ends once.
type quiesces struct {
	w *world

	mu    sync.Mutex
	known map[uint64]time.Time // the deadline of each
	last  uint64               // the newest event that any node had
	ended int
}

func (q *quiesces) take(p *process) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, r := range p.state.Operating().Quiesces {
		q.known[r.ID] = r.Deadline
	}
	a := &p.audit
	if a.running == nil {
		a.running = map[fsm.Subject]bool{}
	}
	for _, e := range p.state.Events(a.events, 1000) {
		whole := e.Seq == a.events+1
		a.events = e.Seq
		q.event(p, e, whole)
	}
}

// event judges one event. whole is false when events before it are forgotten. mu is held.
func (q *quiesces) event(p *process, e fsm.Event, whole bool) {
	a := &p.audit
	if !whole {
		clear(a.running)
	}
	was, sure := a.running[e.Subject]
	switch e.Kind {
	case fsm.EventQuiesceStarted:
		a.running[e.Subject] = true
		return
	case fsm.EventQuiesceCanceled:
	case fsm.EventQuiesced:
		if e.Seq > q.last {
			q.ended++
			if early := e.Time.Sub(q.w.wall()); early > clockError {
				q.w.violated("the quiesce of %s ended %v before its time", e.Instance, early)
			}
		}
	default:
		return
	}
	q.last = max(q.last, e.Seq)
	if sure && !was {
		q.w.violated("%v: the quiesce of %s ended a second time (event %d)", p, e.Instance, e.Seq)
	}
	a.running[e.Subject] = false
}

// overdue looks for what should have ended.
func (q *quiesces) overdue(machines []*machine) {
	since, calm := q.w.calmSince()
	now := q.w.wall()
	if !calm {
		return
	}
	for _, m := range machines {
		p := m.running()
		if p == nil || p.node.Ready() != nil {
			continue // it has not caught up yet, and serves nobody
		}
		for _, r := range p.state.Operating().Quiesces {
			begins := epoch.Add(since + calmFor)
			if due := r.Deadline.Add(clockError); due.After(begins) {
				begins = due
			}
			if late := now.Sub(begins); late > inTime {
				q.w.violated("%v: the quiesce of %s should have ended %v ago", p, r.Instance, now.Sub(r.Deadline))
			}
		}
	}
}
