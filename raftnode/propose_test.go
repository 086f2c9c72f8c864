package raftnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

func TestProposeFromEveryNode(t *testing.T) {
	var leads atomic.Int32
	g := expectGroup(t, 3)
	for _, m := range g {
		m.node.OnLead(func(ctx context.Context, term uint64) {
			if term > 0 && m.state.Applied() > 0 {
				leads.Add(1)
			}
			<-ctx.Done()
		})
		m.run()
	}
	g.ready()
	within(t, 10*time.Second, "OnLead does not run", func() bool { return leads.Load() > 0 })
	last := uint64(0)
	for i, m := range g {
		changed := g[(i+1)%3].node.Changed()
		id := "token-" + m.opt.Name
		c := &fsm.TokenPut{Token: fsm.Token{ID: id, Role: "viewer", Hash: make([]byte, 32), Created: time.Now().UTC().Truncate(time.Second)}}
		r, err := m.node.Propose(ctxFor(t, 15*time.Second), c)
		if err != nil || r.Code != fsm.CodeOK {
			t.Fatalf("%s: %+v, %v", m.opt.Name, r, err)
		}
		if c.RequestID != (fsm.RequestID{}) {
			t.Error("the caller's command was changed")
		}
		// One request id takes effect once, and always with the first result.
		c.RequestID[0], c.RequestID[1], c.Token.ID = 1, byte(i), id+"-once"
		first, err := m.node.Propose(ctxFor(t, 15*time.Second), c)
		if err != nil {
			t.Fatal(err)
		}
		last = max(last, r.Index, first.Index)
		again, err := g[(i+1)%3].node.Propose(ctxFor(t, 15*time.Second), c)
		if err != nil || again.Code != first.Code || first.Code != fsm.CodeOK {
			t.Errorf("again: %+v, first %+v, %v", again, first, err)
		}
		select {
		case <-changed:
			t.Error("a token counts as a change of the configuration")
		default:
		}
	}
	for _, m := range g {
		if err := m.node.WaitAll(ctxFor(t, 15*time.Second), last); err != nil {
			t.Error(err)
		}
		if n := len(m.state.Tokens()); n != 6 {
			t.Errorf("%s has %d tokens", m.opt.Name, n)
		}
	}
	changed := g[2].node.Changed()
	g.configure()
	select {
	case <-changed:
	case <-time.After(10 * time.Second):
		t.Error("Changed is not signalled")
	}
}

// TestWaitAllNamesWhoIsBehind, each of them, and does not say that the outcome of anything is unknown.
func TestWaitAllNamesWhoIsBehind(t *testing.T) { // SUN-84
	g := startGroup(t, 3)
	err := g.leader().node.WaitAll(ctxFor(t, 50*time.Millisecond), 1<<40)
	if err == nil || errors.Is(err, ErrTimeout) || strings.Contains(err.Error(), "unknown") {
		t.Fatalf("%v", err)
	}
	if got := unanswered(fmt.Errorf("%w: %w", ErrTimeout, context.DeadlineExceeded)); got != "no word from it in time" {
		t.Error(got)
	}
	for _, m := range g {
		if !strings.Contains(err.Error(), "node "+m.opt.Name+" has not applied 1099511627776") {
			t.Errorf("%s is not named: %v", m.opt.Name, err)
		}
	}
}

// TestNoPoisonIsCommitted: an entry that no node could apply would stop them all.
func TestNoPoisonIsCommitted(t *testing.T) {
	g := startGroup(t, 3)
	leader := g.leader().node
	good, err := fsm.Encode(time.Now(), &fsm.TokenDrop{ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	for name, entry := range map[string][]byte{"empty": nil, "flipped": bad, "short": good[:5]} {
		if _, err := leader.handlePropose(ctxFor(t, 5*time.Second), caller{}, entry); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := leader.handlePropose(ctxFor(t, 5*time.Second), caller{}, good); err != nil {
		t.Error(err)
	}
}

// TestReplicatedTimeIsTheLeaders: a follower's clock has no say, and the time never goes back.
func TestReplicatedTimeIsTheLeaders(t *testing.T) {
	var ahead atomic.Int64
	m := newMember(t, "n1", Options{Bootstrap: true, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	m.mustOpen()
	m.run()
	group{m}.ready()
	entry, err := fsm.Encode(time.Now().Add(500*time.Hour), &fsm.TokenDrop{ID: "x"}) // a follower with a wrong clock
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.node.handlePropose(ctxFor(t, 15*time.Second), caller{}, entry); err != nil {
		t.Fatal(err)
	}
	before := m.state.Now()
	if before.After(time.Now().Add(time.Minute)) {
		t.Errorf("replicated time is %v: the follower's", before)
	}
	ahead.Store(int64(-time.Hour))
	for range 3 {
		if _, err := m.node.Propose(ctxFor(t, 15*time.Second), &fsm.TokenDrop{ID: "x"}); err != nil {
			t.Fatal(err)
		}
		if now := m.state.Now(); now.Before(before) {
			t.Errorf("replicated time went back from %v to %v", before, now)
		}
	}
}

// TestBehindIsNoUnknownOutcome: a member whose machine is off lets dials run into their time-outs.
func TestBehindIsNoUnknownOutcome(t *testing.T) { // SUN-84
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, off := new(net.Dialer).DialContext(ctx, "tcp", "127.0.0.1:1")
	if !errors.Is(off, context.DeadlineExceeded) {
		t.Fatal(off)
	}
	err := behind("n3", 5, fmt.Errorf("%w: %w", errNotSent, off))
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "node n3 has not applied 5: ") || !strings.Contains(err.Error(), "127.0.0.1:1") {
		t.Error(err)
	}
}
