package dns

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// What TCP clients may do (RFC 7766 6.2): connections in all and of one network (/24, /56), the time for the next whole query, the time until
// they must have taken an answer, and the longest query.
const (
	maxConns          = 256
	maxConnsOfNetwork = 64
	idleTime          = 8 * time.Second
	writeTime         = 4 * time.Second
	maxQuery          = 4096
)

// serveTCP takes connections until the listener is closed, then waits for those that are left.
func (s *Server) serveTCP() {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := s.listener.AcceptTCP()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.noise.fail("DNS: accepting connections failed", "error", err)
			if !s.wait(50 * time.Millisecond) {
				return
			}
			continue
		}
		from := c.RemoteAddr().(*net.TCPAddr).AddrPort().Addr()
		conn, closed := s.conns.add(c, network(from))
		s.metrics.refused.Add(float64(closed))
		if conn == nil {
			continue
		}
		s.metrics.conns.Inc()
		wg.Go(func() {
			defer s.metrics.conns.Dec()
			defer s.conns.remove(conn)
			s.serveConn(c, from, conn.used)
		})
	}
}

// serveConn answers the queries of one connection in their order until it ends; used is called with each. Queries that are there together are answered
// together.
func (s *Server) serveConn(c net.Conn, from netip.Addr, used func()) {
	in := bufio.NewReaderSize(c, 2+maxQuery)
	out := bufio.NewWriterSize(c, 4096)
	query, answer := make([]byte, maxQuery), make([]byte, 0, 2*udpSize)
	for {
		if err := c.SetReadDeadline(time.Now().Add(idleTime)); err != nil {
			return
		}
		var length [2]byte
		if _, err := io.ReadFull(in, length[:]); err != nil {
			return
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n > maxQuery {
			return
		}
		if _, err := io.ReadFull(in, query[:n]); err != nil {
			return
		}
		used()
		reply := s.respond(answer[:0], query[:n], from, tcp)
		if reply == nil {
			return // no query: whoever speaks so does not speak DNS
		}
		if err := c.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			return
		}
		binary.BigEndian.PutUint16(length[:], uint16(len(reply)))
		_, _ = out.Write(length[:]) // an error stays, and comes with the next
		if _, err := out.Write(reply); err != nil {
			return
		}
		if !wholeQuery(in) && out.Flush() != nil {
			return
		}
	}
}

// wholeQuery: the next query can be read without waiting.
func wholeQuery(in *bufio.Reader) bool {
	if in.Buffered() < 2 {
		return false
	}
	length, err := in.Peek(2)
	return err == nil && in.Buffered() >= 2+int(binary.BigEndian.Uint16(length))
}

// connTable knows the open connections, to bound them.
type connTable struct {
	most, ofNetwork int

	mu     sync.Mutex
	conns  map[*tcpConn]struct{}
	count  map[netip.Addr]int
	closed bool
}

type tcpConn struct {
	table   *connTable
	conn    net.Conn
	network netip.Addr
	last    time.Time // of its last query, or its beginning
}

func newConnTable(most, ofNetwork int) *connTable {
	return &connTable{most: most, ofNetwork: ofNetwork, conns: map[*tcpConn]struct{}{}, count: map[netip.Addr]int{}}
}

// add takes a connection in, and says how many were closed for being too many. One network beyond its bound loses the new one (nil); beyond the bound for all,
// the one that has been idle for longest makes room: it is the one that is missed least.
func (t *connTable) add(c net.Conn, network netip.Addr) (*tcpConn, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.count[network] >= t.ofNetwork {
		_ = c.Close()
		return nil, 1
	}
	closed := 0
	if len(t.conns) >= t.most {
		var idlest *tcpConn
		for other := range t.conns {
			if idlest == nil || other.last.Before(idlest.last) {
				idlest = other
			}
		}
		t.drop(idlest)
		closed = 1
	}
	conn := &tcpConn{table: t, conn: c, network: network, last: time.Now()}
	t.conns[conn] = struct{}{}
	t.count[network]++
	return conn, closed
}

// drop closes a connection and forgets it. With t.mu.
func (t *connTable) drop(c *tcpConn) {
	if _, there := t.conns[c]; !there {
		return
	}
	delete(t.conns, c)
	if t.count[c.network]--; t.count[c.network] == 0 {
		delete(t.count, c.network)
	}
	_ = c.conn.Close()
}

func (t *connTable) remove(c *tcpConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.drop(c)
}

func (t *connTable) closeAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for c := range t.conns {
		t.drop(c)
	}
}

func (c *tcpConn) used() {
	c.table.mu.Lock()
	defer c.table.mu.Unlock()
	c.last = time.Now()
}
