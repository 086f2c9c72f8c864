package dns

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	wire "github.com/miekg/dns"
)

func framed(p []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(p))), p...)
}

// readFrame reads one answer.
func readFrame(t *testing.T, r io.Reader) *wire.Msg {
	t.Helper()
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(r, p); err != nil {
		t.Fatal(err)
	}
	m := new(wire.Msg)
	if err := m.Unpack(p); err != nil {
		t.Fatal(err)
	}
	return m
}

func dialTCP(t *testing.T, s *Server) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// TestPipelining: 500 queries in one write are answered in their order, on one connection.
func TestPipelining(t *testing.T) {
	c := dialTCP(t, serve(t, Options{}))
	var all []byte
	for i := range 500 {
		q := query("_http._tcp."+testZone, wire.TypeSRV)
		q.Id = uint16(i)
		all = append(all, framed(packed(t, q))...)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := c.Write(all)
		sent <- err
	}()
	for i := range 500 {
		if m := readFrame(t, c); m.Id != uint16(i) || len(m.Answer) != 3 {
			t.Fatalf("answer %d: %s", i, m)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
}

// TestAnswerLongerThanAMessage: a thousand listeners on three nodes, whose names have the same protocol. What does not fit into 64 KiB is left out and the
// answer says so; the connection can be used further.
func TestAnswerLongerThanAMessage(t *testing.T) {
	v := threeNodes()
	for i := range v.Nodes {
		v.Nodes[i].Live = true
	}
	v.Services = nil
	for i := range 1000 {
		v.Services = append(v.Services, Service{Name: fmt.Sprintf("s%d", i), Protocol: "http", Port: uint16(10_000 + i)})
	}
	c := dialTCP(t, serve(t, Options{View: groupOf(v).view}))
	long := query("_http._tcp."+testZone, wire.TypeSRV)
	long.SetEdns0(1232, false)
	for range 2 {
		if _, err := c.Write(append(framed(packed(t, long)), framed(packed(t, plain()))...)); err != nil {
			t.Fatal(err)
		}
		m := readFrame(t, c)
		if !m.Truncated || m.Id != long.Id || m.IsEdns0() == nil || len(m.Answer) < 1000 || len(m.Answer) >= 3*len(v.Services) {
			t.Errorf("truncated %v, id %d, %d records", m.Truncated, m.Id, len(m.Answer))
		}
		if m = readFrame(t, c); m.Truncated || len(m.Answer) != 3 {
			t.Errorf("the answer behind it: %s", m)
		}
	}
}

// TestAnswerDoesNotWaitForTheNextQuery: half of a next query holds nothing back; the rest may come byte by byte.
func TestAnswerDoesNotWaitForTheNextQuery(t *testing.T) {
	c := dialTCP(t, serve(t, Options{}))
	q := framed(packed(t, plain()))
	if _, err := c.Write(append(q[:len(q):len(q)], q[:5]...)); err != nil {
		t.Fatal(err)
	}
	if m := readFrame(t, c); len(m.Answer) != 2 {
		t.Errorf("%s", m)
	}
	for _, b := range q[5:] {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if m := readFrame(t, c); len(m.Answer) != 2 {
		t.Errorf("%s", m)
	}
}

// TestIdleConnections: whoever sends no whole query in 8 s, or takes no answer in 4 s, is let go.
func TestIdleConnections(t *testing.T) {
	s := newServer(t, Options{})
	q := framed(packed(t, plain()))
	for name, tc := range map[string]struct {
		client func(c net.Conn)
		after  time.Duration
	}{
		"says nothing":         {func(net.Conn) {}, idleTime},
		"sends half a length":  {func(c net.Conn) { _, _ = c.Write(q[:1]) }, idleTime},
		"drips a query slowly": {func(c net.Conn) { drip(c, q, 3*time.Second) }, idleTime},
		"asks once": {func(c net.Conn) {
			time.Sleep(5 * time.Second)
			_, _ = c.Write(q)
			_, _ = io.ReadAll(c)
		}, 5*time.Second + idleTime},
		"does not read": {func(c net.Conn) { _, _ = c.Write(q) }, writeTime},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := net.Pipe()
				start := time.Now()
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { tc.client(client) })
				s.serveConn(server, netip.MustParseAddr("192.0.2.9"), func() {})
				if took := time.Since(start); took != tc.after {
					t.Errorf("let go after %s, not %s", took, tc.after)
				}
				_ = server.Close()
				_ = client.Close()
			})
		})
	}
}

func drip(c net.Conn, p []byte, every time.Duration) {
	for i := range p {
		if _, err := c.Write(p[i : i+1]); err != nil {
			return
		}
		time.Sleep(every)
	}
}

// TestTooManyConnectionsOfOneNetwork: the new one is closed, those that are there go on, and when one ends there is room again.
func TestTooManyConnectionsOfOneNetwork(t *testing.T) {
	s := serve(t, Options{})
	q := framed(packed(t, plain()))
	var open []net.Conn
	for range maxConnsOfNetwork {
		c := dialTCP(t, s)
		if _, err := c.Write(q); err != nil {
			t.Fatal(err)
		}
		readFrame(t, c)
		open = append(open, c)
	}
	if n := count(s.metrics.conns); n != maxConnsOfNetwork {
		t.Errorf("%v connections counted", n)
	}
	if refused(t, s) == nil {
		t.Errorf("connection %d was served", maxConnsOfNetwork+1)
	}
	if _, err := open[0].Write(q); err != nil {
		t.Fatal(err)
	}
	readFrame(t, open[0])
	_ = open[1].Close()
	deadline := time.Now().Add(5 * time.Second)
	for refused(t, s) != nil {
		if time.Now().After(deadline) {
			t.Fatal("no room after one had ended")
		}
	}
	if n := count(s.metrics.refused); n < 1 {
		t.Errorf("%v counted as closed", n)
	}
}

// refused opens a connection and asks; the error says that it was closed without an answer.
func refused(t *testing.T, s *Server) error {
	t.Helper()
	c := dialTCP(t, s)
	defer c.Close()
	if _, err := c.Write(framed(packed(t, plain()))); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 2))
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("neither served nor closed")
	}
	return err
}

// closeNoted says when it was closed.
type closeNoted struct {
	net.Conn
	closed bool
}

func (c *closeNoted) Close() error { c.closed = true; return nil }

// TestTheIdlestMakesRoom: beyond the bound for all, the connection whose last query is longest ago is closed.
func TestTheIdlestMakesRoom(t *testing.T) {
	table := newConnTable(3, 2)
	conns := make([]*closeNoted, 5)
	entries := make([]*tcpConn, 5)
	for i := range 3 {
		conns[i] = &closeNoted{}
		entries[i], _ = table.add(conns[i], netip.AddrFrom4([4]byte{10, byte(i)}))
		entries[i].last = time.Unix(int64(i), 0)
	}
	entries[0].used()
	conns[3] = &closeNoted{}
	var closed int
	if entries[3], closed = table.add(conns[3], netip.AddrFrom4([4]byte{10, 2})); entries[3] == nil || closed != 1 {
		t.Fatalf("not taken in; %d closed", closed)
	}
	if conns[0].closed || !conns[1].closed || conns[2].closed || conns[3].closed {
		t.Errorf("closed: %v %v %v %v", conns[0].closed, conns[1].closed, conns[2].closed, conns[3].closed)
	}
	conns[4] = &closeNoted{}
	if entry, closed := table.add(conns[4], netip.AddrFrom4([4]byte{10, 2})); entry != nil || closed != 1 || !conns[4].closed {
		t.Error("a third of one network was taken in")
	}
	for _, e := range []*tcpConn{entries[0], entries[1], entries[1], entries[2], entries[3]} {
		table.remove(e)
	}
	if len(table.conns)+len(table.count) != 0 {
		t.Errorf("left: %v %v", table.conns, table.count)
	}
	table.closeAll()
	late := &closeNoted{}
	if entry, _ := table.add(late, netip.AddrFrom4([4]byte{10, 9})); entry != nil || !late.closed {
		t.Error("taken in after the end")
	}
}
