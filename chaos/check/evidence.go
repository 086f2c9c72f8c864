package check

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/history"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Group is the group as checks ask it.
type Group interface {
	// Look asks each node, also those that should not run, what it sees. A node that does not answer is a View with an error.
	Look(ctx context.Context) []View
	// Tables gives each node's whole table, by the node's name and the session's key.
	Tables(ctx context.Context) (map[string]map[string]ledger.Place, error)
	// Revisions gives the numbers of the revisions that the group keeps, in any order.
	Revisions(ctx context.Context) ([]uint64, error)
	// Usage gives what each node takes of its machine.
	Usage(ctx context.Context) ([]Usage, error)
}

// Evidence is what checks look at. The pointers and Group are set before the run begins and not changed.
type Evidence struct {
	Recorder *record.Recorder
	Ledger   *ledger.Ledger
	History  *history.History
	Quiesces *Quiesces
	Backups  *Backups
	Epochs   *Epochs
	Losses   *Losses
	Watch    *Watch
	Group    Group

	Budget record.Budget
	// Patience is how long the group may take to be well after the last fault; New sets 30 s.
	Patience time.Duration
	// First is the revision that was current when the history began.
	First uint64
	// Baseline is the nodes' usage before the load began.
	Baseline []Usage
	// Provisional counts sessions that may be on their way into the tables, as their clients know.
	Provisional func() int
	// Back is when the clients began to come back, with the group whole again.
	Back time.Time
	// Address tells how long, at most, two nodes had the virtual address at once: by their kernels (but for planned hand-overs), and by what they answered on the link; how often a node got it; and how often a machine that
	// is no node claimed it. Nil: only the nodes' own words are there.
	Address func() (kernels, link time.Duration, taken, strangers int)
	// Forged tells how many forged cookies nodes were shown; nil: none.
	Forged func() int
	// HangUp has the instances end the connections to them that wait for the next request; nil: the nodes' own time-outs end them.
	HangUp func()

	mu    sync.Mutex
	falls map[ledger.Place]int // open occasions of the history
	wrong []history.Counterexample
	bad   []string // what the first requests that failed or were refused heard
}

// New gives the evidence of a run that has not begun. The ledger is that of its load.
func New(r *record.Recorder, l *ledger.Ledger, g Group) *Evidence {
	e := &Evidence{
		Recorder: r, Ledger: l, History: history.New(), Quiesces: NewQuiesces(), Backups: &Backups{}, Epochs: &Epochs{}, Losses: &Losses{}, Watch: NewWatch(), Group: g, Patience: 30 * time.Second,
		falls: map[ledger.Place]int{},
	}
	e.Quiesces.Idle = func(subject string) bool {
		cluster, instance, _ := strings.Cut(subject, "/")
		return l.On(cluster, instance) == 0
	}
	return e
}

// Seen notes a request of the load: it is what load.Options.Seen is for.
func (e *Evidence) Seen(r load.Request) {
	e.Recorder.Request(r.Due, r.Ended, r.Err == nil, r.Refused)
	if err := cmp.Or(r.Err, r.Refusal); err != nil {
		e.heard(r.Ended, err)
	}
	entry := r.Session.Entry
	if entry == nil {
		return // a new session without an answer: nobody knows it
	}
	id, cluster := entry.Number, r.Session.Kind.Name
	if r.Err != nil {
		e.History.Silent(id, r.Worker, r.Sent)
		return
	}
	if r.New {
		e.History.Session(id, cluster, strconv.Itoa(id))
		e.Quiesces.New(cluster, r.Instance, r.Sent)
		e.Recorder.Sessions(e.Ledger.Len())
	}
	e.History.Answered(id, r.Worker, r.Sent, r.Ended, r.Instance)
}

// maxHeard bounds how many answers that were none the check of the requests can show.
const maxHeard = 5

func (e *Evidence) heard(at time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.bad) < maxHeard {
		e.bad = append(e.bad, fmt.Sprintf("at %s: %v", record.Short(e.Recorder.Since(at)), err))
	}
}

// Fell notes that an instance does not serve from now on: sessions of the clusters may leave it. To be called before it is hurt.
func (e *Evidence) Fell(instance string, clusters ...string) {
	e.Ledger.Fallen(instance)
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, cluster := range clusters {
		at := ledger.Place{Cluster: cluster, Instance: instance}
		if _, open := e.falls[at]; !open {
			e.falls[at] = e.History.MayLeave(cluster, instance, "it fell", now, time.Time{})
		}
	}
}

// Rose notes that a fallen instance serves again. To be called after it was seen to.
func (e *Evidence) Rose(instance string) {
	e.Ledger.Risen(instance)
	until := time.Now().Add(grace)
	e.mu.Lock()
	defer e.mu.Unlock()
	for at, number := range e.falls {
		if at.Instance != instance {
			continue
		}
		delete(e.falls, at)
		e.History.Ends(number, until)
	}
}

// MayLeave notes that the sessions that the cluster has on an instance may leave it once, from a moment in the past on, and why: its quiesce ended,
// it was stopped or removed.
func (e *Evidence) MayLeave(cluster, instance, why string, from time.Time) {
	e.Ledger.MayLeave(cluster, instance)
	e.History.MayLeave(cluster, instance, why, from, time.Now().Add(grace))
}

// grace is how long after a change was acknowledged a node may still act by what was before: it applies entries within milliseconds, but the
// machine may be busy.
const grace = 2 * time.Second
