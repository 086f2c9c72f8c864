package hostile

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Trial tries requests against an address. Its methods are for one goroutine: what arrives is told apart by time.
type Trial struct {
	// Addr is what is tried, host:port.
	Addr string
	// Origin is what stands behind it, and nothing else does; nil when real servers do, which keep their own logs.
	Origin *Origin
	// Loose allows the answers of real servers: any status to a request that passes, and an early one to a body that is refused.
	Loose bool

	innocents int
	answered  bool // the last innocent one
}

// Way is how a request is sent.
type Way struct {
	Name string
	// Followed sends an innocent request right behind it, as another user's request would come on a connection that is shared.
	Followed bool
	// Cuts are where it is cut into pieces, see Request.Cuts.
	Cuts []int
}

// Innocent is the target of the innocent request behind the last one, empty when there was none or it was not answered: the connection may end before.
func (t *Trial) Innocent() string {
	if !t.answered {
		return ""
	}
	return fmt.Sprintf("/innocent-%d", t.innocents)
}

// timeout is for one connection on a busy machine.
const timeout = 30 * time.Second

// Try sends the request in the way and says what was wrong; nothing is right.
func (t *Trial) Try(r Request, w Way) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	c, err := Dial(t.Addr, timeout)
	if err != nil {
		return []string{err.Error()}
	}
	defer c.Close()
	raw, innocent := r.Raw, ""
	if w.Followed {
		t.innocents++
		innocent = fmt.Sprintf("/innocent-%d", t.innocents)
		raw += "GET " + innocent + " HTTP/1.1\r\nHost: a.example\r\n\r\n"
	}
	c.Send(raw, w.Cuts, 300*time.Microsecond)
	if r.Cut() {
		c.End()
	}
	answers := t.answers(c, r, w, say)
	t.answered = len(answers) == 2
	t.judgeAnswers(r, innocent, answers, say)
	if t.Origin != nil {
		t.judgeOrigin(r, innocent, say)
	}
	return wrong
}

// answers reads all that come. None may be ambiguous, and the connection must end where it has to.
func (t *Trial) answers(c *Client, r Request, w Way, say func(string, ...any)) (all []Answer) {
	methods := []string{r.Sees.Method}
	if w.Followed {
		methods = append(methods, "GET")
	}
	for _, method := range methods {
		a, err := c.Answer(method)
		if err == io.EOF {
			return all
		}
		if err != nil {
			say("answer %d: %v", len(all)+1, err)
			return all
		}
		for _, what := range a.Ambiguous {
			say("answer %d is ambiguous: %s", len(all)+1, what)
		}
		all = append(all, a)
		if a.Close {
			break
		}
	}
	c.End()
	if rest, err := c.Rest(); err != nil || rest != "" {
		say("after %d answers: %.120q, %v", len(all), rest, err)
	}
	return all
}

func (t *Trial) judgeAnswers(r Request, innocent string, answers []Answer, say func(string, ...any)) {
	var got []int
	for _, a := range answers {
		got = append(got, a.Status)
	}
	switch {
	case r.Refused() && t.Loose && r.Body:
		if len(got) > 1 {
			say("answers %v to one request that is refused", got)
		}
	case r.Refused():
		if !slices.Equal(got, []int{r.Status}) {
			say("answers %v, want %d alone", got, r.Status)
		} else if !answers[0].Close {
			say("the refusal does not say that the connection ends")
		}
	case len(got) == 0 || !t.Loose && got[0] != 200:
		say("answers %v to a request that has one reading", got)
	case innocent != "" && !r.Sees.Last && !(t.Loose && answers[0].Close):
		if len(got) != 2 {
			say("answers %v to two requests", got)
		} else if !t.Loose && answers[1].Body != "GET "+innocent+" 0" {
			say("the innocent one was answered %q", answers[1].Body)
		}
	case len(got) != 1:
		say("answers %v to one request", got)
	}
}

// judgeOrigin holds what arrived against what may.
func (t *Trial) judgeOrigin(r Request, innocent string, say func(string, ...any)) {
	whole := 0
	for _, s := range t.Origin.Take() {
		for _, what := range s.Ambiguous {
			say("what arrived is ambiguous: %s", what)
		}
		switch {
		case s.Target == "/c" && !s.Whole: // the beginning of a body that is refused, now or before
		case innocent != "" && s.Target == innocent:
			if r.Refused() || r.Sees.Last || whole != 1 {
				say("the innocent request arrived, though nothing may follow")
			}
			whole++
		case r.Refused() || whole > 0:
			say("%s %s arrived with a body of %d bytes (%s)", s.Method, s.Target, len(s.Body), s.Framing)
		default:
			whole++
			r.Sees.judge(s, say)
		}
	}
	want := 0
	if !r.Refused() {
		want = 1
		if innocent != "" && !r.Sees.Last {
			want = 2
		}
	}
	if whole != want {
		say("%d requests arrived, want %d", whole, want)
	}
}

func (want *Reading) judge(s Seen, say func(string, ...any)) {
	if s.Method != want.Method || s.Target != want.Target || s.Body != want.Body || !s.Whole {
		say("%s %.80s %.80q (%s, whole %v) arrived, want %s %.80s %.80q", s.Method, s.Target, s.Body, s.Framing, s.Whole, want.Method, want.Target, want.Body)
	}
	for _, f := range want.Has {
		if !slices.Contains(s.Fields, f) {
			say("field %q did not arrive, but %.300q", f, strings.Join(s.Fields, ", "))
		}
	}
}
