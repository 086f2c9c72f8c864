package discovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/ipv4"
)

const (
	// announceEvery is how often a node says where it is, give or take a fifth.
	announceEvery = 2 * time.Second
	// peerLife is how long an address counts after it was heard last.
	peerLife = 15 * time.Second
	// maxPeers bounds how many addresses are kept, maxRate how many frames are looked at in a second.
	maxPeers = 64
	maxRate  = 100
)

// Options are required but for Logger and Registerer.
type Options struct {
	Spec Spec
	// Node is the node's name, Addr its advertised peer address.
	Node, Addr string
	// Identity is the node's group, as far as it is known; it is asked for each frame.
	Identity   func() Identity
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

// Discovery announces one node and hears of others.
type Discovery struct {
	o       Options
	in      *net.UDPConn
	out     *net.UDPConn
	dropped *prometheus.CounterVec

	mu     sync.Mutex
	peers  map[string]time.Time // by address: when it was heard last
	second time.Time            // the second that heard counts for
	heard  int
}

// Open joins the multicast group. Nothing is sent or heard before Run, which also closes everything.
func Open(o Options) (*Discovery, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	d := newDiscovery(o)
	if err := o.Registerer.Register(d.dropped); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	ifi, err := o.Spec.device(o.Addr)
	if err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	group := net.UDPAddrFromAddrPort(o.Spec.Group)
	if d.in, err = net.ListenMulticastUDP("udp4", ifi, group); err != nil {
		return nil, fmt.Errorf("discovery: join %s: %w (another interface: --discover multicast=%s@INTERFACE)", group, err, group)
	}
	if d.out, err = sender(ifi); err != nil {
		_ = d.in.Close()
		return nil, fmt.Errorf("discovery: %w", err)
	}
	return d, nil
}

func newDiscovery(o Options) *Discovery {
	return &Discovery{o: o, peers: make(map[string]time.Time), dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "holdfast_discovery_frames_dropped_total",
		Help: "Frames of the discovery that were dropped, by reason (garbage, group: of another group, rate: too many, full: too many addresses).",
	}, []string{"reason"})}
}

// sender makes the socket that frames leave by: they stay on the local network, and come back to other nodes of this machine.
func sender(ifi *net.Interface) (*net.UDPConn, error) {
	c, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, err
	}
	p := ipv4.NewPacketConn(c)
	err = errors.Join(p.SetMulticastTTL(1), p.SetMulticastLoopback(true))
	if ifi != nil {
		err = errors.Join(err, p.SetMulticastInterface(ifi))
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// Run announces and listens until ctx ends, and returns nil then.
func (d *Discovery) Run(ctx context.Context) error {
	var parts sync.WaitGroup
	defer parts.Wait()
	defer context.AfterFunc(ctx, d.Close)()
	parts.Go(func() { d.announce(ctx) })
	buf := make([]byte, maxFrame+1)
	for {
		n, _, err := d.in.ReadFromUDPAddrPort(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil { // the network went away for a moment; the node needs the hints only to join
			d.o.Logger.Debug("discovery: read", "error", err)
			select {
			case <-time.After(announceEvery):
			case <-ctx.Done():
			}
			continue
		}
		d.take(buf[:n], time.Now())
	}
}

// Close gives the sockets back; for a Discovery that never ran.
func (d *Discovery) Close() {
	_ = d.in.Close()
	_ = d.out.Close()
}

func (d *Discovery) announce(ctx context.Context) {
	group := net.UDPAddrFromAddrPort(d.o.Spec.Group)
	failed := false
	for ctx.Err() == nil {
		id := d.o.Identity()
		if id != (Identity{}) {
			b, err := frame{Group: id.Name, GroupID: id.ID, Node: d.o.Node, Addr: d.o.Addr}.encode()
			if err == nil {
				_, err = d.out.WriteToUDP(b, group)
			}
			if err != nil && !failed && ctx.Err() == nil {
				d.o.Logger.Warn("discovery: this node cannot announce itself", "group", group, "error", err)
			}
			failed = err != nil
		}
		select {
		case <-time.After(announceEvery*4/5 + rand.N(announceEvery*2/5)):
		case <-ctx.Done():
		}
	}
}

// take looks at one datagram.
func (d *Discovery) take(b []byte, now time.Time) {
	if reason := d.judge(b, now); reason != "" {
		d.dropped.WithLabelValues(reason).Inc()
	}
}

// judge gives the reason for which a datagram is dropped, empty when it is not.
func (d *Discovery) judge(b []byte, now time.Time) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if second := now.Truncate(time.Second); !second.Equal(d.second) {
		d.second, d.heard = second, 0
	}
	if d.heard++; d.heard > maxRate {
		return "rate"
	}
	f, ok := decode(b)
	switch {
	case !ok:
		return "garbage"
	case !d.o.Identity().same(f):
		return "group"
	case f.Addr == d.o.Addr || f.Node == d.o.Node:
		return "" // this node itself
	}
	if _, known := d.peers[f.Addr]; !known {
		d.forget(now)
		if len(d.peers) >= maxPeers {
			return "full"
		}
		d.o.Logger.Info("heard of a node", "other", f.Node, "address", f.Addr)
	}
	d.peers[f.Addr] = now
	return ""
}

// forget drops who is silent. d.mu is held.
func (d *Discovery) forget(now time.Time) {
	for addr, at := range d.peers {
		if now.Sub(at) > peerLife {
			delete(d.peers, addr)
		}
	}
}

// Peers gives the addresses that were heard of lately, sorted.
func (d *Discovery) Peers() []string { return d.peersAt(time.Now()) }

func (d *Discovery) peersAt(now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.forget(now)
	list := make([]string, 0, len(d.peers))
	for addr := range d.peers {
		list = append(list, addr)
	}
	slices.Sort(list)
	return list
}
