package lb

import (
	"context"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/ipv4"
)

const (
	// http3Yield is how long a process that hands on waits until the next one reads a socket: that one says that it serves as soon as it does by TCP.
	http3Yield = 5 * time.Second
	// http3Look is how often it is looked at whether the last handshake and the last connection have ended.
	http3Look = 20 * time.Millisecond
)

// HTTP3Socket is what another process needs to take HTTP/3 of a listener over.
type HTTP3Socket struct {
	// Packets is the socket for datagrams, which both may use.
	Packets *net.UDPConn
	// Way is the end of a pair of sockets by which the other process gets word when it may read, and passes datagrams on; nil when it is alone.
	Way *net.UnixConn
}

// HTTP3Sockets gives the bound sockets of HTTP/3, by the address of their listeners as Listeners does. Packets stay the balancer's; each Way is the caller's, and made anew for each call: a
// copy of it has to be open from now on for as long as another process may take over, and when the last one is closed, this balancer is the only one again.
func (b *Balancer) HTTP3Sockets() (map[string]HTTP3Socket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := map[string]HTTP3Socket{}
	for address, f := range b.fronts {
		if f.http3 == nil {
			continue
		}
		f.http3.umu.Lock()
		s := f.http3.socket
		bound := f.http3.transport != nil && !f.http3.finished
		f.http3.umu.Unlock()
		if !bound {
			continue
		}
		way, err := s.wayToNext()
		if err != nil {
			for _, made := range list {
				made.Way.Close()
			}
			return nil, fmt.Errorf("HTTP/3 of listener %s: %w", f.name(), err)
		}
		list[address] = HTTP3Socket{s.UDPConn, way}
	}
	return list, nil
}

// wayToNext begins to listen to a process that may take over. An earlier way is given up.
func (s *quicSocket) wayToNext() (*net.UnixConn, error) {
	ours, theirs, err := wayPair()
	if err != nil {
		return nil, err
	}
	way, err := newQUICWay(ours)
	if err != nil {
		ours.Close()
		theirs.Close()
		return nil, err
	}
	next := &quicNext{way: way, parked: make(chan struct{}), yours: make(chan struct{}), come: make(chan wayPacket, waiting), over: make(chan struct{}), given: make(chan struct{})}
	if earlier := s.next.Swap(next); earlier != nil {
		close(earlier.given)
		earlier.way.conn.Close()
	}
	go s.hearNext(next)
	return theirs, nil
}

// hearNext does what the next process wants, until that ends: then this one reads the socket again.
func (s *quicSocket) hearNext(next *quicNext) {
	defer func() {
		s.deadline(time.Time{})
		s.next.CompareAndSwap(next, nil)
		close(next.over)
	}()
	err := next.way.hear(func(b []byte) error {
		switch b[0] {
		case wayBegin:
			return s.yield(next)
		case wayDatagram:
			p, err := decodeWayPacket(b)
			if err != nil {
				return err
			}
			select {
			case next.come <- p:
			default: // quic-go is behind
			}
			return nil
		}
		return fmt.Errorf("%w: kind %q", errWay, b[0])
	})
	if next.reads.Load() && !s.stopped() {
		s.log.Info("HTTP/3: the next process reads the socket no more", "address", s.LocalAddr().String(), "reason", err)
	}
}

// yield lets the next process read the socket. It may ask again: in the place of one that has failed.
func (s *quicSocket) yield(next *quicNext) error {
	if !next.reads.Swap(true) {
		s.deadline(longAgo)
		select {
		case <-next.parked:
		case <-next.given:
			return net.ErrClosed
		case <-s.stop:
			return net.ErrClosed
		}
		close(next.yours)
	}
	return next.way.send([]byte{wayYours, s.ids.process})
}

// readNext reads what the next process passes on. It may come back with nothing, when that has ended.
func (s *quicSocket) readNext(next *quicNext, list []ipv4.Message) (n int, err error) {
	for n == 0 {
		select {
		case next.parked <- struct{}{}:
		case p := <-next.come:
			n += p.fill(&list[n])
		case <-next.over:
			return 0, nil
		case <-s.stop:
			return 0, net.ErrClosed
		}
	}
	for n < len(list) {
		select {
		case p := <-next.come:
			n += p.fill(&list[n])
		default:
			return n, nil
		}
	}
	return n, nil
}

// fill makes the datagram a message; 0: it has no room there.
func (p wayPacket) fill(m *ipv4.Message) int {
	if len(p.data) > len(m.Buffers[0]) || len(p.oob) > len(m.OOB) {
		return 0
	}
	m.N, m.NN, m.Addr = copy(m.Buffers[0], p.data), copy(m.OOB, p.oob), net.UDPAddrFromAddrPort(p.from)
	return 1
}

// yielded tells whether another process reads the socket.
func (s *quicSocket) yielded() bool {
	next := s.next.Load()
	return next != nil && next.reads.Load()
}

// handOn lets another process have the socket, and returns when the connections and handshakes that this one has have ended, or ctx has. Clients hear that they are to make
// another connection as soon as that goes to the other process.
func (h *http3Front) handOn(ctx context.Context) error {
	h.umu.Lock()
	s := h.socket
	bound := h.transport != nil
	h.umu.Unlock()
	if !bound {
		return nil
	}
	if next := s.next.Load(); next != nil {
		limited, cancel := context.WithTimeout(ctx, http3Yield)
		defer cancel()
		select {
		case <-next.yours:
		case <-next.over:
		case <-limited.Done():
		}
	}
	if !s.yielded() {
		return nil
	}
	if err := h.b.conns.drain(ctx, h.front); err != nil {
		return err
	}
	for tick := time.NewTicker(http3Look); ; {
		if h.shaking() == 0 && h.b.conns.none(h.front) {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return context.Cause(ctx)
		}
	}
}

// none tells whether a front has no connection.
func (c *clientConns) none(f *front) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.open == 0
}

// Close closes what is there of it.
func (h HTTP3Socket) Close() {
	if h.Packets != nil {
		h.Packets.Close()
	}
	if h.Way != nil {
		h.Way.Close()
	}
}
