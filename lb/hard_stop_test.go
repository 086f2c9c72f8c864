package lb

import (
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// heldApp answers nothing before it is let go; a path that ends in /begun gets the beginning of a response.
func heldApp(t *testing.T, name string) (a *app, had *atomic.Int32) {
	release, had := make(chan struct{}), new(atomic.Int32)
	a = newApp(t, name, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/ws") {
			wsEcho(w, r)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/begun") {
			io.WriteString(w, strings.Repeat("x", 64<<10))
			w.(http.Flusher).Flush()
		}
		had.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	t.Cleanup(func() { close(release) }) // before the instance is closed
	return a, had
}

// ended gathers what Options.Ended is told.
type ended struct {
	mu   sync.Mutex
	list []string
}

func (e *ended) add(cluster, instance string, n int, after time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, fmt.Sprintf("%s/%s %d after %v", cluster, instance, n, after))
}

func (e *ended) all() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return strings.Join(e.list, "; ")
}

// hardStopConf has two instances; the first is stopped by stop.
func hardStopConf(hard time.Duration, instances ...config.Instance) *config.Config {
	c := conf(instances...)
	c.Clusters[0].HardTimeout = config.Duration(hard)
	c.Listeners[0].HTTP2 = true
	return c
}

// stopFirst disables the first instance, and ends its quiesce.
func (r *rig) stopFirst(c *config.Config) {
	r.t.Helper()
	off := clone(c)
	off.Clusters[0].Instances[0].Enabled = false
	r.apply(off)
	r.g.endQuiesces()
}

// TestHardTimeout: SUN-52. What a stopped instance still has in flight is ended, on both engines, in HTTP/1.1 and HTTP/2; none of it reaches another instance.
func TestHardTimeout(t *testing.T) {
	for name, net := range map[string]bool{"loops": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			a, had := heldApp(t, "i1")
			b := newApp(t, "i2", nil)
			cc := hardStopConf(50*time.Millisecond, of(a, b)...)
			cc.Clusters[0].Health.Passive = []string{"connect", "reset", "timeout", "5xx"}
			off := clone(cc)
			off.Clusters[0].Instances[1].Enabled = false
			told := &ended{}
			r := newRigOn(t, newFakeGroup(off), Options{NetOnly: net, Ended: told.add})
			silent, begun, socket := dialRaw(t, r), dialRaw(t, r), dialRaw(t, r)
			silent.write("GET /silent HTTP/1.1\r\nHost: h\r\n\r\n")
			begun.write("GET /begun HTTP/1.1\r\nHost: h\r\n\r\n")
			socket.write(wsRequest)
			if resp := socket.response(); resp.StatusCode != 101 {
				t.Fatal(resp.StatusCode)
			}
			first := begun.response()
			if first.StatusCode != 200 {
				t.Fatal(first.StatusCode)
			}
			two := dialFramed(t, r)
			two.ask(1, true, get("/two")...)
			r.wait("all are with the instance", func() bool { return had.Load() == 3 && r.status("c1", "i1").InFlight == 4 })
			r.stopFirst(cc)
			resp := silent.response()
			if page, _ := io.ReadAll(resp.Body); resp.StatusCode != 503 || !resp.Close || !strings.Contains(string(page), "has been stopped") {
				t.Errorf("%d, last: %v, %s", resp.StatusCode, resp.Close, page)
			}
			silent.ended()
			if got := two.outcomeOf(1); got != "503" {
				t.Errorf("HTTP/2: %s", got)
			}
			if _, err := io.ReadAll(first.Body); err == nil {
				t.Error("a response that was cut off looks whole")
			}
			io.ReadAll(socket.in) // ends
			r.wait("nothing is in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
			r.wait("it is told", func() bool { return told.all() == "c1/i1 4 after 50ms" })
			if n := metric(t, r, "holdfast_in_flight_ended_total", "cluster=c1", "instance=i1"); n != 4 {
				t.Errorf("%v are counted", n)
			}
			if !strings.Contains(r.logs.String(), "what a stopped instance still had in flight has been ended") {
				t.Error("it is not logged")
			}
			r.wait("the access log says why", func() bool {
				return strings.Count(r.accessLog(), `"error":"no instance is available: the instance was stopped`) == 4
			})
			if b.count() != 0 {
				t.Error("another instance has got one of them")
			}
			if r.status("c1", "i1").Health != "up" {
				t.Error("the instance is blamed")
			}
			two.ask(3, true, get("/next")...)
			if got := two.outcomeOf(3); got != "200" {
				t.Errorf("the connection of HTTP/2 does not go on: %s", got)
			}
		})
	}
}

// TestHardTimeoutOfStalledClients: who takes nothing of a response holds no instance either.
func TestHardTimeoutOfStalledClients(t *testing.T) {
	for name, net := range map[string]bool{"loops": false, "net/http": true} {
		t.Run(name, func(t *testing.T) {
			var written atomic.Int64
			noise := make([]byte, 64<<10)
			rand.Read(noise)
			a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "text/plain")
				for {
					n, err := w.Write(noise)
					written.Add(int64(n))
					if err != nil {
						return
					}
				}
			})
			cc := hardStopConf(50*time.Millisecond, of(a, newApp(t, "i2", nil))...)
			cc.Clusters[0].Modules[0].Compression = new(config.DefaultCompression())
			off := clone(cc)
			off.Clusters[0].Instances[1].Enabled = false
			r := newRigOn(t, newFakeGroup(off), Options{NetOnly: net})
			one, zipped, two := dialRaw(t, r), dialRaw(t, r), dialFramed(t, r)
			one.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			zipped.write("GET / HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n")
			two.ask(1, true, get("/")...)
			r.wait("all are with the instance", func() bool { return r.status("c1", "i1").InFlight == 3 })
			var sent int64
			r.wait("nobody takes any more of it", func() bool {
				before := sent
				sent = written.Load()
				return sent > 0 && sent == before
			})
			r.stopFirst(cc)
			r.wait("nothing is in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })
			if r.status("c1", "i1").Health != "up" {
				t.Error("the instance is blamed")
			}
		})
	}
}

// TestHardTimeoutOfStreams: connections of tcp listeners are ended too.
func TestHardTimeoutOfStreams(t *testing.T) {
	a, b := newStreamApp(t, "i1", nil), newStreamApp(t, "i2", nil)
	cc := streamConf(a, b)
	cc.Clusters[0].Instances[0].HardTimeout = config.Duration(30 * time.Millisecond)
	told := &ended{}
	r := newRigOn(t, newFakeGroup(cc), Options{Ended: told.add})
	first, second := r.connect("127.0.0.10"), r.connect("127.0.0.11")
	if first.line() == "i2" {
		first, second = second, first
		first.line()
	} else {
		second.line()
	}
	r.stopFirst(cc)
	if got := first.line(); !refused(got) {
		t.Error(got)
	}
	second.echo("goes on")
	r.wait("it is told", func() bool { return told.all() == "c1/i1 1 after 30ms" })
	r.wait("the access log says why", func() bool {
		return strings.Contains(r.accessLog(), "the time for what it still had in flight is over")
	})
}

// TestHardTimeoutOfARemovedInstance: it counts from the removal.
func TestHardTimeoutOfARemovedInstance(t *testing.T) {
	a, had := heldApp(t, "i1")
	b := newApp(t, "i2", nil)
	cc := hardStopConf(50*time.Millisecond, of(a)...)
	r := newRig(t, cc)
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	r.wait("it is with the instance", func() bool { return had.Load() == 1 })
	r.apply(hardStopConf(50*time.Millisecond, of(b)...))
	if resp := c.response(); resp.StatusCode != 503 {
		t.Error(resp.StatusCode)
	}
}

// TestNoHardTimeout: without one, and for an instance that serves again in time, nothing is ended.
func TestNoHardTimeout(t *testing.T) {
	a, had := heldApp(t, "i1")
	b, hadB := heldApp(t, "i2")
	cc := hardStopConf(0, of(a, b)...)
	cc.Clusters[0].Instances[1].HardTimeout = config.Duration(time.Hour)
	told := &ended{}
	r := newRigOn(t, newFakeGroup(cc), Options{Ended: told.add})
	for range 2 {
		dialRaw(t, r).write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	}
	r.wait("both are with their instances", func() bool { return had.Load() == 1 && hadB.Load() == 1 })
	off := clone(cc)
	off.Clusters[0].Instances[0].Enabled, off.Clusters[0].Instances[1].Enabled = false, false
	r.apply(off)
	r.g.endQuiesces()
	hard := func(name string) hardStop {
		r.b.mu.Lock()
		defer r.b.mu.Unlock()
		return r.b.clusters["c1"].instances[name].hard
	}
	r.wait("they are stopped", func() bool { return !hard("i1").since.IsZero() && !hard("i2").since.IsZero() })
	if hard("i1").timer != nil || hard("i2").timer == nil {
		t.Error("the time is wrong")
	}
	r.apply(cc)
	r.wait("they serve again", func() bool { return hard("i1").since.IsZero() && hard("i2").timer == nil })
	if told.all() != "" || r.status("c1", "i1").InFlight != 1 || r.status("c1", "i2").InFlight != 1 {
		t.Error(told.all())
	}
}

// TestHardStopCountsFromTheStop: another limit counts from when the instance was stopped, and it ends once.
func TestHardStopCountsFromTheStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var h hardStop
		ends := make(chan time.Duration, 9)
		began := time.Now()
		end := func() { ends <- time.Since(began) }
		stopped := func(limit time.Duration) { h.stopped(limit, end) }
		stopped(time.Hour)
		time.Sleep(10 * time.Minute)
		stopped(time.Hour) // nothing new
		stopped(20 * time.Minute)
		time.Sleep(9 * time.Minute)
		stopped(0) // none at all
		time.Sleep(time.Hour)
		if len(ends) != 0 {
			t.Fatal(<-ends)
		}
		stopped(2 * time.Hour)
		time.Sleep(3 * time.Hour)
		if at := <-ends; at != 2*time.Hour || len(ends) != 0 {
			t.Fatal(at)
		}
		h.over = true
		stopped(5 * time.Hour)
		h.serves(time.Minute)
		time.Sleep(24 * time.Hour)
		if len(ends) != 0 || !h.since.IsZero() || h.limit != time.Minute {
			t.Fatal(len(ends), h)
		}
	})
}

// TestEndedRequestsGoNowhere: one that has been ended is taken by no instance, and one that has left cannot be ended any more.
func TestEndedRequestsGoNowhere(t *testing.T) {
	one, two := &instanceState{}, &instanceState{}
	xs := []*exchange{{}, {}, {}}
	for _, x := range xs {
		if err := x.begins(one); err != nil {
			t.Fatal(err)
		}
	}
	xs[1].leaves(one)
	if err := xs[1].begins(two); err != nil {
		t.Fatal(err)
	}
	by := 0
	xs[0].endBy(func() { by++ })
	if xs[1].end(one) || !xs[0].end(one) || xs[0].end(one) || by != 1 {
		t.Errorf("ended %d times", by)
	}
	xs[0].endBy(func() { by += 10 })
	if by != 11 {
		t.Error("what comes too late is not ended at once")
	}
	if got := len(one.roster.list()); got != 2 {
		t.Errorf("%d are on the roster", got)
	}
	xs[0].leaves(one)
	xs[2].leaves(one)
	if err := xs[0].begins(two); err != errEnded {
		t.Error(err)
	}
	if len(one.roster.list()) != 0 || len(two.roster.list()) != 1 {
		t.Error("the rosters are wrong")
	}
}
