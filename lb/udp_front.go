package lb

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// mostFlows bounds the flows of one listener: each has a socket.
const mostFlows = 16 << 10

// packetFront is one address that takes datagrams. A flow is what comes from one address of a client, and what goes back; it is decided about as one request that lasts until
// nothing has come for the listener's idleTimeout.
type packetFront struct {
	b        *Balancer
	address  string
	edge     atomic.Pointer[edge]
	requests context.Context // of the flows
	cancel   context.CancelFunc
	handed   atomic.Bool   // another process reads from the same socket: see HandOn
	silent   chan struct{} // closed when nothing is read any more
	finished chan struct{} // closed when after that the last flow has ended

	mu    sync.Mutex
	conn  *net.UDPConn // nil until bound
	err   error        // why it is not bound
	over  bool         // nothing more is to be read
	last  bool         // nothing more is read: the flows that there are are the last ones
	flows map[flowKey]*packetFlow
}

// flowKey tells flows apart: who sends, and to which address of this machine where there is more than one.
type flowKey struct {
	client netip.AddrPort
	local  netip.Addr
}

// listening lists everything that listens. For those who hold b.mu.
func (b *Balancer) listening() (all []listening) {
	for _, f := range b.fronts {
		all = append(all, f)
	}
	for _, f := range b.packets {
		all = append(all, f)
	}
	return all
}

// reconcilePackets opens and closes the listeners for datagrams. One that keeps its address goes on.
func (b *Balancer) reconcilePackets(wanted map[string]*edge) {
	for address, f := range b.packets {
		if e := wanted[address]; e != nil {
			f.edge.Store(e)
			continue
		}
		delete(b.packets, address)
		f.close()
	}
	for address, e := range wanted {
		if b.packets[address] == nil {
			ctx, cancel := context.WithCancel(b.ctx)
			f := &packetFront{b: b, address: address, requests: ctx, cancel: cancel, silent: make(chan struct{}), finished: make(chan struct{}), err: errors.New("not bound yet"), flows: map[flowKey]*packetFlow{}}
			f.edge.Store(e)
			b.packets[address] = f
			b.closing.Go(func() { f.run(ctx) })
		}
	}
}

func (f *packetFront) state() (name string, addr net.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	name = f.edge.Load().listener
	if f.err != nil {
		return name, nil, &listenerError{name, f.err}
	}
	return name, f.conn.LocalAddr(), nil
}

// listenerError is why a listener is not bound.
type listenerError struct {
	name string
	err  error
}

func (e *listenerError) Error() string { return "listener " + e.name + ": " + e.err.Error() }
func (e *listenerError) Unwrap() error { return e.err }

// run binds and serves until the front is closed, or handed on and its last flow has ended.
func (f *packetFront) run(ctx context.Context) {
	silent := sync.OnceFunc(func() { close(f.silent) })
	defer silent()
	defer f.cancel()
	wait := bindRetryFirst
	for ctx.Err() == nil {
		conn, err := f.listen(ctx)
		if err == nil {
			if f.use(ctx, conn) {
				f.b.log.Info("listening", "listener", f.edge.Load().listener, "address", conn.LocalAddr().String(), "protocol", "udp")
				err = f.serve(conn)
			}
			over := f.isOver()
			if over {
				silent()
				f.finish(ctx)
			}
			conn.Close()
			if over {
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		f.failed(err)
		retry := time.NewTimer(wait)
		wait = min(2*wait, bindRetryMost)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
		}
	}
}

func (f *packetFront) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || f.err.Error() != err.Error() {
		f.b.log.Warn("listener is not bound", "listener", f.edge.Load().listener, "error", err)
	}
	f.conn, f.err = nil, err
}

// use notes the socket; false when the front has been closed meanwhile.
func (f *packetFront) use(ctx context.Context, conn *net.UDPConn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil || f.over {
		return false
	}
	f.conn, f.err = conn, nil
	return true
}

// listen binds the address, as Balancer.listen does for connections. A socket that is bound to all addresses is told to which one a datagram has come: the answer must come
// from there.
func (f *packetFront) listen(ctx context.Context) (conn *net.UDPConn, err error) {
	if conn = f.b.inheritPackets(f.address); conn == nil {
		var lc net.ListenConfig
		if f.b.virtual(f.address) {
			lc.Control = bindAbsent
		}
		pc, err := lc.ListenPacket(ctx, "udp", f.address)
		if err != nil {
			return nil, err
		}
		conn = pc.(*net.UDPConn)
	}
	if at := addrPortOfUDP(conn.LocalAddr()).Addr(); at.IsUnspecified() {
		if at.Is4() {
			err = ipv4.NewPacketConn(conn).SetControlMessage(ipv4.FlagDst, true)
		} else {
			err = ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst, true)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func addrPortOfUDP(a net.Addr) netip.AddrPort {
	if udp, ok := a.(*net.UDPAddr); ok {
		return udp.AddrPort()
	}
	return netip.AddrPort{}
}

// close ends the front and its flows at once: nobody has been promised anything.
func (f *packetFront) close() {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.conn != nil {
		f.conn.Close()
	}
	for _, flow := range f.flows {
		flow.end(errClosed)
	}
}

// end closes the front, or hands it on.
func (f *packetFront) end() {
	if f.handed.Load() {
		f.handOn()
	} else {
		f.close()
	}
}

// handOn leaves the socket to the process that has it too, and returns when what this one has read of it is with its flow. The flows bring answers back until no more come.
func (f *packetFront) handOn() {
	f.mu.Lock()
	f.over = true
	conn := f.conn
	f.mu.Unlock()
	if conn == nil { // it waits until it can be bound
		f.cancel()
	} else {
		conn.SetReadDeadline(longAgo) // an error means that it is closed
	}
	<-f.silent
}

func (f *packetFront) isOver() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.over
}

// finish waits until the last flow has ended, or ctx: then all end.
func (f *packetFront) finish(ctx context.Context) {
	f.mu.Lock()
	f.last = true
	left := len(f.flows)
	f.mu.Unlock()
	if left == 0 {
		return
	}
	select {
	case <-f.finished:
	case <-ctx.Done():
		f.close()
	}
}

// leave takes a flow out: the next datagram of its client begins another one.
func (f *packetFront) leave(key flowKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.flows, key)
	if f.last && len(f.flows) == 0 {
		close(f.finished)
	}
}

// serve reads until the socket is closed, or handed on.
func (f *packetFront) serve(conn *net.UDPConn) error {
	at := addrPortOfUDP(conn.LocalAddr()).Addr()
	buf, oob := make([]byte, maxDatagram), make([]byte, 128)
	for {
		n, oobn, _, from, err := conn.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			return err
		}
		key := flowKey{client: from}
		if at.IsUnspecified() {
			key.local = destination(at, oob[:oobn])
		}
		f.take(conn, key, buf[:n])
	}
}

// destination reads to which address a datagram has come; invalid when the kernel does not say.
func destination(at netip.Addr, oob []byte) netip.Addr {
	var ip net.IP
	if at.Is4() {
		var cm ipv4.ControlMessage
		if cm.Parse(oob) == nil {
			ip = cm.Dst
		}
	} else {
		var cm ipv6.ControlMessage
		if cm.Parse(oob) == nil {
			ip = cm.Dst
		}
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr
}

// sourceMessage has the kernel send from an address; nil leaves it the choice.
func sourceMessage(socket, from netip.Addr) []byte {
	switch {
	case !from.IsValid() || from.IsMulticast():
		return nil
	case socket.Is4():
		return (&ipv4.ControlMessage{Src: from.AsSlice()}).Marshal()
	}
	return sourceMessage6(from)
}

// take gives a datagram to its flow, or begins one.
func (f *packetFront) take(conn *net.UDPConn, key flowKey, data []byte) {
	f.mu.Lock()
	flow := f.flows[key]
	if flow == nil {
		if flow = f.begin(conn, key); flow == nil {
			f.mu.Unlock()
			return
		}
	}
	f.mu.Unlock()
	flow.toInstance(data)
}

// begin makes a flow if the bounds allow; the caller holds mu.
func (f *packetFront) begin(conn *net.UDPConn, key flowKey) *packetFlow {
	if f.requests.Err() != nil {
		return nil
	}
	e := f.edge.Load()
	client := plainAddr(key.client.Addr())
	if len(f.flows) >= mostFlows {
		f.b.metrics.limits.refuse("connections", false, 0)
		return nil
	}
	held, err := e.bounds.hold(client, e.trusted.contains(client))
	if err != nil {
		return nil
	}
	flow := &packetFlow{front: f, key: key, edge: e, held: held, back: conn, source: sourceMessage(addrPortOfUDP(conn.LocalAddr()).Addr(), key.local)}
	if !f.b.tasks.start(flow.run) {
		held.give()
		return nil
	}
	f.flows[key] = flow
	return flow
}
