package ledger

import (
	"strings"
	"testing"
	"time"
)

func answer(instance, session string, count int) Answer {
	return Answer{At: time.Unix(1, 0), Node: "n1", Instance: instance, Session: session, Count: count}
}

// TestRules: each broken promise is noted under its rule, and what keeps it is not.
func TestRules(t *testing.T) {
	crossed, fresh := answer("a", "S", 2), answer("a", "S", 2)
	crossed.Crossed, fresh.New = true, true
	for name, c := range map[string]struct {
		fallen  []string
		answers []Answer
		want    []Rule
	}{
		"kept":                  {nil, []Answer{answer("a", "S", 2), answer("a", "S", 3)}, nil},
		"noted out of order":    {nil, []Answer{answer("a", "S", 3), answer("a", "S", 2)}, nil},
		"moved":                 {nil, []Answer{answer("b", "S", 2)}, []Rule{Moved}},
		"moved, then stays":     {nil, []Answer{answer("b", "S", 2), answer("b", "S", 3)}, []Rule{Moved}},
		"moved there and back":  {nil, []Answer{answer("b", "S", 2), answer("a", "S", 3)}, []Rule{Moved, Moved}},
		"session forgotten":     {nil, []Answer{answer("a", "T", 1)}, []Rule{Reset}},
		"session made anew":     {nil, []Answer{fresh}, []Rule{Reset}},
		"counter starts again":  {nil, []Answer{answer("a", "S", 20), answer("a", "S", 1)}, []Rule{Reset}},
		"another's answer":      {nil, []Answer{crossed}, []Rule{Crossed}},
		"legal move":            {[]string{"a"}, []Answer{answer("b", "T", 1), answer("b", "T", 2)}, nil},
		"legal move, then back": {[]string{"a"}, []Answer{answer("b", "T", 1), answer("a", "S", 2)}, []Rule{Moved}},
		"move to a fallen one":  {[]string{"a", "b"}, []Answer{answer("b", "T", 1)}, []Rule{Moved}},
	} {
		t.Run(name, func(t *testing.T) {
			l := New()
			e := l.Told("learn", answer("a", "S", 1))
			for _, instance := range c.fallen {
				l.Fallen(instance)
			}
			for _, a := range c.answers {
				l.Repeated(e, a)
			}
			got, total := l.Violations()
			if len(got) != len(c.want) || total != len(c.want) {
				t.Fatalf("violations %v, want %v", got, c.want)
			}
			for i, rule := range c.want {
				if got[i].Rule != rule {
					t.Errorf("violation %d is %v, want %s", i, got[i], rule)
				}
			}
		})
	}
}

// TestOldCookiesDoNotCount: a cookie from before a move leads to where the session is now, unless the session may leave that just then.
func TestOldCookiesDoNotCount(t *testing.T) {
	now := func(instance string) Answer { return Answer{At: time.Now(), Node: "n1", Instance: instance} }
	for name, c := range map[string]struct {
		hurt  string // after the move
		shown string
		want  int
	}{
		"to where it is":                  {"", "b", 0},
		"to where it was":                 {"", "a", 1},
		"to a third one":                  {"", "c", 1},
		"though where it was is hurt":     {"a", "a", 1},
		"while where it is may be left":   {"b", "c", 0},
		"while another instance is hurt ": {"c", "a", 1},
	} {
		t.Run(name, func(t *testing.T) {
			l := New()
			e := l.Told("insert", now("a"))
			over := l.Hurt("a")
			l.Repeated(e, now("b"))
			over()
			if c.hurt != "" {
				defer l.Hurt(c.hurt)()
			}
			l.ShownOld(e, now(c.shown))
			if got := l.Count(); got[Outdated] != c.want || len(got) != c.want || l.Old() != 1 {
				t.Errorf("%v, %d shown", got, l.Old())
			}
		})
	}
}

// TestClustersStayApart: an answer comes from an instance that the session's cluster has, or had.
func TestClustersStayApart(t *testing.T) {
	l := New()
	free := l.Told("plain", answer("z", "S", 1)) // nothing was said of plain
	l.Members("learn", "a")
	e := l.Told("learn", answer("a", "S", 1))
	l.Told("learn", answer("b", "S", 1))
	l.Members("learn", "b") // from now on it has both
	l.Fallen("a")
	l.Repeated(e, answer("b", "T", 1))
	l.Repeated(free, answer("z", "S", 2))
	got, _ := l.Violations()
	if len(got) != 1 || got[0].Rule != Strayed || got[0].Entry != 2 || !strings.Contains(got[0].Detail, "b, which cluster learn does not have") {
		t.Errorf("violations %v", got)
	}
}

func TestCheckTable(t *testing.T) {
	l := New()
	for _, key := range []string{"k0", "k1", "k2", "k0", ""} {
		l.SetKey(l.Told("insert", answer("a", "", 0)), key)
	}
	found, excused := l.CheckTable("n1", map[string]Place{"k0": {"insert", "a"}, "k1": {"insert", "b"}, "k9": {"insert", "a"}})
	if found != 1 || excused != 0 {
		t.Errorf("found %d, excused %d", found, excused)
	}
	want := map[Rule]int{Differs: 1, Missing: 2, Crossed: 1}
	for rule, n := range l.Count() {
		if want[rule] != n {
			t.Errorf("%s: %d, want %d", rule, n, want[rule])
		}
		delete(want, rule)
	}
	if len(want) > 0 {
		t.Errorf("not noted: %v", want)
	}
}

// TestOccasions: a session may leave once what it was last seen on before the occasion was over.
func TestOccasions(t *testing.T) {
	now := time.Now()
	at := func(after time.Duration, instance, session string) Answer {
		return Answer{At: now.Add(after), Node: "n1", Instance: instance, Session: session}
	}
	for name, c := range map[string]struct {
		first  time.Duration
		happen func(l *Ledger)
		later  []Answer
		want   int
	}{
		"rose, left":             {-time.Hour, func(l *Ledger) { l.Fallen("a"); l.Risen("a") }, []Answer{at(time.Hour, "b", "T")}, 0},
		"rose, forgot":           {-time.Hour, func(l *Ledger) { l.Fallen("a"); l.Risen("a") }, []Answer{at(time.Hour, "a", "T"), at(2*time.Hour, "a", "T")}, 0},
		"rose, forgets again":    {-time.Hour, func(l *Ledger) { l.Fallen("a"); l.Risen("a") }, []Answer{at(time.Hour, "a", "T"), at(2*time.Hour, "a", "U")}, 1},
		"told after it rose":     {time.Hour, func(l *Ledger) { l.Fallen("a"); l.Risen("a") }, []Answer{at(2*time.Hour, "b", "T")}, 1},
		"to one that rose":       {-time.Hour, func(l *Ledger) { l.Fallen("a"); l.Fallen("b"); l.Risen("b") }, []Answer{at(time.Hour, "b", "T")}, 0},
		"quiesced":               {-time.Hour, func(l *Ledger) { l.MayLeave("learn", "a") }, []Answer{at(time.Hour, "b", "T")}, 0},
		"quiesced, told later":   {time.Hour, func(l *Ledger) { l.MayLeave("learn", "a") }, []Answer{at(2*time.Hour, "b", "T")}, 1},
		"quiesced, leaves twice": {-time.Hour, func(l *Ledger) { l.MayLeave("learn", "a") }, []Answer{at(time.Hour, "b", "T"), at(2*time.Hour, "a", "S")}, 1},
		"another cluster's":      {-time.Hour, func(l *Ledger) { l.MayLeave("plain", "a") }, []Answer{at(time.Hour, "b", "T")}, 1},
	} {
		l := New()
		e := l.Told("learn", at(c.first, "a", "S"))
		c.happen(l)
		for _, a := range c.later {
			l.Repeated(e, a)
		}
		if got, total := l.Violations(); total != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if e.Told != "a" {
			t.Errorf("%s: told %s first", name, e.Told)
		}
	}
}

func TestABrokenRunStaysBounded(t *testing.T) {
	l := New()
	for range maxKept + 50 {
		l.Violate(Forged, nil, "again")
	}
	l.Violate(Moved, nil, "another rule has its own room")
	if kept, total := l.Violations(); len(kept) != maxKept+1 || total != maxKept+51 || l.Count()[Forged] != maxKept+50 {
		t.Errorf("kept %d of %d", len(kept), total)
	}
}

// TestWhatMustNotBeRepeated: an application that has executed more requests than were sent has had one twice; one that has executed fewer has not heard of all.
func TestWhatMustNotBeRepeated(t *testing.T) {
	post := func(count, most int, garbled bool) Answer {
		a := answer("a", "S", count)
		a.Most, a.Garbled = most, garbled
		return a
	}
	for name, c := range map[string]struct {
		first, next Answer
		want        Rule
	}{
		"once":                         {post(1, 1, false), post(2, 2, false), ""},
		"one was lost on the way":      {post(1, 2, false), post(2, 3, false), ""},
		"twice":                        {post(1, 1, false), post(3, 2, false), Twice},
		"the first one twice":          {post(2, 1, false), post(3, 3, false), Twice},
		"not known how many were sent": {post(5, 0, false), post(9, 0, false), ""},
		"another body":                 {post(1, 1, false), post(2, 2, true), Garbled},
		"the first body was another":   {post(1, 1, true), post(2, 2, false), Garbled},
	} {
		l := New()
		l.Repeated(l.Told("plain", c.first), c.next)
		got, _ := l.Violations()
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || got[0].Rule != c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
