package lb

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// tripOf makes the trip that a loop would show for the bytes of a request.
func tripOf(t testing.TB, r *rig, request string) *h1.Trip {
	t.Helper()
	p := wire.NewParser(wire.Limits{})
	if done, bad := p.Parse([]byte(request)); !done {
		t.Fatalf("%q: %v", request, bad)
	}
	conn := &h1.Conn{Remote: netip.MustParseAddrPort("192.0.2.7:4711")}
	r.b.mu.Lock()
	for _, f := range r.b.fronts {
		conn.Tag = &caller{front: f, local: netip.MustParseAddr("127.0.0.1")}
	}
	r.b.mu.Unlock()
	return &h1.Trip{Conn: conn, Head: &p.Head, Buf: []byte(request), Whole: p.Head.Framing == wire.FramingNone}
}

// knownSession records a session on the first instance and gives the line of its cookie.
func knownSession(t testing.TB, r *rig) string {
	t.Helper()
	keys, err := r.b.keys()
	if err != nil {
		t.Fatal(err)
	}
	op := opFor(1)
	r.g.with(func() { r.g.applyOp(op) })
	return "Cookie: HOLDFAST=" + keys.seal(Cookie{Epoch: 1, Index: 1, Instance: 1, Key: op.Key}, scopeOf("c1", "", "/")) + "\r\n"
}

func TestDirectTakesWhatNeedsNothing(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a, b)...))
	cookie := knownSession(t, r)
	for _, c := range []struct {
		name, request string
		want          h1.Verdict
	}{
		{"assigned", "GET / HTTP/1.1\r\nHost: h\r\n" + cookie + "\r\n", h1.Forward},
		{"assigned, HTTP/1.0", "GET / HTTP/1.0\r\nHost: h\r\n" + cookie + "\r\n", h1.Forward},
		{"assigned, with a body", "POST /x?y HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n" + cookie + "\r\nz", h1.Forward},
		{"new", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", h1.Forward},
		{"forged", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Replace(cookie, "=A", "=B", 1) + "\r\n", h1.Away},
		{"encoded path", "GET /%61 HTTP/1.1\r\nHost: h\r\n" + cookie + "\r\n", h1.Away},
		{"path parameter", "GET /a;b=c HTTP/1.1\r\nHost: h\r\n" + cookie + "\r\n", h1.Away},
		{"no host", "GET / HTTP/1.0\r\n" + cookie + "\r\n", h1.Away},
	} {
		trip := tripOf(t, r, c.request)
		d := &director{r.b}
		got := d.Direct(trip)
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		if got == h1.Away {
			continue
		}
		if n := r.status("c1", "i1").InFlight + r.status("c1", "i2").InFlight; n != 1 {
			t.Errorf("%s: %d in flight", c.name, n)
		}
		if want := strings.TrimPrefix(a.URL, "http://"); c.name != "new" && trip.To.Addr().String() != want {
			t.Errorf("%s: to %s, want %s", c.name, trip.To.Addr(), want)
		}
		trip.Status = 200
		d.Done(trip)
		if n := r.status("c1", "i1").InFlight + r.status("c1", "i2").InFlight; n != 0 {
			t.Errorf("%s: %d in flight afterwards", c.name, n)
		}
	}
	if got := metric(t, r, "holdfast_engine_requests_total", "engine=loop"); got != 4 {
		t.Errorf("%v requests of the loops", got)
	}
	if line := r.accessLog(); strings.Count(line, "\n") != 4 || !strings.Contains(line, `"client":"192.0.2.7"`) {
		t.Error(line)
	}
}

// A path that the loops take means the same to both engines.
func FuzzPlainPath(f *testing.F) {
	for _, s := range []string{"/", "/a/b?c", "/a//b", "/a/./b", "/.", "/a.b/", "/ä", "/a;b", "/%41", "/[x]|y", "/a/..", "*", "", "/:a", "//h/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		p := wire.NewParser(wire.Limits{})
		if done, _ := p.Parse([]byte("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n")); !done {
			return
		}
		path, ok := plainPath(target)
		if !ok {
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatalf("%q: %v", target, err)
		}
		if want := routingPath(u); path != want {
			t.Errorf("%q: %q, net/http's way %q", target, path, want)
		}
	})
}

// BenchmarkDirect is what the loops add to an assigned request besides moving its bytes.
func BenchmarkDirect(b *testing.B) {
	r := newRig(b, conf(inst("i1", "http://127.0.0.1:1")))
	eachHealthy(r)
	trip := tripOf(b, r, "GET /shop/cart?item=7 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: bench\r\nAccept: */*\r\n"+knownSession(b, r)+"\r\n")
	answer := "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1024\r\n\r\n"
	trip.Answer, trip.AnswerBuf = answerOf(b, answer), []byte(answer)
	d := &director{r.b}
	b.ReportAllocs()
	for b.Loop() {
		trip.Edit.Reset()
		trip.Reply.Reset()
		if d.Direct(trip) != h1.Forward || d.Answer(trip) != h1.Forward {
			b.Fatal("not forwarded")
		}
		trip.Status = 200
		d.Done(trip)
	}
}

// eachHealthy takes every instance for available.
func eachHealthy(r *rig) {
	r.b.eachEndpoint(func(e *endpoint) bool {
		e.health.isUp.Store(true)
		return true
	})
}

func answerOf(t testing.TB, text string) *wire.Answer {
	t.Helper()
	p := wire.NewAnswerParser(0)
	p.Reset(false)
	if done, bad := p.Parse([]byte(text)); !done {
		t.Fatalf("%q: %v", text, bad)
	}
	return &p.Answer
}
