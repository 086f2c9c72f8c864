package raftnode

import (
	"context"
	"errors"
	"fmt"

	"github.com/hashicorp/raft"
)

// Snapshot writes the state to disk now and lets the log behind it go, as the node does by itself every 65,536 entries, or when these have many bytes (keepLight). It returns nil when
// the snapshot is on disk, and also when there is nothing new since the last one.
func (n *Node) Snapshot(ctx context.Context) error {
	r := n.raft.Load()
	if r == nil {
		return retryLater("the node is " + *n.phase.Load())
	}
	if err := await(ctx, n, r.Snapshot); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return fmt.Errorf("snapshot: %w", err)
	}
	return nil
}
