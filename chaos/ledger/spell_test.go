package ledger

import (
	"strings"
	"testing"
	"time"
)

// TestLegalMoves: a session may leave an instance that was hurt since its last answer, forget what a killed instance forgot, and go back from where a node without the others sent it.
func TestLegalMoves(t *testing.T) {
	now := time.Now()
	later := now.Add(time.Minute) // beyond every grace
	told := func(instance, session string, count int, at time.Time) Answer {
		return Answer{At: at, Node: "n1", Instance: instance, Session: session, Count: count}
	}
	for name, c := range map[string]struct {
		play func(l *Ledger, e *Entry)
		want int
	}{
		"hurt now": {func(l *Ledger, e *Entry) { l.Hurt("a"); l.Repeated(e, told("b", "", 0, later)) }, 0},
		"hurt before": {func(l *Ledger, e *Entry) {
			l.Hurt("a")()
			l.Repeated(e, told("b", "", 0, later))
		}, 0},
		"hurt long before its last answer": {func(l *Ledger, e *Entry) {
			end := l.Hurt("a")
			end()
			end()
			l.Repeated(e, told("a", "S", 2, later))
			l.Repeated(e, told("b", "", 0, later))
		}, 1},
		"hurt twice, healed once": {func(l *Ledger, e *Entry) {
			l.Hurt("a")()
			l.Hurt("a")
			l.Repeated(e, told("a", "S", 2, later))
			l.Repeated(e, told("b", "", 0, later))
		}, 0},
		"another one hurt": {func(l *Ledger, e *Entry) { l.Hurt("b"); l.Repeated(e, told("b", "", 0, later)) }, 1},
		"moves on, with the next one hurt": {func(l *Ledger, e *Entry) {
			l.Hurt("a")
			l.Repeated(e, told("b", "T", 1, later))
			l.Hurt("b")
			l.Repeated(e, told("c", "U", 1, later))
		}, 0},
		"forgotten": {func(l *Ledger, e *Entry) { l.Forgets("a"); l.Repeated(e, told("a", "T", 1, later)) }, 0},
		"forgotten twice": {func(l *Ledger, e *Entry) {
			l.Forgets("a")
			l.Repeated(e, told("a", "T", 1, later))
			l.Repeated(e, told("a", "U", 1, later))
		}, 1},
		"forgotten by another": {func(l *Ledger, e *Entry) { l.Forgets("b"); l.Repeated(e, told("a", "T", 1, later)) }, 1},
		"back after a decision alone": {func(l *Ledger, e *Entry) {
			l.Doubt()
			l.Hurt("a")
			l.Repeated(e, told("b", "T", 1, later))
			l.Repeated(e, told("a", "S", 2, later))
		}, 0},
		"from node to node, each alone, and home": {func(l *Ledger, e *Entry) {
			end := l.Doubt()
			l.Hurt("a")()
			l.Repeated(e, told("b", "T", 1, now))
			l.Repeated(e, told("c", "U", 1, now))
			l.Repeated(e, told("b", "T", 2, now))
			end()
			l.Repeated(e, told("a", "S", 2, later))
			l.Repeated(e, told("b", "T", 3, later.Add(time.Minute)))
		}, 1},
		"doubt that is noticed late": {func(l *Ledger, e *Entry) {
			l.Hurt("a")()
			l.Repeated(e, told("b", "T", 1, now))
			l.Repeated(e, told("c", "U", 1, now))
			l.Doubt()
		}, 0},
		"doubt that comes later": {func(l *Ledger, e *Entry) {
			l.Hurt("a")()
			l.Repeated(e, told("b", "T", 1, now.Add(-time.Minute)))
			l.Repeated(e, told("c", "U", 1, now.Add(-time.Minute)))
			l.Doubt()
		}, 1},
		"back without doubt": {func(l *Ledger, e *Entry) {
			l.Hurt("a")()
			l.Repeated(e, told("b", "T", 1, later))
			l.Repeated(e, told("a", "S", 2, later))
		}, 1},
		"doubt, and a node that has not heard of it": {func(l *Ledger, e *Entry) {
			l.Doubt()
			a := told("b", "T", 1, later)
			a.New = true
			l.Repeated(e, a)
		}, 1},
		"anew without doubt": {func(l *Ledger, e *Entry) {
			a := told("b", "T", 1, later)
			a.New = true
			l.Repeated(e, a)
		}, 1},
		"doubt alone moves nobody": {func(l *Ledger, e *Entry) { l.Doubt(); l.Repeated(e, told("b", "T", 1, later)) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := New()
			c.play(l, l.Told("learn", told("a", "S", 1, now)))
			if list, n := l.Violations(); n != c.want {
				t.Errorf("%d violations, want %d: %v", n, c.want, list)
			}
		})
	}
}

// TestLegalTables: a table may have a session where its client may be told next.
func TestLegalTables(t *testing.T) {
	for name, c := range map[string]struct {
		play  func(l *Ledger, e *Entry)
		table map[string]Place
		want  int
	}{
		"elsewhere, hurt":          {func(l *Ledger, _ *Entry) { l.Hurt("a") }, map[string]Place{"k": {"insert", "b"}}, 0},
		"elsewhere":                {func(*Ledger, *Entry) {}, map[string]Place{"k": {"insert", "b"}}, 1},
		"in another cluster, hurt": {func(l *Ledger, _ *Entry) { l.Hurt("a") }, map[string]Place{"k": {"learn", "b"}}, 1},
		"absent, hurt":             {func(l *Ledger, _ *Entry) { l.Hurt("a") }, nil, 1},
		"absent, provisional":      {func(l *Ledger, e *Entry) { l.Provisional(e) }, nil, 0},
		"elsewhere, provisional":   {func(l *Ledger, e *Entry) { l.Provisional(e) }, map[string]Place{"k": {"insert", "b"}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := New()
			e := l.Told("insert", answer("a", "", 0))
			l.SetKey(e, "k")
			c.play(l, e)
			found, excused := l.CheckTable("n1", c.table)
			if list, n := l.Violations(); n != c.want || found != 0 || excused != 1-c.want {
				t.Errorf("%d violations, want %d, found %d, excused %d: %v", n, c.want, found, excused, list)
			}
		})
	}
}

// TestWhatIsThereIsNoExcuse: a session that may be missing or elsewhere, and is where its client was told, is found.
func TestWhatIsThereIsNoExcuse(t *testing.T) {
	l := New()
	e := l.Told("insert", answer("a", "", 0))
	l.SetKey(e, "k")
	l.Provisional(e)
	l.Hurt("a")
	if found, excused := l.CheckTable("n1", map[string]Place{"k": {"insert", "a"}}); found != 1 || excused != 0 {
		t.Errorf("found %d, excused %d", found, excused)
	}
}

// TestReturned: what began without a majority has to be recorded when its client has come back, where the client was told or may be told next.
func TestReturned(t *testing.T) {
	l := New()
	now := time.Now()
	told := func(instance string, after time.Duration) Answer {
		return Answer{At: now.Add(after), Node: "n1", Instance: instance, Session: "S"}
	}
	var owed []*Entry
	for _, key := range []string{"away", "there", "elsewhere", "absent", "hurt"} {
		e := l.Told("plain", told(map[bool]string{true: "h", false: "a"}[key == "hurt"], 0))
		l.SetKey(e, key)
		l.Provisional(e)
		owed = append(owed, e)
	}
	l.SetKey(l.Told("plain", told("a", 0)), "never provisional")
	back := now.Add(time.Second)
	if list := l.Returned(back); len(list) != 0 {
		t.Errorf("%d have come back before they did", len(list))
	}
	l.Hurt("h")
	for _, e := range owed[1:] {
		l.Repeated(e, told(e.Instance, 2*time.Second))
	}
	list := l.Returned(back)
	table := map[string]Place{"there": {"plain", "a"}, "elsewhere": {"plain", "b"}, "hurt": {"plain", "b"}}
	got := l.CheckReturned("n2", table, list)
	if len(list) != 4 || len(got) != 2 || !strings.Contains(got[0], "the table of node n2 says plain/b") || !strings.Contains(got[1], "it is not in the table of node n2") {
		t.Errorf("%d came back: %q", len(list), got)
	}
	if _, n := l.Violations(); n != 0 {
		t.Errorf("%d were noted", n)
	}
}

// TestWhatIsNotKnownYet: a move that doubt would excuse is told of at the end, not while the run goes on and the doubt may still be noticed.
func TestWhatIsNotKnownYet(t *testing.T) {
	l := New()
	now := time.Now()
	at := func(after time.Duration, instance string) Answer {
		return Answer{At: now.Add(after), Node: "n1", Instance: instance, Session: "S", Count: 2}
	}
	e := l.Told("plain", at(0, "a"))
	over := l.Hurt("a")
	l.Repeated(e, at(time.Millisecond, "b")) // away from home
	over()
	l.Running(true)
	l.Repeated(e, at(2*time.Millisecond, "c"))
	if got, n := l.Violations(); n != 0 {
		t.Errorf("while it runs: %v", got)
	}
	l.Running(false)
	if got, n := l.Violations(); n != 1 || got[0].Rule != Moved {
		t.Errorf("at the end: %v", got)
	}
}

// TestSettled: a session is settled as long as nothing has moved it and nothing lets it leave.
func TestSettled(t *testing.T) {
	l := New()
	now := time.Now()
	told := func(instance string) Answer { return Answer{At: now, Node: "n1", Instance: instance, Session: "S"} }
	stays, hurt := l.Told("plain", told("a")), l.Told("plain", told("b"))
	over := l.Hurt("b")
	if !l.Settled(stays) || l.Settled(hurt) {
		t.Error("hurt")
	}
	over()
	if l.Settled(hurt) {
		t.Error("checks have to come round first")
	}
	l.Repeated(hurt, told("a"))
	if l.Settled(hurt) || !l.Settled(stays) {
		t.Error("moved")
	}
	l.Fallen("a")
	if l.Settled(stays) {
		t.Error("fallen")
	}
}

// TestWhatAGroupMayLose: a group that goes on from an older state may have forgotten sessions that were first answered after that, once each, until their clients have come back; all others are where they were.
func TestWhatAGroupMayLose(t *testing.T) {
	now := time.Now()
	told := func(instance, session string, count int, at time.Time) Answer {
		return Answer{At: at, Node: "n1", Instance: instance, Session: session, Count: count}
	}
	for name, c := range map[string]struct {
		began time.Duration // after the time that the group has everything up to
		play  func(l *Ledger, e *Entry, at func(time.Duration) time.Time)
		want  int
	}{
		"forgotten, at another instance": {time.Second, func(l *Ledger, e *Entry, at func(time.Duration) time.Time) { l.Repeated(e, told("b", "T", 1, at(0))) }, 0},
		"forgotten, at its own instance": {time.Second, func(l *Ledger, e *Entry, at func(time.Duration) time.Time) { l.Repeated(e, told("a", "T", 1, at(0))) }, 0},
		"not forgotten":                  {time.Second, func(l *Ledger, e *Entry, at func(time.Duration) time.Time) { l.Repeated(e, told("a", "S", 2, at(0))) }, 0},
		"forgotten, in no table": {time.Second, func(l *Ledger, e *Entry, _ func(time.Duration) time.Time) {
			l.SetKey(e, "k")
			if found, excused := l.CheckTable("n1", map[string]Place{}); found != 0 || excused != 1 || l.Lacks(map[string]Place{}) != 0 || l.Settled(e) || l.LostAtMost() != 1 {
				l.Violate(Missing, e, "it is taken for one that must be there")
			}
		}, 0},
		"forgotten twice": {time.Second, func(l *Ledger, e *Entry, at func(time.Duration) time.Time) {
			l.Repeated(e, told("b", "T", 1, at(0)))
			l.Repeated(e, told("a", "U", 1, at(time.Minute)))
		}, 1},
		"from before, at another instance": {-time.Second, func(l *Ledger, e *Entry, at func(time.Duration) time.Time) { l.Repeated(e, told("b", "T", 1, at(0))) }, 1},
		"from before, forgotten":           {-time.Second, func(l *Ledger, e *Entry, at func(time.Duration) time.Time) { l.Repeated(e, told("a", "T", 1, at(0))) }, 1},
		"from before, in no table": {-time.Second, func(l *Ledger, e *Entry, _ func(time.Duration) time.Time) {
			l.SetKey(e, "k")
			l.CheckTable("n1", map[string]Place{})
		}, 1},
		"begun since": {2 * time.Hour, func(l *Ledger, e *Entry, at func(time.Duration) time.Time) {
			l.Repeated(e, told("b", "T", 1, at(3*time.Hour)))
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := New()
			e := l.Told("plain", told("a", "S", 1, now.Add(c.began-time.Minute)))
			l.Lost(now.Add(-time.Minute))
			c.play(l, e, func(later time.Duration) time.Time { return time.Now().Add(later + time.Second) })
			if kept, n := l.Violations(); n != c.want {
				t.Errorf("%d violations, want %d: %v", n, c.want, kept)
			}
		})
	}
}
