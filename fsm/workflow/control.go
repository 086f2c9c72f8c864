package workflow

import (
	"fmt"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Pause gives the workflow as it is when nothing more is begun. What is under way comes to its end.
func Pause(w *fsm.Workflow) (*fsm.Workflow, error) {
	switch {
	case w.Ended():
		return nil, ended(w)
	case w.State == Aborting:
		return nil, fmt.Errorf("workflow %s is being aborted", w.ID)
	}
	next := *w
	next.State, next.Note = Paused, "paused at: "+w.Note
	if w.State == Paused {
		next.Note = w.Note
	}
	return &next, nil
}

// Resume gives the workflow as it goes on: after a pause, after a person's work, or with another try.
func Resume(w *fsm.Workflow) (*fsm.Workflow, error) {
	p, err := DecodeProgress(w.Progress)
	if err != nil {
		return nil, fmt.Errorf("workflow %s: %w", w.ID, err)
	}
	spec, err := Decode(w.Kind, w.Spec)
	if err != nil {
		return nil, fmt.Errorf("workflow %s: %w", w.ID, err)
	}
	next := *w
	next.State, next.Note = Running, "resumed"
	switch {
	case w.Ended():
		return nil, ended(w)
	case w.State == Running:
		return nil, fmt.Errorf("workflow %s runs", w.ID)
	case w.State == Aborting:
		return nil, fmt.Errorf("workflow %s is being aborted", w.ID)
	case w.State == Waiting && (p.Wait == waitLock || p.Wait == waitTurn):
		return nil, fmt.Errorf("workflow %s goes on by itself as soon as it can: %s", w.ID, w.Note)
	case w.State == Paused:
		// With a fault, or for a person's work, it is waiting again at once, which shows the reason.
		return &next, nil
	}
	next.Progress = resumed(p, Steps(w.Kind, spec)).Encode()
	return &next, nil
}

// resumed is the progress after a person has decided to go on.
func resumed(p Progress, steps []Step) Progress {
	if p.Step >= len(steps) {
		return p
	}
	if p.Wait == waitManual {
		return p.at(p.Step + 1)
	}
	step := steps[p.Step]
	if p.Back {
		back := p.Step
		for back > 0 && steps[back].Kind != StepDisable {
			back--
		}
		return p.at(back)
	}
	again := p.at(p.Step)
	again.Attempt = p.Attempt // request ids go by it
	again.Accept = p.Fault == "" && (step.Kind == StepInFlight || step.Kind == StepHealthy || step.Kind == StepCheck)
	return again
}

// Abort gives the workflow as it is when it is being given up: what it disabled is enabled again, and no more.
func Abort(w *fsm.Workflow) (*fsm.Workflow, error) {
	if w.Ended() {
		return nil, ended(w)
	}
	next := *w
	if w.State != Aborting {
		next.State, next.Note = Aborting, "abort asked for"
	}
	return &next, nil
}

func ended(w *fsm.Workflow) error { return fmt.Errorf("workflow %s has ended: %s", w.ID, w.State) }
