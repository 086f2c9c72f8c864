package history

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// Outcome is what a client knows of a change that it asked for.
type Outcome uint8

// The outcomes.
const (
	Done     Outcome = iota // it is a revision
	Conflict                // somebody was faster; nothing was done
	Refused                 // it was refused for another reason; nothing was done
	Unknown                 // it may or may not have been done, or be done later
)

// OutcomeOf reads the outcome off the error of a change through the admin client. Only an answer that says that nothing was done is taken for
// that: of several attempts an earlier one may have got through.
func OutcomeOf(err error) Outcome {
	var p *client.Problem
	switch {
	case err == nil:
		return Done
	case !errors.As(err, &p) || p.Status >= http.StatusInternalServerError || p.Status < http.StatusBadRequest:
		return Unknown
	case p.Code == "revision-conflict":
		return Conflict
	default:
		return Refused
	}
}

// change is one operation on the configuration.
type change struct {
	client     int
	call, back int64
	read       bool
	expect     uint64 // 0: whatever is current
	anything   bool   // the change did not say which revision it expects
	outcome    Outcome
	revision   uint64
	digest     string // empty: not known
	text       string
	optional   bool // it need not have happened
}

// Change is a change of the configuration that a client asked for.
type Change struct {
	Client      int
	Sent, Ended time.Time
	// Expect is the revision that had to be current; with Anything it does not matter.
	Expect   uint64
	Anything bool
	Outcome  Outcome
	// Revision is the number that it got, where it is done. Digest tells the contents of configurations apart; empty where it is not known.
	Revision uint64
	Digest   string
}

// Changed records a change.
func (h *History) Changed(c Change) {
	if c.Outcome == Refused { // nothing was done, and nothing said about the revision
		return
	}
	o := change{
		client: c.Client, call: h.at(c.Sent), back: max(h.at(c.Ended), h.at(c.Sent)), expect: c.Expect, anything: c.Anything, outcome: c.Outcome,
		revision: c.Revision, digest: c.Digest,
	}
	asked := fmt.Sprintf("change of revision %d", c.Expect)
	if c.Anything {
		asked = "change"
	}
	switch c.Outcome {
	case Done:
		o.text = fmt.Sprintf("%s became revision %d", asked, c.Revision)
	case Conflict:
		o.text = asked + " was too late"
	default:
		o.back, o.text = never, asked+" had no answer"
	}
	h.note(o)
}

// ReadRevision records that the group, asked for its newest state, said that this revision is current.
func (h *History) ReadRevision(reader int, sent, ended time.Time, revision uint64, digest string) {
	h.note(change{
		client: reader, call: h.at(sent), back: max(h.at(ended), h.at(sent)), read: true, revision: revision, digest: digest,
		text: fmt.Sprintf("revision %d is current", revision),
	})
}

// Foreign records that somebody else than the clients of this history made a revision, at a time that is not known: the group's list of
// revisions has it.
func (h *History) Foreign(revision uint64) {
	h.note(change{back: never, anything: true, revision: revision, text: fmt.Sprintf("somebody else made revision %d", revision)})
}

func (h *History) note(c change) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.changes = append(h.changes, c)
}

// Acknowledged lists the revisions that clients were told of as done, sorted.
func (h *History) Acknowledged() []uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []uint64
	for _, c := range h.changes {
		if !c.read && c.outcome == Done && c.back != never {
			list = append(list, c.revision)
		}
	}
	slices.Sort(list)
	return list
}
