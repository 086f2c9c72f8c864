package raftnode

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
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
	// JoinToken is an init string (hfi1.…) or a join token (hfj1.…). A node with state ignores it, like all that follows.
	JoinToken string
	// Bootstrap founds a group of this node alone.
	Bootstrap bool
	// BootstrapExpect founds a group with so many nodes that start together. Needs an init string.
	BootstrapExpect int

	// Dir is the open data directory. The caller closes it after Stop.
	Dir *storage.Dir
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
	// Logged takes what Node.TellLogged says on other nodes; it must not block.
	Logged func(event uint64)
	// MaxJoinSkew is how far the clock of a node that wants to join may be off; 0 means DefaultMaxJoinSkew, a negative value any.
	MaxJoinSkew time.Duration
	// Now is the wall clock: time.Now when nil.
	Now func() time.Time
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
	if err := errors.Join(errs...); err != nil {
		return err
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
