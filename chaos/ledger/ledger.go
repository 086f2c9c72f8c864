package ledger

import (
	"fmt"
	"sync"
	"time"
)

// Answer is what a client reads off one response.
type Answer struct {
	At   time.Time
	Node string // the node that was asked
	// Instance is the instance that answered, by its own word.
	Instance string
	// Session is the application's own id of the session, empty where it keeps none.
	Session string
	// Count is the application's count of this session's requests, 0 where it keeps none.
	Count int
	// New says that the application made a new session for this request.
	New bool
	// Crossed says that the answer repeats another request's nonce.
	Crossed bool
}

// Entry is one session, as its client knows it. Its fields are read through the methods of Ledger or after the load.
type Entry struct {
	Number   int    // from 0, in the order of the first answers
	Kind     string // the kind of affinity, named by the load; the cluster's name, where tables are checked
	Instance string // what the client was told
	Node     string // who told it first
	First    time.Time
	Last     time.Time
	Answers  int
	Session  string
	// Key is the session's key in the tables of the nodes, once somebody has asked for it.
	Key   string
	count int
	moved string // the fallen instance that it was on before
}

// Ledger is the record of all sessions of a run.
type Ledger struct {
	mu         sync.Mutex
	entries    []*Entry
	fallen     map[string]bool
	violations []Violation
	broken     int // all violations, also those beyond maxKept
}

// New gives an empty ledger.
func New() *Ledger { return &Ledger{fallen: map[string]bool{}} }

// Told opens the entry of a new session with its first answer.
func (l *Ledger) Told(kind string, a Answer) *Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &Entry{
		Number: len(l.entries), Kind: kind, Instance: a.Instance, Node: a.Node, First: a.At, Last: a.At, Answers: 1,
		Session: a.Session, count: a.Count,
	}
	l.entries = append(l.entries, e)
	if a.Crossed {
		l.violate(Crossed, e, a.At, "the first answer was another client's")
	}
	return e
}

// Repeated holds a later answer against the entry and says whether it kept the promise.
func (l *Ledger) Repeated(e *Entry, a Answer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.broken
	e.Answers++
	e.Last = a.At
	if a.Crossed {
		l.violate(Crossed, e, a.At, fmt.Sprintf("node %s gave another client's answer", a.Node))
		return false
	}
	if a.Instance != e.Instance {
		l.move(e, a)
		return l.broken == before
	}
	switch {
	case a.New || a.Session != e.Session:
		l.violate(Reset, e, a.At, fmt.Sprintf("instance %s does not know the session any more (asked through node %s)", a.Instance, a.Node))
		e.Session = a.Session
	case a.Count > 0 && a.Count <= e.count:
		l.violate(Reset, e, a.At, fmt.Sprintf("instance %s counts %d after %d", a.Instance, a.Count, e.count))
	}
	// Answers of requests that ran at once may be noted in another order than they were counted in.
	e.count = max(e.count, a.Count-maxReordered)
	return l.broken == before
}

// maxReordered is how many requests of one session may be under way at once.
const maxReordered = 8

func (l *Ledger) move(e *Entry, a Answer) {
	switch {
	case !l.fallen[e.Instance]:
		l.violate(Moved, e, a.At, fmt.Sprintf("told %s by node %s, now %s by node %s", e.Instance, e.Node, a.Instance, a.Node))
	case l.fallen[a.Instance]:
		l.violate(Moved, e, a.At, fmt.Sprintf("from fallen instance %s to fallen instance %s", e.Instance, a.Instance))
	default:
		e.moved = e.Instance
	}
	e.Instance, e.Session, e.count = a.Instance, a.Session, 0
}

// Fallen declares an instance dead: each of its sessions may move once, to another instance, and must stay there.
func (l *Ledger) Fallen(instance string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fallen[instance] = true
}

// Moved tells from which fallen instance the session came, empty for one that never moved.
func (l *Ledger) Moved(e *Entry) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.moved
}

// Instance gives the instance that the client was told last.
func (l *Ledger) Instance(e *Entry) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.Instance
}

// Entries gives all sessions so far, oldest first.
func (l *Ledger) Entries() []*Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Entry(nil), l.entries...)
}

// ByInstance counts the sessions on each instance, as their clients were told.
func (l *Ledger) ByInstance() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := map[string]int{}
	for _, e := range l.entries {
		count[e.Instance]++
	}
	return count
}

// Len is the number of sessions so far.
func (l *Ledger) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.entries)
}
