package raftnode

import (
	"context"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Command has a command of the leader's own duties applied, in the given term only: it is never forwarded or sent again, so that a leader that was
// cut off, or frozen, decides nothing for its successor. The caller looks at the state and decides anew after an error: the command may have been
// applied. A command without a request id stays without one: the group remembers 1024, for operators who send again what they are not sure of, and instances
// that come and go by the thousand must not push those out. ErrNoQuorum: this node does not lead in that term any more, and nothing was done.
func (n *Node) Command(ctx context.Context, term uint64, c fsm.Command) (fsm.Result, error) {
	l := n.lead.Load()
	if l == nil || l.term != term || l.ctx.Err() != nil || n.barred() != nil {
		return fsm.Result{}, noQuorum(false)
	}
	type outcome struct {
		r   fsm.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := n.apply(func(now time.Time) ([]byte, error) { return fsm.Encode(now, c) })
		if err == nil {
			n.met.commits.WithLabelValues("rare").Inc()
		}
		done <- outcome{r, err}
	}()
	select {
	case o := <-done:
		return o.r, o.err
	case <-ctx.Done():
		return fsm.Result{}, timeout(ctx)
	}
}
