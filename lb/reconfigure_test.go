package lb

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

func TestConfigurationChangeUnderLoadClosesAndMovesNothing(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	base := conf(of(a, b)...)
	r := newRig(t, base)
	var stop atomic.Bool
	var requests atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		c := dialRaw(t, r) // one connection for all: a closed one would show
		clients.Go(func() {
			cookie, on := "", ""
			for !stop.Load() {
				if _, err := fmt.Fprintf(c.Conn, "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", cookie); err != nil {
					t.Errorf("write: %v", err)
					return
				}
				resp, err := http.ReadResponse(c.in, nil)
				if err != nil {
					t.Errorf("connection lost: %v", err)
					return
				}
				body, _ := io.ReadAll(resp.Body)
				if k := cookieNamed(reply{resp, ""}, "HOLDFAST"); k != nil {
					cookie = "Cookie: HOLDFAST=" + k.Value + "\r\n"
				}
				if on == "" {
					on = string(body)
				}
				if string(body) != on || resp.StatusCode != 200 {
					t.Errorf("%d, moved from %s to %s", resp.StatusCode, on, body)
					return
				}
				requests.Add(1)
			}
		})
	}
	for i := range 30 { // weights, another cluster, another module, health settings, a renamed listener
		c := clone(base)
		c.Clusters[0].Instances[0].Weight = 1 + i%5
		c.Clusters[0].Health.Interval = config.Duration(time.Duration(1+i%3) * time.Minute)
		c.Listeners[0].Name = []string{"web", "front"}[i%2]
		if i%2 == 0 {
			other := clone(base).Clusters[0]
			other.Name, other.Modules[0].ContextRoot = "c2", "/other"
			c.Clusters = append(c.Clusters, other)
		}
		want := requests.Load() + 20
		r.apply(c)
		r.wait("traffic", func() bool { return requests.Load() >= want || t.Failed() })
	}
	stop.Store(true)
	clients.Wait()
	if got := len(r.g.moves()); got != 0 {
		t.Errorf("%d sessions moved", got)
	}
}

func TestUnrelatedChangeResetsNothing(t *testing.T) {
	dead := deadURL(t)
	b, c := newApp(t, "i2", nil), newApp(t, "i3", nil)
	cc := conf(inst("i1", dead), inst("i2", b.URL), inst("i3", c.URL))
	cc.Clusters[0].Health.Interval = config.Duration(time.Hour)
	r := newRig(t, cc)
	r.wait("i1 down", func() bool { return r.status("c1", "i1").Health == "down" })
	before := r.status("c1", "i1")
	turn := r.b.clusters["c1"].turn.Load()
	newClient(t).get(r.url("/"))
	again := clone(cc)
	again.Clusters[0].Modules = append(again.Clusters[0].Modules, config.Module{ContextRoot: "/new", Enabled: true})
	r.apply(again)
	if after := r.status("c1", "i1"); after != before {
		t.Errorf("%+v, was %+v", after, before)
	}
	if got := r.b.clusters["c1"].turn.Load(); got != turn+1 {
		t.Errorf("round robin is at %d, want %d", got, turn+1)
	}
	r.wait("the counter has gone on", func() bool { return metric(t, r, "holdfast_requests_total") == 1 })
	moved := clone(again) // a new address is a new listener with a health of its own
	moved.Clusters[0].Instances[0].Listeners = []string{b.URL}
	r.apply(moved)
	if got := r.status("c1", "i1"); got.Health != "up" {
		t.Errorf("%+v", got)
	}
}

func TestIdleConnectionsToInstancesSurviveAChange(t *testing.T) {
	conns := make(map[string]bool)
	var mu sync.Mutex
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		conns[r.RemoteAddr] = true
		mu.Unlock()
	})
	cc := conf(of(a)...)
	r := newRig(t, cc)
	for i := range 5 {
		newClient(t).get(r.url("/"))
		c := clone(cc)
		c.Clusters[0].Instances[0].Weight = 2 + i
		r.apply(c)
	}
	// One would do, but a client may be back before the last connection is in the pool again. A change that closes them makes five.
	if len(conns) > 2 {
		t.Errorf("%d connections to the instance for 5 requests", len(conns))
	}
}

func TestRemovedClusterAndAddedOne(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	r := newRig(t, conf(of(a)...))
	newClient(t).get(r.url("/"))
	other := conf(of(b)...)
	other.Clusters[0].Name = "c2"
	r.apply(other)
	if got := newClient(t).get(r.url("/")); got.body != "i2" {
		t.Fatal(got.body)
	}
	if got := metric(t, r, "holdfast_requests_total", "cluster=c1"); got != 0 {
		t.Error("counters of a removed cluster are still there")
	}
	empty := clone(other)
	empty.Clusters = nil
	r.apply(empty)
	if got := newClient(t).get(r.url("/")); got.StatusCode != 404 {
		t.Fatal(got.StatusCode)
	}
}

// A record may name an instance of a revision that is applied here but not yet in force.
func TestAssignmentNewerThanTheRouting(t *testing.T) {
	a, b := newApp(t, "i1", nil), newApp(t, "i2", nil)
	cc := conf(of(a)...)
	g := newFakeGroup(cc)
	r := newRigOn(t, g, Options{})
	cl := newClient(t)
	cl.get(r.url("/"))
	// the new revision, without telling anybody
	g.with(func() {
		g.ids[fsm.InstanceRef{Cluster: "c1", Instance: "i2"}] = 2
		g.index++
		g.rev = &fsm.Revision{Number: g.rev.Number + 1, Index: g.index, Config: conf(of(a, b)...)}
		g.oper = &fsm.Operating{Index: g.index, Revision: g.rev, Config: g.rev.Config}
		for k, v := range g.table {
			v.Instance = 2
			g.table[k] = v
		}
	})
	if got := cl.get(r.url("/")); got.body != "i2" || len(g.moves()) != 0 {
		t.Fatalf("went to %s with %d moves", got.body, len(g.moves()))
	}
}

func TestRemovedListenerFinishesWhatItHas(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-finish
		io.WriteString(w, "done")
	})
	cc := conf(of(a)...)
	r := newRig(t, cc)
	c := dialRaw(t, r)
	c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-begun
	none := clone(cc)
	none.Listeners = nil
	r.apply(none)
	if r.b.Addr("web") != nil {
		t.Error("still has an address")
	}
	close(finish)
	resp, err := http.ReadResponse(bufio.NewReader(c.Conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(resp.Body); string(body) != "done" {
		t.Fatalf("%q %v", body, err)
	}
}
