package attack

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/hostile"
)

// TestEachSlowPhase has slow clients of one kind alone, so that each has figures of its own; TestSlowClients has them all at once.
func TestEachSlowPhase(t *testing.T) {
	for _, phase := range []struct {
		name string
		pace Pace
		n    int64
		most int64 // bytes for each: what waits for a client that takes nothing is bounded by one read, or stays in the kernel
	}{{"heads", SlowHead, 1_000, 32 << 10}, {"bodies", SlowBody, 1_000, 32 << 10}, {"answers", SlowRead, 200, 160 << 10}} {
		t.Run(phase.name, func(t *testing.T) {
			r := start(t, 0, good(t))
			n := NewNeighbour(t.Context(), "http://"+r.Addr+"/good/page", nil, 5*time.Millisecond)
			t.Cleanup(n.Stop)
			eventually(t, "the neighbour is served", func() bool { r := n.Lap(); return r.Sent > len(r.Failed) })
			before := base(t, r)
			var slow Slow
			defer slow.Close()
			if err := slow.Open(t.Context(), r.Addr, int(phase.n), phase.pace); err != nil {
				t.Fatal(err)
			}
			what := fmt.Sprintf("%d slow %s", phase.n, phase.name)
			answered(t, n, 20)
			fares(t, n, what+" connecting", busy)
			wait(t, time.Second)
			n.Lap() // what had piled up
			answered(t, n, 200)
			fares(t, n, what, busy)
			memory(t, r, before, "with "+what, 16<<20+phase.n*phase.most)
		})
	}
}

// answered waits until so many of the neighbour's requests have ended, so that there is a report.
func answered(t *testing.T, n *Neighbour, least int) {
	t.Helper()
	eventually(t, "the neighbour is answered", func() bool { return n.Answered() >= least })
}

// TestEachTrick has an instance do one thing wrong with all requests of 32 clients, and then the next instance the next thing.
func TestEachTrick(t *testing.T) {
	clusters := []Cluster{good(t)}
	for i, trick := range Tricks {
		bad, err := NewBad(trick)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(bad.Close)
		clusters = append(clusters, Cluster{Name: fmt.Sprintf("bad%d", i), ContextRoot: fmt.Sprintf("/bad%d", i), Instance: bad.Addr, More: "    responseTimeout: 300ms\n"})
	}
	r := start(t, 0, clusters...)
	n := neighbour(t, r)
	for i, trick := range Tricks {
		before := base(t, r)
		told := annoy(t, fmt.Sprintf("http://%s/bad%d", r.Addr, i), 32, time.Second)
		t.Logf("its clients, an instance that %s: %v", trick.Name, told)
		if len(told) == 0 || trick.Name != "answers twice" && told["200"] > 0 {
			t.Errorf("an instance that %s: its clients were told %v", trick.Name, told)
		}
		answered(t, n, 50)
		fares(t, n, trick.Name, busy)
		memory(t, r, before, trick.Name, 200<<20)
	}
}

// annoy has clients ask for a time, and gives what they were told, and how often.
func annoy(t *testing.T, url string, clients int, d time.Duration) map[string]int {
	t.Helper()
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: clients}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var mu sync.Mutex
	told := map[string]int{}
	until := time.Now().Add(d)
	for range clients {
		all.Go(func() {
			for first := true; first || time.Now().Before(until); first = false {
				what, body := visit(client, url)
				if strings.Contains(body, hostile.Stolen) {
					t.Errorf("a client got an answer that nobody asked for: %.80q", body)
				}
				mu.Lock()
				told[what]++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return told
}

// TestFloodBeyondTheBound is a client that opens connections without end on a listener that allows each client 200. The others are told so, or just closed when there are very many; a client of
// another address does not notice, and when the flood is over the first is served again.
func TestFloodBeyondTheBound(t *testing.T) {
	const bound, most, dialers = 200, 2_000, 16
	r := start(t, 0)
	r.Limits = fmt.Sprintf(", limits: {perClient: {connections: %d}}", bound)
	if err := r.Configure(t.Context(), good(t)); err != nil {
		t.Fatal(err)
	}
	n := neighbourAt(t, r, net.IPv4(127, 0, 0, 2))
	http.DefaultClient.CloseIdleConnections() // of this client's address
	before := base(t, r)
	var held []*hostile.Client
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	var mu sync.Mutex
	var all sync.WaitGroup
	served, refused, closed := 0, 0, 0
	for range dialers {
		all.Go(func() {
			for range most / dialers {
				c, err := hostile.Dial(r.Addr, 20*time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				c.Send("GET /good/page HTTP/1.1\r\nHost: a.example\r\n\r\n", nil, 0)
				a, err := c.Answer("GET")
				mu.Lock()
				switch held = append(held, c); {
				case err != nil:
					closed++
				case a.Status == http.StatusOK:
					served++
				case a.Status == http.StatusTooManyRequests:
					refused++
				default:
					t.Errorf("answer %d", a.Status)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	answered(t, n, 50)
	fares(t, n, fmt.Sprintf("%d connections of a client that may have %d", most, bound), busy)
	memory(t, r, before, "in the flood", 100<<20)
	t.Logf("of the client's connections %d were served, %d refused, %d closed", served, refused, closed)
	if served < bound-1 || served > bound || refused == 0 { // one may still have been the other client's of this process
		t.Errorf("%d served, %d refused", served, refused)
	}
	for _, c := range held {
		c.Close()
	}
	fresh := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "the client is served again", func() bool { return get(fresh, "http://"+r.Addr+"/good/page") == nil })
}
