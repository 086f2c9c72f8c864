package lb

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// TestSecureRequestsTakeTheLoop: requests over TLS are the loops' from the first one on, and what TLS adds is there on both engines: the scheme for the instance, the client's
// certificate, HSTS also on Holdfast's own pages, cookies for https alone.
func TestSecureRequestsTakeTheLoop(t *testing.T) {
	clients := certtest.NewCA(t, "clients")
	joe := clients.Client("Joe")
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/own" {
			w.Header().Set("Strict-Transport-Security", "max-age=1")
		}
		io.WriteString(w, "i1")
	})
	cc := askClients(overTLS(conf(of(a)...), "site"), "request", "team")
	cc.Listeners[0].TLS.HSTS.MaxAge = 1e9 * 3600
	r, ca := secureRig(t, cc, fsm.Certificate{Name: "team", Chain: [][]byte{clients.Cert.Raw}})
	c := showing(ca, joe)
	c.NextProtos = []string{"http/1.1"}
	cl := secureClient(t, c)
	const requests = 20
	for i := range requests {
		q, err := http.NewRequest("GET", r.secureURL("/x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Client-Cert", "forged")
		got := cl.do(q)
		if got.StatusCode != 200 || got.Header.Get("Strict-Transport-Security") != "max-age=3600" || len(got.Header["Strict-Transport-Security"]) != 1 {
			t.Fatalf("%d %v", got.StatusCode, got.Header)
		}
		if k := cookieNamed(got, "HOLDFAST"); i == 0 && (k == nil || !k.Secure) {
			t.Errorf("%v", got.Header)
		}
		h := a.header()
		if h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Client-Cert-Subject") != "CN=Joe" || len(h["Client-Cert"]) != 1 || h.Get("Client-Cert") != ":"+base64.StdEncoding.EncodeToString(joe.Cert.Raw)+":" {
			t.Fatalf("%v", h)
		}
	}
	if got := cl.get(r.secureURL("/own")); len(got.Header["Strict-Transport-Security"]) != 1 || got.Header.Get("Strict-Transport-Security") != "max-age=1" {
		t.Errorf("%v", got.Header)
	}
	wantEngines(t, r, requests+1, 0)
	if log := r.accessLog(); strings.Count(log, "\n") != requests+1 {
		t.Error(log)
	}
	// An instance that breaks off has Holdfast answer by itself.
	url, _ := rawInstance(t, "garbage\r\n\r\n")
	cc = clone(cc)
	cc.Clusters[0].Instances = append(cc.Clusters[0].Instances[:0:0], inst("i2", url))
	cc.Clusters[0].Health.Type = "none"
	r.apply(cc)
	if got := secureClient(t, c).get(r.secureURL("/")); got.StatusCode != 502 || got.Header.Get("Strict-Transport-Security") != "max-age=3600" {
		t.Errorf("%d %v", got.StatusCode, got.Header)
	}
}

// TestBytesReadAheadComeBack: what a loop has read beyond a request that goes away is more than the other engine reads at once; nothing of it is lost when the connection comes back.
func TestBytesReadAheadComeBack(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.EscapedPath()) })
	clear := newRigOn(t, newFakeGroup(bare(of(a)...)), Options{Loops: 2})
	secured, ca := secureRig(t, overTLS(bare(of(a)...), "site"))
	for name, dial := range map[string]func() *rawConn{
		"clear": func() *rawConn { return dialRaw(t, clear) },
		"TLS": func() *rawConn {
			c := dialTLS(t, secured, ca)
			t.Cleanup(func() { c.Close() })
			return &rawConn{c, t, c.in}
		},
	} {
		c := dial()
		all := "GET /first HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("x", 6000) + "\r\n\r\nGET /%61 HTTP/1.1\r\nHost: h\r\n\r\n"
		for i := range 250 {
			all += fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
		}
		go c.Conn.Write([]byte(all))
		want := []string{"/first", "/%61"}
		for i := range 250 {
			want = append(want, fmt.Sprintf("/%d", i))
		}
		for _, w := range want {
			if body, err := io.ReadAll(c.response().Body); err != nil || string(body) != w {
				t.Fatalf("%s: %q %v, want %q", name, body, err, w)
			}
		}
	}
}

// records keeps the types of the records that come.
type records struct {
	net.Conn
	in    bytes.Buffer
	kinds []byte
}

func (r *records) Read(p []byte) (int, error) {
	n, err := r.Conn.Read(p)
	r.in.Write(p[:n])
	for b := r.in.Bytes(); len(b) >= 5 && len(b) >= 5+int(b[3])<<8+int(b[4]); b = r.in.Bytes() {
		r.kinds = append(r.kinds, b[0])
		r.in.Next(5 + int(b[3])<<8 + int(b[4]))
	}
	return n, err
}

// TestBrokenResponseDoesNotLookWhole: not to a client of HTTP/1.0, which has only the end of the connection to tell where a body ends, nor by a close_notify; on both engines, and
// also when the connection is to end anyway.
func TestBrokenResponseDoesNotLookWhole(t *testing.T) {
	breaks := make(chan struct{})
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		<-breaks
		panic(http.ErrAbortHandler)
	})
	clear := newRigOn(t, newFakeGroup(bare(of(a)...)), Options{Loops: 2})
	secured, ca := secureRig(t, overTLS(bare(of(a)...), "site"))
	for _, path := range []string{"/a", "/%61"} { // a loop's, and net/http's
		for _, version := range []string{"1.0", "1.1"} {
			for _, drained := range []bool{false, true} {
				for name, r := range map[string]*rig{"clear": clear, "TLS": secured} {
					conn := dialTCP(t, r.addr())
					seen := &records{Conn: conn}
					if name == "TLS" {
						c := clientOf(ca)
						c.MaxVersion = tls.VersionTLS12
						conn = tls.Client(seen, c)
					}
					fmt.Fprintf(conn, "GET %s HTTP/%s\r\nHost: h\r\n\r\n", path, version)
					in := bufio.NewReader(conn)
					resp, err := http.ReadResponse(in, nil)
					if err != nil {
						t.Fatal(err)
					}
					if drained {
						r.b.DrainAddresses(addrs("127.0.0.1"))
					}
					breaks <- struct{}{}
					if body, err := io.ReadAll(resp.Body); err == nil {
						t.Errorf("%s, %s, HTTP/%s, drained: %v: a whole response: %q", name, path, version, drained, body)
					}
					if n := len(seen.kinds); n > 0 && seen.kinds[n-1] == 21 {
						t.Errorf("%s, HTTP/%s, drained: %v: an alert comes last: %v", path, version, drained, seen.kinds)
					}
					r.b.DrainAddresses(nil)
					conn.Close()
				}
			}
		}
	}
}

// TestServedIsNotFresh: a connection with TLS that has had requests from net/http only has all the time of an idle one when a loop gets it, not that to a first byte.
func TestServedIsNotFresh(t *testing.T) {
	if netOnly {
		return
	}
	a := newApp(t, "i1", nil)
	cc := overTLS(bare(of(a)...), "site")
	trusting := clone(cc)
	trusting.Listeners[0].TrustedProxies = []string{"127.0.0.1/32"}
	r, ca := secureRig(t, trusting)
	c := dialTLS(t, r, ca)
	defer c.Close()
	if err := c.get("/"); err != nil {
		t.Fatal(err)
	}
	if loop, _ := byEngine(t, r); loop != 0 {
		t.Fatal("a loop had it")
	}
	short := clone(cc)
	short.Proxy.Timeouts.Head = config.Duration(time.Second)
	r.apply(short)
	if err := c.get("/"); err != nil {
		t.Fatal(err)
	}
	r.wait("a loop has it", func() bool { return r.onLoops() == 1 })
	other := dialTLS(t, r, ca)
	defer other.Close()
	if err := other.Handshake(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.in.ReadByte(); err != io.EOF { // its time to a first byte began later
		t.Fatal(err)
	}
	if err := c.get("/"); err != nil {
		t.Error(err)
	}
}

// onLoops counts the connections that loops have.
func (r *rig) onLoops() (n int) {
	r.b.conns.mu.Lock()
	defer r.b.conns.mu.Unlock()
	for _, local := range r.b.conns.open {
		for s := range local.callers {
			if _, ok := s.at.(*onLoop); ok {
				n++
			}
		}
	}
	return n
}

// TestEnginesShareTLS: a connection with TLS goes to and fro between the engines without another handshake, also after a drain and a rotation, and whoever cuts it
// finds it wherever it is.
func TestEnginesShareTLS(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.EscapedPath()) })
	r, ca := secureRig(t, overTLS(bare(of(a)...), "site"))
	c := dialTLS(t, r, ca)
	defer c.Close()
	for i := range 40 {
		path := []string{"/plain", "/%61"}[i%2]
		if err := c.get(path); err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		if !netOnly { // the next request must not come before the connection is back
			r.wait("a loop has it", func() bool { return r.onLoops() == 1 })
		}
		switch i {
		case 10:
			r.g.certify(t, "site", ca.Server("site.example"))
		case 20:
			r.b.DrainAddresses(nil)
		}
	}
	if loop, _ := byEngine(t, r); loop != 20 && !netOnly {
		t.Errorf("%d requests of the loops", loop)
	}
	if n := metric(t, r, "holdfast_tls_handshakes_total", "result=full"); n != 1 {
		t.Errorf("%v handshakes", n)
	}
	if total, _ := r.b.OpenConnections(addrs("127.0.0.1")); total != 1 {
		t.Errorf("%d connections", total)
	}
	r.b.CutAddresses(addrs("127.0.0.1"))
	if _, err := c.in.ReadByte(); err == nil {
		t.Error("the connection was not cut")
	}
	if n := r.b.countOpen(); n != 0 {
		t.Errorf("%d connections", n)
	}
}
