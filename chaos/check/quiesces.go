package check

import (
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// Quiesces keeps what was done to the instances and what came of it: from the start of a quiesce on no new session goes there, and it has one end, in time.
// One of a module is told apart by the subject; only its end is looked at, not when that is.
type Quiesces struct {
	// Timeout is how long a quiesce of an instance takes by the configuration, unless no session is there any more; 0: that is not known. It is set before the first look.
	Timeout time.Duration
	// Idle says whether an instance, as CLUSTER/INSTANCE, has no session; nil: all have some.
	Idle func(subject string) bool

	mu      sync.Mutex
	looked  time.Time                  // the last look at the group
	heard   time.Time                  // the last one that heard of its events
	unheard time.Duration              // how long it could not be asked by now: it may have had no leader
	since   map[string]since           // by subject, those that run
	wanted  map[string]time.Time       // by subject, when an operator was about to ask for it
	begun   map[ledger.Place]time.Time // when the start was acknowledged by all nodes
	some    bool                       // there was one, by whatever word
	asked   int                        // new sessions that were looked at
	opened  int
	running map[string]bool // by subject, from the group's events
	last    uint64          // number of the last event
	ended   int
	found   verdict
}

// NewQuiesces gives a record in which nothing is quiesced.
func NewQuiesces() *Quiesces {
	return &Quiesces{begun: map[ledger.Place]time.Time{}, running: map[string]bool{}, since: map[string]since{}, wanted: map[string]time.Time{}}
}

// Asked notes that an operator is about to ask for the quiesce of an instance: its time counts from when the group has the change in its log, which a look at the group shows only once that is committed, and busy nodes may take a
// while for it.
func (q *Quiesces) Asked(cluster, instance string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wanted[cluster+"/"+instance] = time.Now()
}

// Began notes that every node obeys the quiesce of an instance, or that it was stopped.
func (q *Quiesces) Began(cluster, instance string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.begun[ledger.Place{Cluster: cluster, Instance: instance}] = time.Now()
	q.some = true
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

// since is when a quiesce began, as far as looks at the group show it.
type since struct {
	first, last time.Time
	unheard     time.Duration // as it was then
}

// late is how much longer than its time a quiesce may take to be seen to end, beside the time without a leader: a leader that is frozen is one for a while, and the next one has to find out what ran.
const late = 3 * time.Second

// Look notes what the group's leader has said of its events; heard says that it could be asked.
func (q *Quiesces) Look(at time.Time, heard bool, events []Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if (!heard || q.heard.Before(q.looked)) && !q.looked.IsZero() {
		q.unheard += at.Sub(q.looked)
	}
	before := q.heard
	if q.looked = at; heard {
		q.heard = at
	}
	q.events(events, before)
}

// timed judges when a quiesce has ended whose beginning was seen. The caller has the lock.
func (q *Quiesces) timed(e Event, before time.Time) {
	began, known := q.since[e.Subject]
	delete(q.since, e.Subject)
	if !known || q.Timeout <= 0 || before.IsZero() {
		return
	}
	least, most := before.Sub(began.last)-(q.unheard-began.unheard), q.looked.Sub(began.first)
	switch {
	case e.Kind == "quiesced" && most < q.Timeout && (q.Idle == nil || !q.Idle(e.Subject)):
		q.found.breaks("the quiesce of %s ended after %s at most, its time is %s (event %d)", e.Subject, most.Round(time.Millisecond), q.Timeout, e.Seq)
	case least > q.Timeout+late:
		q.found.breaks("the quiesce of %s went on for %s at least, its time is %s (event %d)", e.Subject, least.Round(time.Millisecond), q.Timeout, e.Seq)
	}
}

// Event is one of the group's own events, as far as it is about quiesces.
type Event struct {
	Seq uint64
	// Kind is quiesce-started, quiesce-canceled, quiesced or something else.
	Kind string
	// Subject names what is quiesced: CLUSTER/INSTANCE, or a module.
	Subject string
	// Module says that it is one.
	Module bool
}

// Events notes events of the group. They come in order, from one node or several; those that were noted before are left out. Where some are
// missing, because the group keeps only the last ones, what runs is not known any more.
func (q *Quiesces) Events(events []Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.events(events, time.Time{})
}

// events does so; they have happened after the given time, zero: nobody knows when. The caller has the lock.
func (q *Quiesces) events(events []Event, after time.Time) {
	for _, e := range events {
		if e.Seq <= q.last {
			continue
		}
		gap := e.Seq > q.last+1
		if gap {
			clear(q.running)
			clear(q.since)
		}
		q.last = e.Seq
		switch e.Kind {
		case "quiesce-changed": // to another time
			delete(q.since, e.Subject)
		case "quiesce-started":
			if q.running[e.Subject] {
				q.found.breaks("the quiesce of %s began again (event %d) before it had ended", e.Subject, e.Seq)
			}
			q.running[e.Subject] = true
			q.opened++
			delete(q.since, e.Subject)
			if !e.Module && !after.IsZero() {
				first := after
				if asked, ok := q.wanted[e.Subject]; ok && asked.Before(first) {
					first = asked
				}
				q.since[e.Subject] = since{first, q.looked, q.unheard}
			}
			delete(q.wanted, e.Subject)
		case "quiesced", "quiesce-canceled":
			running, known := q.running[e.Subject]
			if known && !running {
				q.found.breaks("the quiesce of %s ended twice (event %d is the second end)", e.Subject, e.Seq)
			}
			q.running[e.Subject] = false
			q.ended++
			q.timed(e, after)
		}
	}
}

// state gives what was found so far.
func (q *Quiesces) state() (v verdict, some bool, sessions, opened, ended int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	v = q.found
	v.violations = slices.Clone(v.violations)
	return v, q.some || q.opened > 0 || q.ended > 0, q.asked, q.opened, q.ended
}
