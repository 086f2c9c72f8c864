package ledger

import (
	"fmt"
	"sync"
	"time"
)

// Answer is what a client reads off one response.
type Answer struct {
	// Sent is when the request was first sent, At when the answer was there.
	Sent, At time.Time
	Node     string // the node that was asked
	// Instance is the instance that answered, by its own word.
	Instance string
	// Session is the application's own id of the session, empty where it keeps none.
	Session string
	// Count is the application's count of this session's requests, 0 where it keeps none.
	Count int
	// New says that the application made a new session for this request.
	New bool
	// Crossed says that the answer repeats another request's nonce, Garbled that what was sent arrived as something else.
	Crossed, Garbled bool
	// Most is how many requests of the session the application can have executed: as many as were sent to it. 0 where that is not known.
	Most int
}

// Entry is one session, as its client knows it. Its fields are read through the methods of Ledger or after the load.
type Entry struct {
	Number   int       // from 0, in the order of the first answers
	Kind     string    // the kind of affinity, named by the load; the cluster's name, where tables are checked
	Instance string    // what the client was told last
	Told     string    // what it was told first
	Node     string    // who told it first
	Sent     time.Time // when the first request was sent
	First    time.Time // when it was answered
	Last     time.Time
	Answers  int
	Session  string
	// Key is the session's key in the tables of the nodes, once somebody has asked for it.
	Key   string
	count int
	moved string // the fallen instance that it was on before

	left        time.Time // the last answer from where it was before its last move
	home        string    // the instance that it left when that was hurt
	pinned      bool      // the last move was made while a node may have been alone
	provisional bool
}

// Ledger is the record of all sessions of a run.
type Ledger struct {
	mu         sync.Mutex
	entries    []*Entry
	fallen     map[string]bool
	hurt       map[Place]*spell  // of an instance, or of one in one cluster
	forgot     map[string]*spell // by instance
	doubt      spell
	suspects   []suspect
	running    bool // see Running
	spells     []Spell
	losses     []loss
	members    map[string]map[string]bool // of clusters, where that was said
	violations []Violation
	broken     map[Rule]int // all violations, also those beyond maxKept
	total      int
	old        int // older cookies that were shown
}

// New gives an empty ledger.
func New() *Ledger {
	return &Ledger{
		fallen: map[string]bool{}, hurt: map[Place]*spell{}, forgot: map[string]*spell{}, members: map[string]map[string]bool{}, broken: map[Rule]int{},
	}
}

// Told opens the entry of a new session with its first answer.
func (l *Ledger) Told(kind string, a Answer) *Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &Entry{
		Number: len(l.entries), Kind: kind, Instance: a.Instance, Told: a.Instance, Node: a.Node, Sent: a.Sent, First: a.At, Last: a.At, Answers: 1,
		Session: a.Session, count: a.Count,
	}
	l.entries = append(l.entries, e)
	if a.Crossed {
		l.violate(Crossed, e, a.At, "the first answer was another client's")
	}
	l.stays(e, a)
	l.onlyOnce(e, a)
	return e
}

// On counts the sessions of a cluster that are on an instance, as their clients know.
func (l *Ledger) On(cluster, instance string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.Kind == cluster && e.Instance == instance {
			n++
		}
	}
	return n
}

// Repeated holds a later answer against the entry and says whether it kept the promise.
func (l *Ledger) Repeated(e *Entry, a Answer) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, last := l.total, e.Last
	e.Answers++
	e.Last = a.At
	if a.Crossed {
		l.violate(Crossed, e, a.At, fmt.Sprintf("node %s gave another client's answer", a.Node))
		return false
	}
	l.stays(e, a)
	l.onlyOnce(e, a)
	if a.Instance != e.Instance {
		l.move(e, a, last)
		return l.total == before
	}
	switch {
	case l.mayBeNew(e, last) || l.mayBeLost(e, last): // the instance is back without what it knew, or the group, which may have placed the session anew meanwhile
		e.Session, e.count = a.Session, 0
	case a.New || a.Session != e.Session:
		l.violate(Reset, e, a.At, fmt.Sprintf("instance %s does not know the session any more (asked through node %s)", a.Instance, a.Node))
		e.Session = a.Session
	case a.Count > 0 && a.Count <= e.count:
		l.violate(Reset, e, a.At, fmt.Sprintf("instance %s counts %d after %d", a.Instance, a.Count, e.count))
	}
	// Answers of requests that ran at once may be noted in another order than they were counted in.
	e.count = max(e.count, a.Count-maxReordered)
	return l.total == before
}

// maxReordered is how many requests of one session may be under way at once.
const maxReordered = 8

func (l *Ledger) move(e *Entry, a Answer, last time.Time) {
	l.judge(false)
	hurt := l.mayLeave(e, last) || l.mayBeLost(e, last)
	switch {
	case l.mayBePinned(e, last):
	case !hurt:
		v := l.violation(Moved, e, a.At, fmt.Sprintf("told %s by node %s, now %s by node %s", e.Instance, e.Node, a.Instance, a.Node))
		if e.pinned { // legal if there is doubt that is not known yet
			l.suspects = append(l.suspects, suspect{v, a.At.Add(noticed)})
		} else {
			l.note(v)
		}
	case l.fallen[a.Instance]:
		l.violate(Moved, e, a.At, fmt.Sprintf("from fallen instance %s to fallen instance %s", e.Instance, a.Instance))
	default:
		e.moved = e.Instance
	}
	// Whether a node was alone when it sent the session away is not known yet when that has just begun.
	e.pinned = (e.pinned && l.mayBePinned(e, last) && a.Instance != e.home) || hurt
	if hurt {
		e.home = e.Instance
	}
	e.left = last
	e.Instance, e.Session, e.count = a.Instance, a.Session, 0
}

// ShownOld notes the answer to an older cookie of the session, shown after it has come back with its newest one: it must be that of the instance where the session is. Nothing is asked of a session that may
// leave its instance just now.
func (l *Ledger) ShownOld(e *Entry, a Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.old++
	if a.Instance != e.Instance && !l.fallen[e.Instance] && !l.mayLeave(e, e.Last) {
		l.violate(Outdated, e, a.At, fmt.Sprintf("it is on %s, a cookie from before its move led to %s through node %s", e.Instance, a.Instance, a.Node))
	}
}

// Old is how many older cookies were shown.
func (l *Ledger) Old() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.old
}

// Members says which instances a cluster has, or had: answers of its sessions come from these alone. What is said later is added. Nothing is
// asked of a cluster of which nothing was said.
func (l *Ledger) Members(cluster string, instances ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.members[cluster] == nil {
		l.members[cluster] = map[string]bool{}
	}
	for _, name := range instances {
		l.members[cluster][name] = true
	}
}

// stays makes sure that an answer comes from the session's own cluster.
func (l *Ledger) stays(e *Entry, a Answer) {
	if members := l.members[e.Kind]; members != nil && !members[a.Instance] {
		l.violate(Strayed, e, a.At, fmt.Sprintf("node %s sent it to %s, which cluster %s does not have", a.Node, a.Instance, e.Kind))
	}
}

// onlyOnce makes sure that what must not be repeated arrived as it was sent, and once.
func (l *Ledger) onlyOnce(e *Entry, a Answer) {
	if a.Garbled && !a.Crossed {
		l.violate(Garbled, e, a.At, fmt.Sprintf("through node %s instance %s got something else than was sent", a.Node, a.Instance))
	}
	if a.Most > 0 && a.Count > a.Most {
		l.violate(Twice, e, a.At, fmt.Sprintf("instance %s has executed %d requests of %d that were sent (asked through node %s)", a.Instance, a.Count, a.Most, a.Node))
	}
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
