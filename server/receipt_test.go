package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/vip"
)

// TestLatestTakingIsKept: terms in which nothing could be committed leave takings that nobody fetches. They must not cost the receipt of a later one.
func TestLatestTakingIsKept(t *testing.T) {
	a := &address{taking: make(chan taking, 4)}
	for term := range uint64(100) {
		push(a.taking, taking{Tenure: vip.Tenure{Term: term}})
	}
	for want := uint64(96); want < 100; want++ {
		if got := <-a.taking; got.Term != want {
			t.Errorf("term %d, want %d", got.Term, want)
		}
	}
}

// TestGapOfAReceipt: what n1 says of the holder before when it takes the addresses. The group's clock and the monotonic one are a second apart.
func TestGapOfAReceipt(t *testing.T) {
	at := time.Now()
	group := at.Add(time.Second)
	ago := func(ms int) time.Time { return at.Add(-time.Duration(ms) * time.Millisecond) }
	held := func(node, previous string) *fsm.Holder {
		return &fsm.Holder{Node: node, Previous: previous, Since: group.Add(-70 * time.Millisecond)}
	}
	contacts := map[string]time.Time{"n3": ago(400)}
	for name, tc := range map[string]struct {
		known   *fsm.Holder
		from    raftnode.Succession
		planned bool
		without time.Time
		gap     int // ms
		said    bool
	}{
		"the first":                 {known: nil},
		"handed over by the holder": {known: held("n2", ""), from: raftnode.Succession{Previous: "n2", LastContact: ago(3)}, planned: true, said: true},
		"the holder has died":       {known: held("n2", ""), from: raftnode.Succession{Previous: "n2", LastContact: ago(30)}, gap: 30},
		"leadership of one that never held, the holder is dead": {known: held("n3", ""), from: raftnode.Succession{Previous: "n2", LastContact: ago(3), Contacts: contacts}, planned: true, gap: 400},
		"the same, the holder was never heard of":               {known: held("n4", ""), from: raftnode.Succession{Previous: "n2", LastContact: ago(3), Contacts: contacts}, planned: true},
		"leadership of one that had lost them":                  {known: held("", "n2"), from: raftnode.Succession{Previous: "n2", LastContact: ago(3)}, planned: true, gap: 70},
		"its own loss in this term":                             {known: held("", "n1"), from: raftnode.Succession{Previous: "n2"}, without: ago(90), gap: 90},
		"its own loss, of which nobody knows":                   {known: held("n1", ""), from: raftnode.Succession{Previous: "n1"}, without: ago(500), gap: 500},
		"a clock that went back":                                {known: held("n2", ""), from: raftnode.Succession{Previous: "n2", LastContact: ago(-30)}},
	} {
		got, planned := gap("n1", tc.known, &taking{Tenure: vip.Tenure{Planned: tc.planned}, at: at, without: tc.without, from: &tc.from}, group)
		if got != time.Duration(tc.gap)*time.Millisecond || planned != tc.said {
			t.Errorf("%s: %v, planned %t; want %d ms, %t", name, got, planned, tc.gap, tc.said)
		}
	}
}

// TestPastOfAReceipt: a node of an epoch that is over is told from the living one of its name. What this node knows of itself, and the group does not yet, has
// no index, and is of the present.
func TestPastOfAReceipt(t *testing.T) {
	promoted := &fsm.Group{Epoch: 3, Epochs: []fsm.EpochStart{{Epoch: 3, After: 1, Index: 100}}}
	for name, tc := range map[string]struct {
		g     *fsm.Group
		known *fsm.Holder
		want  string
	}{
		"no group":                   {nil, &fsm.Holder{Node: "n1", Index: 5}, ""},
		"nobody":                     {promoted, nil, ""},
		"held in the old epoch":      {promoted, &fsm.Holder{Node: "n3", Index: 100}, "node n3 is that of epoch 1, which is over"},
		"lost in the old epoch":      {promoted, &fsm.Holder{Previous: "n3", Index: 100}, "node n3 is that of epoch 1, which is over"},
		"held in this one":           {promoted, &fsm.Holder{Node: "n3", Index: 101}, ""},
		"its own, not noted yet":     {promoted, &fsm.Holder{Node: "n1", Term: 7}, ""},
		"its own loss, the same way": {promoted, &fsm.Holder{Previous: "n1", Term: 7}, ""},
		"never promoted":             {&fsm.Group{Epoch: 1}, &fsm.Holder{Node: "n1", Index: 5}, ""},
	} {
		if got := past(tc.g, tc.known); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

// TestOverdueChangesAreForLater: what a term leaves behind is not the next one's to note as its own, and what the next one has seen already stays.
func TestOverdueChangesAreForLater(t *testing.T) {
	a := &address{taking: make(chan taking, 4), late: make(chan taking, 4)}
	for _, term := range []uint64{3, 4, 5} {
		push(a.taking, taking{Tenure: vip.Tenure{Term: term}})
	}
	a.overdue(4)
	if len(a.taking) != 1 || len(a.late) != 2 || (<-a.taking).Term != 5 || (<-a.late).Term != 3 || (<-a.late).Term != 4 {
		t.Error("the changes are not where they should be")
	}
	a.overdue(4)
}

// TestChangeAtTheEndOfATerm: what is told a moment after the term has ended is noted late, and not when this node leads again.
func TestChangeAtTheEndOfATerm(t *testing.T) {
	a := &address{taking: make(chan taking, 4), late: make(chan taking, 4)}
	a.end(4)
	for _, term := range []uint64{4, 5} {
		a.note(taking{Tenure: vip.Tenure{Term: term}})
	}
	if len(a.taking) != 1 || len(a.late) != 1 || (<-a.taking).Term != 5 || (<-a.late).Term != 4 {
		t.Error("the changes are not where they should be")
	}
}

// TestReceiptOfATermThatIsOver: a node took the addresses and its term ended before the group could note that. It is noted as what it was, once, whether the node leads now or not.
func TestReceiptOfATermThatIsOver(t *testing.T) {
	g, link := startHolders(t)
	holder := link.holder(t, g)
	for _, s := range g.servers {
		leads := s.config.Name == holder
		was := *s.state.Operating().Holder
		c := s.change(vip.Tenure{Term: 1})
		c.from, c.known, c.without = &raftnode.Succession{}, &fsm.Holder{Node: s.config.Name}, c.at.Add(-70*time.Millisecond)
		for range 2 { // sent again by who does not know that it was done
			if leads {
				push(s.address.taking, c)
			} else {
				push(s.address.late, c)
			}
		}
		text := "Node " + s.config.Name + " held 192.0.2.100 again: term 1, "
		eventually(t, "all nodes have the receipt", func() error {
			for _, other := range g.servers {
				if n := receiptsLike(other, text); n != 1 {
					return fmt.Errorf("node %s has it %d times", other.config.Name, n)
				}
			}
			return nil
		})
		eventually(t, "both have been looked at", func() error {
			if n := len(s.address.late) + len(s.address.taking); n > 0 {
				return fmt.Errorf("%d are left", n)
			}
			return nil
		})
		if h := s.state.Operating().Holder; h.Node != was.Node || h.Index != was.Index {
			t.Errorf("%+v, was %+v", h, was)
		}
	}
	for _, s := range g.servers {
		if n := receiptsLike(s, " held "); n != 3 {
			t.Errorf("node %s has %d late receipts", s.config.Name, n)
		}
	}
}

// TestReceiptsOfOneTermFollowEachOther: what a node had and lost in a term of which the group noted nothing names that node as the holder before, not whom the group knew.
func TestReceiptsOfOneTermFollowEachOther(t *testing.T) {
	g, link := startHolders(t)
	holder := link.holder(t, g)
	for _, s := range g.servers {
		name := s.config.Name
		if name == holder {
			continue
		}
		eventually(t, "the holder is known", func() error {
			if h := s.state.Operating().Holder; h == nil || h.Node != holder {
				return fmt.Errorf("%+v", h)
			}
			return nil
		})
		s.address.before.Store(&raftnode.Succession{Previous: holder, LastContact: time.Now().Add(-time.Hour)})
		tenure := vip.Tenure{Term: 1 << 30}
		s.taken(tenure, 0)
		s.lost(tenure, "the guard has died")
		s.taken(tenure, vip.Now())
		for i, want := range []fsm.HolderSet{{Node: name, Previous: holder}, {Previous: name}, {Node: name, Previous: name}} {
			c := <-s.address.taking
			c.Planned = i == 2
			got := s.receipt(&c, c.known)
			if got.Node != want.Node || got.Previous != want.Previous || got.Planned || (got.Gap > time.Minute) != (i == 0) {
				t.Errorf("%d: node %q, previous %q, gap %v, planned %t; want %q, %q", i, got.Node, got.Previous, got.Gap, got.Planned, want.Node, want.Previous)
			}
		}
	}
}

func receiptsLike(s *Server, text string) (n int) {
	for _, e := range s.state.Events(0, 1000) {
		if e.Kind == fsm.EventHolder && strings.Contains(e.Text, text) {
			n++
		}
	}
	return n
}
