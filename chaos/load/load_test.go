package load

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"io"
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
	moves map[string]*move // by the cookie from before

	forget atomic.Bool // every fourth request goes to the next instance
	trust  atomic.Bool // believes any cookie
	cross  atomic.Bool // answers with another request's nonce
	twice  atomic.Bool // sends every tenth POST twice
	garble atomic.Bool // changes a byte of every tenth body
	old    atomic.Bool // believes a cookie from before a move, as soon as the client has a newer one
	asked  atomic.Int64
}

// move is of one session.
type move struct {
	cookie string // from now on
	told   bool   // the client has it
}

// move has the sessions of an instance go to the next one.
func (f *fake) move(from int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.moves = map[string]*move{}
	for value, instance := range f.table {
		if instance == from {
			f.moves[value] = &move{cookie: "moved-" + value}
		}
	}
	for value, m := range f.moves {
		f.table[m.cookie] = (f.table[value] + 1) % 3
	}
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
		if m := f.moves[cookie.Value]; m != nil && (!m.told || !f.old.Load()) {
			instance = f.table[m.cookie]
			http.SetCookie(w, &http.Cookie{Name: "STICKY", Value: m.cookie})
			m.told = true
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
	if r.Method == http.MethodPost && n%10 == 0 {
		body, err := io.ReadAll(r.Body)
		if err != nil || len(body) == 0 {
			http.Error(w, "no body", http.StatusBadRequest)
			return
		}
		if f.garble.Load() {
			body[len(body)/2] ^= 1
		}
		if f.twice.Load() {
			again := r.Clone(r.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			f.instances[instance].ServeHTTP(httptest.NewRecorder(), again)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	f.instances[instance].ServeHTTP(w, r)
}

var testKinds = []Kind{{Name: "insert", Path: "/insert/a", Cookie: "STICKY", Socket: "/insert/ws"}, {Name: "plain", Path: "/plain/a"}, {Name: "plain", Path: "/plain/up", Upload: 20 << 10}}

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
	if l.Record.Uploads.Load() < 200 || l.Record.Bytes.Load() < 200<<10 || l.Record.Sockets.Load() == 0 || l.Record.Broken.Load() != 0 {
		t.Errorf("%d uploads of %d bytes, %d WebSockets, %d broken", l.Record.Uploads.Load(), l.Record.Bytes.Load(), l.Record.Sockets.Load(), l.Record.Broken.Load())
	}
}

func TestBugsAreCaught(t *testing.T) {
	for rule, on := range map[ledger.Rule]func(*fake){
		ledger.Moved:   func(f *fake) { f.forget.Store(true) },
		ledger.Forged:  func(f *fake) { f.trust.Store(true) },
		ledger.Crossed: func(f *fake) { f.cross.Store(true) },
		ledger.Twice:   func(f *fake) { f.twice.Store(true) },
		ledger.Garbled: func(f *fake) { f.garble.Store(true) },
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

// TestOldCookies: users whose sessions have moved show the cookie from before, and a group that believes it is found.
func TestOldCookies(t *testing.T) {
	for _, believes := range []bool{false, true} {
		f := newFake(t)
		f.old.Store(believes)
		l := New(f.options(8))
		kind := testKinds[0]
		kind.Socket = "" // they take their time, and bring no cookie
		if err := l.Storm(t.Context(), Storm{Kinds: []Kind{kind}, Sessions: 150, Workers: 8}); err != nil {
			t.Fatal(err)
		}
		show := func() int {
			n, err := l.ShowOld(t.Context(), l.Sessions(), 8)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if n := show(); n != 0 {
			t.Errorf("%d old cookies before anything has moved", n)
		}
		over := l.Ledger.Hurt("i1")
		f.move(0)
		if err := l.Revisit(t.Context(), l.Sessions(), 8, len(l.Sessions())); err != nil {
			t.Fatal(err)
		}
		over()
		n, count := show(), l.Ledger.Count()
		if n < 20 || l.Ledger.Old() != n {
			t.Errorf("%d old cookies, the ledger has %d", n, l.Ledger.Old())
		}
		if want := map[bool]int{true: n}[believes]; count[ledger.Outdated] != want || count[ledger.Moved] != 0 {
			t.Errorf("believes them: %v; of %d shown %v", believes, n, count)
		}
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
