package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// silences are the notes of who does not answer, or does again.
func (g *fakeGroup) silences() (list []string) {
	for _, c := range g.done() {
		if n, ok := c.(*fsm.QuarantineNote); ok && n.Silent {
			list = append(list, map[bool]string{false: "-", true: "+"}[n.Over]+n.Node+" "+n.Text)
		}
	}
	return list
}

func (g *fakeGroup) reach(node int, ok bool) {
	g.mu.Lock()
	g.nodes[node].reachable = ok
	g.mu.Unlock()
}

// TestSilentNodesAreNoted: a node that does not answer for 3 s is noted once, whoever leads, and its answer once; a moment without an answer is nothing.
func TestSilentNodesAreNoted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		known := map[string]bool{}
		lead := func() func() {
			tm := g.term("n1")
			return g.lead(tm, &silenceDuty{term: tm, known: func() map[string]bool { return known }})
		}
		want := func(n int, last string) {
			t.Helper()
			synctest.Wait()
			list := g.silences()
			if len(list) != n || n > 0 && !strings.HasPrefix(list[n-1], last) {
				t.Fatalf("%d notes, want %d, the last %s: %q", len(list), n, last, list)
			}
		}
		kill := lead()
		time.Sleep(5 * time.Second)
		want(0, "")
		for range 5 { // now and then it does not answer in time
			g.reach(1, false)
			time.Sleep(1500 * time.Millisecond)
			g.reach(1, true)
			time.Sleep(1500 * time.Millisecond)
		}
		want(0, "")
		g.reach(1, false)
		time.Sleep(2500 * time.Millisecond)
		want(0, "")
		time.Sleep(2 * time.Second)
		want(1, "-n2 the leader, node n1, has had no answer since ")
		time.Sleep(time.Minute)
		want(1, "-n2 ")
		kill()
		known = map[string]bool{"n2": true}
		kill = lead()
		time.Sleep(time.Minute)
		want(1, "-n2 ")
		g.mu.Lock()
		g.refuse = func(fsm.Command) error { return errAway }
		g.mu.Unlock()
		g.reach(1, true)
		time.Sleep(3 * time.Second)
		g.mu.Lock()
		g.refuse = nil
		g.mu.Unlock()
		time.Sleep(2 * time.Second)
		want(2, "+n2 ")
		g.reach(1, false)
		time.Sleep(5 * time.Second)
		want(3, "-n2 ")
		kill()
	})
}

// TestSilenceThatIsOverIsNotNoted: of a node that answers by the time when the leader would note its silence.
func TestSilenceThatIsOverIsNotNoted(t *testing.T) {
	g := newFakeGroup()
	d := &silenceDuty{term: g.term("n1"), known: func() map[string]bool { return map[string]bool{} }}
	for want, back := range []bool{true, false} {
		d.told, d.missed = map[string]bool{}, map[string]missed{"n2": {since: time.Now().Add(-time.Minute), looks: silentLooks}}
		g.reach(1, false)
		d.reports.get(t.Context(), 0)
		g.reach(1, back)
		if _, err := d.look(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(g.silences()); n != want {
			t.Errorf("it is back: %t, %d notes", back, n)
		}
	}
}

// TestSilentNodeThatWasRemoved is no event any more, and keeps nothing from being noted of others.
func TestSilentNodeThatWasRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		g.nodes = g.nodes[:2]
		tm := g.term("n1")
		kill := g.lead(tm, &silenceDuty{term: tm, known: func() map[string]bool { return map[string]bool{"n3": true} }})
		time.Sleep(5 * time.Second)
		g.reach(1, false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		kill()
		if list := g.silences(); len(list) != 1 || !strings.HasPrefix(list[0], "-n2 ") {
			t.Errorf("%q", list)
		}
	})
}
