package gameday

import (
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/record"
)

// TestTakingBackIsTriedAgain: while nobody leads the group refuses, and the node must not stay evacuated.
func TestTakingBackIsTriedAgain(t *testing.T) {
	var undone atomic.Int32
	d := &deployment{status: whole(), first: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete || undone.Add(1) > 3 {
			return false
		}
		problem(w, http.StatusServiceUnavailable, "no-quorum")
		return true
	}}
	o := options(t, d)
	o.Faults, o.Count = []string{"evacuate"}, 1
	if err := Play(t.Context(), o); err != nil {
		t.Error(err)
	}
	run := o.Record.Snapshot()
	if calls := d.calls(); len(calls) != 2 || undone.Load() != 4 || !run.Faults[0].Healed {
		t.Errorf("asked %v, %d times to undo, %+v", calls, undone.Load(), run.Faults)
	}
	if !said(run, "node n1 is still evacuated, trying on: ") {
		t.Errorf("%+v", run.Events)
	}
}

func said(run *record.Run, text string) bool {
	for _, e := range run.Events {
		if strings.Contains(e.Text, text) {
			return true
		}
	}
	return false
}

// TestWhatCannotBeTakenBackIsTold: with the command that does.
func TestWhatCannotBeTakenBackIsTold(t *testing.T) {
	d := &deployment{status: whole(), first: func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete {
			problem(w, http.StatusServiceUnavailable, "no-quorum")
		}
		return r.Method == http.MethodDelete
	}}
	o := options(t, d)
	o.Faults, o.Count, o.Reach, o.undo = []string{"evacuate"}, 3, " --admin http://n1:7700", 700*time.Millisecond
	err := Play(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "node n1 may still be evacuated") || !strings.Contains(err.Error(), "not now") || !strings.HasSuffix(err.Error(), "by hand: holdfast node evacuate n1 --undo --admin http://n1:7700") {
		t.Errorf("%v", err)
	}
	if run := o.Record.Snapshot(); len(run.Faults) != 1 || run.Faults[0].Healed || run.Faults[0].Void != "" {
		t.Errorf("%+v", run.Faults)
	}
}

// TestEvacuationOfUnknownOutcome: a call that was not answered may be done after it was asked for the first time to take it back.
func TestEvacuationOfUnknownOutcome(t *testing.T) {
	for name, happens := range map[string]bool{"happens late": true, "never happens": false} {
		var undone atomic.Int32
		d := &deployment{status: whole(), first: func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case r.Method == http.MethodPost:
				panic(http.ErrAbortHandler)
			case r.Method != http.MethodDelete, undone.Add(1) > 2 && happens:
				return false
			}
			problem(w, http.StatusNotFound, "not-found")
			return true
		}}
		o := options(t, d)
		o.Faults, o.Count = []string{"evacuate"}, 1
		if !happens {
			o.unsure = 600 * time.Millisecond
		}
		if err := Play(t.Context(), o); err == nil || errors.Is(err, ErrBrake) {
			t.Errorf("%s: %v", name, err)
		}
		if run := o.Record.Snapshot(); undone.Load() != 3 || len(run.Faults) != 1 || !run.Faults[0].Healed || (run.Faults[0].Void == "") != happens {
			t.Errorf("%s: asked %d times to undo, %+v", name, undone.Load(), run.Faults)
		}
	}
}
