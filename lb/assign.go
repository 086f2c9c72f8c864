package lb

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// recordTimeout bounds how long a response waits for a record. An election takes less, so a request rides it out.
	recordTimeout = 2 * time.Second
	recordPause   = 20 * time.Millisecond
)

var (
	errClosed     = errors.New("the balancer is closed")
	errNotInForce = errors.New("no configuration is in force yet")
	errNoQuorum   = errors.New("no quorum")
	// errRefused is the answer of onQuorumLoss: refuse.
	errRefused = errors.New("the session cannot be recorded: no quorum")
)

// outcome is how a record ended.
type outcome struct {
	// instance is the assignment after it, 0 when unknown.
	instance    fsm.InstanceID
	index       uint64
	code        fsm.Code
	provisional bool
}

// commit is a record that goes on beside the request, whatever becomes of the client.
type commit struct {
	op   fsm.SessionOp
	done chan struct{}
	out  outcome
	err  error
}

// refusal tells at once that the record has been refused; nil while it is open or when it succeeded.
func (c *commit) refusal() error {
	select {
	case <-c.done:
		return c.err
	default:
		return nil
	}
}

// wait returns the outcome. The error is errRefused, or ctx's when the client is gone.
func (c *commit) wait(ctx context.Context) (outcome, error) {
	select {
	case <-c.done:
		return c.out, c.err
	default:
	}
	select {
	case <-c.done:
		return c.out, c.err
	case <-ctx.Done():
		return outcome{}, context.Cause(ctx)
	}
}

// begin records an operation under the cluster's rule for the loss of the quorum.
func (b *Balancer) begin(op fsm.SessionOp, c *cluster) *commit {
	co := &commit{op: op, done: make(chan struct{})}
	if !b.recorder.Quorum() {
		b.owe(co, c, errNoQuorum)
		return co
	}
	started := b.tasks.start(func() {
		started := time.Now()
		res, err := b.record(b.ctx, op)
		b.metrics.commitSeconds.Observe(time.Since(started).Seconds())
		if err != nil {
			b.owe(co, c, err)
			return
		}
		b.pending.forget(op.Key)
		co.out = outcome{instance: res.Instance, index: res.Index, code: res.Code}
		b.metrics.recorded(c.name, op.Kind, res.Code)
		close(co.done)
	})
	if !started {
		b.owe(co, c, errClosed)
	}
	return co
}

// owe ends a commit that no majority has recorded: provisionally, to be recorded later, or by refusing.
func (b *Balancer) owe(co *commit, c *cluster, cause error) {
	defer close(co.done)
	if !c.provisional {
		co.err = errRefused
		b.metrics.sessions.WithLabelValues(c.name, "refused").Inc()
		return
	}
	owed := co.op
	if owed.Kind == fsm.OpAssign {
		owed.Reason = fsm.ReasonProvisional
	}
	co.op = owed
	b.pending.put(owed)
	b.metrics.sessions.WithLabelValues(c.name, "provisional").Inc()
	b.log.Debug("assignment is provisional", "cluster", c.name, "error", cause)
	co.out = outcome{instance: co.op.Instance, provisional: true}
}

// record commits one operation within recordTimeout. As long as there is a quorum, errors are taken for an election.
func (b *Balancer) record(ctx context.Context, op fsm.SessionOp) (fsm.SessionResult, error) {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	for {
		res, err := b.recorder.Record(ctx, op)
		if err == nil {
			if res.Code == fsm.CodeUnknownInstance || res.Code == fsm.CodeUnknownOp || res.Code == fsm.CodeInvalid {
				return res, fmt.Errorf("record session: refused with code %d", res.Code)
			}
			return res, nil
		}
		if ctx.Err() != nil || !b.recorder.Quorum() {
			return fsm.SessionResult{}, fmt.Errorf("record session: %w", err)
		}
		pause := time.NewTimer(recordPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
	}
}
