package lb

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
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
	// InContact tells whether this node is in contact with its group at this moment, as far as it knows: a leader is known. It is asked often and must not
	// block; nil means Recorder.Quorum, which notices short interruptions late or never.
	InContact func() bool
	// OutOfService is why this node must not serve anybody by what it knows, nil when it may. It is asked for each request and must not block; nil means that it always may.
	OutOfService func() error
	// Elsewhere tells whether others of the group may have a quorum while this node has none: false only when it is certain that they do not. It may take a second. nil means that
	// they may.
	Elsewhere func(context.Context) bool
	// Unapplied gives what this node's log says of a session behind what the View has: OpAssign for one that begins there. nil: nothing.
	Unapplied func(fsm.Key) (fsm.SessionOp, bool)
	// Node is this node's name, for the access log, listeners of certain nodes and its shares. Zone is its --zone.
	Node, Zone string
	// Interfaces lists the addresses of this machine, for locality host; nil means net.InterfaceAddrs.
	Interfaces func() ([]net.Addr, error)
	// BindAddress is the host of listeners whose address has none; empty means every address.
	BindAddress string
	// Virtual are the virtual addresses that this node may hold: listeners that name one are bound also while the machine does not have it.
	Virtual []netip.Addr
	// Inherited gives the listener for an address, HOST:PORT, whose socket was open before, by another process; nil where it has none. It may be nil itself.
	Inherited func(address string) net.Listener
	// InheritedPackets gives the socket of a listener of protocol udp in the same way.
	InheritedPackets func(address string) *net.UDPConn
	// InheritedHTTP3 gives what the process before has of HTTP/3 at a listener's address in the same way; nothing of it is set when there is none.
	InheritedHTTP3 func(address string) HTTP3Socket
	// KeptOpen tells whether somebody else keeps that socket open after this process, for the next one: then its queue is left alone. It may be nil.
	KeptOpen func(address string) bool
	// Private tells whether nothing may be connected to at an address, whatever the configuration says, because whoever comes from this machine is believed there. It is asked for
	// each connection and must not block; nil means that nothing is private.
	Private func(netip.AddrPort) bool
	// Ended is told how many requests, streams and flows this node has ended because an instance's hardTimeout was over, never none. It may block. It may be nil.
	Ended func(cluster, instance string, n int, after time.Duration)
	// NetOnly has net/http do everything that event loops would do else (see package h1): for comparing the two engines.
	NetOnly bool
	// Loops is how many event loops there are; 0 means one for each processor, at most 8.
	Loops int
	// Logger is slog.Default when nil.
	Logger *slog.Logger
	// AccessLog takes the lines of the access log, in the format of the configuration, many with each Write; nil means none. It should return at once: while it
	// does not, lines wait, and are lost in the end.
	AccessLog io.Writer
	// Tracing has requests traced; nil: none are, and what they bring of it passes on like any other field.
	Tracing *Tracing
	// Registerer takes the metrics; nil means that nobody sees them.
	Registerer prometheus.Registerer

	shut, shutMany time.Duration // for tests: see shutTime and h1.Options
}

func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.OutOfService == nil {
		o.OutOfService = func() error { return nil }
	}
	if o.Interfaces == nil {
		o.Interfaces = net.InterfaceAddrs
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	if o.shut == 0 {
		o.shut = shutTime
	}
	return o
}
