package raftnode

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/internal/calm"
)

// lease calls Lease until it succeeds, as whoever holds does.
func (m *member) lease(term uint64) (until int64) {
	m.t.Helper()
	within(m.t, 20*time.Second, "no lease for "+m.opt.Name, func() bool {
		var err error
		until, err = m.node.Lease(ctxFor(m.t, time.Second), term)
		return err == nil
	})
	return until
}

func now(t testing.TB) int64 {
	t.Helper()
	at, err := bootTime()
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestLease(t *testing.T) {
	g := startGroup(t, 3)
	leader := g.leader()
	term := leader.node.lead.Load().term
	_, length := leader.node.LeaseTiming()
	before := now(t)
	until := leader.lease(term)
	if ahead := time.Duration(until - before); ahead <= 0 || until > now(t)+int64(length) {
		t.Errorf("a lease of %v, of %v at most", ahead, length)
	}
	for _, other := range []uint64{0, term - 1, term + 1, 9e18, 1<<64 - 1} {
		start := time.Now()
		if _, err := leader.node.Lease(t.Context(), other); !errors.Is(err, ErrNoQuorum) {
			t.Errorf("a lease for term %d: %v", other, err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("the error came after %v", took)
		}
	}
	for _, m := range g.followers() {
		if _, err := m.node.Lease(t.Context(), term); !errors.Is(err, ErrNoQuorum) {
			t.Errorf("a lease for a follower: %v", err)
		}
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := leader.node.Lease(ended, term); err == nil {
		t.Error("a lease after the caller has gone")
	}
}

// TestLeaseNeedsAMajorityOfVoters: with one of two followers there is a lease, and at once; with none, however many without a vote there are, not.
func TestLeaseNeedsAMajorityOfVoters(t *testing.T) {
	g := startGroup(t, 3)
	leader, rest := g.leader(), g.followers()
	r := leader.node.raft.Load()
	for _, id := range []raft.ServerID{"x1/00000001", "x2/00000002", "x3/00000003"} {
		if err := r.AddNonvoter(id, raft.ServerAddress("127.0.0.1:1"+string(id[1])), 0, time.Second).Error(); err != nil {
			t.Fatal(err)
		}
	}
	term := leader.node.lead.Load().term
	leader.lease(term)
	rest[0].halt()
	quickest := time.Hour
	for range 5 {
		start := time.Now()
		leader.lease(term)
		quickest = min(quickest, time.Since(start))
	}
	if quickest > leader.node.timing.heartbeat {
		t.Errorf("%v at least for a lease with one node down", quickest)
	}
	rest[1].crash()
	within(t, 20*time.Second, "a lease without a majority", func() bool {
		_, err := leader.node.Lease(ctxFor(t, time.Second), term)
		return err != nil
	})
	if leader.node.trans.holds() {
		within(t, leader.node.timing.heartbeat, "the last lease does not end", func() bool { return !leader.node.trans.holds() })
	}
}

func TestLeaseOfASoleVoter(t *testing.T) {
	g := startGroup(t, 1)
	term := g.leader().node.lead.Load().term
	_, length := g[0].node.LeaseTiming()
	before := now(t)
	until, err := g[0].node.Lease(t.Context(), term)
	if err != nil || until < before+int64(length) || until > now(t)+int64(length) {
		t.Errorf("until %d after %d, %v", until, before, err)
	}
}

// TestNobodyVouchesForStrangers has those ask who must not get an answer.
func TestNobodyVouchesForStrangers(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		g := startGroup(t, 3)
		leader, a, b := g.leader(), g.followers()[0], g.followers()[1]
		term := leader.node.currentTerm()
		call := func(from, to *member, kind callKind, payload []byte) ([]byte, error) {
			return from.node.pool.call(ctxFor(t, 10*time.Second), to.node.Addr(), to.opt.Name, kind, payload)
		}
		within(t, 20*time.Second, "no lease", func() bool {
			_, err := leader.node.Lease(ctxFor(t, time.Second), term)
			return err == nil || leader.node.leadsIn(term) != nil
		})
		if _, err := call(leader, a, callLease, encodeIndex(term)); err != nil {
			t.Errorf("the leader: %v", err)
		}
		for name, try := range map[string]func() ([]byte, error){
			"another follower": func() ([]byte, error) { return call(b, a, callLease, encodeIndex(term)) },
			"another term":     func() ([]byte, error) { return call(leader, a, callLease, encodeIndex(term+1)) },
			"a huge term":      func() ([]byte, error) { return call(leader, a, callLease, encodeIndex(9e18)) },
			"no term":          func() ([]byte, error) { return call(leader, a, callLease, nil) },
			"garbage":          func() ([]byte, error) { return call(leader, a, callLease, []byte("{nonsense")) },
			"of the leader":    func() ([]byte, error) { return call(a, leader, callLease, encodeIndex(term)) },
		} {
			if b, err := try(); err == nil {
				t.Errorf("%s got the word % x", name, b)
			}
		}
		lead := raft.ServerID(leader.node.ID())
		for name, q := range map[string]goneRequest{
			"an alive leader": {cause: causeDead, lost: lost{lead, term}},
			"one that speaks": {cause: causeSilent, lost: lost{lead, term}},
			"a huge term":     {cause: causeDead, lost: lost{lead, 9e18}, last: position{9e18, 9e18}},
			"another leader":  {cause: causeDead, lost: lost{"nobody/12345678", term}},
		} {
			reply, err := call(b, a, callGone, q.encode())
			if err != nil {
				continue // a refusal is as good
			}
			if v, err := decodeVerdict(reply); err != nil || v != verdictNo {
				t.Errorf("%s: %d, %v", name, v, err)
			}
		}
		// One that was removed has its certificate still.
		if err := leader.node.raft.Load().RemoveServer(raft.ServerID(b.node.ID()), 0, time.Second).Error(); err != nil {
			t.Error(err)
			return
		}
		within(t, 10*time.Second, "the removal does not arrive", func() bool {
			_, member := memberByID(a.node.membership(), raft.ServerID(b.node.ID()))
			return !member
		})
		for kind, payload := range map[callKind][]byte{
			callLease: encodeIndex(term),
			callGone:  goneRequest{cause: causeDead, lost: lost{lead, term}}.encode(),
			callAsk:   []byte("x"),
		} {
			if got, err := call(b, a, kind, payload); err == nil {
				t.Errorf("a removed node got % x for kind %d", got, kind)
			}
		}
		if _, err := call(b, a, callGone, goneRequest{cause: causeDead, lost: lost{lead, term}}.encode()); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "vote") && !strings.Contains(err.Error(), "was removed") { // the second one when its certificate has been revoked by now
			t.Errorf("a removed node: %v", err)
		}
		if now := leader.node.currentTerm(); now != term || challengesOf(t, g, causeDead, challengeStood) != 0 {
			t.Errorf("term %d after %d", now, term)
		}
	})
}

// held is a time for which a node may have held.
type held struct {
	name        string
	term        uint64
	from, until int64
}

// holders has every member hold as long as it can while it leads, and gives what it got.
func (g group) holders() (stop func() []held) {
	ctx, cancel := context.WithCancel(context.Background())
	var mu sync.Mutex
	var all []held
	for _, m := range g {
		m.node.OnElected(func(term context.Context, s Succession) {
			renew, _ := m.node.LeaseTiming()
			tick := time.NewTicker(renew)
			defer tick.Stop()
			for term.Err() == nil && ctx.Err() == nil {
				from, _ := bootTime()
				if until, err := m.node.Lease(ctx, s.Term); err == nil {
					mu.Lock()
					all = append(all, held{m.opt.Name, s.Term, from, until})
					mu.Unlock()
				}
				select {
				case <-tick.C:
				case <-term.Done():
				case <-ctx.Done():
				}
			}
		})
	}
	return func() []held {
		cancel()
		mu.Lock()
		defer mu.Unlock()
		return append([]held(nil), all...)
	}
}

// cutLeader cuts what the leader sends, or what it is sent, or both.
func (g group) cutLeader(w *wires, how int) {
	leader := g.leader()
	for _, o := range g {
		if o != leader {
			w.set(how != 0, o.opt.Name, leader.opt.Name)
			w.set(how != 1, leader.opt.Name, o.opt.Name)
		}
	}
}

// TestLeasesNeverOverlap cuts ways between nodes at random, also in one direction only, and heals them, with every leader holding for as long as it is let. No two may
// at once, whatever the followers' timers do, and somebody must again after each heal.
func TestLeasesNeverOverlap(t *testing.T) {
	for _, timing := range []string{"fast", "lan"} {
		t.Run(timing, func(t *testing.T) {
			var w *wires
			var stop func() []held
			g, elected := watched(t, 3, timing, func(g group) {
				w = wire(g)
				stop = g.holders()
			})
			seed := uint64(time.Now().UnixNano())
			rnd := rand.New(rand.NewPCG(seed, 0))
			t.Logf("seed %d", seed)
			tm := timings[timing]
			for round := range 24 {
				wait := time.Duration(rnd.Int64N(int64(2 * tm.heartbeat)))
				if round%2 == 0 {
					g.cutLeader(w, rnd.IntN(3))
					wait = 2 * tm.heartbeat // long enough for a successor
				} else {
					for _, from := range g {
						for _, to := range g {
							w.set(from != to && rnd.IntN(3) == 0, from.opt.Name, to.opt.Name)
						}
					}
				}
				<-time.After(wait)
				w.heal()
				<-time.After(time.Duration(rnd.Int64N(int64(tm.heartbeat))))
			}
			last := g.leader()
			last.lease(last.node.lead.Load().term)
			all := stop()
			terms := map[uint64]bool{}
			for i, a := range all {
				terms[a.term] = true
				for _, b := range all[:i] {
					if a.name != b.name && a.from < b.until && b.from < a.until {
						t.Fatalf("%s in term %d and %s in term %d hold at once, for %v", a.name, a.term, b.name, b.term,
							time.Duration(min(a.until, b.until)-max(a.from, b.from)))
					}
				}
			}
			t.Logf("%d leases in %d terms, %d elections", len(all), len(terms), len(elected)+1)
		})
	}
}
