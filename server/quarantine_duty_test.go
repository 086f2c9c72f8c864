package server

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// TestQuarantinesAreNoted: what a node says of itself is noted once, again when it knows more, and its end when it serves again; the next leader goes on.
func TestQuarantinesAreNoted(t *testing.T) {
	g := newFakeGroup(testCluster("i1"))
	notes := func() (list []fsm.QuarantineNote) {
		for _, c := range g.done() {
			if n, ok := c.(*fsm.QuarantineNote); ok {
				list = append(list, *n)
			}
		}
		return list
	}
	out := map[string]bool{}
	duty := func() *quarantineDuty {
		return &quarantineDuty{term: g.term("n1"), known: func() map[string]bool { return out }}
	}
	d := duty()
	look := func(want int) {
		t.Helper()
		d.reports.at = time.Time{} // ask anew
		if _, err := d.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := notes(); len(n) != want {
			t.Fatalf("%d notes, want %d: %+v", len(n), want, n)
		}
	}
	look(0)
	g.nodes[1].quarantine = &raftnode.Quarantine{Cause: raftnode.CauseDiverged, Text: "it differs"}
	look(1)
	look(1)
	g.nodes[1].quarantine = &raftnode.Quarantine{Cause: raftnode.CauseDiverged, Text: "it differs", Difference: "session key 00ff"}
	look(2)
	if n := notes()[1]; n.Node != "n2" || n.Over || n.Cause != "diverged" || n.Text != "it differs (session key 00ff)" || n.Proposer != "n1" {
		t.Errorf("%+v", n)
	}
	// In which way a node is stuck, and since when, may change from look to look: that is no further event.
	g.nodes[2].quarantine = &raftnode.Quarantine{Cause: raftnode.CauseStuck, Text: "it has applied nothing for 3s"}
	look(3)
	for _, text := range []string{"it has applied nothing for 4s", "the leader does not answer"} {
		g.nodes[2].quarantine = &raftnode.Quarantine{Cause: raftnode.CauseStuck, Text: text}
		look(3)
	}
	g.nodes[2].quarantine = nil
	g.nodes[1].quarantine, g.nodes[1].reachable = nil, false
	look(3)
	g.nodes[1].reachable = true
	look(3) // not ready yet
	g.refuse = func(fsm.Command) error { return errAway }
	g.nodes[1].Ready = true
	d.reports.at = time.Time{}
	if _, err := d.look(t.Context()); !errors.Is(err, errAway) {
		t.Errorf("%v", err)
	}
	g.refuse = nil
	out["n2"] = true
	d = duty() // of the next leader, which knows by the events
	look(4)
	if n := notes()[3]; n.Node != "n2" || !n.Over {
		t.Errorf("%+v", n)
	}
	look(4)
}

// TestQuarantineThatIsOverIsNotNoted: a node that is back by the time when the leader would note it.
func TestQuarantineThatIsOverIsNotNoted(t *testing.T) {
	g := newFakeGroup()
	d := &quarantineDuty{term: g.term("n1"), known: func() map[string]bool { return nil }}
	g.nodes[1].quarantine = &raftnode.Quarantine{Cause: raftnode.CauseStuck, Text: "for a moment"}
	d.reports.get(t.Context(), 0)
	g.nodes = slices.Clone(g.nodes)
	g.nodes[1].quarantine = nil
	if _, err := d.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := count[*fsm.QuarantineNote](g.done()); n != 0 {
		t.Errorf("%d notes", n)
	}
}

// A node in quarantine says so to whoever asks it to decide something, in the words of the API.
func TestQuarantineInTheWordsOfTheAPI(t *testing.T) {
	q := &raftnode.Quarantine{Cause: raftnode.CauseStuck, Index: 7, Text: "it applies nothing", Difference: "d"}
	var p *wire.Problem
	if err := adminError(errors.Join(errors.New("propose"), q)); !errors.As(err, &p) || p.Code != wire.CodeQuarantined || p.Status != http.StatusServiceUnavailable || !strings.Contains(p.Detail, "it applies nothing (d)") {
		t.Errorf("%+v", p)
	}
	if got, want := *quarantineOf(q), (admin.Quarantine{Cause: "stuck", Index: 7, Text: "it applies nothing", Difference: "d"}); got != want {
		t.Errorf("%+v", got)
	}
	if quarantineOf(nil) != nil {
		t.Error("a quarantine of none")
	}
}
