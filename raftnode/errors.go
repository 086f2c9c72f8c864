package raftnode

import (
	"context"
	"errors"
	"fmt"
)

// What Record, Propose and Sync fail with; test with errors.Is.
var (
	// ErrNoQuorum: no leader has been known for three election time-outs. When the error is also ErrTimeout, an earlier
	// attempt may have been recorded; otherwise nothing was.
	ErrNoQuorum = errors.New("no quorum")
	// ErrTimeout: the context ended first. The outcome is unknown.
	ErrTimeout = errors.New("timed out, outcome unknown")
	// ErrClosed: the node is stopping.
	ErrClosed = errors.New("node is closed")
	// ErrRefused: the group refuses what was asked, and asking again will not help. The text says why.
	ErrRefused = errors.New("refused")
)

// timeout makes an ErrTimeout of the end of a caller's context.
func timeout(ctx context.Context) error { return fmt.Errorf("%w: %w", ErrTimeout, context.Cause(ctx)) }

// noQuorum tells whether an earlier attempt may have got through.
func noQuorum(sent bool) error {
	if sent {
		return fmt.Errorf("%w: %w", ErrNoQuorum, ErrTimeout)
	}
	return ErrNoQuorum
}

// refused makes a permanent refusal.
func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(format, args...))
}
