package lb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/ipv4"
)

// quicSocket is the socket of HTTP/3. It keeps what is for another node's connection from being answered: that node may have it still, and the answer would end it. A virtual
// address is where this node is the one to answer: whoever had it before has lost it, and its clients are to hear so at once.
//
// While one process of the node takes over from another one, both have the socket, and one reads it: the other one gets what is for its connections from there (quicWay).
type quicSocket struct {
	*net.UDPConn
	batch   *ipv4.PacketConn // also for IPv6: the messages are the same
	ids     connectionIDs
	all     bool         // it is bound to every address
	virtual bool         // it is bound to a virtual one
	moving  []netip.Addr // virtual addresses of the node
	metrics *http3Metrics
	log     *slog.Logger

	before atomic.Pointer[quicBefore] // the process before, while it has connections
	next   atomic.Pointer[quicNext]   // the next one, from when there is a way to it

	stop     chan struct{} // closed when nothing is to be read any more
	dmu      sync.Mutex    // guards the deadline of reading
	stopping bool
}

// quicBefore is the process before, as the one that reads knows it.
type quicBefore struct {
	way     *quicWay
	process byte
}

// quicNext is the next process, as the one before knows it.
type quicNext struct {
	way    *quicWay
	reads  atomic.Bool    // it wants to read the socket, and does so once parked has been read
	parked chan struct{}  // written to by who read the socket here
	yours  chan struct{}  // closed when the next process reads
	come   chan wayPacket // what it passes on
	over   chan struct{}  // closed when the way has ended
	given  chan struct{}  // closed when there is another way in its place
}

// waiting is how many datagrams may wait to be looked at.
const waiting = 256

// listenQUIC binds an address for HTTP/3, unless the process before has: then conn is its socket.
func (b *Balancer) listenQUIC(ctx context.Context, address string, conn *net.UDPConn) (*quicSocket, error) {
	virtual := b.virtual(address)
	if conn == nil {
		var lc net.ListenConfig
		if virtual {
			lc.Control = bindAbsent
		}
		pc, err := lc.ListenPacket(ctx, "udp", address)
		if err != nil {
			return nil, err
		}
		conn = pc.(*net.UDPConn)
	}
	s := &quicSocket{
		UDPConn: conn, batch: ipv4.NewPacketConn(conn), ids: idsOf(b.opts.Node), virtual: virtual, metrics: &b.metrics.http3, log: b.log, stop: make(chan struct{}),
	}
	s.all = addrPortOfUDP(conn.LocalAddr()).Addr().IsUnspecified()
	for _, v := range b.opts.Virtual {
		s.moving = append(s.moving, plainAddr(v))
	}
	return s, nil
}

// ReadBatch reads for quic-go. What is not for it is empty there, which it passes over.
func (s *quicSocket) ReadBatch(list []ipv4.Message, flags int) (int, error) {
	for {
		if next := s.next.Load(); next != nil && next.reads.Load() {
			if n, err := s.readNext(next, list); n > 0 || err != nil {
				return n, err
			}
			continue
		}
		n, err := s.batch.ReadBatch(list, flags)
		if errors.Is(err, os.ErrDeadlineExceeded) && !s.stopped() {
			continue // the next process wants to read
		}
		for i := range list[:max(n, 0)] {
			s.sort(&list[i])
		}
		return n, err
	}
}

// sort empties a datagram that is for somebody else.
func (s *quicSocket) sort(m *ipv4.Message) {
	data := m.Buffers[0][:m.N]
	if s.ids.foreign(data) {
		if !s.mayAnswer(m.OOB[:m.NN]) {
			m.N, m.NN = 0, 0
			s.metrics.foreign.Inc()
		}
		return
	}
	before := s.before.Load()
	if before == nil {
		return
	}
	if process, ok := s.ids.maker(data); ok && process == before.process {
		p := wayPacket{from: addrPortOfUDP(m.Addr), oob: m.OOB[:m.NN], data: data}
		if b, err := p.encode(); err == nil && before.way.send(b) == nil {
			s.metrics.passed.Inc()
		}
		m.N, m.NN = 0, 0
	}
}

// mayAnswer reports whether a datagram has come to a virtual address.
func (s *quicSocket) mayAnswer(oob []byte) bool {
	if !s.all || len(s.moving) == 0 {
		return s.virtual
	}
	to := destination(netip.IPv6Unspecified(), oob)
	if !to.IsValid() {
		to = destination(netip.IPv4Unspecified(), oob)
	}
	return slices.Contains(s.moving, plainAddr(to))
}

// SetReadDeadline implements quic.OOBCapablePacketConn. quic-go sets one when it is to read no more.
func (s *quicSocket) SetReadDeadline(t time.Time) error {
	s.dmu.Lock()
	defer s.dmu.Unlock()
	if !t.IsZero() && !s.stopping {
		s.stopping = true
		close(s.stop)
	}
	return s.UDPConn.SetReadDeadline(t)
}

// deadline interrupts whoever reads the socket, or no more.
func (s *quicSocket) deadline(t time.Time) {
	s.dmu.Lock()
	defer s.dmu.Unlock()
	if !s.stopping {
		s.UDPConn.SetReadDeadline(t) // it fails when the socket is closed: then nobody reads it
	}
}

func (s *quicSocket) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// Close gives the socket up, and the ways to other processes.
func (s *quicSocket) Close() error {
	s.SetReadDeadline(longAgo)
	if next := s.next.Load(); next != nil {
		next.way.conn.Close()
	}
	if before := s.before.Load(); before != nil {
		before.way.conn.Close()
	}
	return s.UDPConn.Close()
}

// takeOver has the process before leave the reading to this one, and returns when it has, or has ended. ctx ends the waiting: then nothing has changed for that one but that it
// has been asked.
func (s *quicSocket) takeOver(ctx context.Context, way *quicWay) error {
	way.conn.SetReadDeadline(time.Time{}) // of an earlier time
	over := make(chan struct{})
	inTime := context.AfterFunc(ctx, func() {
		defer close(over)
		way.conn.SetReadDeadline(longAgo)
	})
	buf := make([]byte, 2)
	err := way.send([]byte{wayBegin})
	n := 0
	if err == nil {
		n, err = way.conn.Read(buf)
	}
	switch {
	case !inTime(): // whatever has been read: the way cannot be heard any more, until it is asked anew
		<-over
		return fmt.Errorf("the process before does not answer: %w", context.Cause(ctx))
	case err != nil: // it has ended
		way.conn.Close()
		return nil
	case n != 2 || buf[0] != wayYours:
		way.conn.Close()
		return fmt.Errorf("%w: % x from the process before", errWay, buf[:n])
	}
	s.ids.process = buf[1] + 1
	before := &quicBefore{way, buf[1]}
	s.before.Store(before)
	go func() {
		way.hear(func([]byte) error { return nil }) // it says no more
		s.before.CompareAndSwap(before, nil)
	}()
	return nil
}
