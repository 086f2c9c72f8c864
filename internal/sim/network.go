package sim

import (
	"context"
	"errors"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

const (
	// resend is how much later a segment comes that was lost once: TCP's smallest time-out on Linux.
	resend = 200 * time.Millisecond
	// deaf is after how long of silence a kernel gives a connection up: the keep-alive of raftnode finds it in 15 s.
	deaf = 15 * time.Second
	// synAgain is the pause between two tries to connect to a machine that does not answer.
	synAgain = time.Second
)

// way is one direction between two machines.
type way struct{ from, to string }

// network is what connects the machines, which it knows by their addresses, HOST:PORT. It is a network as TCP shows it: what arrives is whole and in order, and late.
type network struct {
	trace  *trace
	chance *chance

	mu     sync.Mutex
	base   time.Duration // the usual delay, one way
	ports  map[string]*port
	shut   map[way]int           // how many faults cut this direction
	slow   map[way]time.Duration // extra delay
	loss   map[way]float64
	off    map[string]bool // machines without power
	ends   map[*end]struct{}
	nextID int
}

func newNetwork(seed uint64, t *trace) *network {
	return &network{trace: t, chance: newChance(seed, "network"), base: 300 * time.Microsecond, ports: map[string]*port{}, shut: map[way]int{},
		slow: map[way]time.Duration{}, loss: map[way]float64{}, off: map[string]bool{}, ends: map[*end]struct{}{}}
}

// blocked tells whether nothing gets from one machine to another. mu is held.
func (n *network) blocked(w way) bool { return n.shut[w] > 0 || n.off[w.from] || n.off[w.to] }

// delay draws how long one segment takes. mu is held.
func (n *network) delay(w way) time.Duration {
	d := n.base/2 + n.chance.about(n.base/2)
	if extra := n.slow[w]; extra > 0 {
		d += extra/2 + n.chance.between(0, extra)
	}
	for p := n.loss[w]; p > 0 && n.chance.is(p); {
		d += resend + n.chance.between(0, resend/4)
	}
	return d
}

// change makes or mends faults, and lets go what they held.
func (n *network) change(f func()) {
	n.mu.Lock()
	f()
	held := n.sorted()
	n.mu.Unlock()
	for _, e := range held {
		e.in.pump()
	}
}

// sorted gives the open ends in the order in which they were made. mu is held.
func (n *network) sorted() []*end {
	return slices.SortedFunc(maps.Keys(n.ends), func(a, b *end) int { return a.id - b.id })
}

// cut stops what goes one way; mend undoes one cut.
func (n *network) cut(ways ...way)  { n.change(func() { n.add(1, ways) }) }
func (n *network) mend(ways ...way) { n.change(func() { n.add(-1, ways) }) }

func (n *network) add(d int, ways []way) {
	for _, w := range ways {
		n.shut[w] += d
	}
}

// reset ends all connections of a machine at both ends, as a firewall does that has lost its memory.
func (n *network) reset(addr string) {
	n.mu.Lock()
	var hit []*end
	for _, e := range n.sorted() {
		if e.local == addr || e.remote == addr {
			hit = append(hit, e)
		}
	}
	n.mu.Unlock()
	for _, e := range hit {
		e.fail(syscall.ECONNRESET)
	}
}

// kill ends the process of a machine: its connections end. The others hear of it after what it has sent, unless the power is off: then what it has sent is lost too.
// The port is closed by closePort.
func (n *network) kill(addr string) {
	n.mu.Lock()
	off := n.off[addr]
	var own []*end
	for _, e := range n.sorted() {
		if e.local == addr {
			own = append(own, e)
		}
	}
	n.mu.Unlock()
	for _, e := range own {
		e.fail(net.ErrClosed)
		if off {
			e.out.forget()
		}
		e.out.send(segment{err: syscall.ECONNRESET})
	}
}

// closePort has a machine refuse new connections. What was connected and not accepted is reset.
func (n *network) closePort(addr string) {
	n.mu.Lock()
	p := n.ports[addr]
	delete(n.ports, addr)
	n.mu.Unlock()
	if p != nil {
		p.end()
		p.drain()
	}
}

// host is the network as one process sees it.
type host struct {
	net  *network
	addr string

	dead chan struct{} // closed when the process has ended
	once sync.Once
}

// Listen implements raftnode.Network.
func (h *host) Listen(addr string) (net.Listener, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.isDead() {
		return nil, opError("listen", addr, net.ErrClosed)
	}
	if h.net.ports[addr] != nil {
		return nil, opError("listen", addr, os.NewSyscallError("bind", syscall.EADDRINUSE))
	}
	p := &port{net: h.net, addr: addr, queue: make(chan *end, 128), over: make(chan struct{})}
	h.net.ports[addr] = p
	return p, nil
}

func (h *host) isDead() bool {
	select {
	case <-h.dead:
		return true
	default:
		return false
	}
}

// die has nothing more begin from here.
func (h *host) die() { h.once.Do(func() { close(h.dead) }) }

// Dial implements raftnode.Network.
func (h *host) Dial(ctx context.Context, addr string) (net.Conn, error) {
	n := h.net
	there, back := way{h.addr, addr}, way{addr, h.addr}
	for {
		n.mu.Lock()
		lost := n.blocked(there) || n.blocked(back)
		trip := n.delay(there) + n.delay(back)
		n.mu.Unlock()
		wait := trip
		if lost {
			wait = synAgain
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-h.dead:
			t.Stop()
			return nil, opError("dial", addr, net.ErrClosed)
		case <-ctx.Done():
			t.Stop()
			return nil, opError("dial", addr, ctx.Err())
		}
		if !lost {
			return h.connect(addr)
		}
	}
}

// connect is the arrival of the answer.
func (h *host) connect(addr string) (net.Conn, error) {
	n := h.net
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.ports[addr]
	switch {
	case h.isDead():
		return nil, opError("dial", addr, net.ErrClosed)
	case p == nil:
		return nil, opError("dial", addr, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	near, far := n.pair(h.addr, addr)
	select {
	case p.queue <- far:
	default: // the backlog is full
		delete(n.ends, near)
		delete(n.ends, far)
		return nil, opError("dial", addr, os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	return near, nil
}

func opError(op, addr string, err error) error {
	return &net.OpError{Op: op, Net: "sim", Addr: address(addr), Err: err}
}

type address string

func (a address) Network() string { return "sim" }
func (a address) String() string  { return string(a) }

// port is a listening socket. A second process of the machine, the guard of its virtual address, has it too: until the guard lets go (closePort) the port takes
// connections, though nobody may serve them any more.
type port struct {
	net   *network
	addr  string
	queue chan *end
	once  sync.Once
	over  chan struct{}
}

func (p *port) Accept() (net.Conn, error) {
	select {
	case e := <-p.queue:
		return e, nil
	case <-p.over:
		return nil, opError("accept", p.addr, net.ErrClosed)
	}
}

func (p *port) end() { p.once.Do(func() { close(p.over) }) }

func (p *port) drain() {
	for {
		select {
		case e := <-p.queue:
			e.fail(net.ErrClosed)
			e.out.send(segment{err: syscall.ECONNRESET})
		default:
			return
		}
	}
}

func (p *port) Close() error {
	p.end()
	return nil
}

func (p *port) Addr() net.Addr { return address(p.addr) }

var errGone = errors.New("connection timed out")
