package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// WaitOptions say how WaitStopped waits.
type WaitOptions struct {
	// Every is the time between looks; 0: 500 ms.
	Every time.Duration
	// Silence is how long a node that does not answer is waited for; 0: 10 s. What it has in flight is not known after that: see Waited.Silent.
	Silence time.Duration
	// Progress, when set, hears after each look what is left.
	Progress func(Waited)
}

// Waited is what is left before it is safe to stop.
type Waited struct {
	// Left has a line for each subject that still gets requests or has some in flight; empty when it is safe to stop.
	Left []Remaining `json:"left"`
	// Silent are nodes that do not answer. Unless they are dead, they may still have requests in flight.
	Silent []string `json:"silent"`
	// Err is why the last look failed, nil when it did not. The wait goes on.
	Err error `json:"-"`
}

// Remaining is what is left of one subject.
type Remaining struct {
	Subject
	Admin    string        `json:"admin"`
	Sessions int           `json:"sessions"`
	InFlight int64         `json:"inFlight"`
	Ends     time.Duration `json:"ends"` // to the deadline of its quiesce; 0: none runs
	// Behind are nodes that have not taken note yet that it is stopped.
	Behind []string `json:"behind"`
}

// String says it in words.
func (r Remaining) String() string {
	text := fmt.Sprintf("%s %s of cluster %s is %s, ", r.Kind(), r.Name(), r.Cluster, r.Admin)
	if r.Ends > 0 {
		text += fmt.Sprintf("%v left, ", r.Ends.Round(time.Second))
	}
	text += fmt.Sprintf("%d sessions, %d in flight", r.Sessions, r.InFlight)
	if len(r.Behind) > 0 {
		text += ", not known yet to " + strings.Join(r.Behind, ", ")
	}
	return text
}

// ErrEnabled: a subject is enabled, so waiting for its end is no use.
var ErrEnabled = errors.New("it is enabled: somebody has cancelled the quiesce, or it never began")

// lasting tells an error that waiting does not mend.
func lasting(err error) bool {
	var p *Problem
	return errors.As(err, &p) && p.Status < 500
}

// WaitStopped returns when all subjects are safe to stop: disabled and quiesced, every node obeys that, and no node has a request of theirs in flight.
// Subjects that are gone are safe. It looks again and again, through changes of the leader and the death of nodes; it ends early only with ctx, with
// ErrEnabled, or with a refusal such as a token that is not valid. What was left last is given in any case.
func (c *Client) WaitStopped(ctx context.Context, subjects []Subject, o WaitOptions) (Waited, error) {
	if o.Every == 0 {
		o.Every = 500 * time.Millisecond
	}
	if o.Silence == 0 {
		o.Silence = 10 * time.Second
	}
	w := waiter{subjects: subjects, o: o, stoppedAt: map[Subject]uint64{}, silent: map[string]time.Time{}}
	last := Waited{Left: []Remaining{}}
	for {
		s, err := c.Status(ctx)
		switch {
		case ctx.Err() != nil:
			return last, context.Cause(ctx)
		case lasting(err):
			return last, err
		case err == nil && s.Consistency == wire.Linearizable:
			var enabled error
			if last, enabled = w.look(s, time.Now()); enabled != nil {
				return last, enabled
			}
		case err == nil:
			last.Err, w.clear = errors.New("no quorum"), 0
		default:
			last.Err, w.clear = err, 0
		}
		if o.Progress != nil {
			o.Progress(last)
		}
		// Twice in a row: a node counts what is in flight a moment before it says what it obeys.
		if w.clear >= 2 {
			return last, nil
		}
		if err := sleep(ctx, o.Every); err != nil {
			return last, err
		}
	}
}

// waiter is what WaitStopped remembers between looks.
type waiter struct {
	subjects []Subject
	o        WaitOptions
	// stoppedAt is the log index at which a subject was first seen stopped: nodes that obey it send nothing new.
	stoppedAt map[Subject]uint64
	silent    map[string]time.Time // since when a node does not answer
	clear     int                  // looks in a row with nothing left
}

// look judges one status.
func (w *waiter) look(s *Status, now time.Time) (Waited, error) {
	out := Waited{Left: []Remaining{}, Silent: []string{}}
	patience := true
	for _, n := range s.Nodes {
		if n.Reachable {
			delete(w.silent, n.Name)
			continue
		}
		if _, known := w.silent[n.Name]; !known {
			w.silent[n.Name] = now
		}
		out.Silent = append(out.Silent, n.Name)
		patience = patience && now.Sub(w.silent[n.Name]) >= w.o.Silence
	}
	for _, subject := range w.subjects {
		r, there := remaining(s, subject)
		if there && r.Admin == wire.AdminEnabled {
			return out, fmt.Errorf("%s %s of cluster %s: %w", subject.Kind(), subject.Name(), subject.Cluster, ErrEnabled)
		}
		if !there || r.Admin == wire.AdminStopped {
			r.Behind = w.behind(s, subject)
		} else {
			delete(w.stoppedAt, subject)
		}
		if there && (r.Admin != wire.AdminStopped || r.InFlight > 0) || len(r.Behind) > 0 {
			out.Left = append(out.Left, r)
		}
	}
	if len(out.Left) > 0 || !patience {
		w.clear = 0
	} else {
		w.clear++
	}
	return out, nil
}

// behind lists the nodes that answer and do not obey the end of subject yet.
func (w *waiter) behind(s *Status, subject Subject) []string {
	index, known := w.stoppedAt[subject]
	if !known {
		index = s.OperatingIndex
		w.stoppedAt[subject] = index
	}
	var list []string
	for _, n := range s.Nodes {
		if n.Reachable && n.InForce < index {
			list = append(list, n.Name)
		}
	}
	return list
}

// remaining finds a subject in a status.
func remaining(s *Status, subject Subject) (Remaining, bool) {
	r := Remaining{Subject: subject, Admin: "gone"}
	at := slices.IndexFunc(s.Clusters, func(c Cluster) bool { return c.Name == subject.Cluster })
	if at < 0 {
		return r, false
	}
	for _, q := range s.Quiesces {
		if q.Subject == subject {
			r.Ends = time.Duration(q.Remains)
		}
	}
	for _, i := range s.Clusters[at].Instances {
		if subject.Kind() == wire.KindInstance && i.Name == subject.Instance {
			r.Admin, r.Sessions, r.InFlight = i.Admin, i.Sessions, i.InFlight
			return r, true
		}
	}
	for _, m := range s.Clusters[at].Modules {
		if subject.Kind() == wire.KindModule && m.Host == subject.Host && m.ContextRoot == subject.ContextRoot {
			r.Admin, r.Sessions, r.InFlight = m.Admin, m.Sessions, m.InFlight
			return r, true
		}
	}
	return r, false
}
