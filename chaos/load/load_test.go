package load

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/internal/sampleapp"
)

// fake is a group of three nodes in one process with one table, and with bugs that can be switched on.
type fake struct {
	nodes     []*httptest.Server
	instances []http.Handler

	mu    sync.Mutex
	table map[string]int // cookie to instance
	turn  int

	forget atomic.Bool // every fourth request goes to the next instance
	trust  atomic.Bool // believes any cookie
	cross  atomic.Bool // answers with another request's nonce
	asked  atomic.Int64
}

func newFake(t *testing.T) *fake {
	f := &fake{table: map[string]int{}}
	for _, name := range []string{"i1", "i2", "i3"} {
		f.instances = append(f.instances, sampleapp.Handler(name))
	}
	for range 3 {
		node := httptest.NewServer(f)
		t.Cleanup(node.Close)
		f.nodes = append(f.nodes, node)
	}
	return f
}

func (f *fake) options(seed uint64) Options {
	var o Options
	for i, node := range f.nodes {
		o.Targets = append(o.Targets, Target{Node: string(rune('a' + i)), Addr: strings.TrimPrefix(node.URL, "http://")})
	}
	o.Seed, o.Patience = seed, 10*time.Second
	return o
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	cookie, err := r.Cookie("STICKY")
	f.mu.Lock()
	instance, known := 0, false
	if err == nil {
		instance, known = f.table[cookie.Value]
		if f.trust.Load() {
			known = true
		}
	}
	if !known {
		var random [12]byte
		_, _ = rand.Read(random[:])
		value := base64.RawURLEncoding.EncodeToString(random[:])
		f.turn++
		instance = f.turn % 3
		f.table[value] = instance
		http.SetCookie(w, &http.Cookie{Name: "STICKY", Value: value})
	}
	f.mu.Unlock()
	n := f.asked.Add(1)
	if f.forget.Load() && n%4 == 0 {
		instance = (instance + 1) % 3
	}
	if f.cross.Load() && n%10 == 0 {
		r.Header.Set("X-Nonce", hex.EncodeToString([]byte("other")))
	}
	f.instances[instance].ServeHTTP(w, r)
}

var testKinds = []Kind{{Name: "insert", Path: "/insert/a", Cookie: "STICKY"}, {Name: "plain", Path: "/plain/a"}}

func storm(t *testing.T, f *fake, seed uint64) (*Load, map[ledger.Rule]int) {
	t.Helper()
	l := New(f.options(seed))
	if err := l.Storm(t.Context(), Storm{Kinds: testKinds, Sessions: 400, Workers: 8, Repeats: 2, ForgeEvery: 4}); err != nil {
		t.Fatal(err)
	}
	if err := l.Revisit(t.Context(), l.Sessions(), 8, 1); err != nil {
		t.Fatal(err)
	}
	return l, l.Ledger.Count()
}

func TestAStickyGroupKeepsEveryPromise(t *testing.T) {
	l, count := storm(t, newFake(t), 1)
	if len(count) != 0 {
		t.Errorf("violations: %v", count)
	}
	forged := l.Record.Forged.Load()
	if forged == 0 || l.Ledger.Len() != 400+int(forged) {
		t.Errorf("%d forgeries, %d entries", forged, l.Ledger.Len())
	}
	if l.Record.Failed.Load() != 0 || l.Record.Retried.Load() != 0 || l.Record.Fresh.Count() != 400 {
		t.Errorf("record: %s", &l.Record)
	}
}

func TestBugsAreCaught(t *testing.T) {
	for rule, on := range map[ledger.Rule]func(*fake){
		ledger.Moved:   func(f *fake) { f.forget.Store(true) },
		ledger.Forged:  func(f *fake) { f.trust.Store(true) },
		ledger.Crossed: func(f *fake) { f.cross.Store(true) },
	} {
		t.Run(string(rule), func(t *testing.T) {
			f := newFake(t)
			on(f)
			if _, count := storm(t, f, 2); count[rule] == 0 {
				t.Errorf("not caught: %v", count)
			}
		})
	}
}

func TestClientsRetryAtTheNextNode(t *testing.T) {
	f := newFake(t)
	f.nodes[1].Close()
	l, count := storm(t, f, 3)
	if len(count) != 0 || l.Record.Retried.Load() == 0 || l.Record.Failed.Load() != 0 {
		t.Errorf("violations %v, record %s", count, &l.Record)
	}
}

func TestPatienceEnds(t *testing.T) {
	f := newFake(t)
	o := f.options(4)
	for _, node := range f.nodes {
		node.Close()
	}
	o.Patience = 50 * time.Millisecond
	l := New(o)
	err := l.Storm(t.Context(), Storm{Kinds: testKinds, Sessions: 3, Workers: 3})
	if err == nil || len(l.Sessions()) != 0 || l.Record.Failed.Load() != 3 {
		t.Errorf("%d sessions, %v, %s", len(l.Sessions()), err, &l.Record)
	}
}

func TestWorkersOfASeedDrawTheSame(t *testing.T) {
	a, b := New(Options{Seed: 7}), New(Options{Seed: 7})
	for range 5 {
		if x, y := a.Worker().Random().Uint64(), b.Worker().Random().Uint64(); x != y {
			t.Errorf("%d and %d", x, y)
		}
	}
}

func TestProbe(t *testing.T) {
	f := newFake(t)
	l := New(f.options(5))
	for _, fresh := range []bool{true, false} {
		ctx, cancel := context.WithCancel(t.Context())
		before := f.asked.Load()
		p, err := l.Probe(ctx, time.Millisecond, testKinds[0], fresh)
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); f.asked.Load() < before+200 && time.Now().Before(deadline); {
			<-time.After(time.Millisecond)
		}
		gap := p.Stop()
		cancel()
		if gap.Sent < 50 || gap.Failed > 0 || gap.Longest <= 0 || gap.Longest > 5*time.Second || gap.Wait.Count() == 0 {
			t.Errorf("fresh %v: %s", fresh, gap)
		}
	}
	if len(l.Ledger.Count()) != 0 {
		t.Error(l.Ledger.Violations())
	}
}
