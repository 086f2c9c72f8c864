package raftnode

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Propose has one rare command applied and gives its result, under the same rules as Record. A command without a
// RequestID gets one, and is sent again with the same one, so that it takes effect once. It is an ErrQuarantined, and nothing was done, on a node that has no say.
func (n *Node) Propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	c = fsm.Identify(c, freshID)
	entry, err := fsm.Encode(n.opt.Now(), c) // the leader sets the time
	if err != nil {
		return fsm.Result{}, fmt.Errorf("propose: %w", err)
	}
	if err := errors.Join(n.barred(), n.early(entry)); err != nil {
		return fsm.Result{}, fmt.Errorf("propose: %w", err)
	}
	sent := false
	wait := backoff{base: 4 * time.Millisecond, limit: 100 * time.Millisecond}
	for {
		at, changed := n.watch.get()
		if at.known {
			r, err := n.proposeAt(ctx, at, changed, entry)
			n.noteOutcome(ctx, err)
			if err == nil {
				return r, nil
			}
			if errors.Is(err, ErrRefused) || n.refusedForRoom(err) && !sent {
				return r, fmt.Errorf("propose: %w", err)
			}
			sent = sent || !notDone(err)
		} else if !n.watch.quorum() {
			return fsm.Result{}, noQuorum(sent)
		}
		if err := n.pause(ctx, changed, wait.next(), at.known); err != nil {
			return fsm.Result{}, err
		}
	}
}

// proposeAt makes one attempt. It ends when the leader changes: the old one may never answer.
func (n *Node) proposeAt(ctx context.Context, at leaderInfo, changed <-chan struct{}, entry []byte) (fsm.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.attempt())
	defer cancel()
	if at.self {
		return n.commitEntry(ctx, entry)
	}
	go func() {
		select {
		case <-changed:
			cancel()
		case <-ctx.Done():
		}
	}()
	b, err := n.pool.call(ctx, at.addr, nameOf(at.id), callPropose, entry)
	if err != nil {
		return fsm.Result{}, err
	}
	return decodeResult(b)
}

// commitEntry commits an encoded rare command if this node leads and is ready.
func (n *Node) commitEntry(ctx context.Context, entry []byte) (fsm.Result, error) {
	if _, err := n.leading(ctx); err != nil {
		return fsm.Result{}, err
	}
	if err := n.barred(); err != nil {
		return fsm.Result{}, retryLater(err.Error())
	}
	type outcome struct {
		r   fsm.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := n.apply(func(now time.Time) ([]byte, error) {
			b := append([]byte(nil), entry...) // raft keeps it
			if err := fsm.Stamp(b, now); err != nil {
				return nil, refused("%v", err)
			}
			return b, nil
		})
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

// handlePropose is the leader's end. What cannot be applied must never be committed, since it would stop every node: so
// the entry is read first.
func (n *Node) handlePropose(ctx context.Context, _ caller, payload []byte) ([]byte, error) {
	if err := fsm.Check(payload); err != nil {
		return nil, refused("the command cannot be applied: %v", err)
	}
	r, err := n.commitEntry(ctx, payload)
	if err != nil {
		return nil, err
	}
	return encodeJSON(r), nil
}

func decodeResult(b []byte) (r fsm.Result, err error) {
	if len(b) > maxPayload {
		return r, fmt.Errorf("%w: result", errFrame)
	}
	if err := json.Unmarshal(b, &r); err != nil {
		return r, fmt.Errorf("%w: result: %w", errFrame, err)
	}
	return r, nil
}

// freshID makes a request id that nobody else makes.
func freshID() (id fsm.RequestID) {
	rand.Read(id[:])
	return id
}
