package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/history"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// fake is a group that says what it was told to say.
type fake struct {
	views     []View
	tables    map[string]map[string]ledger.Place
	revisions []uint64
	usage     []Usage
	err       error
	looks     int
	later     func(f *fake) // called before each look
}

func (f *fake) Look(context.Context) []View {
	f.looks++
	if f.later != nil {
		f.later(f)
	}
	return slices.Clone(f.views)
}
func (f *fake) Tables(context.Context) (map[string]map[string]ledger.Place, error) {
	f.looks++
	if f.later != nil {
		f.later(f)
	}
	return f.tables, f.err
}
func (f *fake) Revisions(context.Context) ([]uint64, error) { return f.revisions, f.err }
func (f *fake) Usage(context.Context) ([]Usage, error)      { return slices.Clone(f.usage), f.err }

// world is evidence of a run in which all is well: two nodes, one session, one change of the configuration.
type world struct {
	*Evidence
	group *fake
	kind  load.Kind
	user  *load.Session
	began time.Time
}

func newWorld() *world {
	place := map[string]ledger.Place{"k0": {Cluster: "plain", Instance: "a"}}
	g := &fake{
		views: []View{
			{Node: "n1", Ready: true, Leader: "n1", Quorum: true, HasAddress: true, Holds: true, Term: 3, Applied: 9, Hash: "abcdef", HashIndex: 9},
			{Node: "n2", Ready: true, Leader: "n1", Quorum: true, HasAddress: true, Term: 3, Applied: 9, Hash: "abcdef", HashIndex: 9},
		},
		tables:    map[string]map[string]ledger.Place{"n1": place, "n2": place},
		revisions: []uint64{2, 1},
		usage:     []Usage{{Node: "n1", Goroutines: 50, Files: 20}, {Node: "n2", Goroutines: 50, Files: 20}},
	}
	l := ledger.New()
	w := &world{Evidence: New(record.New(record.Run{}), l, g), group: g, kind: load.Kind{Name: "plain"}, began: time.Now()}
	w.First, w.Baseline = 1, slices.Clone(g.usage)
	l.Members("plain", "a", "b")
	w.user = &load.Session{Kind: w.kind}
	w.request(w.user, true, "a")
	l.SetKey(w.user.Entry, "k0")
	w.request(w.user, false, "a")
	w.History.Changed(history.Change{Sent: w.began, Ended: time.Now(), Expect: 1, Revision: 2})
	w.Watch.See(time.Now(), g.views)
	w.Watch.Read("a client", 9, 3, 2)
	w.Quiesces.Events([]Event{{Seq: 1, Kind: "config"}, {2, "quiesce-started", "plain/b", false}, {3, "quiesced", "plain/b", false}})
	return w
}

// request makes a request of a user that an instance answers.
func (w *world) request(s *load.Session, fresh bool, instance string) {
	sent := time.Now()
	time.Sleep(5 * time.Millisecond)
	a := ledger.Answer{Sent: sent, At: time.Now(), Node: "n1", Instance: instance}
	if fresh {
		s.Entry = w.Ledger.Told(s.Kind.Name, a)
	} else {
		w.Ledger.Repeated(s.Entry, a)
	}
	w.Seen(load.Request{Session: s, Worker: 1, New: fresh, Due: sent, Sent: sent, Ended: time.Now(), Node: "n1", Instance: instance})
}

// quiesces has an instance quiesce that is looked at every half second, and end after a time in some way; heard: somebody leads meanwhile.
func (w *world) quiesces(timeout time.Duration, how string, after time.Duration, heard bool) {
	w.Quiesces.Timeout = timeout
	const every = 500 * time.Millisecond
	at := time.Now()
	look := func(heard bool, events ...Event) {
		w.Quiesces.Look(at, heard, events)
		at = at.Add(every)
	}
	look(true)
	look(true, Event{4, "quiesce-started", "plain/b", false})
	for range int(after/every) - 1 {
		look(heard)
	}
	look(true, Event{5, how, "plain/b", false})
}

func (w *world) fails(s *load.Session, refused int) {
	now := time.Now()
	w.Seen(load.Request{Session: s, Worker: 1, Due: now, Sent: now, Ended: now, Refused: refused, Err: errors.New("no answer")})
}

// run runs one check.
func (w *world) run(t *testing.T, name string) record.Result {
	t.Helper()
	list, err := Select(name)
	if err != nil || len(list) != 1 {
		t.Fatalf("%v, %d checks", err, len(list))
	}
	return list[0].Run(t.Context(), w.Evidence)
}

// TestAllIsWell: evidence of a run without a fault passes every check, and each says what it saw.
func TestAllIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		all := All()
		for _, when := range []record.When{record.Always, record.Eventually, record.AtEnd} {
			Run(t.Context(), all, when, w.Evidence)
		}
		RunBack(t.Context(), all, w.Evidence)
		run := w.Recorder.Finish(nil)
		if len(run.Checks) != len(all) || run.Verdict != record.Passed {
			t.Errorf("%d results of %d checks, %s", len(run.Checks), len(all), run.Verdict)
		}
		for _, r := range run.Checks {
			if !r.OK || r.Saw == "" || r.About == "" || strings.Contains(r.Saw+r.About, "%!") {
				t.Errorf("%+v", r)
			}
			t.Logf("%s: %s", r.Name, r.Saw)
		}
		if broken := Broken(t.Context(), all, w.Evidence); broken != nil {
			t.Errorf("%q", broken)
		}
	})
}

// lies are, for each check, what it must not pass, and what it has to say then.
var lies = map[string]map[string]func(w *world) (want string){
	"sessions-stay": {
		"moves": func(w *world) string { w.request(w.user, false, "b"); return "told a by node n1, now b by node n1" },
		"is forgotten": func(w *world) string {
			w.Ledger.Repeated(w.user.Entry, ledger.Answer{Instance: "a", New: true, At: time.Now()})
			return "does not know the session any more"
		},
	},
	"answers-own": {"crossed": func(w *world) string {
		w.Ledger.Repeated(w.user.Entry, ledger.Answer{Instance: "a", Crossed: true})
		return "another client's answer"
	}},
	"requests-once": {
		"executed twice": func(w *world) string {
			w.Ledger.Repeated(w.user.Entry, ledger.Answer{Instance: "a", Count: 9, Most: 8})
			return "has executed 9 requests of 8"
		},
		"changed": func(w *world) string {
			w.Ledger.Repeated(w.user.Entry, ledger.Answer{Instance: "a", Garbled: true})
			return "something else than was sent"
		},
	},
	"cookies-authentic": {"honoured": func(w *world) string {
		w.Ledger.Violate(ledger.Forged, w.user.Entry, "node n1 honoured the cookie with one bit flipped")
		return "one bit flipped"
	}},
	"clusters-apart": {"strays": func(w *world) string {
		w.request(&load.Session{Kind: w.kind}, true, "of-another")
		return "which cluster plain does not have"
	}},
	"cookies-outdated": {"led elsewhere": func(w *world) string {
		w.Ledger.ShownOld(w.user.Entry, ledger.Answer{Instance: "b", Node: "n2"})
		return "it is on a, a cookie from before its move led to b through node n2"
	}},
	"backups-whole": {"damaged": func(w *world) string {
		w.Backups.Read(nil)
		w.Backups.Read(errors.New("the digest is another"))
		return "backup 2 cannot be read back: the digest is another"
	}},
	"epochs-rise": {
		"the same": func(w *world) string {
			w.epochs(1, 1)
			w.Epochs.Ends(1)
			return "node n1 is in epoch 1, and a promotion has ended epoch 1"
		},
		"one is left behind": func(w *world) string {
			w.Epochs.Ends(1)
			w.Epochs.Ends(2)
			w.epochs(3, 2)
			return "node n2 is in epoch 2, and a promotion has ended epoch 2"
		},
		"back to an earlier one": func(w *world) string {
			w.Epochs.Ends(4)
			w.Epochs.Ends(1)
			w.epochs(4, 4)
			return "a promotion has ended epoch 4"
		},
		"one is silent": func(w *world) string {
			w.Epochs.Ends(1)
			w.group.views = []View{{Node: "n1", Error: "refused"}}
			return "node n1 does not say in which epoch it is (refused)"
		},
		"no node": func(w *world) string {
			w.Epochs.Ends(1)
			w.group.views = nil
			return "there is no node"
		},
	},
	"losses-told": {
		"no time": func(w *world) string {
			w.Losses.Told(Loss{How: "promote", Ended: time.Now()})
			return "promote does not say up to when the group has everything"
		},
		"after the end": func(w *world) string {
			w.Losses.Told(Loss{How: "promote", After: time.Now().Add(time.Second), Ended: time.Now()})
			return "everything up to 1.00 s after its end"
		},
		"long ago": func(w *world) string {
			w.Losses.Told(Loss{How: "promote", After: time.Now().Add(-3 * time.Second), Ended: time.Now(), Bound: 2 * time.Second})
			return "everything up to 3.00 s before its end, documented are 2.00 s at most"
		},
	},
	"requests-answered": {
		"one fails": func(w *world) string {
			w.fails(w.user, 0)
			return "1 request got no good answer, the scenario allows 0; the first: at "
		},
		"one refused": func(w *world) string {
			w.fails(w.user, 1)
			w.Budget.Failed = 1
			return "1 answer had a status of 500 or above, the scenario allows 0; the first: at "
		},
	},
	"requests-in-time": {
		"long silence": func(w *world) string {
			w.hurt(300 * time.Millisecond)
			w.Budget.Outage = 200 * time.Millisecond
			return "nobody had an answer for 30"
		},
		"long wait": func(w *world) string {
			w.hurt(300 * time.Millisecond)
			w.Budget.Slowest = 200 * time.Millisecond
			return "a request waited for 305 ms"
		},
	},
	"quiesce-rules": {
		"new session": func(w *world) string {
			w.Quiesces.Began("plain", "b")
			time.Sleep(grace + time.Second)
			w.request(&load.Session{Kind: w.kind}, true, "b")
			return "b of cluster plain was given a new session 3s after every node"
		},
		"two ends": func(w *world) string {
			w.Quiesces.Events([]Event{{4, "quiesced", "plain/b", false}})
			return "ended twice (event 4"
		},
		"two starts": func(w *world) string {
			w.Quiesces.Events([]Event{{4, "quiesce-started", "x", false}, {5, "quiesce-started", "x", false}})
			return "began again (event 5)"
		},
		"an early end": func(w *world) string {
			w.request(&load.Session{Kind: w.kind}, true, "b")
			w.quiesces(5*time.Second, "quiesced", 4*time.Second, true)
			return "the quiesce of plain/b ended after 4.5s at most, its time is 5s (event 5)"
		},
		"a late end": func(w *world) string {
			w.quiesces(5*time.Second, "quiesced", 10*time.Second, true)
			return "the quiesce of plain/b went on for 9.5s at least, its time is 5s (event 5)"
		},
		"no end but an operator's": func(w *world) string {
			w.quiesces(5*time.Second, "quiesce-canceled", time.Minute, true)
			return "went on for 59.5s at least"
		},
	},
	"never-backwards": {
		"a client":   func(w *world) string { w.Watch.Read("a client", 8, 3, 2); return "a client was told index 8 after 9" },
		"a revision": func(w *world) string { w.Watch.Read("a client", 10, 3, 1); return "revision 1 after 2" },
		"a node": func(w *world) string {
			w.group.views[1].Term = 2
			w.Watch.See(time.Now(), w.group.views)
			return "node n2 says for itself term 2 after 3"
		},
		"a node's index": func(w *world) string {
			w.group.views[1].Started = w.began
			w.Watch.See(time.Now(), w.group.views)
			w.group.views[1].Applied = 8
			w.Watch.See(time.Now(), w.group.views)
			return "node n2 says for itself index 8 after 9, in one life"
		},
	},
	"one-state": {"diverged": func(w *world) string {
		w.group.views[1].Hash = "fedcba"
		w.Watch.See(time.Now(), w.group.views)
		return "at index 9 the state of node n1 is abcdef, that of node n2 is fedcba"
	}},
	"address-once": {
		"kernels": func(w *world) string {
			w.Address = func() (time.Duration, time.Duration, int, int) { return 3 * time.Second, 0, 2, 0 }
			return "two nodes' kernels had the virtual address at once for 3.00 s"
		},
		"the link": func(w *world) string {
			w.Address = func() (time.Duration, time.Duration, int, int) { return time.Second, 2100 * time.Millisecond, 2, 0 }
			return "two nodes answered for the virtual address on the link, in turns, for 2.10 s"
		},
		"strangers": func(w *world) string {
			w.Address = func() (time.Duration, time.Duration, int, int) { return 0, 0, 2, 3 }
			return "machines that are no node claimed the virtual address, 3 times"
		},
		"two holders": func(w *world) string {
			w.group.views[1].Holds = true
			w.Watch.See(time.Now(), w.group.views)
			w.Watch.See(time.Now().Add(leaseBound+time.Second), w.group.views)
			return "[n1 n2] have held the virtual address together for 3s"
		}},
	"nodes-ready": {
		"one is not": func(w *world) string {
			w.group.views[1].Ready, w.group.views[1].Reason = false, "no quorum"
			return "node n2 is not ready (no quorum)"
		},
		"one is silent": func(w *world) string {
			w.group.views[1] = View{Node: "n2", Error: "refused"}
			return "node n2 does not answer (refused)"
		},
	},
	"one-leader": {
		"none": func(w *world) string {
			w.lead("", "")
			return "nobody lead by their own word (n1 names nobody, n2 names nobody)"
		},
		"two":       func(w *world) string { w.lead("n1", "n2"); return "n1 and n2 lead by their own word" },
		"no quorum": func(w *world) string { w.group.views[0].Quorum = false; return "nobody lead" },
		"not named": func(w *world) string { w.lead("n1", ""); return "n1 leads, but n1 names n1, n2 names nobody" },
	},
	"one-holder": {
		"none": func(w *world) string { w.group.views[0].Holds = false; return "nobody hold the virtual address" },
		"two":  func(w *world) string { w.group.views[1].Holds = true; return "n1 and n2 hold the virtual address" },
		"nobody was given it": func(w *world) string {
			for i := range w.group.views {
				w.group.views[i].HasAddress, w.group.views[i].Holds = false, false
			}
			w.Address = func() (time.Duration, time.Duration, int, int) { return 0, 0, 0, 0 }
			return "no node says that it was given the virtual address"
		},
	},
	"backlog-empty": {
		"some left": func(w *world) string { w.group.views[1].Pending = 2; return "node n2 has 2 assignments to record" },
		"unknown":   func(w *world) string { w.group.views[1].Pending = -1; return "node n2 does not say" },
	},
	"equal-state": {
		"another state": func(w *world) string { w.group.views[1].Hash = "fedcba"; return "n2: index 9, fedcba at 9" },
		"behind": func(w *world) string {
			w.group.views[1].Applied, w.group.views[1].HashIndex = 8, 8
			return "n2: index 8"
		},
		"no node": func(w *world) string { w.group.views = nil; return "there is no node" },
	},
	"assignments-kept": {
		"lost on one node": func(w *world) string {
			w.group.tables["n2"] = map[string]ledger.Place{}
			return "not in the table of node n2"
		},
		"elsewhere": func(w *world) string {
			w.group.tables["n2"] = map[string]ledger.Place{"k0": {Cluster: "plain", Instance: "b"}}
			return "the table of node n2 says plain/b"
		},
		"one key for two": func(w *world) string {
			s := &load.Session{Kind: w.kind}
			w.request(s, true, "a")
			w.Ledger.SetKey(s.Entry, "k0")
			return "had the key of another one"
		},
		"never recorded": func(w *world) string {
			w.request(&load.Session{Kind: w.kind}, true, "a")
			w.Provisional = func() int { return 1 }
			return "not in the table of node n1"
		},
		"no table":   func(w *world) string { w.group.tables = nil; return "there is no table" },
		"unreadable": func(w *world) string { w.group.err = errors.New("refused"); return "refused" },
	},
	"assignments-linearizable": {"no order": func(w *world) string { w.request(w.user, false, "b"); return "session 0 of cluster plain" }},
	"provisional-recorded": {
		"never": func(w *world) string {
			w.returns()
			return "it began without a majority, its client has come back since, and it is not in the table of node n1"
		},
		"on one node": func(w *world) string {
			s := w.returns()
			w.group.tables["n2"] = map[string]ledger.Place{"k1": {Cluster: "plain", Instance: s.Entry.Instance}}
			return "not in the table of node n1"
		},
		"elsewhere": func(w *world) string {
			w.returns()
			w.group.tables["n1"]["k1"] = ledger.Place{Cluster: "plain", Instance: "a"} // both nodes share the map
			return "told b, the table of node n2 says plain/a"
		},
		"no table":   func(w *world) string { w.returns(); w.group.tables = nil; return "there is no table" },
		"unreadable": func(w *world) string { w.returns(); w.group.err = errors.New("refused"); return "refused" },
	},
	"revisions-kept": {
		"lost": func(w *world) string {
			w.group.revisions = []uint64{1, 3}
			return "revision 2 was acknowledged, and the group does not have it"
		},
		"told twice": func(w *world) string {
			w.History.Changed(history.Change{Sent: w.began, Ended: time.Now(), Expect: 1, Revision: 2})
			return "two changes were acknowledged as revision 2"
		},
		"none":       func(w *world) string { w.group.revisions = nil; return "the group has no revision" },
		"unreadable": func(w *world) string { w.group.err = errors.New("refused"); return "refused" },
	},
	"revisions-linearizable": {"no order": func(w *world) string {
		time.Sleep(time.Millisecond)
		w.History.ReadRevision(1, time.Now(), time.Now(), 1, "")
		return "revision 1 is current"
	}},
	"nothing-leaked": {
		"goroutines": func(w *world) string {
			w.group.usage[1].Goroutines = 90
			return "node n2 has 90 goroutines, before the load no node had more than 50"
		},
		"files": func(w *world) string {
			w.group.usage[0].Files = 60
			return "node n1 has 60 open files, before the load no node had more than 20"
		},
		"a request": func(w *world) string {
			w.group.usage[1].InFlight = 2
			w.HangUp = func() { w.group.usage[1].InFlight = 0 } // it must not be ended by that
			return "node n2 has 2 requests under way, and no client waits for one"
		},
		"what hangs on": func(w *world) string {
			w.group.usage[0].Files, w.HangUp = 60, func() {}
			return "node n1 has 60 open files"
		},
		"no measure": func(w *world) string { w.Baseline = nil; return "nobody measured" },
		"unreadable": func(w *world) string { w.group.err = errors.New("refused"); return "refused" },
	},
}

// returns has a client whose session no majority had recorded come back.
func (w *world) returns() *load.Session {
	s := &load.Session{Kind: w.kind}
	w.request(s, true, "b")
	w.Ledger.SetKey(s.Entry, "k1")
	w.Ledger.Provisional(s.Entry)
	w.Provisional = func() int { return 1 }
	w.Back = time.Now()
	w.request(s, false, "b")
	return s
}

// hurt lets a fault happen in which a request waits.
func (w *world) hurt(wait time.Duration) {
	n := w.Recorder.Begin("stall", "n1", "")
	due := time.Now()
	time.Sleep(wait)
	now := time.Now()
	time.Sleep(5 * time.Millisecond)
	w.Seen(load.Request{Session: w.user, Worker: 1, Due: due, Sent: now, Ended: time.Now(), Node: "n1", Instance: "a"})
	w.Recorder.Heal(n, nil)
}

func (w *world) epochs(first, second uint32) {
	w.group.views[0].Epoch, w.group.views[1].Epoch = first, second
}

func (w *world) lead(first, second string) {
	w.group.views[0].Leader, w.group.views[1].Leader = first, second
}

// unjudged are those in which nothing was seen that breaks the promise: nobody could look.
var unjudged = []string{"assignments-kept/no table", "assignments-kept/unreadable", "epochs-rise/no node", "epochs-rise/one is silent", "nothing-leaked/no measure", "nothing-leaked/unreadable", "provisional-recorded/no table", "provisional-recorded/unreadable", "revisions-kept/unreadable"}

// TestEachCheckFails: a check that passes what it must not proves nothing. Every check has such evidence here, and says in words what it saw.
func TestEachCheckFails(t *testing.T) {
	for _, c := range All() {
		if len(lies[c.Name]) == 0 {
			t.Errorf("nothing here breaks %s", c.Name)
		}
		for name, lie := range lies[c.Name] {
			t.Run(c.Name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld()
					want := lie(w)
					r := w.run(t, c.Name)
					if r.OK || r.Count == 0 || r.Saw == "" || !strings.Contains(strings.Join(r.Violations, "\n"), want) {
						t.Errorf("%+v, want %q", r, want)
					}
					if seen := !slices.Contains(unjudged, c.Name+"/"+name); r.Shown() != seen {
						t.Errorf("%d of %d violations say that something could not be judged; something was seen: %v", r.Unjudged, r.Count, seen)
					}
					if c.When == record.Eventually && r.Took < w.Patience {
						t.Errorf("given up after %v", r.Took)
					}
				})
			})
		}
	}
}

// TestWhatIsAllowed: none of this breaks a promise.
func TestWhatIsAllowed(t *testing.T) {
	for name, c := range map[string]struct {
		check string
		play  func(w *world)
	}{
		"an instance falls and rises": {"sessions-stay", func(w *world) {
			w.Fell("a", "plain")
			w.Fell("a", "plain") // twice is once
			w.request(w.user, false, "b")
			w.Rose("a")
		}},
		"the same in the history": {"assignments-linearizable", func(w *world) {
			w.Fell("a", "plain")
			w.request(w.user, false, "b")
			w.Rose("a")
			w.request(w.user, false, "b")
		}},
		"used again long after the fall": {"assignments-linearizable", func(w *world) {
			w.Fell("a", "plain")
			w.Rose("a")
			time.Sleep(time.Hour)
			w.request(w.user, false, "b")
		}},
		"a quiesce ends": {"assignments-linearizable", func(w *world) {
			w.MayLeave("plain", "a", "its quiesce ended", time.Now())
			time.Sleep(time.Hour)
			w.request(w.user, false, "b")
		}},
		"new sessions after a quiesce": {"quiesce-rules", func(w *world) {
			w.Quiesces.Began("plain", "b")
			time.Sleep(time.Minute)
			w.request(&load.Session{Kind: w.kind}, true, "a")
			w.Quiesces.Over("plain", "b")
			w.request(&load.Session{Kind: w.kind}, true, "b")
		}},
		"events that were missed": {"quiesce-rules", func(w *world) {
			w.Quiesces.Events([]Event{{3, "quiesced", "plain/b", false}, {900, "quiesced", "plain/b", false}, {901, "quiesce-started", "plain/b", false}, {902, "quiesce-canceled", "plain/b", false}})
		}},
		"a quiesce in time":            {"quiesce-rules", func(w *world) { w.quiesces(5*time.Second, "quiesced", 5*time.Second, true) }},
		"a quiesce that is ended":      {"quiesce-rules", func(w *world) { w.quiesces(5*time.Second, "quiesce-canceled", time.Second, true) }},
		"a quiesce that has no leader": {"quiesce-rules", func(w *world) { w.quiesces(5*time.Second, "quiesced", time.Minute, false) }},
		"a quiesce of whatever time":   {"quiesce-rules", func(w *world) { w.quiesces(0, "quiesced", time.Minute, true) }},
		"within the budget": {"requests-answered", func(w *world) {
			w.fails(w.user, 2)
			w.Budget = record.Budget{Failed: 1, Refused: 2}
		}},
		"a wait is no failure": {"requests-answered", func(w *world) {
			w.hurt(300 * time.Millisecond)
			w.Budget = record.Budget{Outage: time.Millisecond, Slowest: time.Millisecond}
		}},
		"a failure is no wait": {"requests-in-time", func(w *world) { w.fails(w.user, 2) }},
		"waits within the budget": {"requests-in-time", func(w *world) {
			w.hurt(300 * time.Millisecond)
			w.Budget = record.Budget{Outage: time.Second, Slowest: time.Second}
		}},
		"the address moves": {"address-once", func(w *world) {
			w.group.views[1].Holds = true
			w.Watch.See(time.Now(), w.group.views)
			w.group.views[0].Holds = false
			w.Watch.See(time.Now().Add(time.Minute), w.group.views)
		}},
		"a node restarts behind itself": {"never-backwards", func(w *world) {
			w.group.views[1].Started = w.began
			w.Watch.See(time.Now(), w.group.views)
			w.group.views[1] = View{Node: "n2", Term: 3, Applied: 1, Started: w.began.Add(time.Second)}
			w.Watch.See(time.Now(), w.group.views)
			w.Watch.See(time.Now(), []View{{Node: "n2", Error: "refused"}})
		}},
		"the group takes its time": {"one-leader", func(w *world) {
			w.lead("", "")
			w.group.later = func(f *fake) {
				if f.looks == 100 {
					w.lead("n1", "n1")
				}
			}
		}},
		"a group without an address": {"one-holder", func(w *world) {
			for i := range w.group.views {
				w.group.views[i].HasAddress, w.group.views[i].Holds = false, false
			}
		}},
		"a provisional session arrives late": {"assignments-kept", func(w *world) {
			s := &load.Session{Kind: w.kind}
			w.request(s, true, "b")
			w.Ledger.SetKey(s.Entry, "k1")
			w.Provisional = func() int { return 1 }
			w.group.later = func(f *fake) {
				if f.looks == 20 {
					f.tables["n1"]["k1"] = ledger.Place{Cluster: "plain", Instance: "b"} // both nodes share the map
				}
			}
		}},
		"recorded a while after its client came back": {"provisional-recorded", func(w *world) {
			w.returns()
			w.group.later = func(f *fake) {
				if f.looks == 20 {
					f.tables["n1"]["k1"] = ledger.Place{Cluster: "plain", Instance: "b"} // both nodes share the map
				}
			}
		}},
		"a client that did not come back": {"provisional-recorded", func(w *world) {
			w.returns()
			w.Back = time.Now().Add(time.Second)
		}},
		"an old cookie leads to where the session is": {"cookies-outdated", func(w *world) { w.Ledger.ShownOld(w.user.Entry, ledger.Answer{Instance: "a"}) }},
		"an old cookie while an instance is hurt": {"cookies-outdated", func(w *world) {
			defer w.Ledger.Hurt("a")()
			w.Ledger.ShownOld(w.user.Entry, ledger.Answer{Instance: "b"})
		}},
		"whole backups": {"backups-whole", func(w *world) { w.Backups.Read(nil); w.Backups.Read(nil) }},
		"a promotion": {"epochs-rise", func(w *world) {
			w.Epochs.Ends(1)
			w.epochs(2, 5)
		}},
		"forgotten revisions": {"revisions-kept", func(w *world) { w.group.revisions = []uint64{7, 8} }},
		"a new node":          {"nothing-leaked", func(w *world) { w.group.usage = append(w.group.usage, Usage{Node: "n9", Goroutines: 1e6}) }},
		"what waits is ended": {"nothing-leaked", func(w *world) {
			w.group.usage[1].Files, w.HangUp = 90, func() { w.group.usage[1].Files = 20 }
		}},
		"within the lease": {"address-once", func(w *world) {
			w.Address = func() (time.Duration, time.Duration, int, int) { return 1300 * time.Millisecond, time.Second, 4, 0 }
		}},
		"files come back": {"nothing-leaked", func(w *world) { w.group.usage[0].Files = 44 }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				c.play(w)
				if r := w.run(t, c.check); !r.OK {
					t.Errorf("%+v", r)
				}
			})
		})
	}
}

// TestWhatIsExcusedIsNotThere: sessions that a table may lack are not told of as if it had them.
func TestWhatIsExcusedIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.returns()
		if r := w.run(t, "assignments-kept"); !r.OK || !strings.HasPrefix(r.Saw, "1 of 2 sessions are on every one of 2 nodes; 1 need not be") {
			t.Errorf("%+v", r)
		}
	})
}

// TestKeep: the history, and pictures of what has no order, are kept and recorded.
func TestKeep(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "run")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 8 {
			s := &load.Session{Kind: w.kind}
			w.request(s, true, "a")
			w.request(s, false, "b")
			if i == 0 {
				w.History.ReadRevision(1, time.Now(), time.Now(), 1, "")
			}
		}
		Run(t.Context(), All(), record.AtEnd, w.Evidence)
		if err := w.Keep(folder); err != nil {
			t.Fatal(err)
		}
		kept := w.Recorder.Finish(nil).Artefacts
		if len(kept) != 1+maxPictures || kept[0] != "history.jsonl" {
			t.Errorf("kept %q", kept)
		}
		for _, name := range kept {
			if text, err := os.ReadFile(filepath.Join(folder, name)); err != nil || len(text) < 500 {
				t.Errorf("%s has %d bytes, %v", name, len(text), err)
			}
		}
		if err := w.Keep(filepath.Join(folder, "history.jsonl")); err == nil {
			t.Error("kept below a file")
		}
	})
}

// TestManyViolations: all are counted, some are shown.
func TestManyViolations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 3000 {
			w.request(w.user, false, fmt.Sprint("ab"[i%2:i%2+1]))
		}
		if r := w.run(t, "sessions-stay"); r.Count != 2999 || len(r.Violations) != maxShown {
			t.Errorf("%d violations, %d shown", r.Count, len(r.Violations))
		}
	})
}

func TestSelect(t *testing.T) {
	for _, names := range [][]string{nil, {"all"}, {"one-leader", "all"}} {
		if list, err := Select(names...); err != nil || len(list) != len(All()) {
			t.Errorf("%q: %d checks, %v", names, len(list), err)
		}
	}
	list, err := Select("one-leader", "sessions-stay", "one-leader")
	if err != nil || len(list) != 2 || list[0].Name != "sessions-stay" {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := Select("one-leader", "one-ladder", "\x1b[31m"); err == nil || !strings.Contains(err.Error(), `there is no check "one-ladder", "\x1b[31m"; there are all, sessions-stay,`) {
		t.Error(err)
	}
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Name] || c.About == "" || !strings.HasSuffix(c.About, ".") {
			t.Errorf("%s: twice, or without a sentence: %s", c.Name, c.About)
		}
		seen[c.Name] = true
	}
}

// TestAnInterruptedCheckIsNotOK: what was not judged has not passed.
func TestAnInterruptedCheckIsNotOK(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		over, cancel := context.WithCancel(t.Context())
		cancel()
		for _, c := range All() {
			if r := c.Run(over, w.Evidence); r.OK {
				t.Errorf("%s passed after the end of the run", c.Name)
			} else if r.Shown() && c.When != record.Eventually {
				t.Errorf("%s has seen that a promise was broken, after the end of the run: %v", c.Name, r.Violations)
			}
		}
	})
}

// TestNothingToJudge: where there was none of what a check judges it says so, and only then.
func TestNothingToJudge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		results := func(w *world) (nothing []string) {
			for _, c := range All() {
				r := w.run(t, c.Name)
				if r.Nothing {
					nothing = append(nothing, r.Name)
				}
				if !r.OK || r.Nothing != strings.HasSuffix(r.Saw, "so this shows nothing of it") {
					t.Errorf("%+v", r)
				}
			}
			return nothing
		}
		empty := newWorld()
		for i := range empty.group.views {
			empty.group.views[i].HasAddress, empty.group.views[i].Holds = false, false
		}
		baseline := empty.Baseline
		empty.Evidence = New(record.New(record.Run{}), ledger.New(), empty.group)
		empty.Baseline = baseline
		empty.Quiesces.New("plain", "a", time.Now()) // a new session, and no quiesce
		has := []string{"nodes-ready", "one-leader", "backlog-empty", "equal-state", "nothing-leaked"}
		if nothing := results(empty); len(nothing) != len(All())-len(has) || slices.ContainsFunc(has, func(name string) bool { return slices.Contains(nothing, name) }) {
			t.Errorf("of an empty run: %q", nothing)
		}
		full := newWorld()
		full.returns()
		full.group.tables["n1"]["k1"] = ledger.Place{Cluster: "plain", Instance: "b"} // both nodes share the map
		full.Budget.Outage = time.Hour
		full.Forged = func() int { return 1 }
		full.Ledger.ShownOld(full.user.Entry, ledger.Answer{Instance: "a"})
		full.Backups.Read(nil)
		full.Epochs.Ends(1)
		full.epochs(2, 2)
		full.Losses.Told(Loss{How: "promote", After: time.Now().Add(-time.Hour), Ended: time.Now().Add(-time.Hour)})
		if nothing := results(full); nothing != nil {
			t.Errorf("of a full run: %q", nothing)
		}
	})
}

// TestNothingForged: a run in which no cookie was forged says that it shows nothing of that.
func TestNothingForged(t *testing.T) {
	for n, want := range map[int]string{0: "no cookie was forged, so this shows nothing of it", 3: "3 forged cookies shown, none believed"} {
		w := newWorld()
		w.Forged = func() int { return n }
		if v := authentic(t.Context(), w.Evidence); v.count != 0 || !strings.HasSuffix(v.saw, want) {
			t.Errorf("%d forged: %+v", n, v)
		}
	}
}

// TestQuiesceCountsFromBeforeItsCommit: a change that takes a while to be committed is a quiesce that seems to be shorter than it is.
func TestQuiesceCountsFromBeforeItsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for asked, ok := range map[time.Duration]bool{100 * time.Millisecond: false, 600 * time.Millisecond: true} {
			w := newWorld()
			w.request(&load.Session{Kind: w.kind}, true, "b")
			w.Quiesces.Asked("plain", "b")
			time.Sleep(asked)
			w.quiesces(5*time.Second, "quiesced", 4*time.Second, true) // 4.5 s at most, as looks show it
			if r := w.run(t, "quiesce-rules"); r.OK != ok {
				t.Errorf("asked for %v before: %+v", asked, r)
			}
		}
	})
}

// TestQuiesceOfNobody: an instance without a session has nothing to wait for; with one it has.
func TestQuiesceOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for sessions := range 2 {
			w := newWorld()
			for range sessions {
				w.request(&load.Session{Kind: w.kind}, true, "b")
			}
			w.quiesces(5*time.Second, "quiesced", time.Second, true)
			if r := w.run(t, "quiesce-rules"); r.OK != (sessions == 0) {
				t.Errorf("%d sessions: %+v", sessions, r)
			}
		}
	})
}
