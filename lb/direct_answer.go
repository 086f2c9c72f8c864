package lb

import (
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// Answer implements h1.Director.
func (d *director) Answer(t *h1.Trip) h1.Verdict {
	r := t.Note.(*direct)
	if !r.answered {
		r.answered = true
		if t.Answer.Status >= 500 && t.Conn.Ended() {
			r.to.noteReached() // as likely as not it says that of the client, which it has heard of
		} else if r.noteAnswer(r.to, r.at(t.Handed), r.at(t.Answered), t.Answer.Status) == whyStatus && r.goesElsewhere() {
			r.goAway(&afterwards{why: whyStatus, err: errUnavailable})
			return h1.Away
		}
		r.editReply()
	}
	return r.settle()
}

// at gives a moment of the trip as time. The clock is asked once for a request.
func (r *direct) at(moment time.Duration) time.Time { return r.now.Add(moment - r.t.Began) }

// handed is when the present attempt was handed over, or else when the request came.
func (r *direct) handed() time.Time {
	if !r.t.Left {
		return r.now
	}
	return r.at(r.t.Handed)
}

// goesElsewhere reports whether the request goes to another instance after an answer of 502, 503 or 504 that takes the instance out of service (see
// exchange.mayGoOn and nextTry).
func (r *direct) goesElsewhere() bool {
	if !r.t.Repeatable || r.t.Head.Framing != 0 || r.assigned && r.in.state.up() {
		return false
	}
	rules := r.rules()
	return rules.idempotent && rules.repeats != 0 && rules.others != 0 && r.othersLeft()
}

func (r *direct) othersLeft() bool {
	for _, in := range r.mod.cluster.instances {
		if in.state != r.in.state && in.phase == fsm.PhaseServing && in.state.up() {
			return true
		}
	}
	return false
}

// rules are those of sending the request again.
func (r *direct) rules() repeatRules {
	return r.mod.rules(text(r.t.Head.Method.Of(r.t.Buf)), r.keyed(), r.path)
}

func (r *direct) keyed() bool {
	return len(r.field("Idempotency-Key")) > 0 || len(r.field("X-Idempotency-Key")) > 0
}

// setCookies gives the values of the response's Set-Cookie lines.
func (r *direct) setCookies() []string {
	lines := r.buffer[:0]
	for _, f := range r.t.Answer.Fields() {
		if name := text(f.Name.Of(r.t.AnswerBuf)); len(name) == len("Set-Cookie") && strings.EqualFold(name, "Set-Cookie") {
			lines = append(lines, text(f.Value.Of(r.t.AnswerBuf)))
		}
	}
	return lines
}

// Interim implements h1.Director.
func (d *director) Interim(t *h1.Trip, e *h1.Edits, fields []wire.Field, buf []byte) {
	t.Note.(*direct).hideInstances(e, fields, buf)
}

// editReply puts right what the client is told; see tellClient.
func (r *direct) editReply() {
	r.tellVary()
	r.hideInstances(&r.t.Reply, r.t.Answer.Fields(), r.t.AnswerBuf)
	r.tellHSTS()
	r.tellAltSvc()
}

// hideInstances does with the head of a response what exchange.hideInstances does, and takes out what only Holdfast says.
func (r *direct) hideInstances(e *h1.Edits, fields []wire.Field, buf []byte) {
	for i, f := range fields {
		// By the length first: most fields are none of these.
		switch name := text(f.Name.Of(buf)); len(name) {
		case len("Location"), len("Content-Location"):
			if strings.EqualFold(name, "Location") || strings.EqualFold(name, "Content-Location") {
				if shown, ok := r.disguise().shownURL(text(f.Value.Of(buf))); ok {
					e.Set(i, []byte(shown))
				}
			}
		case len("Set-Cookie"):
			if line := text(f.Value.Of(buf)); strings.EqualFold(name, "Set-Cookie") && hasDomain(line) {
				e.Set(i, []byte(r.disguise().shownCookie(line)))
			}
		case len("Link"):
			if line := text(f.Value.Of(buf)); strings.EqualFold(name, "Link") && maybeURL(line) {
				e.Set(i, []byte(r.disguise().shownLinks(line)))
			}
		case len("Refresh"): // Alt-Svc and Trailer are as long
			r.editSeldom(e, i, name, text(f.Value.Of(buf)))
		case len(lostHeader):
			if strings.EqualFold(name, lostHeader) {
				e.Drop(i)
			}
		}
	}
}

// tellHSTS does what exchange.tellHSTS does.
func (r *direct) tellHSTS() {
	if r.edge.hsts == "" || r.who.tls == nil {
		return
	}
	for _, f := range r.t.Answer.Fields() {
		if strings.EqualFold(text(f.Name.Of(r.t.AnswerBuf)), hstsField) {
			return
		}
	}
	r.t.Reply.AddString(hstsField, r.edge.hsts)
}

// editSeldom is for fields with names of seven letters.
func (r *direct) editSeldom(e *h1.Edits, i int, name, value string) {
	switch {
	case strings.EqualFold(name, "Refresh"):
		if maybeURL(value) {
			e.Set(i, []byte(r.disguise().shownRefresh(value)))
		}
	case strings.EqualFold(name, "Alt-Svc"):
		if r.who.front.altSvc.Load() != nil || r.disguise().namesInstance(value) {
			e.Drop(i)
		}
	case strings.EqualFold(name, "Trailer"):
		if left, found := without(value, lostHeader); found {
			e.Set(i, []byte(left))
		}
	}
}

// without takes a name out of a list.
func without(list, name string) (left string, found bool) {
	var kept []string
	for one := range strings.SplitSeq(list, ",") {
		if one = strings.TrimSpace(one); strings.EqualFold(one, name) {
			found = true
		} else {
			kept = append(kept, one)
		}
	}
	return strings.Join(kept, ", "), found
}

func (r *direct) disguise() disguise {
	return disguise{r.mod.cluster, text(r.t.Head.Host.Of(r.t.Buf)), r.who.scheme()}
}
