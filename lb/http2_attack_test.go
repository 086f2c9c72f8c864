package lb

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestHTTP2Attacks: each ends with the attacker's connection, after a bounded number of frames and of requests to the instance, and another client does not
// notice.
func TestHTTP2Attacks(t *testing.T) {
	var a *app
	for name, c := range map[string]struct {
		frame func(f *framed, i int) // the i-th of the attack
		hits  int                    // requests that the instance may get at most
	}{
		"rapid reset": {func(f *framed, i int) {
			f.ask(uint32(2*i+1), true, get("/")...)
			f.WriteRSTStream(uint32(2*i+1), http2.ErrCodeCancel)
		}, 600},
		"SETTINGS":      {func(f *framed, _ int) { f.WriteSettings() }, 0},
		"PING":          {func(f *framed, _ int) { f.WritePing(false, [8]byte{}) }, 0},
		"WINDOW_UPDATE": {func(f *framed, _ int) { f.WriteWindowUpdate(0, 1) }, 0},
		"PRIORITY":      {func(f *framed, i int) { f.WritePriority(uint32(2*i+1), http2.PriorityParam{Weight: 1}) }, 0},
		"empty DATA": {func(f *framed, i int) {
			if i == 0 {
				f.ask(1, false, ":method", "POST", ":scheme", "http", ":path", "/", ":authority", "h")
			}
			f.WriteData(1, false, nil)
		}, 1},
		"CONTINUATION": {func(f *framed, i int) {
			if i == 0 {
				f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: f.block(get("/")...)})
			}
			f.WriteContinuation(1, false, nil)
		}, 0},
		"HPACK bomb in two frames": {func(f *framed, i int) {
			block := bomb(f)
			f.WriteHeaders(http2.HeadersFrameParam{StreamID: uint32(2*i + 1), BlockFragment: block, EndStream: true})
			f.WriteContinuation(uint32(2*i+1), true, block)
		}, 0},
		"unknown frames": {func(f *framed, _ int) { f.WriteRawFrame(0x99, 0, 0, make([]byte, 100)) }, 0},
		"WINDOW_UPDATE that many wait for": {func(f *framed, i int) {
			if i == 0 {
				f.ask(1, true, get("/n/100000")...) // it uses the window of the connection up
				manyWait(f, a)
			}
			f.WriteWindowUpdate(0, 1)
		}, 250},
		"SETTINGS that many wait for": {func(f *framed, i int) {
			if i == 0 {
				f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
				f.WriteWindowUpdate(0, 1<<30)
				manyWait(f, a)
			}
			f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(i)})
		}, 250},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.HasSuffix(name, "many wait for") && netOnly {
				return // net/http's half knows nothing of windows
			}
			a = newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
				if io.Copy(io.Discard, r.Body); strings.HasPrefix(r.URL.Path, "/n/") {
					bodies(w, r)
				}
			})
			r := newRig(t, http2Conf(of(a)...))
			other := newHTTP2Client(t)
			if got := other.get(r.url("/")); got.StatusCode != 200 {
				t.Fatal(got.Status)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			f := dialFramed(t, r)
			cut, got := make(chan struct{}), int64(0)
			go func() { // it reads what it is told, so that nothing is held up for that
				defer close(cut)
				got, _ = io.Copy(io.Discard, f.Conn)
			}()
			hits, sent := a.count(), attack(f, c.frame, cut)
			runtime.ReadMemStats(&after)
			if sent == 0 {
				t.Fatal("the connection was never ended")
			}
			most := int64(1 << 20)
			if strings.HasPrefix(name, "SETTINGS that") {
				most = 5 << 20 // 250 DATA for each that may be sent
			}
			if got > most {
				t.Errorf("%d bytes were sent to it: what its frames let out has paid for them", got)
			}
			if n := a.count() - hits; n > c.hits {
				t.Errorf("the instance got %d requests", n)
			}
			if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
				t.Errorf("%d MiB more are in use", grown>>20)
			}
			if got := other.get(r.url("/")); got.StatusCode != 200 {
				t.Errorf("another client: %s", got.Status)
			}
			r.wait("the connection is gone", func() bool { return r.b.countOpen() == 1 })
			if !strings.Contains(name, "bomb") { // x/net does not count that one
				r.wait("it is counted", func() bool { return metric(t, r, "holdfast_protocol_violations_total") > 0 })
			}
			t.Logf("%d frames were sent before the end, and %d bytes came", sent, got)
		})
	}
}

// manyWait asks for as much as may be at once, and waits until nothing moves any more.
func manyWait(f *framed, a *app) {
	for i := range uint32(249) {
		f.ask(3+2*i, true, get("/n/100000")...)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); a.count() < 249 && time.Now().Before(end); {
		<-tick.C
	}
	for range 30 { // what a few of them have not reached yet makes the attack weaker, and the test no less right
		<-tick.C
	}
}

// attack sends until the connection is ended, and gives how many that were; 0 when it never is.
func attack(f *framed, frame func(*framed, int), cut chan struct{}) int {
	end := time.Now().Add(15 * time.Second)
	for i := 0; time.Now().Before(end); i++ {
		frame(f, i)
		select {
		case <-cut:
			return i + 1
		default:
		}
		if i > 1_000_000 {
			return 0
		}
	}
	return 0
}

// TestHTTP2SlowHead: a header block that does not end is given up, whatever else goes on.
func TestHTTP2SlowHead(t *testing.T) {
	a := newApp(t, "i1", nil)
	c := http2Conf(of(a)...)
	c.Proxy.Timeouts.Head = config.Duration(2 * time.Second)
	r := newRig(t, c)
	f := dialFramed(t, r)
	f.ask(1, true, get("/")...)
	if got := f.outcomeOf(1); got != "200" {
		t.Fatal(got)
	}
	f.WriteHeaders(http2.HeadersFrameParam{StreamID: 3, BlockFragment: f.block(get("/")...)})
	if got := f.outcomeOf(3); got != "goaway ENHANCE_YOUR_CALM" {
		t.Fatal(got)
	}
}

// TestHTTP2ManyConnectionsWithoutARequest are ended when their time is over, and leave nothing.
func TestHTTP2ManyConnectionsWithoutARequest(t *testing.T) {
	a := newApp(t, "i1", nil)
	c := http2Conf(of(a)...)
	c.Proxy.Timeouts.Idle = config.Duration(200 * time.Millisecond)
	r := newRig(t, c)
	var all sync.WaitGroup
	for range 50 {
		f := dialFramed(t, r)
		all.Go(func() { io.Copy(io.Discard, f.Conn) })
	}
	all.Wait()
	r.wait("none is left", func() bool { return r.b.countOpen() == 0 })
}

// bomb is a header block of 16 KiB that says a field of 4 KB, which is in the table after the first time, thousands of times: 48 MB of fields.
func bomb(f *framed) []byte {
	block := f.block(get("/", "x", strings.Repeat("a", 4000))...)
	return append(block, bytes.Repeat([]byte{0x80 | 62}, 12000)...)
}

// TestHTTP2Bombs that fit into a frame: none is unpacked. The loops end the connection, net/http answers each.
func TestHTTP2Bombs(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, http2Conf(of(a)...))
	other := newHTTP2Client(t)
	if got := other.get(r.url("/")); got.StatusCode != 200 {
		t.Fatal(got.Status)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const bombs = 100
	f, id := dialFramed(t, r), uint32(1)
	for range bombs {
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: bomb(f), EndHeaders: true, EndStream: true})
		switch got := f.outcomeOf(id); got {
		case "431":
			id += 2
		case "goaway ENHANCE_YOUR_CALM":
			f.Conn.Close()
			f, id = dialFramed(t, r), 1
		default:
			t.Fatal(got)
		}
	}
	runtime.ReadMemStats(&after)
	if n := (after.TotalAlloc - before.TotalAlloc) / bombs; n > 1<<20 {
		t.Errorf("each has cost %d KiB", n>>10)
	}
	if a.count() > 1 {
		t.Error("one has reached the instance")
	}
	if r.onLoops() > 0 && metric(t, r, "holdfast_protocol_violations_total") != bombs {
		t.Errorf("%v of %d bombs are counted", metric(t, r, "holdfast_protocol_violations_total"), bombs)
	}
}

// TestHTTP2ListsThatAreTooLong by some cookies are no attack: each gets its 431, and the connection goes on.
func TestHTTP2ListsThatAreTooLong(t *testing.T) {
	a := newApp(t, "i1", nil)
	r := newRig(t, http2Conf(of(a)...))
	f := dialFramed(t, r)
	for id := uint32(1); id < 20; id += 4 {
		block := append(f.block(get("/", "x", strings.Repeat("a", 4000))...), bytes.Repeat([]byte{0x80 | 62}, 30)...)
		f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block, EndHeaders: true, EndStream: true})
		if got := f.outcomeOf(id); got != "431" {
			t.Fatal(got)
		}
		f.ask(id+2, true, get("/")...)
		if got := f.outcomeOf(id + 2); got != "200" {
			t.Fatalf("the next request: %s", got)
		}
	}
	if a.count() != 5 {
		t.Errorf("%d requests at the instance", a.count())
	}
}

// TestHTTP2ListsBeyondASmallBound: where little is taken, what would be usual elsewhere gets its 431 as well, and so does a target alone.
func TestHTTP2ListsBeyondASmallBound(t *testing.T) {
	a := newApp(t, "i1", nil)
	c := http2Conf(of(a)...)
	c.Proxy.Limits.Head = 4 << 10
	r := newRig(t, c)
	f, id := dialFramed(t, r), uint32(1)
	some := strings.Repeat("~", 3_500)
	for i, fields := range [][]string{get("/", "x", some, "y", some, "z", some, "u", some), get("/" + some + some)} {
		if i == 1 && netOnly {
			break // x/net takes no string that is longer than all may be
		}
		f.ask(id, true, fields...)
		if got := f.outcomeOf(id); got != "431" {
			t.Fatalf("%.60v: %s", fields, got)
		}
		f.ask(id+2, true, get("/")...)
		if got := f.outcomeOf(id + 2); got != "200" {
			t.Fatalf("the next request: %s", got)
		}
		id += 4
	}
	if n := int(id / 4); a.count() != n {
		t.Errorf("%d requests at the instance, want %d", a.count(), n)
	}
}
