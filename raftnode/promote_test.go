package raftnode

import (
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// TestProbation: a vote comes when a member has kept up for the whole time without a break, by what it says at each request.
func TestProbation(t *testing.T) {
	const steady = 10 * time.Second
	type request struct {
		at  time.Duration
		lag uint64
	}
	for name, c := range map[string]struct {
		requests []request
		want     string // why not at the last one; empty: it gets its vote
	}{
		"the first":                  {[]request{{0, 0}}, "for 10s more"},
		"kept up":                    {[]request{{0, 0}, {4 * time.Second, promoteLag}, {8 * time.Second, 0}, {10 * time.Second, 0}}, ""},
		"not long enough":            {[]request{{0, 0}, {5 * time.Second, 0}, {9999 * time.Millisecond, 0}}, "for 1ms more"},
		"behind at the end":          {[]request{{0, 0}, {5 * time.Second, 0}, {10 * time.Second, promoteLag + 1}}, "2049 entries behind"},
		"behind in between":          {[]request{{0, 0}, {5 * time.Second, 5000}, {10 * time.Second, 0}}, "for 5s more"},
		"silent for a while":         {[]request{{0, 0}, {5001 * time.Millisecond, 0}, {10 * time.Second, 0}}, "for 5.001s more"},
		"behind first, then kept up": {[]request{{0, 1 << 40}, {4 * time.Second, 0}, {9 * time.Second, 0}, {14 * time.Second, 0}}, ""},
	} {
		p := probation{}
		began := time.Now()
		var err error
		for _, r := range c.requests {
			err = p.passed("n4/x", r.lag, began.Add(r.at), steady)
			if other := p.passed("n5/x", 0, began.Add(r.at), steady); r.at == 0 && other == nil { // each for itself
				t.Errorf("%s: another one gets its vote", name)
			}
		}
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: got %v, want %q in it", name, err, c.want)
		}
	}
}

// TestVoteComesLate: a member that joins has no vote before its time is over, and serves meanwhile.
func TestVoteComesLate(t *testing.T) {
	g := expectGroup(t, 1, func(o *Options) { o.Steady = 400 * time.Millisecond })
	g[0].run()
	g.ready()
	late := newMember(t, "n2", Options{JoinToken: g[0].opt.JoinToken, Join: []string{g[0].node.Addr()}})
	late.mustOpen()
	began := time.Now()
	late.run()
	within(t, 20*time.Second, "it does not come in", func() bool { return late.node.Ready() == nil })
	late.votes()
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("it votes after %v", took)
	}
	if _, err := g[0].node.handlePromote(t.Context(), caller{"n2", *late.node.id.Load()}, []byte("x")); err != nil {
		t.Errorf("one that votes already: %v", err)
	}
	_, err := g[0].node.handlePromote(t.Context(), caller{"n9", "n9/00000000"}, nil)
	wantRefusal(t, err, "not a member")
}

// TestReadOnly: a read-only member serves and records, and never gets a vote; one that had one gives it up, and gets it back when it is started without.
func TestReadOnly(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	reader := newMember(t, "n4", Options{JoinToken: g[0].opt.JoinToken, Join: []string{g[0].node.Addr()}, ReadOnly: true})
	reader.mustOpen()
	reader.run()
	within(t, 20*time.Second, "it does not come in", func() bool { return reader.node.Ready() == nil && reader.node.Info().ReadOnly })
	reader.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
	reader.sync()
	if _, ok := reader.state.Lookup(testKey(1)); !ok {
		t.Error("it does not see what it has recorded")
	}
	// Two of the three votes gone: it does not help.
	if settled, err := reader.node.checkPlace(ctxFor(t, 10*time.Second)); err != nil {
		t.Errorf("settled %v: %v", settled, err)
	}
	if voter, member := g.votesOf(reader.node.ID()); voter || !member {
		t.Errorf("voter %v, member %v", voter, member)
	}
	wantRefusal(t, g.leader().node.TransferTo(ctxFor(t, 10*time.Second), "n4"), "no vote")

	// The leader of the moment becomes one.
	was := g.leader()
	was.halt()
	was.opt.ReadOnly, was.opt.BootstrapExpect = true, 0
	was.again()
	within(t, 30*time.Second, "it keeps its vote", func() bool { voter, member := g.votesOf(was.node.ID()); return member && !voter })
	if g.leader() == was {
		t.Error("it leads")
	}
	was.halt()
	was.opt.ReadOnly = false
	was.again()
	within(t, 30*time.Second, "it does not get its vote back", func() bool { voter, _ := g.votesOf(was.node.ID()); return voter })
	if err := (&Options{ReadOnly: true, Bootstrap: true}).fill(); err == nil || !strings.Contains(err.Error(), "founds no group") {
		t.Errorf("founds: %v", err)
	}
	if n := len(voters(g.leader().node.membership())); n != 3 {
		t.Errorf("%d votes", n)
	}
}
