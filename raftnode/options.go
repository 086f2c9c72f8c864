package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/failpoint"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// Options say who a node is and how it comes to its group.
type Options struct {
	// Name is the node's name in the group; it never changes.
	Name string
	// Group, when not empty, is the name that the group must have; Bootstrap gives it to a group without an init string.
	Group string
	// Zone and AdminAddr are only reported to the others.
	Zone, AdminAddr string
	// PeerAddr is where the peer port is bound, HOST:PORT; port 0 takes a free one.
	PeerAddr string
	// Advertise is the address that other nodes dial; default: what PeerAddr was bound to, unless that is a wildcard.
	Advertise string
	// Timing is lan (default), wan or fast.
	Timing string
	// Join lists peer addresses of other nodes, HOST:PORT.
	Join []string
	// Discovered gives the peer addresses that have been heard of on the network, HOST:PORT, to be tried like those of Join; nil when nobody listens.
	// They are hints: whoever answers there has to prove that it belongs to the group.
	Discovered func() []string
	// JoinToken is an init string (hfi1.…) or a join token (hfj1.…). A node with state ignores it, like all that follows, unless it is of another group: then it refuses to start.
	JoinToken string
	// Bootstrap founds a group of this node alone.
	Bootstrap bool
	// BootstrapExpect founds a group with so many nodes that start together. Needs an init string.
	BootstrapExpect int

	// Dir is the open data directory, as a rule a *storage.Dir. The caller closes it after Stop.
	Dir Disk
	// TLSDir holds the node's key and certificates; default: Dir.TLSDir().
	TLSDir string
	// State is empty; the node fills it from Dir in Open and from the group afterwards.
	State *fsm.State
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
	// Version of the program, reported to the others.
	Version string
	// Registerer takes the metrics; nil keeps them private.
	Registerer prometheus.Registerer
	// Describe gives what else the node says about itself to the others (JSON, small, must not block); nil for nothing.
	Describe func() []byte
	// Heartbeat serves what Node.Heartbeat sends, on the leader. It must be quick; an ErrNoQuorum has the caller try again.
	Heartbeat func(ctx context.Context, request []byte) ([]byte, error)
	// Asked answers what Node.Ask sends, here and on other nodes; from is the name of the member that asks. nil: nothing is understood.
	Asked func(ctx context.Context, from string, payload []byte) ([]byte, error)
	// Logged takes what Node.TellLogged says on other nodes; it must not block.
	Logged func(event uint64)
	// Copied is told that a copy of a member, which runs at one address, was refused at another one: once for each such copy in ten minutes, and not while it may be the member itself, which moves. It must not block; nil: nobody
	// hears of it.
	Copied func(member, runs, copied string)
	// MaxJoinSkew is how far the clock of a node that wants to join may be off; 0 means DefaultMaxJoinSkew, a negative value any.
	MaxJoinSkew time.Duration
	// Steady is how long a new member must have kept up before it gets a vote, while this node leads; 0 means DefaultSteady.
	Steady time.Duration
	// ReadOnly has the node be a member without a vote: it serves, and never leads. One that has a vote gives it up, unless the group would stop.
	ReadOnly bool
	// Now is the wall clock: time.Now when nil.
	Now func() time.Time
	// BootTime is the clock of Lease, in nanoseconds: CLOCK_BOOTTIME when nil.
	BootTime func() (int64, error)
	// Network is how nodes reach each other: TCP when nil.
	Network Network
	// Compaction is when the log is cut; the zero value is what suits a real disk.
	Compaction Compaction
}

// Compaction is when a node writes a snapshot, and how much of its log it keeps then. Fields that are zero have their default.
type Compaction struct {
	Threshold uint64        // so many entries behind the last snapshot; default 65,536
	Trailing  uint64        // entries that are kept before the snapshot, for followers that are a little behind; default 20,480
	Bytes     int64         // so many of entries behind the last snapshot, beside as many as the state keeps in values; default 256 MiB
	Every     time.Duration // between two looks whether there are so many; default 30 s
}

// set puts what is not zero in the place of Raft's own.
func (c Compaction) set(to *raft.Config) {
	if c.Threshold > 0 {
		to.SnapshotThreshold = c.Threshold
	}
	if c.Trailing > 0 {
		to.TrailingLogs = c.Trailing
	}
	if c.Every > 0 {
		to.SnapshotInterval = c.Every
	}
}

// DefaultMaxJoinSkew is the difference of clocks from which on a node is not let in.
const DefaultMaxJoinSkew = 2 * time.Second

func (o *Options) fill() error {
	var errs []error
	if err := pki.CheckName("node name", o.Name); err != nil {
		errs = append(errs, err)
	}
	if o.Group != "" {
		if err := pki.CheckName("group name", o.Group); err != nil {
			errs = append(errs, err)
		}
	}
	if err := (release{Version: o.Version}).valid(); err != nil {
		errs = append(errs, err)
	}
	if o.Dir == nil || o.State == nil {
		errs = append(errs, errors.New("data directory or state is missing"))
	}
	for _, addr := range o.Join {
		if err := checkDialable("join address", addr); err != nil {
			errs = append(errs, err)
		}
	}
	if o.BootstrapExpect < 0 || o.Bootstrap && o.BootstrapExpect > 0 {
		errs = append(errs, errors.New("bootstrap and bootstrap-expect exclude each other, and the latter counts at least one node"))
	}
	if o.ReadOnly && (o.Bootstrap || o.BootstrapExpect > 0) {
		errs = append(errs, errors.New("a read-only node has no vote, so it founds no group: let it join one"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if o.Steady == 0 {
		o.Steady = DefaultSteady
		if failpoint.Built { // so that a short test sees votes given
			o.Steady = 100 * time.Millisecond
		}
	}
	if o.TLSDir == "" {
		o.TLSDir = o.Dir.TLSDir()
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.MaxJoinSkew == 0 {
		o.MaxJoinSkew = DefaultMaxJoinSkew
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.BootTime == nil {
		o.BootTime = bootTime
	}
	if o.Network == nil {
		o.Network = tcp{}
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	return nil
}

// advertised gives the address that other nodes dial, from what was asked for and what was bound.
func advertised(want string, bound net.Addr) (string, error) {
	if want == "" {
		want = bound.String()
		if err := checkDialable("peer address", want); err != nil {
			return "", fmt.Errorf("%w: other nodes cannot dial it; name an address of this machine with --advertise HOST:PORT", err)
		}
		return want, nil
	}
	host, port, err := net.SplitHostPort(want)
	if err == nil && port == "0" { // for tests and for "the port that was bound"
		_, port, err = net.SplitHostPort(bound.String())
		want = net.JoinHostPort(host, port)
	}
	if err != nil {
		return "", fmt.Errorf("advertised address: %w", err)
	}
	if err := checkDialable("advertised address", want); err != nil {
		return "", fmt.Errorf("%w: other nodes cannot dial it; use an address of this machine", err)
	}
	return want, nil
}

func checkDialable(what, addr string) error {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%s %q is not HOST:PORT: %w", what, addr, err)
	}
	if len(addr) > maxAddr || strings.ContainsFunc(addr, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return fmt.Errorf("%s: too long, or with characters that no address has", what)
	}
	if n, err := net.LookupPort("tcp", port); err != nil || n == 0 {
		return fmt.Errorf("%s %q: %q is not a port", what, addr, port)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return fmt.Errorf("%s %s is a wildcard", what, addr)
	}
	return nil
}

// maxAddr bounds HOST:PORT: a DNS name has at most 253 characters (RFC 1035 2.3.4).
const maxAddr = 260
