package check

import (
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// Quiesces keeps what was done to the instances and what came of it: from the start of a quiesce on no new session goes there, and it has one end.
// One of a module is told apart by the subject; only its end is looked at.
type Quiesces struct {
	mu      sync.Mutex
	begun   map[ledger.Place]time.Time // when the start was acknowledged by all nodes
	asked   int                        // new sessions that were looked at
	opened  int
	running map[string]bool // by subject, from the group's events
	last    uint64          // number of the last event
	ended   int
	found   verdict
}

// NewQuiesces gives a record in which nothing is quiesced.
func NewQuiesces() *Quiesces {
	return &Quiesces{begun: map[ledger.Place]time.Time{}, running: map[string]bool{}}
}

// Began notes that every node obeys the quiesce of an instance, or that it was stopped.
func (q *Quiesces) Began(cluster, instance string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.begun[ledger.Place{Cluster: cluster, Instance: instance}] = time.Now()
}

// Over notes that the instance may have new sessions again. To be called before the change that does so is sent.
func (q *Quiesces) Over(cluster, instance string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.begun, ledger.Place{Cluster: cluster, Instance: instance})
}

// New notes where a session began, and when its first request was sent.
func (q *Quiesces) New(cluster, instance string, sent time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.asked++
	begun, ok := q.begun[ledger.Place{Cluster: cluster, Instance: instance}]
	if out := sent.Sub(begun); ok && out > grace {
		q.found.breaks("%s of cluster %s was given a new session %s after every node had obeyed its quiesce", instance, cluster, out.Round(time.Millisecond))
	}
}

// Event is one of the group's own events, as far as it is about quiesces.
type Event struct {
	Seq uint64
	// Kind is quiesce-started, quiesce-canceled, quiesced or something else.
	Kind string
	// Subject names what is quiesced: CLUSTER/INSTANCE, or a module.
	Subject string
}

// Events notes events of the group. They come in order, from one node or several; those that were noted before are left out. Where some are
// missing, because the group keeps only the last ones, what runs is not known any more.
func (q *Quiesces) Events(events []Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range events {
		if e.Seq <= q.last {
			continue
		}
		gap := e.Seq > q.last+1
		if gap {
			clear(q.running)
		}
		q.last = e.Seq
		switch e.Kind {
		case "quiesce-started":
			if q.running[e.Subject] {
				q.found.breaks("the quiesce of %s began again (event %d) before it had ended", e.Subject, e.Seq)
			}
			q.running[e.Subject] = true
			q.opened++
		case "quiesced", "quiesce-canceled":
			running, known := q.running[e.Subject]
			if known && !running {
				q.found.breaks("the quiesce of %s ended twice (event %d is the second end)", e.Subject, e.Seq)
			}
			q.running[e.Subject] = false
			q.ended++
		}
	}
}

// state gives what was found so far.
func (q *Quiesces) state() (v verdict, sessions, opened, ended int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	v = q.found
	v.violations = slices.Clone(v.violations)
	return v, q.asked, q.opened, q.ended
}
