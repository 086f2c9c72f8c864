package workflow

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Outcome is how an action ended.
type Outcome struct {
	// Unknown: nobody knows how. The action is announced and done again.
	Unknown bool
	// Result is what the group said, for changes and deadlines.
	Result fsm.Result
	// Failure is why a hook failed; empty when it is done. Final: calling it again would not help.
	Failure string
	Final   bool
}

// What is kept of a failure and of a note, in bytes. The group refuses notes of more than 4096.
const (
	maxFailureText = 300
	maxNote        = 2000
)

// backoff is how long after so many failures the next attempt comes.
func backoff(failures int) time.Duration {
	return min(time.Second<<min(failures-1, 6), time.Minute)
}

// After notes the outcome of an action in the workflow as it is stored now, which may have been paused or aborted meanwhile. ok is false when the
// workflow is not at that action any more: then there is nothing to note.
func After(w *fsm.Workflow, a *Action, o Outcome, now time.Time) (next Decision, ok bool) {
	p, err := DecodeProgress(w.Progress)
	if err != nil || w.Ended() || !p.Begun || p.Attempt != a.Attempt {
		return Decision{}, false
	}
	var steps []Step
	if spec, err := Decode(w.Kind, w.Spec); err == nil { // an abort needs none
		steps = Steps(w.Kind, spec)
	}
	aborting := w.State == Aborting
	if a.Step == stepAbort != aborting && a.Hook == nil || a.Step != stepAbort && (p.Step >= len(steps) || steps[p.Step].ID != a.Step) {
		return Decision{}, false
	}
	d := Decision{State: w.State, Note: w.Note, Progress: p}
	d.Progress.Begun = o.Unknown
	switch {
	case o.Unknown:
		d.Progress.NotBefore = now.Add(time.Second)
	case a.Hook != nil && o.Failure == "":
		d.Progress, d.Note = p.at(p.Step+1), steps[p.Step].String()+": done"
	case a.Hook != nil:
		d.Progress.failed(o, now)
		d.Note = fmt.Sprintf("%s: attempt %d failed: %s", steps[p.Step], a.Attempt, clip(o.Failure, maxFailureText))
	case o.Result.Code == fsm.CodeInvalid:
		d.Progress.Fault = "the group refused it: " + clip(o.Result.Message, maxFailureText)
		d.Progress.NotBefore = now.Add(time.Minute)
	case o.Result.Code != fsm.CodeOK:
		d.Progress.NotBefore = now.Add(time.Second) // somebody was faster, or the lock is on: the next look shows
	}
	return d, true
}

// failed counts a failure; after too many a person decides.
func (p *Progress) failed(o Outcome, now time.Time) {
	p.Failures++
	p.NotBefore = now.Add(backoff(p.Failures))
	if o.Final || p.Failures >= MaxFailures {
		p.Fault = fmt.Sprintf("failed %d times, at last: %s", p.Failures, clip(o.Failure, maxFailureText))
	}
}

// clip shortens text to about most bytes of whole characters.
func clip(text string, most int) string {
	if len(text) > most {
		text = text[:most]
		for len(text) > 0 && !utf8.ValidString(text) { // cut within a character
			text = text[:len(text)-1]
		}
		text += "…"
	}
	return text
}
