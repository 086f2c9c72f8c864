package lb

import (
	"context"
	"io"
	"log/slog"
	"net"
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
	Operating() *fsm.Operating
	Sessions(fsm.InstanceID) int
	ModuleID(cluster, host, contextRoot string) (fsm.ModuleID, bool)
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

// Options are the parts a Balancer is made of. View and Recorder are required.
type Options struct {
	View     View
	Recorder Recorder
	// Changed gives a channel that is closed when anything in Operating changes; it is asked again after that.
	Changed func() <-chan struct{}
	// Node is this node's name, for the access log, listeners of certain nodes and its shares. Zone is its --zone.
	Node, Zone string
	// Interfaces lists the addresses of this machine, for locality host; nil means net.InterfaceAddrs.
	Interfaces func() ([]net.Addr, error)
	// BindAddress is the host of listeners whose address has none; empty means every address.
	BindAddress string
	// Logger is slog.Default when nil.
	Logger *slog.Logger
	// AccessLog takes one JSON line per request; nil means none. It is written to under a lock, one Write per line.
	AccessLog io.Writer
	// Registerer takes the metrics; nil means that nobody sees them.
	Registerer prometheus.Registerer
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Interfaces == nil {
		o.Interfaces = net.InterfaceAddrs
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return o
}
