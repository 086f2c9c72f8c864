package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// quiescePoll is how often the leader looks whether something is left, while something quiesces.
	quiescePoll = 250 * time.Millisecond
	// refusedPause is the wait after the state refused an end: this node's view was a moment behind.
	refusedPause = 20 * time.Millisecond
	// maxEnds is how many ends are proposed at once.
	maxEnds = 32
)

// quiesceDuty ends each running quiesce at its deadline in replicated time, and before that when nothing is left of what it waits for.
type quiesceDuty struct {
	*term
	polled time.Time
}

func (*quiesceDuty) name() string { return "quiesce" }

func (d *quiesceDuty) look(ctx context.Context) (time.Duration, error) {
	running := d.state.Operating().Quiesces
	if len(running) == 0 {
		return never, nil
	}
	again, began := quiescePoll, time.Now()
	now := d.now().Truncate(time.Millisecond) // as it is written into the entry
	var ends []*fsm.QuiesceEnd
	var empty []fsm.Quiesce
	for _, q := range running {
		left := q.Deadline.Sub(now)
		switch {
		case left <= 0:
			ends = append(ends, d.end(q, false))
		case d.sessions(q.Subject) == 0:
			empty = append(empty, q)
			fallthrough
		default:
			again = min(again, left)
		}
	}
	if wait := time.Until(d.polled.Add(quiescePoll)); len(ends) == 0 && len(empty) > 0 && wait > 0 {
		again = min(again, wait)
	} else if len(ends) == 0 && len(empty) > 0 {
		d.polled = time.Now()
		reports := d.reports.now(ctx, again) // not beyond the next deadline
		for _, q := range empty {
			if d.quiet(reports, q) && d.sessions(q.Subject) == 0 {
				ends = append(ends, d.end(q, true))
			}
		}
	}
	if len(ends) == 0 {
		return again - time.Since(began), nil
	}
	return d.proposeEnds(ctx, ends)
}

func (d *quiesceDuty) end(q fsm.Quiesce, idle bool) *fsm.QuiesceEnd {
	return &fsm.QuiesceEnd{ID: q.ID, Subject: q.Subject, Idle: idle, Deadline: q.Deadline, Node: d.node}
}

// proposeEnds gives all ends to the group at once, so that many that are due together all end in time.
func (d *quiesceDuty) proposeEnds(ctx context.Context, ends []*fsm.QuiesceEnd) (time.Duration, error) {
	var all sync.WaitGroup
	slots := make(chan struct{}, maxEnds)
	errs := make([]error, len(ends))
	for i, end := range ends {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			// A refusal is no failure: the deadline was moved, the quiesce canceled or ended, or a session came, a moment ago.
			_, errs[i] = d.do(ctx, end)
		})
	}
	all.Wait()
	return refusedPause, errors.Join(errs...)
}

// sessions counts the assignments that a quiesce waits for.
func (d *quiesceDuty) sessions(s fsm.Subject) int {
	if s.IsModule() {
		if id, ok := d.state.ModuleID(s.Cluster, s.Host, s.ContextRoot); ok {
			return d.state.ModuleSessions(id)
		}
		return 0
	}
	if id, ok := d.state.InstanceID(s.Cluster, s.Instance); ok {
		return d.state.Sessions(id)
	}
	return 0
}

// quiet tells whether every node has said, after it began to obey the quiesce, that it has nothing in flight. A node that cannot be asked may have.
func (d *quiesceDuty) quiet(reports []memberReport, q fsm.Quiesce) bool {
	for i := range reports {
		if r := &reports[i]; !r.reachable || r.InForce < q.ID || inFlight(r, q.Subject) > 0 {
			return false
		}
	}
	return len(reports) > 0
}

// inFlight is what a node has under way, or waiting, for an instance or a module.
func inFlight(r *memberReport, s fsm.Subject) (n int64) {
	if !s.IsModule() {
		if in := r.instance(s.Cluster, s.Instance); in != nil {
			n = in.InFlight + in.Waiting
		}
		return n
	}
	for _, m := range r.Modules {
		if m.Cluster == s.Cluster && m.Host == s.Host && m.ContextRoot == s.ContextRoot {
			n += m.InFlight
		}
	}
	return n
}
