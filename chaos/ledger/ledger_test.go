package ledger

import (
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

func TestCheckTable(t *testing.T) {
	l := New()
	for _, key := range []string{"k0", "k1", "k2", "k0", ""} {
		l.SetKey(l.Told("insert", answer("a", "", 0)), key)
	}
	found := l.CheckTable("n1", map[string]Place{"k0": {"insert", "a"}, "k1": {"insert", "b"}, "k9": {"insert", "a"}})
	if found != 1 {
		t.Errorf("found %d", found)
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

func TestABrokenRunStaysBounded(t *testing.T) {
	l := New()
	for range maxKept + 50 {
		l.Violate(Forged, nil, "again")
	}
	if kept, total := l.Violations(); len(kept) != maxKept || total != maxKept+50 {
		t.Errorf("kept %d of %d", len(kept), total)
	}
}
