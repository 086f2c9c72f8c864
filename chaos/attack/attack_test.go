package attack

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/hostile"
)

// How long 99 of 100 of the neighbour's requests may take while the attack itself uses no processor, and while attackers use all they get: they run on the
// same machine, so the figure that is logged says more than the bound.
const quiet, busy = 3 * time.Second, 15 * time.Second

// TestSlowClients holds 10,000 connections open that are slow in all three phases: most in their heads, the others in bodies and in taking answers, which
// hold a connection to the instance each. Heads end after ten seconds; the neighbour goes on, and memory is bounded by the number.
func TestSlowClients(t *testing.T) {
	const heads, bodies, readers = 9_000, 500, 500
	r := start(t, 0, good(t))
	n := neighbour(t, r)
	before := base(t, r)
	var slow Slow
	defer slow.Close()
	for _, part := range []struct {
		n    int
		pace Pace
	}{{bodies, SlowBody}, {readers, SlowRead}, {heads, SlowHead}} {
		if err := slow.Open(t.Context(), r.Addr, part.n, part.pace); err != nil {
			t.Fatal(err)
		}
	}
	opened := len(slow.conns)
	fares(t, n, "10,000 slow ones connecting", busy)
	wait(t, time.Second)
	n.Lap() // what had piled up
	wait(t, 2*time.Second)
	if opened != heads+bodies+readers {
		t.Fatalf("%d slow connections", opened)
	}
	memory(t, r, before, "under 10,000 slow connections", 400<<20)
	fares(t, n, "10,000 slow connections", quiet)
	eventually(t, "the slow heads are ended", func() bool { return slow.Ended() >= heads })
	fares(t, n, "the slow heads being ended", busy)
}

// TestBombs sends heads that are too large in every way, as fast as they are refused.
func TestBombs(t *testing.T) {
	r := start(t, 0, good(t))
	n := neighbour(t, r)
	before := base(t, r)
	const head = "GET /good HTTP/1.1\r\nHost: a.example\r\n"
	bombs := []struct {
		raw    string
		status int
	}{
		{head + "X: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 431},
		{head + strings.Repeat("X: 1\r\n", 10_000) + "\r\n", 431},
		{head + "Cookie: " + strings.Repeat("a=b; ", 20_000) + "\r\n\r\n", 431},
		{head + strings.Repeat("Cookie: a=b\r\n", 1_000) + "\r\n", 431},
		{"GET /" + strings.Repeat("a", 64<<10) + " HTTP/1.1\r\nHost: a.example\r\n\r\n", 414},
		{"GET /?" + strings.Repeat("a=b&", 64<<10) + " HTTP/1.1\r\nHost: a.example\r\n\r\n", 414},
		{"POST /good HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + strings.Repeat("X: 1\r\n", 50_000) + "\r\n", 431},
		{"POST /good HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("a", 1<<20) + "\r\nx\r\n0\r\n\r\n", 400},
	}
	var next atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for {
				i := next.Add(1)
				if i > 2_000 {
					return
				}
				b := bombs[int(i)%len(bombs)]
				if err := explode(r.Addr, b.raw, b.status); err != nil {
					t.Errorf("%.60q: %v", b.raw, err)
				}
			}
		})
	}
	all.Wait()
	fares(t, n, "2,000 bombs", busy)
	memory(t, r, before, "after 2,000 bombs", 100<<20)
}

// explode sends a bomb, of which the process need not read more than it likes, and wants the refusal.
func explode(addr, raw string, status int) error {
	c, err := hostile.Dial(addr, 30*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan struct{})
	go func() { // the answer comes before the end of the bomb
		defer close(sent)
		c.Send(raw, nil, 0)
	}()
	a, err := c.Answer("GET")
	if err == nil && a.Status != status {
		err = fmt.Errorf("%d, want %d", a.Status, status)
	}
	c.Close()
	<-sent
	return err
}

// TestFloodBeyondTheLimit opens more connections than the process may have files. Those that are known go on; when the flood is over, everybody is served.
func TestFloodBeyondTheLimit(t *testing.T) {
	const files = 700
	r := start(t, files, good(t))
	n := neighbour(t, r)
	before := base(t, r)
	var flood []net.Conn
	defer func() {
		for _, c := range flood {
			_ = c.Close() // once more
		}
	}()
	for range 3 * files { // beyond the limit they wait in the kernel's queue, or are refused there
		patience := 10 * time.Second
		if len(flood) >= files {
			patience = 100 * time.Millisecond
		}
		c, err := net.DialTimeout("tcp", r.Addr, patience)
		if err != nil {
			break
		}
		flood = append(flood, c)
	}
	if len(flood) < files {
		t.Fatalf("only %d connections: the limit was not reached", len(flood))
	}
	wait(t, 2*time.Second)
	fares(t, n, fmt.Sprintf("%d connections where %d files are allowed", len(flood), files), quiet)
	memory(t, r, before, "in the flood", 100<<20)
	for _, c := range flood {
		_ = c.Close() // all that is left to do with it
	}
	fresh := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	eventually(t, "a new client is served", func() bool { return get(fresh, "http://"+r.Addr+"/good/page") == nil })
}

// TestBadInstances has one cluster whose instance closes early, answers twice, sends garbage, stalls, resets and never ends its head. Its clients are told so; no
// byte that nobody asked for reaches any of them, and the other cluster's clients do not notice.
func TestBadInstances(t *testing.T) {
	bad, err := NewBad(Tricks...)
	if err != nil {
		t.Fatal(err)
	}
	defer bad.Close()
	r := start(t, 0, good(t), Cluster{Name: "bad", ContextRoot: "/bad", Instance: bad.Addr, More: "    responseTimeout: 1s\n"})
	n := neighbour(t, r)
	before := base(t, r)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var mu sync.Mutex
	told := map[string]int{}
	until := time.Now().Add(4 * time.Second)
	for range 32 {
		all.Go(func() {
			for time.Now().Before(until) {
				what, body := visit(client, "http://"+r.Addr+"/bad")
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
	t.Logf("clients of the bad instance: %v; %d requests reached it", told, bad.Requests())
	if told["200"] == 0 || told["502"] == 0 || told["504"] == 0 || told["broken off"] == 0 {
		t.Error("not every trick was seen")
	}
	fares(t, n, "an instance that lies to 32 clients", busy)
	memory(t, r, before, "beside the bad instance", 200<<20)
}

// visit says what became of a request.
func visit(client *http.Client, url string) (what, body string) {
	response, err := client.Get(url)
	if err != nil {
		return "no answer", ""
	}
	text, err := io.ReadAll(response.Body)
	_ = response.Body.Close() // it has been read
	if err != nil {
		return "broken off", string(text)
	}
	return fmt.Sprint(response.StatusCode), string(text)
}
