package chaos

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// spot is where a client is: a socket, until the client has left.
type spot struct {
	net.PacketConn
	path     *quic.Path // of one connection; nil for the place from where that was made
	left     atomic.Bool
	received atomic.Int64 // datagrams
}

// WriteTo loses what is sent after the client has left.
func (s *spot) WriteTo(b []byte, to net.Addr) (int, error) {
	if s.left.Load() {
		return len(b), nil
	}
	return s.PacketConn.WriteTo(b, to)
}

// ReadFrom hears nothing after that.
func (s *spot) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := s.PacketConn.ReadFrom(b)
		if err != nil || !s.left.Load() {
			s.received.Add(1)
			return n, from, err
		}
	}
}

// at gives a client another place, with an address of its own.
func at(t *testing.T, address string) (*spot, *quic.Transport) {
	t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &spot{PacketConn: c}
	tr := &quic.Transport{Conn: s}
	t.Cleanup(func() {
		_ = tr.Close()
		_ = c.Close()
	})
	return s, tr
}

// move has a connection go on from another place; nothing passes by the one before any more. A client that leaves the place from where it has made the connection has to ask for something then:
// Path.Switch of quic-go (v0.65.0) does not wake a connection that has nothing to do, which would go on when it next gets a packet, and here it gets none by its old place. To close the path wakes it.
func move(t *testing.T, ctx context.Context, conn *quic.Conn, from *spot, address string) *spot {
	t.Helper()
	to, tr := at(t, address)
	path, err := conn.AddPath(tr)
	if err == nil {
		err = path.Probe(ctx)
	}
	if err == nil {
		err = path.Switch()
	}
	if err == nil && from.path != nil {
		err = from.path.Close()
	}
	if err != nil {
		t.Fatalf("to %s: %v", address, err)
	}
	from.left.Store(true)
	to.path = path
	return to
}

// TestHTTP3ClientMoves: a client of HTTP/3 goes on from another address in the middle of a download, and once more while a new program takes its node over. The download comes whole, and the session
// stays on its instance, all on one connection.
func TestHTTP3ClientMoves(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	h := adopt(t)
	m := serveModern(t, ctx, s)
	n := s.Group.Nodes[1]
	host, _, err := net.SplitHostPort(n.Traffic)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // of places, which are no sockets to it
	place, tr := at(t, "127.4.0.1")
	conn, err := tr.Dial(ctx, &net.UDPAddr{IP: net.ParseIP(host), Port: m.port}, m.trust, &quic.Config{})
	if err != nil {
		t.Fatal(err)
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: (&http3.Transport{}).NewClientConn(conn), Jar: jar}
	first, err := m.get(ctx, c, m.url(n, "/ok"))
	if err != nil {
		t.Fatal(err)
	}
	stays := func(when string) {
		t.Helper()
		for range 20 { // two instances: anywhere else it would be seen
			if got, err := m.get(ctx, c, m.url(n, "/ok")); err != nil || string(got) != string(first) {
				t.Fatalf("%s: %q after %q, %v", when, got, first, err)
			}
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url(n, "/download"), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	part := make([]byte, modernHalf/2)
	if _, err := io.ReadFull(resp.Body, part); err != nil {
		t.Fatal(err)
	}
	place = move(t, ctx, conn, place, "127.4.0.2")
	stays("after the first move")
	if _, err := io.ReadFull(resp.Body, part); err != nil {
		t.Fatal(err)
	}
	done, err := n.Client.UpgradeBinary(ctx, client.BinaryUpgrade{ReadyWithinMilli: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	place = move(t, ctx, conn, place, "127.4.0.3")
	m.release <- struct{}{}
	rest, err := io.ReadAll(resp.Body)
	if err != nil || len(rest) != modernHalf {
		t.Errorf("the rest of the download: %d bytes, %v", len(rest), err)
	}
	if got := place.received.Load(); got < modernHalf/1500 {
		t.Errorf("%d datagrams have come to the last place", got)
	}
	select { // the process before has said that the request was the last one
	case <-conn.Context().Done():
	case <-ctx.Done():
		t.Fatal("the connection does not end")
	}
	if e, ok := errors.AsType[*quic.ApplicationError](context.Cause(conn.Context())); !ok || e.ErrorCode != 0x100 {
		t.Errorf("the connection has ended with %v", context.Cause(conn.Context()))
	}
	h.ended(n)
	h.succeeded(n, done.Pid)
	c.Transport = m.transport()
	stays("at the next process")
}
