package raftnode

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestHeartbeatReachesTheLeaderFromEveryNode, in one hop; while the leader is not ready it is asked again; a refusal is final.
func TestHeartbeatReachesTheLeaderFromEveryNode(t *testing.T) {
	var notReady atomic.Int32
	g := expectGroup(t, 3)
	for _, m := range g {
		name := m.opt.Name
		m.node.opt.Heartbeat = func(_ context.Context, request []byte) ([]byte, error) {
			switch {
			case string(request) == "bad":
				return nil, fmt.Errorf("%w: no such cluster", ErrRefused)
			case notReady.Add(-1) >= 0:
				return nil, fmt.Errorf("not yet: %w", ErrNoQuorum)
			}
			return []byte(name + " took " + string(request)), nil
		}
		m.run()
	}
	g.ready()
	leader := g.leader()
	for _, m := range g {
		notReady.Store(2)
		reply, err := m.node.Heartbeat(ctxFor(t, 10*time.Second), []byte("i1"))
		if want := leader.opt.Name + " took i1"; err != nil || string(reply) != want {
			t.Errorf("from %s: %q, %v, want %q", m.opt.Name, reply, err, want)
		}
		if _, err := m.node.Heartbeat(ctxFor(t, 10*time.Second), []byte("bad")); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "no such cluster") {
			t.Errorf("from %s: %v, want a refusal", m.opt.Name, err)
		}
		if _, err := m.node.Heartbeat(ctxFor(t, 10*time.Second), make([]byte, maxSmall+1)); !errors.Is(err, ErrRefused) {
			t.Errorf("from %s: %v, want one that is too large refused", m.opt.Name, err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	notReady.Store(1 << 30)
	if _, err := leader.node.Heartbeat(short, []byte("i1")); !errors.Is(err, ErrTimeout) {
		t.Errorf("a leader that is never ready: %v", err)
	}
}

// TestLoggedReachesTheOthers and not the node itself.
func TestLoggedReachesTheOthers(t *testing.T) {
	g := expectGroup(t, 3)
	var heard [3]atomic.Uint64
	for i, m := range g {
		m.node.opt.Logged = func(event uint64) { heard[i].Store(event) }
		m.run()
	}
	g.ready()
	g.leader()
	within(t, 10*time.Second, "the others do not hear of it", func() bool {
		g[0].node.TellLogged(t.Context(), 42)
		return heard[1].Load() == 42 && heard[2].Load() == 42
	})
	if heard[0].Load() != 0 {
		t.Error("it told itself")
	}
	if _, err := g[0].node.handleLogged(t.Context(), caller{}, []byte("short")); !errors.Is(err, ErrRefused) {
		t.Errorf("a frame that is none: %v", err)
	}
}

// TestCommandIsBoundToItsTerm: it is neither forwarded nor taken by a leader of another term.
func TestCommandIsBoundToItsTerm(t *testing.T) {
	g := startGroup(t, 3)
	leader := g.leader()
	term := leader.node.lead.Load().term
	token := func(id string) *fsm.TokenPut {
		return &fsm.TokenPut{Token: fsm.Token{ID: id, Role: "viewer", Hash: make([]byte, 32), Created: time.Now().UTC().Truncate(time.Second)}}
	}
	if r, err := leader.node.Command(ctxFor(t, 10*time.Second), term, token("own")); err != nil || r.Code != fsm.CodeOK {
		t.Errorf("the leader's own: %+v, %v", r, err)
	}
	for _, m := range g {
		for _, other := range []uint64{term - 1, term + 1, term} {
			if m == leader && other == term {
				continue
			}
			if _, err := m.node.Command(ctxFor(t, 10*time.Second), other, token("other")); !errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrTimeout) {
				t.Errorf("%s in term %d: %v, want it refused for certain", m.opt.Name, other, err)
			}
		}
	}
	if n := len(leader.state.Tokens()); n != 1 {
		t.Errorf("%d commands took effect, want one", n)
	}
}

// TestChangedTellsOfOperating: of a change of the configuration or of anything else in Operating, of an event that comes without one, and of nothing else.
func TestChangedTellsOfOperating(t *testing.T) {
	var applied, revised broadcast
	a := &fsmAdapter{state: fsm.New(), stop: func(err error) { t.Error(err) }, applied: &applied, revised: &revised, members: func(uint64, raft.Configuration) {}, heard: func(time.Time) {}}
	index := uint64(0)
	changes := func(c fsm.Command) bool {
		t.Helper()
		entry, err := fsm.Encode(time.UnixMilli(1_800_000_000_000), c)
		if err != nil {
			t.Fatal(err)
		}
		index++
		ch := revised.wait()
		if r, ok := a.Apply(&raft.Log{Index: index, Term: 1, Type: raft.LogCommand, Data: entry}).(fsm.Result); !ok || r.Code != fsm.CodeOK {
			t.Fatalf("%T: %+v", c, r)
		}
		select {
		case <-ch:
			return true
		default:
			return false
		}
	}
	if !changes(&fsm.ConfigSet{Config: config.Empty()}) {
		t.Error("a configuration is no change")
	}
	if changes(&fsm.TokenPut{Token: fsm.Token{ID: "t", Role: "viewer", Hash: make([]byte, 32)}}) {
		t.Error("a token counts as a change")
	}
	note := &fsm.QuarantineNote{Node: "n2", Cause: "stuck", Text: "why", Proposer: "n1"}
	if !changes(note) {
		t.Error("an event is not told")
	}
	if changes(note) {
		t.Error("a command that leaves no event counts as a change")
	}
}

// TestDiscoveredAddressesAreTried like those of Join, but for those that nobody can dial.
func TestDiscoveredAddressesAreTried(t *testing.T) {
	n := &Node{addr: "127.0.0.1:1", opt: Options{Join: []string{"a:1"}}}
	if got := strings.Join(n.known(), " "); got != "a:1" {
		t.Errorf("without discovery: %s", got)
	}
	n.opt.Discovered = func() []string {
		list := []string{"127.0.0.1:1", "127.0.0.2:1", "0.0.0.0:1", "no port", "x:0", "evil\nlog:1"}
		for i := range 100 {
			list = append(list, fmt.Sprintf("127.0.0.3:%d", i+1))
		}
		return list
	}
	got := n.known()
	if len(got) != maxGreeted || got[0] != "a:1" || got[1] != "127.0.0.2:1" || got[2] != "127.0.0.3:1" {
		t.Errorf("with discovery: %d addresses, %q", len(got), got[:3])
	}
}
