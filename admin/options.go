package admin

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// Options is what New needs. All fields but Copies, Backup, Restore, Follow, UpgradeBinary, Gatherer, Logger, Now and the limits are required.
type Options struct {
	Node     Node
	State    State
	Sessions Sessions
	// Copies keeps what is kept beside the log; nil: everything goes through the log.
	Copies Copies
	// JoinToken makes the text of a join token (hfj1.…) of this group.
	JoinToken func(id string, secret [32]byte, expires time.Time) (string, error)
	// Backup takes the state for GET /v1/backup; its caller closes it. nil: the node gives no backups.
	Backup func(ctx context.Context, values wire.BackupValues) (*Backup, error)
	// Restore makes the state of the running group that of an archive, for POST /v1/restore. Its errors are those of Node.Propose, and problems. nil: the node takes none.
	Restore func(ctx context.Context, what Restore) (wire.Restored, error)
	// Follow gives the log for GET /v1/follow; nil: the node has no followers.
	Follow func(ctx context.Context, from FollowFrom) (*Follow, error)
	// UpgradeBinary has another program take this node over, for POST /v1/upgrade-binary; nil: it cannot. *RefusedError: the running one goes on.
	UpgradeBinary func(ctx context.Context, u wire.BinaryUpgrade) (wire.BinaryUpgraded, error)
	// Gatherer is what /metrics shows; nil: prometheus.DefaultGatherer.
	Gatherer prometheus.Gatherer
	// Logger takes one line for each call; nil: slog.Default().
	Logger *slog.Logger
	// Now is the group's time as the node knows it; nil: time.Now.
	Now func() time.Time
	// QuorumWait is how long a call waits for the leader before it is refused with 503; 0: 900 ms, so that the answer is
	// there within a second.
	QuorumWait time.Duration
	// CommitWait is how long a write that has reached the leader waits for its commit; 0: 10 s.
	CommitWait time.Duration
}

func (o Options) withDefaults() (Options, error) {
	var errs []error
	if o.Node == nil {
		errs = append(errs, errors.New("Node is missing"))
	}
	if o.State == nil {
		errs = append(errs, errors.New("State is missing"))
	}
	if o.Sessions == nil {
		errs = append(errs, errors.New("Sessions is missing"))
	}
	if o.JoinToken == nil {
		errs = append(errs, errors.New("JoinToken is missing"))
	}
	if o.Gatherer == nil {
		o.Gatherer = prometheus.DefaultGatherer
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.QuorumWait == 0 {
		o.QuorumWait = 900 * time.Millisecond
	}
	if o.CommitWait == 0 {
		o.CommitWait = 10 * time.Second
	}
	return o, errors.Join(errs...)
}
