package lb

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// TestTLSTermination: UCD-09, UCD-20. A listener of protocol https serves sessions as any other; instances hear that it was https, and cookies are for https.
func TestTLSTermination(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r, ca := secureRig(t, overTLS(conf(of(a, b)...), "site"))
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := clientOf(ca)
		c.MinVersion, c.MaxVersion, c.NextProtos = version, version, []string{"http/1.1"}
		cl := secureClient(t, c)
		first := cl.get(r.secureURL("/"))
		if first.StatusCode != 200 || first.TLS == nil || first.TLS.Version != version || first.TLS.NegotiatedProtocol != "http/1.1" || len(first.TLS.PeerCertificates) != 2 {
			t.Fatalf("%s: %d %+v", tls.VersionName(version), first.StatusCode, first.TLS)
		}
		if k := cookieNamed(first, "HOLDFAST"); k == nil || !k.Secure || !k.HttpOnly {
			t.Errorf("%v", first.Header)
		}
		for range 5 {
			if got := cl.get(r.secureURL("/")); got.body != first.body {
				t.Errorf("%q, then %q", first.body, got.body)
			}
		}
		if n := metric(t, r, "holdfast_tls_handshakes_total", "listener=web", "version="+tls.VersionName(version), "result=full"); n != 1 {
			t.Errorf("%s: %v handshakes", tls.VersionName(version), n)
		}
	}
	for _, app := range []*app{a, b} {
		if h := app.header(); h != nil && (h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-Host") != r.addr()) {
			t.Errorf("%v", h)
		}
	}
	if n := metric(t, r, "holdfast_certificate_expiry_timestamp_seconds", "certificate=site"); time.Until(time.Unix(int64(n), 0)) < 80*24*time.Hour {
		t.Errorf("expires at %v", n)
	}
	r.wait("no handshakes", func() bool {
		return metric(t, r, "holdfast_tls_handshakes_in_progress", "listener=web") == 0
	})
}

// TestMinVersion: older versions are refused, and what was refused is counted.
func TestMinVersion(t *testing.T) {
	cc := overTLS(conf(of(newApp(t, "i1", nil))...), "site")
	r, ca := secureRig(t, cc)
	client := func(version uint16) *tls.Config {
		c := clientOf(ca)
		c.MinVersion, c.MaxVersion = version, version
		return c
	}
	if _, err := r.shake(client(tls.VersionTLS11)); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	if _, err := r.shake(client(tls.VersionTLS12)); err != nil {
		t.Errorf("TLS 1.2: %v", err)
	}
	cc = clone(cc)
	cc.Listeners[0].TLS.MinVersion = "1.3"
	r.apply(cc)
	if _, err := r.shake(client(tls.VersionTLS12)); err == nil {
		t.Error("TLS 1.2 is spoken with minVersion 1.3")
	}
	if _, err := r.shake(client(tls.VersionTLS13)); err != nil {
		t.Errorf("TLS 1.3: %v", err)
	}
	r.ended("mismatch", 2)
}

// TestCertificateByName: UCD-21. SNI decides: the name itself, a wildcard, else the first certificate; clients that connect to an address name nothing.
func TestCertificateByName(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	g := newFakeGroup(overTLS(conf(of(newApp(t, "i1", nil))...), "first", "wild", "exact", "here"))
	g.certify(t, "first", ca.Server("first.example"))
	g.certify(t, "wild", ca.Server("*.shop.example"))
	g.certify(t, "exact", ca.Server("a.shop.example", "B.shop.example"))
	g.certify(t, "here", ca.Server("127.0.0.1"))
	r := newRigOn(t, g, Options{})
	for name, want := range map[string]string{
		"first.example": "first.example", "a.shop.example": "a.shop.example", "A.SHOP.example": "a.shop.example", "b.shop.example": "a.shop.example",
		"c.shop.example": "*.shop.example", "shop.example": "first.example", "x.y.shop.example": "first.example", "unknown.example": "first.example", "": "127.0.0.1",
	} {
		if got := r.shown(&tls.Config{ServerName: name, InsecureSkipVerify: true}).Subject.CommonName; got != want {
			t.Errorf("%q gets %s, want %s", name, got, want)
		}
	}
}

// TestRotation: a certificate that is rotated under load fails no request and closes no connection; handshakes that begin later get the new one.
func TestRotation(t *testing.T) {
	r, ca := secureRig(t, overTLS(bare(of(newApp(t, "i1", nil))...), "site"))
	const clients, rotations = 8, 20
	var requests, fresh atomic.Int64
	over := make(chan struct{})
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			conn := dialTLS(t, r, ca)
			defer func() { conn.Close() }()
			for {
				select {
				case <-over:
					return
				default:
				}
				if i%2 == 1 { // half of them come anew each time
					conn.Close()
					conn = dialTLS(t, r, ca)
					fresh.Add(1)
				}
				if err := conn.get("/"); err != nil {
					t.Errorf("client %d after %d requests: %v", i, requests.Load(), err)
					return
				}
				requests.Add(1)
			}
		})
	}
	var serial string
	for range rotations {
		before := requests.Load()
		leaf := ca.Server("site.example")
		serial = leaf.Cert.SerialNumber.String()
		r.g.certify(t, "site", leaf)
		r.g.ticketKey(t)
		r.wait("requests go on", func() bool { return requests.Load() > before+clients || t.Failed() })
		r.wait("the new one is shown", func() bool { return r.shown(clientOf(ca)).SerialNumber.String() == serial || t.Failed() })
	}
	close(over)
	all.Wait()
	t.Logf("%d requests, %d of them with a handshake, %d rotations", requests.Load(), fresh.Load(), rotations)
	if requests.Load() < 100 {
		t.Error("too few requests to show anything")
	}
}

// tlsConn is a client's connection on which requests are sent one after another, and which is never opened again.
type tlsConn struct {
	*tls.Conn
	in *bufio.Reader
}

func dialTLS(t testing.TB, r *rig, ca *certtest.CA) *tlsConn {
	conn, err := tls.DialWithDialer(&net.Dialer{Timeout: 20 * time.Second}, "tcp", r.addr(), clientOf(ca))
	if err != nil {
		t.Errorf("dial: %v", err)
		return &tlsConn{Conn: tls.Client(nil, nil)}
	}
	conn.SetDeadline(time.Now().Add(60 * time.Second))
	return &tlsConn{conn, bufio.NewReader(conn)}
}

func (c *tlsConn) Close() error {
	if c.in == nil {
		return nil
	}
	return c.Conn.Close()
}

func (c *tlsConn) get(path string) error {
	if c.in == nil {
		return fmt.Errorf("no connection")
	}
	if _, err := io.WriteString(c, "GET "+path+" HTTP/1.1\r\nHost: site.example\r\n\r\n"); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 || resp.Close {
		return fmt.Errorf("%d, close %v, %v", resp.StatusCode, resp.Close, err)
	}
	return nil
}

// TestTicketsHoldOnEveryNode: a session that one node began is resumed by another, also after the keys have been rotated twice, and by none once its key is gone.
func TestTicketsHoldOnEveryNode(t *testing.T) {
	first, ca := secureRig(t, overTLS(bare(of(newApp(t, "i1", nil))...), "site"))
	second := newRigOn(t, first.g, Options{Node: "node2"})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		resumed := func(r *rig, c *tls.Config) bool {
			t.Helper()
			s, err := r.shake(c)
			if err != nil {
				t.Fatal(err)
			}
			return s.DidResume
		}
		client := func() *tls.Config {
			c := clientOf(ca)
			c.MinVersion, c.MaxVersion, c.ClientSessionCache = version, version, tls.NewLRUClientSessionCache(8)
			return c
		}
		// A client takes one ticket along for ever.
		kept := &keptSession{}
		c := client()
		c.ClientSessionCache = kept
		if resumed(first, c) || !resumed(second, c) || !resumed(first, c) {
			t.Errorf("%s: not resumed on the other node", tls.VersionName(version))
		}
		for i := range 3 {
			first.g.ticketKey(t)
			for _, r := range []*rig{first, second} {
				want := r.node.Operating().Index
				r.wait("in force", func() bool { _, index, _ := r.b.InForce(); return index == want })
			}
			if got, want := resumed(second, c), i < 2; got != want {
				t.Errorf("%s: after %d rotations resumed: %v", tls.VersionName(version), i+1, got)
			}
		}
	}
	if n := metric(t, second, "holdfast_tls_handshakes_total", "listener=web", "version=TLS 1.3", "result=resumed"); n < 2 {
		t.Errorf("%v resumed", n)
	}
}

// keptSession is a cache of one session, which stays the first one.
type keptSession struct{ s *tls.ClientSessionState }

func (k *keptSession) Get(string) (*tls.ClientSessionState, bool) { return k.s, k.s != nil }
func (k *keptSession) Put(_ string, s *tls.ClientSessionState) {
	if k.s == nil {
		k.s = s
	}
}

// TestWebSocketOverTLS: an upgraded connection passes both ways, and goes on over a rotation.
func TestWebSocketOverTLS(t *testing.T) {
	r, ca := secureRig(t, overTLS(conf(of(newApp(t, "i1", wsEcho))...), "site"))
	c := dialTLS(t, r, ca)
	defer c.Close()
	if _, err := io.WriteString(c, wsRequest+"early "); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v %v", resp, err)
	}
	want := func(s string) {
		t.Helper()
		got := make([]byte, len(s))
		if _, err := io.ReadFull(c.in, got); err != nil || string(got) != s {
			t.Fatalf("%q %v, want %q", got, err, s)
		}
	}
	want("hello early ")
	r.g.certify(t, "site", ca.Server("site.example"))
	r.apply(clone(r.node.Revision().Config))
	for range 3 {
		io.WriteString(c, "\x81\x00ping")
		want("\x81\x00ping")
	}
	c.CloseWrite() // the other side hears the end, and ends too
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		t.Errorf("%q %v", rest, err)
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
}

// TestProtocolOfAListenerChanges: an address goes from clear text to TLS and back.
func TestProtocolOfAListenerChanges(t *testing.T) {
	plain := bare(of(newApp(t, "i1", nil))...)
	plain.Listeners[0].Address = "127.0.0.1:" + freePort(t)
	r, ca := secureRig(t, plain)
	secure := overTLS(clone(plain), "site")
	for range 3 {
		if got := newClient(t).get(r.url("/")); got.StatusCode != 200 {
			t.Fatalf("%d", got.StatusCode)
		}
		r.apply(secure)
		r.wait("bound", func() bool { return r.b.Ready() == nil })
		if got := secureClient(t, clientOf(ca)).get(r.secureURL("/")); got.StatusCode != 200 {
			t.Fatalf("%d", got.StatusCode)
		}
		r.apply(plain)
		r.wait("bound", func() bool { return r.b.Ready() == nil })
	}
}

// TestMissingCertificate: a listener whose certificate is not there, or cannot be opened, says so, and serves with those that it has.
func TestMissingCertificate(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	g := newFakeGroup(overTLS(bare(of(newApp(t, "i1", nil))...), "site"))
	g.certify(t, "site", ca.Server("site.example"))
	r := newRigOn(t, g, Options{})
	cc := clone(r.node.Revision().Config)
	cc.Listeners[0].Certificates = []string{"site", "none"}
	r.apply(cc)
	r.wait("not ready", func() bool { err := r.b.Ready(); return err != nil && strings.Contains(err.Error(), "none") })
	if got := r.shown(clientOf(ca)); got.Subject.CommonName != "site.example" {
		t.Errorf("%v", got.Subject)
	}
	g.operate(func(o *fsm.Operating) {
		list := append(o.Certificates[:0:0], o.Certificates...)
		list[0].Key, list[0].Version = append([]byte(nil), list[0].Key[1:]...), o.Index
		o.Certificates = list
	})
	r.wait("the key does not open", func() bool {
		err := r.b.Ready()
		return err != nil && strings.Contains(err.Error(), "cannot be opened")
	})
	if _, err := r.shake(clientOf(ca)); err == nil {
		t.Error("a handshake without a certificate")
	}
	r.ended("unusable", 1)
	cc = clone(cc)
	cc.Listeners[0].Certificates = []string{"site"}
	g.certify(t, "site", ca.Server("site.example"))
	r.apply(cc)
	r.wait("ready", func() bool { return r.b.Ready() == nil })
}

// TestHTTP2OverTLS: where ALPN settles h2 the client speaks it, and its session stays where it is when it speaks HTTP/1.1 afterwards.
func TestHTTP2OverTLS(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := overTLS(conf(of(a, b)...), "site")
	cc.Listeners[0].HTTP2 = true
	r, ca := secureRig(t, cc)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		c := clientOf(ca)
		c.MinVersion, c.MaxVersion, c.NextProtos = version, version, []string{"h2", "http/1.1"}
		cl := secureClient(t, c)
		var protocols http.Protocols
		protocols.SetHTTP2(true)
		protocols.SetHTTP1(true)
		cl.Transport.(*http.Transport).Protocols = &protocols
		first := cl.get(r.secureURL("/"))
		if first.StatusCode != 200 || first.Proto != "HTTP/2.0" || first.TLS == nil || first.TLS.NegotiatedProtocol != "h2" {
			t.Fatalf("%s: %s %d", tls.VersionName(version), first.Proto, first.StatusCode)
		}
		k := cookieNamed(first, "HOLDFAST")
		if k == nil || !k.Secure {
			t.Fatalf("%v", first.Header)
		}
		for range 5 {
			if got := cl.get(r.secureURL("/")); got.body != first.body || got.Proto != "HTTP/2.0" {
				t.Errorf("%s %q, then %s %q", first.Proto, first.body, got.Proto, got.body)
			}
		}
		old := clientOf(ca)
		old.NextProtos = []string{"http/1.1"}
		other := secureClient(t, old)
		other.Jar = cl.Jar
		if got := other.get(r.secureURL("/")); got.Proto != "HTTP/1.1" || got.body != first.body {
			t.Errorf("with HTTP/1.1: %s %q, before %q", got.Proto, got.body, first.body)
		}
	}
	for _, app := range []*app{a, b} {
		if h := app.header(); h != nil && h.Get("X-Forwarded-Proto") != "https" {
			t.Errorf("%v", h)
		}
	}
	r.wait("the requests are counted", func() bool { return metric(t, r, "holdfast_listener_requests_total", "listener=web") == 14 })
}

// TestProxyHeaderBelowTLS: a listener of protocol https whose trusted proxies introduce their clients, before the handshake; one that does not is closed.
func TestProxyHeaderBelowTLS(t *testing.T) {
	a := newApp(t, "i1", nil)
	cc := overTLS(conf(of(a)...), "site")
	cc.Listeners[0].ProxyProtocol, cc.Listeners[0].TrustedProxies = "require", []string{"127.0.0.1/32"}
	r, ca := secureRig(t, cc)
	get := func(header string) error {
		raw, err := net.Dial("tcp", r.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		raw.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(raw, header)
		conn := tls.Client(raw, clientOf(ca))
		if err := conn.Handshake(); err != nil {
			return err
		}
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		b, err := io.ReadAll(conn)
		if err == nil && !strings.HasPrefix(string(b), "HTTP/1.1 200 ") {
			err = errors.New(string(b))
		}
		return err
	}
	if err := get("PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n"); err != nil {
		t.Fatal(err)
	}
	if h := a.header(); h.Get("X-Forwarded-For") != "192.0.2.7" || h.Get("X-Forwarded-Proto") != "https" {
		t.Errorf("%v", h)
	}
	if get("") == nil || get("PROXY TCP4 192.0.2.7\r\n") == nil {
		t.Error("served without a header, or with a broken one")
	}
	r.wait("nothing is left", func() bool { return r.b.countOpen() == 0 })
}
