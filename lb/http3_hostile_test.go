package lb

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/qpack"
	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// framedH3 is a frame of HTTP/3.
func framedH3(kind uint64, payload []byte) []byte {
	return append(quicvarint.Append(quicvarint.Append(nil, kind), uint64(len(payload))), payload...)
}

func blockH3(fields ...string) []byte {
	var b bytes.Buffer
	e := qpack.NewEncoder(&b)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(qpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return b.Bytes()
}

func postH3(more ...string) []byte {
	return framedH3(1, blockH3(append([]string{":method", "POST", ":scheme", "https", ":path", "/", ":authority", "h"}, more...)...))
}

// endOf gives the code with which the node has ended a connection.
func endOf(t *testing.T, conn *quic.Conn) uint64 {
	t.Helper()
	select {
	case <-conn.Context().Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the connection never ends")
	}
	e, ok := errors.AsType[*quic.ApplicationError](context.Cause(conn.Context()))
	if !ok {
		t.Fatal(context.Cause(conn.Context()))
	}
	return uint64(e.ErrorCode)
}

// TestHTTP3BrokenFrames: who breaks the protocol loses the stream or the connection with the code of the RFC; the instance gets nothing whole, and others go on.
func TestHTTP3BrokenFrames(t *testing.T) {
	whole := make(chan string, 100)
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && r.Method == http.MethodPost {
			whole <- string(body)
		}
	})
	r, ca := http3Rig(t, http3Conf(of(a)...))
	other := http3Client(t, ca)
	other.get(r.secureURL("/"))
	for name, c := range map[string]struct {
		send []byte
		code uint64
	}{
		"SETTINGS in a request":      {append(postH3(), framedH3(4, nil)...), 0x105},
		"PING of HTTP/2 in a body":   {append(postH3(), framedH3(6, make([]byte, 8))...), 0x105},
		"body first":                 {framedH3(0, []byte("x")), 0x105},
		"DATA behind the trailers":   {append(append(postH3("trailer", "x"), framedH3(1, blockH3("x", "y"))...), framedH3(0, []byte("z"))...), 0x105},
		"frame cut short":            {append(postH3(), 0, 9, 'x'), 0x106},
		"no QPACK":                   {framedH3(1, []byte{0, 0, 0x10}), 0x200},
		"unknown frames without end": {append(postH3(), bytes.Repeat(framedH3(0x21, nil), 5000)...), 0x107},
		"empty DATA without end":     {append(postH3(), bytes.Repeat(framedH3(0, nil), 5000)...), 0x107},
	} {
		conn := dialQUIC(t, r, ca)
		s, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Write(c.send)
		s.Close()
		if got := endOf(t, conn); got != c.code {
			t.Errorf("%s: %#x, want %#x", name, got, c.code)
		}
	}
	for name, send := range map[string][]byte{
		"longer than Content-Length":  append(postH3("content-length", "1"), framedH3(0, []byte("xx"))...),
		"shorter than Content-Length": append(postH3("content-length", "3"), framedH3(0, []byte("xx"))...),
		"upper case":                  postH3("Aa", "b"),
		"two hosts":                   postH3("host", "g"),
		"smuggled":                    postH3("transfer-encoding", "chunked"),
	} {
		conn := dialQUIC(t, r, ca)
		s, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Write(send)
		s.Close()
		s.SetReadDeadline(time.Now().Add(20 * time.Second))
		if answer, err := io.ReadAll(s); err == nil && bytes.Contains(answer, []byte("HOLDFAST")) || conn.Context().Err() != nil {
			t.Errorf("%s: %q, connection %v", name, answer, context.Cause(conn.Context()))
		}
	}
	select {
	case body := <-whole:
		t.Errorf("an instance has got %q as if it were whole", body)
	default:
	}
	if got := other.get(r.secureURL("/")); got.StatusCode != 200 {
		t.Errorf("others: %d", got.StatusCode)
	}
}

// TestHTTP3RapidReset: a client that takes its requests back as fast as it sends them is cut off.
func TestHTTP3RapidReset(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) })
	r, ca := http3Rig(t, http3Conf(of(a)...))
	conn := dialQUIC(t, r, ca)
	go func() {
		for {
			s, err := conn.OpenStreamSync(conn.Context())
			if err != nil {
				return
			}
			s.Write(append(postH3(), framedH3(0, []byte("x"))...))
			s.CancelRead(0x10c)
			s.CancelWrite(0x10c)
		}
	}()
	if code := endOf(t, conn); code != 0x107 {
		t.Errorf("%#x", code)
	}
	r.wait("nothing is in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestHTTP3Floods: garbage and handshakes that never go on take what they may and no more, and a client that can be reached is served all the while.
func TestHTTP3Floods(t *testing.T) {
	a := newApp(t, "i1", nil)
	cc := http3Conf(of(a)...)
	cc.Listeners[0].TLS.Handshakes = 40 // 4 of them for who has proved nothing
	r, ca := http3Rig(t, cc)
	garbage, err := net.Dial("udp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer garbage.Close()
	junk := make([]byte, 1300)
	for i := range 5000 {
		rand.Read(junk)
		if i%3 == 0 {
			copy(junk, []byte{0xc0, 0, 0, 0, 1, 8}) // looks like the beginning of a connection
		}
		garbage.Write(junk[:1+i%len(junk)])
	}
	beginnings(t, r, ca, 30)
	if got := http3Client(t, ca).get(r.secureURL("/")); got.StatusCode != 200 {
		t.Fatalf("a client that can be reached: %d", got.StatusCode)
	}
	if n := metric(t, r, "holdfast_tls_handshakes_in_progress", "listener=web"); n > 44 {
		t.Errorf("%v handshakes are under way", n)
	}
	if metric(t, r, "holdfast_http3_retries_total") == 0 {
		t.Error("nobody had to prove an address")
	}
}

// beginnings sends the first datagram of so many handshakes, and takes no answer.
func beginnings(t *testing.T, r *rig, ca *certtest.CA, n int) {
	t.Helper()
	to := net.UDPAddrFromAddrPort(r.b.Addr("web").(*net.TCPAddr).AddrPort())
	for range n {
		deaf := &onceHeard{PacketConn: listenLocal(t)}
		tr := &quic.Transport{Conn: deaf}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			c := clientOf(ca)
			c.NextProtos = []string{"h3"}
			tr.Dial(ctx, to, c, nil)
		}()
		eventually(t, "a first datagram", deaf.sent.Load)
		cancel()
		<-done
		tr.Close()
		deaf.Close()
	}
}

func listenLocal(t *testing.T) net.PacketConn {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// onceHeard sends one datagram, and then nothing.
type onceHeard struct {
	net.PacketConn
	sent atomic.Bool
}

func (m *onceHeard) WriteTo(p []byte, to net.Addr) (int, error) {
	if m.sent.Load() {
		return len(p), nil
	}
	defer m.sent.Store(true)
	return m.PacketConn.WriteTo(p, to)
}

// TestHTTP3KnowsItsClients: certificates of clients, those of the listener as they change, and the bound of connections.
func TestHTTP3KnowsItsClients(t *testing.T) {
	clients := certtest.NewCA(t, "clients")
	joe, eve := clients.Client("Joe"), certtest.NewCA(t, "others").Client("Eve")
	a := newApp(t, "i1", nil)
	cc := askClients(http3Conf(of(a)...), "require", "team")
	cc.Listeners[0].Limits.Connections = 3
	r, ca := secureRig(t, cc, fsm.Certificate{Name: "team", Chain: [][]byte{clients.Cert.Raw}})
	r.wait("HTTP/3", func() bool { return metric(t, r, "holdfast_http3_listening", "listener=web") == 1 })
	with := func(leaf *certtest.Leaf) *client {
		return http3Client(t, ca, func(tr *http3.Transport) { tr.TLSClientConfig = showing(ca, leaf) })
	}
	known := with(joe)
	if got := known.get(r.secureURL("/")); got.StatusCode != 200 || a.header().Get("X-Client-Cert-Subject") != "CN=Joe" {
		t.Errorf("Joe: %d, %q", got.StatusCode, a.header().Get("X-Client-Cert-Subject"))
	}
	for _, leaf := range []*certtest.Leaf{nil, eve} {
		if resp, err := with(leaf).Get(r.secureURL("/")); err == nil {
			resp.Body.Close()
			t.Error("somebody who is not known is let in")
		}
	}
	before := known.get(r.secureURL("/")).TLS.PeerCertificates[0].SerialNumber
	r.g.certify(t, "site", ca.Server("site.example", "127.0.0.1"))
	r.wait("the new certificate", func() bool {
		got := with(joe).get(r.secureURL("/"))
		return got.TLS.PeerCertificates[0].SerialNumber.Cmp(before) != 0
	})
	if after := known.get(r.secureURL("/")).TLS.PeerCertificates[0].SerialNumber; after.Cmp(before) != 0 {
		t.Error("the connection that was there has ended")
	}
}
