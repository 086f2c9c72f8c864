package dns

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options say what a Server answers for and where.
type Options struct {
	// Zone is the name that is answered for, with or without its last dot, as in lb.example.com.
	Zone string
	// Addr is HOST:PORT to bind by UDP and TCP. Port 0 takes one that is free for both.
	Addr string
	// Inherited gives the sockets for Addr if they were open before, by another process; nil, or two nils: they are bound.
	Inherited func() (*net.UDPConn, *net.TCPListener)
	// TTL of every record and of negative answers: whole seconds, 1 s to 5 s. Zero: 2 s.
	TTL time.Duration
	// RateLimit is how many answers a second one network of clients (/24, /56) gets by UDP. Zero: 200. Negative: no limit. A client that has shown by a cookie
	// (RFC 7873) or by TCP that its address is its own has no limit.
	RateLimit int
	// View gives what is answered from. It is called for each query, by several goroutines at once: it must be fast. What it returned is not kept.
	View func() View
	// Logger is where to write; nil: nowhere.
	Logger *slog.Logger
	// Registerer gets the metrics (holdfast_dns_*); nil: nobody.
	Registerer prometheus.Registerer
	// Now is the clock of the rate limit; nil: time.Now.
	Now func() time.Time
}

// View is the group as DNS tells it.
type View struct {
	// Serial of the SOA, the same on all nodes that have the same view: derived from an applied index.
	Serial uint32
	// Nodes of the group. Empty: nothing is known yet, and every question about the zone gets SERVFAIL, so that resolvers ask another node.
	Nodes []Node
	// Virtual addresses of the group; empty without any.
	Virtual []netip.Addr
	// Services are the listeners.
	Services []Service
}

// Node is one member of the group.
type Node struct {
	Name  string
	Addrs []netip.Addr // where clients reach it; what no client could use is left out
	Live  bool         // live, ready and not evacuated
}

// Service is a listener: _NAME._tcp, and _PROTOCOL._tcp together with the others of its protocol.
type Service struct {
	Name     string
	Protocol string // as in http; empty: only by name
	Port     uint16
	Nodes    []string // names of the nodes that have it; nil: all
	// Host is the one address at which it is, of a node or a virtual one; the zero Addr: every address of its nodes.
	Host netip.Addr
}

func (v View) equal(w View) bool {
	return v.Serial == w.Serial && slices.Equal(v.Virtual, w.Virtual) &&
		slices.EqualFunc(v.Nodes, w.Nodes, func(a, b Node) bool {
			return a.Name == b.Name && a.Live == b.Live && slices.Equal(a.Addrs, b.Addrs)
		}) &&
		slices.EqualFunc(v.Services, w.Services, func(a, b Service) bool {
			return a.Name == b.Name && a.Protocol == b.Protocol && a.Port == b.Port && a.Host == b.Host && (a.Nodes == nil) == (b.Nodes == nil) && slices.Equal(a.Nodes, b.Nodes)
		})
}

// clone shares nothing with v.
func (v View) clone() View {
	v.Nodes, v.Virtual, v.Services = slices.Clone(v.Nodes), slices.Clone(v.Virtual), slices.Clone(v.Services)
	for i := range v.Nodes {
		v.Nodes[i].Addrs = slices.Clone(v.Nodes[i].Addrs)
	}
	for i := range v.Services {
		v.Services[i].Nodes = slices.Clone(v.Services[i].Nodes)
	}
	return v
}

const (
	defaultTTL  = 2 * time.Second
	maxTTL      = 5 * time.Second
	defaultRate = 200
)

// complete checks the options and fills in defaults.
func (o Options) complete() (Options, error) {
	zone, err := ParseZone(o.Zone)
	if err != nil {
		return o, err
	}
	o.Zone = zone
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		return o, fmt.Errorf("dns address %q is not HOST:PORT, as in :53: %w", o.Addr, err)
	}
	if o.TTL == 0 {
		o.TTL = defaultTTL
	}
	if o.TTL < time.Second || o.TTL > maxTTL || o.TTL%time.Second != 0 {
		return o, fmt.Errorf("a TTL of %s: whole seconds from 1s to %s", o.TTL, maxTTL)
	}
	if o.RateLimit == 0 {
		o.RateLimit = defaultRate
	}
	if o.View == nil {
		return o, errors.New("a DNS server needs a view to answer from")
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}
