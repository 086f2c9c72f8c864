package acme

import (
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestMain looks for goroutines that are left. certmagic keeps one for each authority that it has asked, as long as the process lives.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.(*RingBufferRateLimiter).loop"))
}

// group is a replicated state of which one copy is enough.
type group struct {
	t       testing.TB
	mu      sync.Mutex
	state   *fsm.State
	index   uint64
	now     time.Time
	changes chan struct{}
	refuse  error // of everything that is proposed
}

func newGroup(t testing.TB) *group {
	return &group{t: t, state: fsm.New(), now: time.Now().Truncate(time.Millisecond), changes: make(chan struct{})}
}

func (g *group) propose(ctx context.Context, c fsm.Command) (fsm.Result, error) {
	if err := ctx.Err(); err != nil {
		return fsm.Result{}, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.refuse != nil {
		return fsm.Result{}, g.refuse
	}
	entry, err := fsm.Encode(g.now, c)
	if err != nil {
		return fsm.Result{}, err
	}
	g.index++
	before := g.state.Operating()
	r, err := g.state.Apply(g.index, entry)
	if g.state.Operating() != before {
		close(g.changes)
		g.changes = make(chan struct{})
	}
	return r, err
}

func (g *group) changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changes
}

var secret = []byte("0123456789abcdef0123456789abcdef")

// store is that of a leader in a term.
func (g *group) store(node string, term uint64) *Store {
	s := &Store{State: g.state.Operating, Secret: secret, Propose: g.propose, Changed: g.changed, Node: node, Term: term}
	g.t.Cleanup(s.Close)
	return s
}
