package lb

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func dialTCP(t testing.TB, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}

// closedByOther waits for the end of a connection, however it comes.
func closedByOther(t testing.TB, conn net.Conn) {
	t.Helper()
	if _, err := io.Copy(io.Discard, conn); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection does not end: %v", err)
	}
}

// TestSilentHandshakes: connections that say nothing take places of one client only, and end after their time; others go on.
func TestSilentHandshakes(t *testing.T) {
	cc := overTLS(bare(of(newApp(t, "i1", nil))...), "site")
	cc.Listeners[0].TLS.Handshakes, cc.Listeners[0].TLS.HandshakeTimeout = 30, config.Duration(60*time.Second)
	r, ca := secureRig(t, cc)
	var silent []net.Conn
	for range 3 { // a tenth of the places
		silent = append(silent, dialTCP(t, r.addr()))
	}
	r.wait("they are under way", func() bool { return metric(t, r, "holdfast_tls_handshakes_in_progress", "listener=web") == 3 })
	one := dialTCP(t, r.addr())
	closedByOther(t, one)
	r.ended("flood", 1)
	// A trusted proxy brings many clients.
	trusting := clone(cc)
	trusting.Listeners[0].TrustedProxies = []string{"127.0.0.1/32"}
	r.apply(trusting)
	if err := dialTLS(t, r, ca).get("/"); err != nil {
		t.Errorf("a trusted proxy: %v", err)
	}
	r.apply(cc)
	// Another client is served all the same.
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}, Timeout: 20 * time.Second}
	conn, err := tls.DialWithDialer(from, "tcp", r.addr(), clientOf(ca))
	if err != nil {
		t.Fatalf("another client: %v", err)
	}
	other := &tlsConn{conn, bufio.NewReader(conn)}
	defer other.Close()
	if err := other.get("/"); err != nil {
		t.Error(err)
	}
	silent[0].Close()
	r.ended("gone", 1)
	if err := dialTLS(t, r, ca).get("/"); err != nil {
		t.Errorf("a place was given back: %v", err)
	}
	cc = clone(cc)
	cc.Listeners[0].TLS.HandshakeTimeout = config.Duration(50 * time.Millisecond) // less than may be configured
	r.apply(cc)
	silent[1].Close()
	r.ended("gone", 2)
	late := dialTCP(t, r.addr())
	late.Write([]byte{22, 3, 1}) // the beginning of a record
	closedByOther(t, late)
	r.ended("timeout", 1)
}

// TestGarbageInsteadOfTLS: whatever comes is refused at once, and leaves nothing behind; who speaks HTTP is told.
func TestGarbageInsteadOfTLS(t *testing.T) {
	r, ca := secureRig(t, overTLS(bare(of(newApp(t, "i1", nil))...), "site"))
	kept := dialTLS(t, r, ca)
	defer kept.Close()
	garbage := [][]byte{
		bytes.Repeat([]byte{0}, 5000), bytes.Repeat([]byte{0xff}, 5000), []byte("SSH-2.0-OpenSSH_9.9\r\n"), []byte("\x16\x03\x01\xff\xff" + strings.Repeat("x", 70000)),
		[]byte("\x16\x03\x01\x00\x05hello"), []byte("\x15\x03\x03\x00\x02\x02\x28"), []byte("\x80\x2e\x01\x00\x02"), []byte("\x16\x03\x01\x00\x04\x01\xff\xff\xff"),
	}
	for _, b := range garbage {
		conn := dialTCP(t, r.addr())
		conn.Write(b)
		conn.(*net.TCPConn).CloseWrite()
		closedByOther(t, conn)
	}
	conn := dialTCP(t, r.addr())
	io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != 400 {
		t.Fatalf("%v %v", resp, err)
	}
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), "use https") {
		t.Errorf("%q %v", text, err)
	}
	conn.Close()
	r.wait("no handshakes", func() bool { return metric(t, r, "holdfast_tls_handshakes_in_progress") == 0 })
	r.wait("all are counted", func() bool {
		return metric(t, r, "holdfast_tls_handshakes_total", "version=") == float64(len(garbage)+1)
	})
	r.wait("no connection is left", func() bool { total, _ := r.b.OpenConnections(addrs("127.0.0.1")); return total == 1 })
	if err := kept.get("/"); err != nil {
		t.Errorf("another client: %v", err)
	}
}

// TestOnlyOneReading: the guard stands behind TLS as it does without.
func TestOnlyOneReadingBehindTLS(t *testing.T) {
	a := newApp(t, "i1", nil)
	r, ca := secureRig(t, overTLS(bare(of(a)...), "site"))
	for _, request := range []string{
		"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET  / HTTP/1.1\r\nHost: h\r\n\r\n",
	} {
		c := dialTLS(t, r, ca)
		io.WriteString(c, request)
		if resp, err := http.ReadResponse(c.in, nil); err != nil || resp.StatusCode != 400 {
			t.Errorf("%q: %v %v", request, resp, err)
		}
		c.Close()
	}
	if a.header() != nil && a.header().Get("Host") != "" {
		t.Error("an instance was asked")
	}
}

// TestRemovedSecureListener: requests under way are answered, idle connections end, handshakes that hang do not keep it.
func TestRemovedSecureListener(t *testing.T) {
	begun, goOn := make(chan struct{}), make(chan struct{})
	r, ca := secureRig(t, overTLS(bare(of(newApp(t, "i1", func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/slow" {
			close(begun)
			<-goOn
		}
		io.WriteString(w, "done")
	}))...), "site"))
	idle, busy := dialTLS(t, r, ca), dialTLS(t, r, ca)
	defer idle.Close()
	defer busy.Close()
	if err := idle.get("/"); err != nil {
		t.Fatal(err)
	}
	hangs := dialTCP(t, r.addr())
	r.wait("it hangs", func() bool { return metric(t, r, "holdfast_tls_handshakes_in_progress") == 1 })
	io.WriteString(busy, "GET /slow HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	cc := clone(r.node.Revision().Config)
	cc.Listeners = nil
	r.apply(cc)
	closedByOther(t, hangs)
	if _, err := idle.in.ReadByte(); err != io.EOF {
		t.Errorf("idle: %v", err)
	}
	close(goOn)
	resp, err := http.ReadResponse(busy.in, nil)
	if err != nil || resp.StatusCode != 200 || !resp.Close {
		t.Errorf("%v %v", resp, err)
	}
}

// TestConnectionBoundOverTLS: one too many is closed without a handshake.
func TestConnectionBoundOverTLS(t *testing.T) {
	cc := overTLS(bare(of(newApp(t, "i1", nil))...), "site")
	cc.Listeners[0].Limits.Connections = 1
	r, ca := secureRig(t, cc)
	first := dialTLS(t, r, ca)
	if err := first.get("/"); err != nil {
		t.Fatal(err)
	}
	closedByOther(t, dialTCP(t, r.addr()))
	r.ended("limited", 1)
	first.Close()
	r.wait("the place is free", func() bool {
		c := dialTCP(t, r.addr())
		defer c.Close()
		secured := tls.Client(c, clientOf(ca))
		return secured.Handshake() == nil
	})
}
