package lb

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestHTTP3SessionKeepsItsInstance: whichever protocol a request of it comes by.
func TestHTTP3SessionKeepsItsInstance(t *testing.T) {
	a, b, c := newApp(t, "i1", nil), newApp(t, "i2", nil), newApp(t, "i3", nil)
	r, ca := http3Rig(t, http3Conf(of(a, b, c)...))
	clients := []*client{tcpClient(t, ca, false), tcpClient(t, ca, true), http3Client(t, ca)}
	for first, begins := range clients {
		cl := newClient(t)
		cl.Transport = begins.Transport
		on := cl.get(r.secureURL("/")).body
		for range 2 {
			for i, next := range clients {
				cl.Transport = next.Transport
				got := cl.get(r.secureURL("/"))
				if got.body != on || got.StatusCode != 200 || got.ProtoMajor != i+1 {
					t.Fatalf("session that began by HTTP/%d is on %s; by HTTP/%d (%s): %d %s", first+1, on, i+1, got.Proto, got.StatusCode, got.body)
				}
				want := fmt.Sprintf(`h3=":%s"; ma=86400`, r.addr()[strings.LastIndexByte(r.addr(), ':')+1:])
				if i == 2 {
					want = ""
				}
				if told := got.Header.Get("Alt-Svc"); told != want {
					t.Errorf("HTTP/%d: Alt-Svc %q, want %q", i+1, told, want)
				}
			}
		}
	}
	r.wait("the access log", func() bool { return strings.Contains(r.access.String(), `"HTTP/3.0"`) })
	if metric(t, r, "holdfast_http3_connections", "listener=web") != 1 {
		t.Error("connections are not counted")
	}
}

// TestHTTP3RequestIsTreatedLikeAnyOther: what instances and clients get.
func TestHTTP3RequestIsTreatedLikeAnyOther(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		w.Header().Set("Trailer", "X-Sum")
		w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
		w.Header().Set("X-Encoding", strings.Join(r.TransferEncoding, ","))
		w.Header().Set("X-Got-Trailer", r.Trailer.Get("X-In"))
		w.WriteHeader(http.StatusAccepted)
		w.Write(body)
		w.Header().Set("X-Sum", fmt.Sprint(len(body)))
	})
	r, ca := http3Rig(t, http3Conf(of(a)...))
	cl := http3Client(t, ca)
	got := cl.get(r.secureURL("/a?b=c"))
	if got.StatusCode != 202 || got.Header.Get("X-Length") != "0" || got.Header.Get("X-Encoding") != "" {
		t.Errorf("a request without a body: %d, length %s, encoding %q", got.StatusCode, got.Header.Get("X-Length"), got.Header.Get("X-Encoding"))
	}
	if h := a.header(); h.Get("X-Forwarded-Proto") != "https" || h.Get("X-Forwarded-For") != "127.0.0.1" || !strings.HasPrefix(h.Get("X-Forwarded-Host"), "127.0.0.1:") {
		t.Errorf("forwarded fields: %v", h)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 128<<10) // 2 MiB
	req, err := http.NewRequest(http.MethodPost, r.secureURL("/"), struct{ io.Reader }{bytes.NewReader(big)})
	if err != nil {
		t.Fatal(err)
	}
	req.Trailer = http.Header{"X-In": {"seen"}}
	got = cl.do(req)
	if got.body != string(big) || got.Trailer.Get("X-Sum") != fmt.Sprint(len(big)) || got.Header.Get("X-Got-Trailer") != "seen" {
		t.Errorf("a body with trailers: %d bytes back, trailer %v, got %q", len(got.body), got.Trailer, got.Header.Get("X-Got-Trailer"))
	}
	for _, forged := range []string{"X-Forwarded-For", "X_forwarded_for", "X-Holdfast-Session", "Client_cert"} {
		req, _ = http.NewRequest(http.MethodPost, r.secureURL("/"), struct{ io.Reader }{strings.NewReader("x")})
		req.Trailer = http.Header{forged: {"CN=Root"}}
		if got = cl.do(req); got.StatusCode != 400 {
			t.Errorf("the trailer %s: %d", forged, got.StatusCode)
		}
	}
	req, _ = http.NewRequest(http.MethodHead, r.secureURL("/"), nil)
	if got = cl.do(req); got.StatusCode != 202 || got.body != "" || got.Header.Get("Content-Length") == "0" {
		t.Errorf("HEAD: %d %q %v", got.StatusCode, got.body, got.Header)
	}
	for name := range got.Header {
		if name == "Connection" || name == "Transfer-Encoding" || name == "Keep-Alive" {
			t.Errorf("%s goes to a client of HTTP/3", name)
		}
	}
}

// TestHTTP3Limits: what is too large, too much or says two things is answered as ever.
func TestHTTP3Limits(t *testing.T) {
	a := newApp(t, "i1", nil)
	cc := http3Conf(of(a)...)
	cc.Proxy.Limits = config.HeadLimits{Head: 4 << 10, Target: 1 << 10, Lines: 40, Body: 1000}
	cc.Listeners[0].Limits.RequestsPerSecond, cc.Listeners[0].Limits.Burst = 1, 50
	r, ca := http3Rig(t, cc)
	cl := http3Client(t, ca)
	ask := func(path, field, value string, body string) int {
		req, err := http.NewRequest(http.MethodPost, r.secureURL(path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(field, value)
		return cl.do(req).StatusCode
	}
	for _, c := range []struct {
		path, field, value, body string
		status                   int
	}{
		{"/", "X-A", "b", "x", 200},
		{"/", "X-A", strings.Repeat("a", 5<<10), "x", 431},
		{"/" + strings.Repeat("a", 2<<10), "X-A", "b", "x", 414},
		{"/", "X-A", "b", strings.Repeat("a", 1001), 413},
	} {
		if got := ask(c.path, c.field, c.value, c.body); got != c.status {
			t.Errorf("%.10s %s=%.10s, %d bytes: %d, want %d", c.path, c.field, c.value, len(c.body), got, c.status)
		}
	}
	limited := 0
	for range 100 {
		if ask("/", "X-A", "b", "x") == http.StatusServiceUnavailable {
			limited++
		}
	}
	if limited == 0 {
		t.Error("the listener's rate does not hold for HTTP/3")
	}
}

// TestHTTP3EndsInOrder: requests that run and those that come meanwhile are all answered, and only what a change names ends.
func TestHTTP3EndsInOrder(t *testing.T) {
	asked, answer := make(chan struct{}, 10), make(chan struct{})
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			asked <- struct{}{}
			<-answer
		}
		io.WriteString(w, "ok")
	})
	cc := http3Conf(of(a)...)
	r, ca := http3Rig(t, cc)
	cl, tcp := http3Client(t, ca), tcpClient(t, ca, false)
	if tcp.get(r.secureURL("/")).body != "ok" || cl.get(r.secureURL("/")).body != "ok" {
		t.Fatal("not served")
	}
	other := clone(cc)
	other.Proxy.Limits.Lines = 90
	other.Clusters[0].Modules[0].Retries = 2
	r.apply(other)
	if cl.get(r.secureURL("/")).body != "ok" || metric(t, r, "holdfast_tls_handshakes_total", "listener=web", "result=full") != 2 {
		t.Fatal("a change that has nothing to do with the listener has ended a connection")
	}
	slow := make(chan reply, 1)
	go func() { slow <- cl.get(r.secureURL("/slow")) }()
	<-asked
	here := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	r.b.DrainAddresses(here)
	for range 20 {
		if got := cl.get(r.secureURL("/")); got.body != "ok" {
			t.Fatalf("while it drains: %d %s", got.StatusCode, got.body)
		}
	}
	r.b.DrainAddresses(nil)
	off := clone(cc)
	off.Listeners[0].HTTP3 = false
	r.apply(off)
	if got := tcp.get(r.secureURL("/")); got.body != "ok" || got.Header.Get("Alt-Svc") != "" {
		t.Errorf("without HTTP/3: %d, Alt-Svc %q", got.StatusCode, got.Header.Get("Alt-Svc"))
	}
	close(answer)
	if got := <-slow; got.body != "ok" {
		t.Errorf("the request that ran: %d %s", got.StatusCode, got.body)
	}
	r.wait("the port of UDP is given up", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s, err := r.b.listenQUIC(ctx, r.addr(), nil)
		if err != nil {
			return false
		}
		s.Close()
		return true
	})
	r.apply(cc)
	r.wait("HTTP/3 again", func() bool { return metric(t, r, "holdfast_http3_listening", "listener=web") == 1 })
	if http3Client(t, ca).get(r.secureURL("/")).body != "ok" {
		t.Error("not served again")
	}
}

// TestHTTP3AtAnotherNode: datagrams for a connection of one node reach another one. At a virtual address, that one tells the client at once; elsewhere it keeps quiet.
func TestHTTP3AtAnotherNode(t *testing.T) {
	a := newApp(t, "i1", nil)
	r, ca := http3Rig(t, http3Conf(of(a)...))
	for _, moves := range []bool{true, false} {
		o := Options{Node: "node2"}
		if moves {
			o.Virtual = []netip.Addr{netip.MustParseAddr("127.0.0.1")}
		}
		other := newRigOn(t, r.g, o)
		other.wait("HTTP/3", func() bool { return metric(t, other, "holdfast_http3_listening", "listener=web") == 1 })
		relay := newUDPRelay(t, r.b.Addr("web"))
		at := &rig{t: t, b: r.b, front: relay.conn.LocalAddr().String()}
		conn := dialQUIC(t, at, ca)
		req, _ := http.NewRequest(http.MethodGet, at.secureURL("/"), nil)
		resp, err := new(http3.Transport).NewClientConn(conn).RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		relay.lead(other.b.Addr("web"))
		ping, stop := context.WithCancel(context.Background())
		go func() { // something to say until it hears
			for ping.Err() == nil {
				s, err := conn.OpenUniStreamSync(ping)
				if err != nil {
					return
				}
				s.Write(bytes.Repeat([]byte{0x21}, 64)) // of a type that is nobody's
				s.Close()
			}
		}()
		if moves {
			select {
			case <-conn.Context().Done():
				if why := context.Cause(conn.Context()).Error(); !strings.Contains(why, "stateless reset") {
					t.Errorf("the client has heard: %s", why)
				}
			case <-time.After(20 * time.Second):
				t.Error("the client never hears that its connection is gone")
			}
		} else {
			other.wait("dropped datagrams", func() bool { return metric(t, other, "holdfast_http3_foreign_datagrams_total") > 3 })
			if conn.Context().Err() != nil {
				t.Errorf("a node that does not have the connection has ended it: %v", context.Cause(conn.Context()))
			}
		}
		stop()
	}
}

// TestHTTP3ConnectionsObeyWhatIsInForce: a connection that is there keeps to other limits and times from its next request on.
func TestHTTP3ConnectionsObeyWhatIsInForce(t *testing.T) {
	cc := http3Conf(of(newApp(t, "i1", nil))...)
	cc.Proxy.Limits.Lines = 16
	r, ca := http3Rig(t, cc)
	c := http3Client(t, ca)
	ask := func() int {
		req, err := http.NewRequest("GET", r.secureURL("/"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			req.Header.Set(fmt.Sprintf("X-Field-%d", i), "x")
		}
		return c.do(req).StatusCode
	}
	accepted := func() float64 { return metric(t, r, "holdfast_tls_handshakes_total", "result=full") }
	if got := ask(); got != 431 {
		t.Errorf("%d", got)
	}
	before := accepted()
	cc = clone(cc)
	cc.Proxy.Limits.Lines = 100
	r.apply(cc)
	if got := ask(); got != 200 {
		t.Errorf("with a higher limit: %d", got)
	}
	cc = clone(cc)
	cc.Proxy.Timeouts.Idle = soon
	r.apply(cc)
	if got := ask(); got != 200 || accepted() != before {
		t.Errorf("%d, %v connections", got, accepted())
	}
	r.wait("it has been idle for long enough", func() bool { return r.b.countOpen() == 0 })
}
