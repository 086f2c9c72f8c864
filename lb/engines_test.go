package lb

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// byEngine gives how many requests each engine has had.
func byEngine(t testing.TB, r *rig) (loop, net int) {
	return int(metric(t, r, "holdfast_engine_requests_total", "engine=loop")), int(metric(t, r, "holdfast_engine_requests_total", "engine=net"))
}

// wantEngines compares once all requests have been counted; on net/http alone all are its own.
func wantEngines(t testing.TB, r *rig, loop, net int) {
	t.Helper()
	if netOnly {
		loop, net = 0, loop+net
	}
	eventually(t, "all requests are counted", func() bool { l, n := byEngine(t, r); return l+n >= loop+net })
	if l, n := byEngine(t, r); l != loop || n != net {
		t.Errorf("%d requests of the loops and %d of net/http, want %d and %d", l, n, loop, net)
	}
}

// TestAssignedRequestsTakeTheLoop: so does the first request of a session, whose response waits for its record.
func TestAssignedRequestsTakeTheLoop(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	c := newClient(t)
	first := c.get(r.url("/"))
	for range 20 {
		if got := c.get(r.url("/some/where?with=query")); got.body != first.body || got.StatusCode != 200 || got.Header.Get("Date") == "" {
			t.Fatal(got.Status, got.body)
		}
	}
	wantEngines(t, r, 21, 0)
	if n := r.b.countOpen(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// countOpen is the number of clients' connections.
func (b *Balancer) countOpen() (n int) {
	b.conns.mu.Lock()
	defer b.conns.mu.Unlock()
	for _, local := range b.conns.open {
		n += len(local.callers)
	}
	return n
}

// TestPipelineThroughBothEngines: requests that come at once are answered in order, whichever engine has which of them.
func TestPipelineThroughBothEngines(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %s", r.Method, r.URL.EscapedPath(), body)
	})
	r := newRigOn(t, newFakeGroup(conf(of(a)...)), Options{Loops: 2})
	cookie := "Cookie: HOLDFAST=" + cookieNamed(newClient(t).get(r.url("/")), "HOLDFAST").Value + "\r\n"
	var want []string
	var all strings.Builder
	for i := range 60 {
		var request, answer string
		switch i % 4 {
		case 0:
			request, answer = fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i, cookie), fmt.Sprintf("GET /%d ", i)
		case 1:
			request, answer = fmt.Sprintf("GET /%%61/%d HTTP/1.1\r\nHost: h\r\n%s\r\n", i, cookie), fmt.Sprintf("GET /%%61/%d ", i)
		case 2:
			request, answer = fmt.Sprintf("POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n%s\r\nabc", i, cookie), fmt.Sprintf("POST /%d abc", i)
		case 3:
			request, answer = fmt.Sprintf("PUT /%%61/%d HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n%s\r\n2\r\nxy\r\n0\r\n\r\n", i, cookie), fmt.Sprintf("PUT /%%61/%d xy", i)
		}
		all.WriteString(request)
		want = append(want, answer)
	}
	c := dialRaw(t, r)
	go c.Conn.Write([]byte(all.String()))
	for i, w := range want {
		resp := c.response()
		body, err := io.ReadAll(resp.Body)
		if err != nil || string(body) != w {
			t.Fatalf("answer %d is %q (%v), want %q", i, body, err, w)
		}
	}
	if loop, _ := byEngine(t, r); loop == 0 != netOnly {
		t.Errorf("%d requests of the loops", loop)
	}
}

// TestHeadInPiecesOnTheWayBack: what has come of the next request when net/http lets go of the connection is not lost.
func TestHeadInPiecesOnTheWayBack(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) })
	r := newRigOn(t, newFakeGroup(conf(of(a)...)), Options{Loops: 2})
	cookie := "Cookie: HOLDFAST=" + cookieNamed(newClient(t).get(r.url("/")), "HOLDFAST").Value + "\r\n"
	c := dialRaw(t, r)
	for i := range 30 {
		next := fmt.Sprintf("GET /next HTTP/1.1\r\nHost: h\r\n%s\r\n", cookie)
		cut := 1 + i*(len(next)-2)/30
		c.write(fmt.Sprintf("GET /%%61 HTTP/1.1\r\nHost: h\r\n%s\r\n%s", cookie, next[:cut]))
		for _, want := range []string{"/a", "/next"} {
			resp := c.response()
			if body, err := io.ReadAll(resp.Body); err != nil || string(body) != want {
				t.Fatalf("cut at %d: %q, %v", cut, body, err)
			}
			if want == "/a" {
				c.write(next[cut:])
			}
		}
	}
}

// TestDrainsMeetConnectionsOnTheirWay: connections change the engine all the time while an address is drained and is not; none is forgotten, none fails.
func TestDrainsMeetConnectionsOnTheirWay(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRigOn(t, newFakeGroup(conf(of(a)...)), Options{Loops: 2})
	cookie := "Cookie: HOLDFAST=" + cookieNamed(newClient(t).get(r.url("/")), "HOLDFAST").Value + "\r\n"
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	var over atomic.Bool
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for !over.Load() {
				if err := alternate(r.addr(), cookie, 50+i); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for range 200 {
		r.b.DrainAddresses(local)
		r.b.OpenConnections(local)
		r.b.DrainAddresses(nil)
	}
	over.Store(true)
	all.Wait()
	r.b.DrainAddresses(local)
	eventually(t, "no connection is left", func() bool { total, _ := r.b.OpenConnections(local); return total == 0 })
	if n := r.b.conns.ending.Load(); n != 0 {
		t.Errorf("%d connections are still to end", n)
	}
}

// alternate sends requests for one engine and the other in turn on a connection, until a response says that it is the last one.
func alternate(addr, cookie string, requests int) error {
	h := &rawConn{}
	conn, err := dialPlainly(addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	h.Conn, h.in = conn, bufio.NewReader(conn)
	for i := range requests {
		path := []string{"/plain", "/%61"}[i%2]
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", path, cookie); err != nil {
			return err
		}
		resp, err := http.ReadResponse(h.in, nil)
		if err != nil {
			return fmt.Errorf("request %d: %w", i, err)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "i1" {
			return fmt.Errorf("request %d: %q, %w", i, body, err)
		}
		if resp.Close {
			return nil
		}
	}
	return nil
}

// TestCutReachesConnectionsOnTheirWay: who cuts an address finds every connection, wherever it is.
func TestCutReachesConnectionsOnTheirWay(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRigOn(t, newFakeGroup(conf(of(a)...)), Options{Loops: 2})
	cookie := "Cookie: HOLDFAST=" + cookieNamed(newClient(t).get(r.url("/")), "HOLDFAST").Value + "\r\n"
	local := []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	for range 50 {
		var begun atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				begun.Add(1)
				for alternate(r.addr(), cookie, 1000) != nil { // ends with an error when it is cut
					return
				}
			})
		}
		eventually(t, "connections", func() bool { return begun.Load() == 4 && r.b.countOpen() >= 4 })
		<-time.After(time.Millisecond)
		r.b.CutAddresses(local)
		all.Wait()
		eventually(t, "none is left", func() bool { return r.b.countOpen() == 0 || func() bool { r.b.CutAddresses(local); return false }() })
	}
}
