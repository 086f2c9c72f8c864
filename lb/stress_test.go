package lb

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// moody is an instance that fails in every way now and then, and notes how often it got each request.
type moody struct {
	*origin
	calm atomic.Bool
	mu   sync.Mutex
	got  map[string]int
}

func newMoody(t *testing.T, name string) *moody {
	m := &moody{got: map[string]int{}}
	fits := []serveFunc{reset, hang, answer("HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"), func(c *net.TCPConn, r *http.Request, nth int64) bool {
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")
		return false
	}}
	m.origin = newOrigin(t, func(c *net.TCPConn, r *http.Request, nth int64) bool {
		if r.UserAgent() == healthUserAgent {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			return false
		}
		id := r.Header.Get("Request-Id")
		m.mu.Lock()
		m.got[id]++
		m.mu.Unlock()
		if r.Header.Get("Upgrade") != "" {
			io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"+id)
			return false
		}
		if !m.calm.Load() && rand.IntN(5) == 0 {
			return fits[rand.IntN(len(fits))](c, r, nth)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s:%s", len(id)+1+len(body), id, body)
		return true
	})
	return m
}

func (m *moody) times(id string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.got[id]
}

// stressConf has two clusters with one module, retries without end, and bounds of all kinds.
func stressConf(urls []string) *config.Config {
	cc := conf(inst("i1", urls[0]), inst("i2", urls[1]), inst("i3", urls[2]))
	cl := &cc.Clusters[0]
	cl.ResponseTimeout, cl.BodyBuffer, cl.FailBack, cl.OnAllQuiescing = config.Duration(100*time.Millisecond), 8<<10, "immediate", "serve"
	cl.Health = config.Health{Type: "tcp", Interval: config.Duration(time.Minute), RetryInterval: config.Duration(5 * time.Millisecond), Passive: []string{"connect", "timeout", "reset", "5xx"}, PassiveFails: 3}
	cl.Modules[0].Retries = -1
	cl.Instances[1].MaxConnections, cl.Instances[2].MaxSessions = 2, 20
	other := clone(cc).Clusters[0]
	other.Name, other.Instances, other.ResponseTimeout = "c2", []config.Instance{inst("j1", urls[3])}, config.Duration(60*time.Millisecond)
	other.Affinity = config.Affinity{Type: "header", Name: "X-Sid", IdleTimeout: cl.Affinity.IdleTimeout}
	cc.Clusters = append(cc.Clusters, other)
	return cc
}

// shake changes everything that may change while requests are under way.
func shake(r *rig, base *config.Config) {
	c := clone(base)
	for i := range c.Clusters {
		cl := &c.Clusters[i]
		cl.Modules[0].Enabled = rand.IntN(8) > 0
		cl.Policy = []string{"round-robin", "least-sessions", "least-requests", "peak-ewma", "power-of-two"}[rand.IntN(5)]
		for j := range cl.Instances {
			in := &cl.Instances[j]
			in.Enabled, in.Weight, in.Backup = rand.IntN(6) > 0, rand.IntN(4), rand.IntN(5) == 0
		}
	}
	r.g.apply(c)
	r.g.operate(func(o *fsm.Operating) {
		o.Shares = []fsm.Share{share(r.g.ids[fsm.InstanceRef{Cluster: "c1", Instance: "i2"}], "node1", rand.IntN(3))}
		o.Verdicts = []fsm.Verdict{{Instance: fsm.InstanceID(1 + rand.IntN(4)), State: []fsm.HealthState{fsm.HealthFailed, fsm.HealthSuspect}[rand.IntN(2)]}}
		if rand.IntN(2) == 0 {
			o.Quiesces = nil
		}
	})
}

// stressClient sends requests of all kinds and checks that each answer is its own; it returns the ids of those that must not be sent twice.
func stressClient(t *testing.T, r *rig, who, requests int) (once []string) {
	c := newClient(t)
	c.Transport.(*http.Transport).DisableKeepAlives = who%4 == 0
	if who%3 == 0 {
		c.Jar = nil // each request begins a session
	}
	for i := range requests {
		id := fmt.Sprintf("r%d-%d", who, i)
		method, body := []string{"GET", "POST", "POST"}[rand.IntN(3)], ""
		if method == "POST" {
			body = strings.Repeat("z", rand.IntN(20_000))
		}
		ctx, cancel := context.WithCancel(t.Context())
		req := request(t, method, r.url("/"), body, "Request-Id: "+id).WithContext(ctx)
		if c.Jar != nil {
			req.Header.Set("X-Sid", fmt.Sprint("s", who))
		}
		upgrade := false
		switch rand.IntN(6) {
		case 0:
			if method == "POST" {
				req.Header.Set("Idempotency-Key", id)
			}
		case 1:
			if upgrade = method == "GET"; upgrade {
				req.Header.Set("Connection", "Upgrade")
				req.Header.Set("Upgrade", "x")
			}
		case 2:
			leave := time.AfterFunc(time.Duration(rand.IntN(5_000))*time.Microsecond, cancel)
			defer leave.Stop()
		}
		if method == "POST" && req.Header.Get("Idempotency-Key") == "" {
			once = append(once, id)
		}
		if resp, err := c.Do(req); err == nil {
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := id + ":" + body; err == nil && resp.StatusCode == 200 && string(got) != want || upgrade && resp.StatusCode == 101 && string(got) != id {
				t.Errorf("%s got %.60q", id, got)
			}
		}
		cancel()
	}
	return once
}

// leftovers says what is still counted although nothing is under way; what is below zero is so at any time.
func (r *rig) leftovers() (above, below []string) {
	r.b.mu.Lock()
	defer r.b.mu.Unlock()
	note := func(what string, n int64) {
		if n > 0 {
			above = append(above, fmt.Sprint(what, " ", n))
		} else if n < 0 {
			below = append(below, fmt.Sprint(what, " ", n))
		}
	}
	for _, c := range r.b.clusters {
		for _, in := range c.instances {
			note(in.name+" in flight", in.inFlight.Load())
			note(in.name+" waiting", in.waiting.Load())
			note(in.name+" opening", in.opening.Load())
		}
	}
	for key, m := range r.b.modules {
		note("module of "+key.cluster, m.inFlight.Load())
	}
	note("records under way", int64(r.b.openings.len()))
	return above, below
}

// TestEverythingAtOnce: failing instances, bounds, retries, bodies, upgrades, clients that leave, quiesces, verdicts and changes together. Each answer is
// its request's own, nothing that must not be repeated is, and whatever was counted is given back.
func TestEverythingAtOnce(t *testing.T) {
	var apps []*moody
	var urls []string
	for _, name := range []string{"i1", "i2", "i3", "j1"} {
		m := newMoody(t, name)
		apps, urls = append(apps, m), append(urls, m.url)
	}
	base := stressConf(urls)
	r := newRig(t, base)
	var clients sync.WaitGroup
	var mu sync.Mutex
	var once []string
	for who := range 12 {
		clients.Go(func() {
			ids := stressClient(t, r, who, 100)
			mu.Lock()
			defer mu.Unlock()
			once = append(once, ids...)
		})
	}
	over := make(chan struct{})
	go func() {
		clients.Wait()
		close(over)
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for going := true; going; {
		select {
		case <-tick.C:
			shake(r, base)
			if _, below := r.leftovers(); len(below) > 0 {
				t.Fatalf("given back twice: %v", below)
			}
		case <-over:
			going = false
		}
	}
	for _, a := range apps {
		a.calm.Store(true)
	}
	r.apply(base)
	r.wait("everything is given back", func() bool { above, _ := r.leftovers(); return len(above) == 0 })
	if testing.Verbose() {
		t.Log("sent again: ", metric(t, r, "holdfast_request_retries_total"), ", moved: ", metric(t, r, "holdfast_failovers_total"))
	}
	for _, id := range once {
		n := 0
		for _, a := range apps {
			n += a.times(id)
		}
		if n > 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	r.wait("requests are served again", func() bool {
		return newClient(t).do(request(t, "GET", r.url("/"), "", "Request-Id: last")).StatusCode == 200
	})
}
