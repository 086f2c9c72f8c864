package workflow

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// The states of a workflow. The last three are ends.
const (
	Running  = "running"
	Paused   = "paused"
	Waiting  = "waiting"
	Aborting = "aborting"
	Done     = "done"
	Failed   = "failed"
	Aborted  = "aborted"
)

// What a workflow waits for. The last three end by themselves.
const (
	waitManual  = "manual"  // a person does the step and resumes
	waitPerson  = "person"  // something went wrong; a person decides between resume and abort
	waitLock    = "lock"    // the maintenance lock
	waitServers = "servers" // another cluster that serves the modules
	waitTurn    = "turn"    // another workflow that is at the same cluster
)

// Progress is how far a workflow has come.
type Progress struct {
	// Step is the place in Steps of the present one, Since when it began.
	Step  int       `json:"step"`
	Since time.Time `json:"since,omitzero"`
	// Begun: the action of the step has been announced, and its outcome is not known.
	Begun bool `json:"begun,omitempty"`
	// Term is that of the leader that announced last; a leader of an older one keeps away.
	Term uint64 `json:"term,omitempty"`
	// Attempt counts the announcements of the step, Failures those that are known to have failed; not before NotBefore comes the next one.
	Attempt   int       `json:"attempt,omitempty"`
	Failures  int       `json:"failures,omitempty"`
	NotBefore time.Time `json:"notBefore,omitzero"`
	// Fault is what went wrong for good: a person decides.
	Fault string `json:"fault,omitempty"`
	// Wait is what is waited for. Back: resume goes back to where the target is disabled. Accept: a person accepts what the step waited for in vain.
	Wait   string `json:"wait,omitempty"`
	Back   bool   `json:"back,omitempty"`
	Accept bool   `json:"accept,omitempty"`
	// Disabled is what this workflow has disabled and not enabled again.
	Disabled []fsm.Subject `json:"disabled,omitempty"`
	// StoppedAt is the Operating.Index at which all of it was seen quiesced.
	StoppedAt uint64 `json:"stoppedAt,omitempty"`
}

// NeedsPerson tells whether what a waiting workflow waits for is a person, who resumes or aborts it. Otherwise it goes on by itself.
func (p *Progress) NeedsPerson() bool { return p.Wait == waitManual || p.Wait == waitPerson }

// DecodeProgress reads what Encode wrote; nothing at all is the beginning.
func DecodeProgress(raw []byte) (Progress, error) {
	var p Progress
	if len(raw) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return Progress{}, fmt.Errorf("the progress cannot be read: %w", err)
	}
	if p.Step < 0 || p.Attempt < 0 || p.Failures < 0 {
		return Progress{}, fmt.Errorf("the progress is none: step %d", p.Step)
	}
	return p, nil
}

// Encode gives the stored form.
func (p Progress) Encode() []byte {
	b, err := json.Marshal(p)
	if err != nil {
		panic("BUG: a workflow's progress cannot be encoded: " + err.Error())
	}
	return b
}

// at gives the progress at the beginning of step n.
func (p Progress) at(n int) Progress {
	return Progress{Step: n, Term: p.Term, Disabled: p.Disabled, StoppedAt: p.StoppedAt}
}
