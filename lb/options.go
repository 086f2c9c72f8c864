package lb

import (
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
)

// View is what the data plane reads of the replicated state. *fsm.State is one. Every method may be called from any goroutine.
type View interface {
	Applied() uint64
	Now() time.Time
	Lookup(fsm.Key) (fsm.Assignment, bool)
	Revision() *fsm.Revision
	Group() *fsm.Group
	InstanceID(cluster, instance string) (fsm.InstanceID, bool)
	InstanceRef(fsm.InstanceID) (fsm.InstanceRef, bool)
}

// Recorder is how the data plane changes the replicated state.
type Recorder interface {
	// Record returns after a majority has the operation. After an error the outcome is unknown; operations are idempotent.
	Record(context.Context, fsm.SessionOp) (fsm.SessionResult, error)
	// Sync returns nil when the local state holds everything that was acknowledged anywhere before the call.
	Sync(context.Context) error
	// Quorum is false once no majority has been known for some time.
	Quorum() bool
}

// DefaultResponseTimeout bounds the wait for an instance's response head, as nginx and the Sun plug-in do.
const DefaultResponseTimeout = 60 * time.Second

// Options are the parts a Balancer is made of. View and Recorder are required.
type Options struct {
	View     View
	Recorder Recorder
	// Changed gives a channel that is closed when the configuration revision changes; it is asked again after that.
	Changed func() <-chan struct{}
	// Node is this node's name, for the access log.
	Node string
	// BindAddress is the host of listeners whose address has none; empty means every address.
	BindAddress string
	// Logger is slog.Default when nil.
	Logger *slog.Logger
	// AccessLog takes one JSON line per request; nil means none. It is written to under a lock, one Write per line.
	AccessLog io.Writer
	// Registerer takes the metrics; nil means that nobody sees them.
	Registerer prometheus.Registerer
	// ResponseTimeout bounds the wait for an instance's response head after the request has been sent; 0 means
	// DefaultResponseTimeout, a negative value no bound.
	ResponseTimeout time.Duration
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	switch {
	case o.ResponseTimeout == 0:
		o.ResponseTimeout = DefaultResponseTimeout
	case o.ResponseTimeout < 0:
		o.ResponseTimeout = 0
	}
	return o
}
