package history

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

func (s script) swap(from, to int, expect uint64, o Outcome, revision uint64) {
	s.Changed(Change{Sent: s.ms(from), Ended: s.ms(to), Expect: expect, Outcome: o, Revision: revision})
}

func (s script) edit(from, to int, o Outcome, revision uint64) {
	s.Changed(Change{Sent: s.ms(from), Ended: s.ms(to), Anything: true, Outcome: o, Revision: revision})
}

func (s script) read(from, to int, revision uint64, digest string) {
	s.ReadRevision(0, s.ms(from), s.ms(to), revision, digest)
}

// TestRevisions: histories that one configuration could have, and such that none could. Each begins with revision 1.
func TestRevisions(t *testing.T) {
	for name, c := range map[string]struct {
		play func(s script)
		want string
	}{
		"one after the other": {func(s script) {
			s.swap(0, 1, 1, Done, 2)
			s.edit(2, 3, Done, 3)
			s.read(4, 5, 3, "x")
			s.read(6, 7, 3, "x")
		}, ""},
		"both win":                     {func(s script) { s.swap(0, 5, 1, Done, 2); s.swap(0, 6, 1, Done, 2) }, "change of revision 1 became revision 2"},
		"one wins":                     {func(s script) { s.swap(0, 5, 1, Done, 2); s.swap(0, 6, 1, Conflict, 0) }, ""},
		"both lose":                    {func(s script) { s.swap(0, 5, 1, Conflict, 0); s.swap(0, 6, 1, Conflict, 0) }, "change of revision 1 was too late"},
		"a refusal says nothing":       {func(s script) { s.swap(0, 5, 9, Refused, 0); s.swap(6, 7, 1, Done, 2) }, ""},
		"an old reading":               {func(s script) { s.swap(0, 1, 1, Done, 2); s.read(2, 3, 1, "") }, "revision 1 is current"},
		"a reading during it":          {func(s script) { s.swap(0, 4, 1, Done, 2); s.read(2, 3, 1, ""); s.read(5, 6, 2, "") }, ""},
		"readings go back":             {func(s script) { s.swap(0, 9, 1, Done, 2); s.read(1, 2, 2, ""); s.read(3, 4, 1, "") }, "revision 1 is current"},
		"another text":                 {func(s script) { s.read(0, 1, 1, "x"); s.read(2, 3, 1, "y") }, "revision 1 is current"},
		"another text after a gap":     {func(s script) { s.read(0, 1, 1, "x"); s.read(2, 3, 1, ""); s.read(4, 5, 1, "y") }, "revision 1 is current"},
		"a revision is left out":       {func(s script) { s.edit(0, 1, Done, 3) }, "nothing before allows that"},
		"no answer, done":              {func(s script) { s.edit(0, 1, Unknown, 0); s.read(2, 3, 2, "") }, ""},
		"no answer, not done":          {func(s script) { s.edit(0, 1, Unknown, 0); s.read(2, 3, 1, "") }, ""},
		"no answer, done later":        {func(s script) { s.edit(0, 1, Unknown, 0); s.read(2, 3, 1, ""); s.read(4, 5, 2, "") }, ""},
		"no answer, done twice":        {func(s script) { s.edit(0, 1, Unknown, 0); s.read(2, 3, 3, "") }, "revision 3 is current"},
		"no answer, expected":          {func(s script) { s.swap(0, 1, 1, Unknown, 0); s.edit(2, 3, Done, 2); s.read(4, 5, 3, "") }, "revision 3 is current"},
		"too late for what nobody saw": {func(s script) { s.edit(0, 1, Unknown, 0); s.swap(2, 3, 1, Conflict, 0) }, ""},
		"too late for nothing":         {func(s script) { s.swap(2, 3, 1, Conflict, 0); s.edit(4, 5, Unknown, 0) }, "change of revision 1 was too late"},
		"too late, sent at once":       {func(s script) { s.swap(0, 9, 1, Done, 2); s.swap(2, 3, 2, Conflict, 0) }, ""},
		"no answer, others expected":   {func(s script) { s.swap(0, 1, 7, Unknown, 0); s.read(2, 3, 2, "") }, "revision 2 is current"},
		"no answer, sent too late":     {func(s script) { s.read(2, 3, 2, ""); s.edit(4, 5, Unknown, 0) }, "nothing before allows that"},
		"no answer, two for two":       {func(s script) { s.edit(0, 1, Unknown, 0); s.swap(1, 2, 1, Unknown, 0); s.read(3, 4, 3, "") }, ""},
		"somebody else":                {func(s script) { s.edit(0, 1, Done, 2); s.Foreign(3); s.edit(2, 3, Done, 4) }, ""},
		"somebody else, out of row":    {func(s script) { s.Foreign(9); s.edit(2, 3, Done, 2) }, "somebody else made revision 9"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript()
			c.play(s)
			j := s.Revisions(t.Context(), 1)
			if j.OK() != (c.want == "") {
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
				t.Errorf("no picture: %v", err)
			}
		})
	}
}

// TestRealConfigurationsHaveAnOrder: what a real register answers to eight clients at once passes; when it forgets one change, it does not.
func TestRealConfigurationsHaveAnOrder(t *testing.T) {
	for seed := range uint64(40) {
		for _, forgets := range []bool{false, true} {
			random := rand.New(rand.NewPCG(seed, 0))
			s := newScript()
			revision := uint64(1)
			for i := range 120 {
				point := 100 + 10*i
				from, to := point-random.IntN(40), point+random.IntN(40)
				switch random.IntN(8) {
				case 0, 1:
					s.read(from, to, revision, fmt.Sprint("r", revision))
				case 2:
					s.edit(from, to, Unknown, 0)
					if random.IntN(2) == 0 {
						revision++
					}
				case 3:
					s.swap(from, to, revision+1, Conflict, 0)
				default:
					revision++
					s.swap(from, to, revision-1, Done, revision)
				}
				if forgets && i == 60 { // a change is acknowledged, and gone again
					s.swap(point-1, point, revision, Done, revision+1)
					s.read(point+1, point+2, revision, "")
				}
			}
			if j := s.Revisions(t.Context(), 1); j.OK() == forgets || j.Unjudged > 0 {
				t.Fatalf("seed %d, forgets %v: %+v", seed, forgets, j)
			}
		}
	}
}

func TestOutcomes(t *testing.T) {
	problem := func(status int, code string) error {
		return fmt.Errorf("apply: %w", &client.Problem{Status: status, Code: code})
	}
	for _, c := range []struct {
		err  error
		want Outcome
	}{
		{nil, Done}, {problem(409, "revision-conflict"), Conflict}, {problem(409, "refused"), Refused}, {problem(423, "locked"), Refused},
		{problem(503, "no-quorum"), Unknown}, {problem(504, "outcome-unknown"), Unknown}, {errors.New("connection reset"), Unknown}, {problem(0, ""), Unknown},
	} {
		if got := OutcomeOf(c.err); got != c.want {
			t.Errorf("%v is %d, want %d", c.err, got, c.want)
		}
	}
}

func TestAcknowledged(t *testing.T) {
	s := newScript()
	s.edit(0, 1, Done, 3)
	s.edit(0, 1, Done, 2)
	s.edit(0, 1, Unknown, 0)
	s.Foreign(4)
	s.read(2, 3, 4, "")
	if got := s.Acknowledged(); !reflect.DeepEqual(got, []uint64{2, 3}) {
		t.Errorf("%v", got)
	}
	if sessions, configuration := s.Len(); sessions != 0 || configuration != 5 {
		t.Errorf("%d and %d operations", sessions, configuration)
	}
}

// BenchmarkRevisions judges five changes a second, over five minutes, of which every tenth has no answer.
func BenchmarkRevisions(b *testing.B) {
	h := New()
	revision := uint64(0)
	for i := range 1500 {
		sent := h.began.Add(time.Duration(i) * 200 * time.Millisecond)
		c := Change{Sent: sent, Ended: sent.Add(300 * time.Millisecond), Anything: true, Outcome: Done}
		if i%10 == 9 {
			c.Outcome = Unknown
		}
		revision++
		c.Revision = revision
		h.Changed(c)
	}
	for b.Loop() {
		if j := h.Revisions(b.Context(), 0); !j.OK() {
			b.Fatal(j)
		}
	}
}
