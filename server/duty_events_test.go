package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

func (g *fakeGroup) happen(text string) {
	g.change(func(*fsm.Operating) { g.event(fsm.EventConfig, text, "") })
}

// TestEventsAreLoggedOnceOverLeaders: a new leader writes what the last one could not, and nothing twice.
func TestEventsAreLoggedOnceOverLeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		one, two := openEventMark(t.TempDir(), 0, g.term("").log), openEventMark(t.TempDir(), 0, g.term("").log)
		both := func(_ context.Context, seq uint64) { one.raise(seq); two.raise(seq) }
		t1 := g.term("n1")
		kill := g.lead(t1, &eventDuty{term: t1, mark: one, tell: both})
		g.happen("revision 1 by alice")
		synctest.Wait()
		kill()
		g.happen("revision 2 by bob") // committed, and its leader died before it could write
		t2 := g.term("n2")
		kill = g.lead(t2, &eventDuty{term: t2, mark: two, tell: both})
		g.happen("revision 3 by carol")
		synctest.Wait()
		kill()
		// The first one comes back, with what its data directory knows and without.
		for _, last := range []uint64{0, 3} {
			mark := openEventMark(filepath.Dir(one.path), last, g.term("").log)
			t1 = g.term("n1")
			kill = g.lead(t1, &eventDuty{term: t1, mark: mark, tell: both})
			synctest.Wait()
			kill()
		}
		for _, text := range []string{"revision 1 by alice", "revision 2 by bob", "revision 3 by carol"} {
			if n := g.logged(`msg="` + text + `"`); n != 1 {
				t.Errorf("%q: %d lines, want one\n%s", text, n, g.log.String())
			}
		}
	})
}

// TestNewLeaderAsksWhatIsLogged: the message of the last leader reached another node only.
func TestNewLeaderAsksWhatIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		g.happen("written by the last leader")
		g.happen("not written yet")
		g.nodes[2].Logged = 1
		tm := g.term("n1")
		d := &eventDuty{term: tm, mark: openEventMark(t.TempDir(), 0, tm.log), tell: func(context.Context, uint64) {}}
		kill := g.lead(tm, d)
		synctest.Wait()
		kill()
		if a, b := g.logged("written by the last leader"), g.logged("not written yet"); a != 0 || b != 1 {
			t.Errorf("%d and %d lines, want 0 and 1\n%s", a, b, g.log.String())
		}
	})
}

// TestNewLeaderWaitsForAnswers: without an answer of most nodes a new leader does not know what is written; it waits for one, but no line is lost for that.
func TestNewLeaderWaitsForAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup(testCluster("i1"))
		for i := range 3 {
			g.event(fsm.EventConfig, fmt.Sprint("event ", i), "n3")
		}
		g.nodes[1].reachable, g.nodes[2].reachable = false, false
		tm := g.term("n1")
		d := &eventDuty{term: tm, mark: openEventMark(t.TempDir(), 0, tm.log), tell: func(context.Context, uint64) {}}
		kill := g.lead(tm, d)
		time.Sleep(time.Second)
		synctest.Wait()
		if g.logged("event ") != 0 {
			t.Error("a line is written before it is known which are")
		}
		g.mu.Lock()
		g.nodes[1].reachable, g.nodes[1].Logged = true, 2
		g.mu.Unlock()
		time.Sleep(time.Second)
		synctest.Wait()
		if g.logged("event 0") != 0 || g.logged("event 1") != 0 || g.logged("event 2") != 1 {
			t.Errorf("lines:\n%s", g.log.String())
		}
		kill()
		g.nodes[1].reachable = false
		tm = g.term("n1")
		g.event(fsm.EventConfig, "event 3", "n3")
		d = &eventDuty{term: tm, mark: d.mark, tell: d.tell}
		kill = g.lead(tm, d)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if g.logged("event 3") != 1 {
			t.Error("a line is lost because nobody answers")
		}
		kill()
	})
}

// TestEventLineHasTheExactText and its fields.
func TestEventLineHasTheExactText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGroup()
		g.change(func(*fsm.Operating) {
			g.events = append(g.events, fsm.Event{Seq: 1, Index: 11, Kind: fsm.EventQuiesced, Subject: fsm.Subject{Cluster: "c1", Instance: "i1"}, Text: quiescedText, Node: "n7", Actor: "alice"},
				fsm.Event{Seq: 2, Kind: fsm.EventQuiesced, Subject: fsm.Subject{Cluster: "c1", ContextRoot: "/fortune"}, Text: "Application: /fortune quiesced successfully over the cluster c1"},
				fsm.Event{Seq: 3, Kind: fsm.EventHealth})
		})
		tm := g.term("n1")
		kill := g.lead(tm, &eventDuty{term: tm, mark: openEventMark(t.TempDir(), 0, tm.log), tell: func(context.Context, uint64) {}})
		synctest.Wait()
		kill()
		for _, want := range []string{
			`level=INFO msg="Instance: i1 quiesced successfully over the cluster: c1." event=quiesced seq=1 index=11 cluster=c1 instance=i1 actor=alice proposer=n7`,
			`level=INFO msg="Application: /fortune quiesced successfully over the cluster c1" event=quiesced seq=2 index=0 cluster=c1 contextRoot=/fortune`,
		} {
			if g.logged(want) != 1 {
				t.Errorf("no line %s in\n%s", want, g.log.String())
			}
		}
		if lines := strings.Count(g.log.String(), "\n"); lines != 2 {
			t.Errorf("%d lines, want 2: an event without a text has none", lines)
		}
	})
}

// TestEventMarkFile: what cannot be read counts as written; a mark from another log does not hide what comes.
func TestEventMarkFile(t *testing.T) {
	log := newFakeGroup().term("").log
	for name, c := range map[string]struct {
		text string
		want uint64
	}{
		"none": {"", 40}, "number": {"17\n", 17}, "garbage": {"17 or so", 40}, "negative": {"-3", 40}, "huge": {strings.Repeat("9", 100), 40},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if c.text != "" {
				if err := os.WriteFile(filepath.Join(dir, "event-mark"), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if got := openEventMark(dir, 40, log).get(); got != c.want {
				t.Errorf("mark %d, want %d", got, c.want)
			}
		})
	}
	// A node that stops before the first line is written (everybody killed between the first event and its line) still knows so when it starts again.
	dir := t.TempDir()
	openEventMark(dir, 0, log)
	if got := openEventMark(dir, 1, log).get(); got != 0 {
		t.Errorf("the first event counts as written: mark %d", got)
	}
	m := openEventMark(dir, 0, log)
	m.raise(900)
	m.raise(3)
	if got := openEventMark(dir, 0, log).get(); got != 900 {
		t.Errorf("kept %d, want 900", got)
	}
	m.limit(5)
	if got := openEventMark(dir, 0, log).get(); got != 5 {
		t.Errorf("kept %d, want 5", got)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	m.raise(6) // the disk is gone: the mark still counts for this process
	if m.get() != 6 {
		t.Error("the mark was lost")
	}
}
