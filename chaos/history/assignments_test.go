package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// script builds a history in milliseconds.
type script struct{ *History }

func newScript() script {
	s := script{New()}
	s.Session(1, "plain", "1")
	return s
}

func (s script) ms(n int) time.Time { return s.began.Add(time.Duration(n) * time.Millisecond) }

func (s script) answer(from, to int, instance string) {
	s.Answered(1, 0, s.ms(from), s.ms(to), instance)
}
func (s script) silent(from int)                    { s.Silent(1, 0, s.ms(from)) }
func (s script) look(from, to int, instance string) { s.Looked(1, 0, s.ms(from), s.ms(to), instance) }
func (s script) leave(from, to int, instance string) {
	s.MayLeave("plain", instance, "quiesced", s.ms(from), s.ms(to))
}

// TestAssignments: histories that one table could have made, and such that none could.
func TestAssignments(t *testing.T) {
	for name, c := range map[string]struct {
		play func(s script)
		want string // part of what is said; empty: it has an order
	}{
		"stays":                        {func(s script) { s.answer(0, 1, "a"); s.answer(2, 3, "a"); s.look(4, 5, "a") }, ""},
		"moves":                        {func(s script) { s.answer(0, 1, "a"); s.answer(2, 3, "b") }, "session 1 of cluster plain: at 0.003 s, b answers, after a answers (0.001 s)"},
		"two at once":                  {func(s script) { s.answer(0, 5, "a"); s.answer(1, 3, "b") }, "a answers"},
		"moves there and back":         {func(s script) { s.answer(0, 1, "a"); s.answer(2, 3, "b"); s.answer(4, 5, "a") }, "b answers"},
		"lost":                         {func(s script) { s.answer(0, 1, "a"); s.look(2, 3, "") }, "the group has it nowhere"},
		"looked for before the answer": {func(s script) { s.answer(0, 3, "a"); s.look(1, 2, "") }, ""},
		"elsewhere in the table":       {func(s script) { s.answer(0, 1, "a"); s.look(2, 3, "b") }, "the group has it on b"},
		"no answer, then set":          {func(s script) { s.silent(0); s.look(1, 2, ""); s.look(3, 4, "b"); s.answer(5, 6, "b") }, ""},
		"set by nobody":                {func(s script) { s.look(1, 2, "b") }, "nothing before allows that"},
		"no answer does not move":      {func(s script) { s.answer(0, 1, "a"); s.silent(2); s.answer(3, 4, "b") }, "b answers"},
		"quiesced":                     {func(s script) { s.answer(0, 1, "a"); s.leave(2, 3, "a"); s.answer(4, 5, "b"); s.answer(6, 7, "b") }, ""},
		"quiesced, and nowhere":        {func(s script) { s.answer(0, 1, "a"); s.leave(2, 3, "a"); s.look(4, 5, "") }, ""},
		"quiesced, but stays":          {func(s script) { s.answer(0, 1, "a"); s.leave(2, 3, "a"); s.answer(4, 5, "a") }, ""},
		"another one quiesced":         {func(s script) { s.answer(0, 1, "a"); s.leave(2, 3, "b"); s.answer(4, 5, "b") }, "b answers"},
		"left before it was quiesced":  {func(s script) { s.answer(0, 1, "a"); s.answer(2, 3, "b"); s.leave(4, 5, "a") }, "b answers"},
		"leaves once, not twice":       {func(s script) { s.answer(0, 1, "a"); s.leave(2, 9, "a"); s.answer(4, 5, "b"); s.answer(6, 7, "a") }, "a answers"},
		"each has its occasion": {func(s script) {
			s.answer(0, 1, "a")
			s.leave(2, 9, "a")
			s.leave(2, 9, "b")
			s.answer(4, 5, "b")
			s.answer(6, 7, "a")
		}, ""},
		"the whole cluster may leave": {func(s script) { s.answer(0, 1, "a"); s.leave(2, 3, ""); s.answer(4, 5, "c") }, ""},
		"set after it left, no answer": {func(s script) {
			s.answer(0, 1, "a")
			s.leave(2, 3, "a")
			s.silent(4)
			s.look(5, 6, "c")
			s.answer(7, 8, "c")
		}, ""},
		"ended before it was sent by ntp": {func(s script) { s.answer(5, 1, "a"); s.answer(6, 7, "a") }, ""},
		"only silence":                    {func(s script) { s.silent(0); s.silent(1) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			c.play(s)
			j := s.Assignments(t.Context())
			if j.OK() != (c.want == "") || j.Subjects != 1 || j.Unjudged != 0 {
				t.Fatalf("%+v, want %q", j, c.want)
			}
			if c.want == "" {
				return
			}
			if !strings.Contains(j.Wrong[0].Text, c.want) {
				t.Errorf("%q, want %q", j.Wrong[0].Text, c.want)
			}
			var page strings.Builder
			if err := j.Wrong[0].Draw(&page); err != nil || !strings.Contains(page.String(), "<html") {
				t.Errorf("no picture: %v, %.100s", err, page.String())
			}
		})
	}
}

// TestAnotherClusterIsNotConcerned by an occasion to leave.
func TestAnotherClusterIsNotConcerned(t *testing.T) {
	s := newScript()
	s.answer(0, 1, "a")
	s.MayLeave("learn", "a", "fell", s.ms(2), time.Time{})
	s.answer(4, 5, "b")
	if j := s.Assignments(t.Context()); j.OK() {
		t.Error("a session left an instance because one of that name in another cluster fell")
	}
	open := s.MayLeave("plain", "a", "fell", s.ms(2), time.Time{})
	if j := s.Assignments(t.Context()); !j.OK() {
		t.Errorf("an open occasion does not count: %+v", j)
	}
	s.answer(7, 8, "b")
	s.Ends(s.MayLeave("plain", "b", "fell", s.ms(5), time.Time{}), s.ms(6))
	s.Ends(open, s.ms(3))
	s.answer(9, 10, "a")
	if j := s.Assignments(t.Context()); j.OK() {
		t.Error("a session left after the occasion had ended")
	}
}

// TestWhatIsLost: a session that was first answered after what the group has may be nowhere after the loss, and then anywhere; one from before may not.
func TestWhatIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		play func(script)
		want bool
	}{
		"begun after it":         {func(s script) { s.answer(5, 6, "a"); s.answer(11, 12, "b") }, true},
		"seen to be nowhere":     {func(s script) { s.answer(5, 6, "a"); s.look(11, 12, ""); s.answer(13, 14, "b") }, true},
		"lost twice":             {func(s script) { s.answer(5, 6, "a"); s.answer(11, 12, "b"); s.answer(13, 14, "a") }, false},
		"begun before it":        {func(s script) { s.answer(1, 2, "a"); s.answer(11, 12, "b") }, false},
		"begun before, kept":     {func(s script) { s.answer(1, 2, "a"); s.answer(11, 12, "a") }, true},
		"nowhere, from before":   {func(s script) { s.answer(1, 2, "a"); s.look(11, 12, "") }, false},
		"begun after the loss":   {func(s script) { s.answer(11, 12, "a"); s.answer(13, 14, "b") }, false},
		"moved before it was so": {func(s script) { s.answer(4, 5, "a"); s.answer(6, 7, "b") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			s.Lost("plain", "the group went on from an older state", s.ms(3), s.ms(8), s.ms(10))
			s.Lost("learn", "another cluster", s.ms(0), s.ms(0), s.ms(20))
			c.play(s)
			if j := s.Assignments(t.Context()); j.OK() != c.want {
				t.Errorf("%+v", j)
			}
		})
	}
}

// TestRealTablesHaveAnOrder: histories that a real table made pass, whatever the delays; with one answer of another instance they do not.
func TestRealTablesHaveAnOrder(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 0))
		h := New()
		at := func(n int) time.Time { return h.began.Add(time.Duration(n) * time.Millisecond) }
		broken, sessions := random.IntN(4), 4
		for id := range sessions {
			cluster := fmt.Sprint("c", id)
			h.Session(id, cluster, fmt.Sprint(id))
			where, dead := "", map[string]bool{}
			for i := range 12 {
				point := 100 + 20*i // each takes effect here, and was sent and answered within 60 ms of it
				sent, ended := at(point-random.IntN(60)), at(point+random.IntN(60))
				switch n := random.IntN(10); {
				case n == 0:
					h.Silent(id, 0, sent)
				case n == 1 && len(dead) < 3 && where != "" && id != broken: // an instance falls, between this point and the next
					dead[where] = true
					h.MayLeave(cluster, where, "fell", at(point), at(point+10))
					where = ""
				case n == 2:
					h.Looked(id, 0, sent, ended, where)
				default:
					for where == "" || dead[where] {
						where = fmt.Sprintf("i%d", random.IntN(5))
					}
					h.Answered(id, 0, sent, ended, where)
				}
			}
			if id == broken {
				h.Answered(id, 0, at(0), at(1000), "i0")
				h.Answered(id, 0, at(0), at(1000), "another")
			}
		}
		if j := h.Assignments(t.Context()); j.Count != 1 || j.Unjudged != 0 || !strings.Contains(j.Wrong[0].Text, fmt.Sprintf("session %d of", broken)) {
			t.Fatalf("seed %d: %+v, session %d is broken", seed, j, broken)
		}
	}
}

// TestWhatIsNotJudgedIsNotOK: a search that found no time says so.
func TestWhatIsNotJudgedIsNotOK(t *testing.T) {
	s := newScript()
	s.answer(0, 1, "a")
	s.ReadRevision(0, s.ms(0), s.ms(1), 1, "")
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if j := s.Assignments(over); j.OK() || j.Unjudged != 1 {
		t.Errorf("%+v", j)
	}
	if j := s.Revisions(over, 1); j.OK() || j.Unjudged != 1 {
		t.Errorf("%+v", j)
	}
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(time.Minute))
	defer cancel()
	if j := s.Assignments(late); !j.OK() {
		t.Errorf("%+v", j)
	}
}

func TestTooManyInstancesAreNotJudged(t *testing.T) {
	s := newScript()
	for i := range maxPlaces + 1 {
		s.answer(i, i, fmt.Sprint("i", i))
	}
	if j := s.Assignments(t.Context()); j.OK() || !strings.Contains(j.Wrong[0].Text, "more than 63 instances") {
		t.Errorf("%+v", j)
	}
}

// BenchmarkAssignments judges sessions with ten answers each.
func BenchmarkAssignments(b *testing.B) {
	h := New()
	for id := range 10_000 {
		h.Session(id, "c", "s")
		for i := range 10 {
			at := h.began.Add(time.Duration(i*1000) * time.Millisecond)
			h.Answered(id, 0, at, at.Add(time.Millisecond), "a")
		}
	}
	for b.Loop() {
		if j := h.Assignments(b.Context()); !j.OK() {
			b.Fatal(j)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/session")
}
