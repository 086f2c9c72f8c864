package fsm

import (
	"fmt"
	"slices"
)

// maxWorkflows is how many workflows the group remembers. Those that have not ended are never forgotten.
const maxWorkflows = 50

var workflowStates = []string{"running", "paused", "waiting", "aborting", "done", "failed", "aborted"}

// problem says why it cannot be kept, or nothing.
func (w *Workflow) problem() string {
	var k check
	k.id("the id of the workflow", w.ID)
	k.id("the kind of the workflow", w.Kind)
	k.name("the actor", w.Actor)
	k.text("the note", w.Note)
	k.size("the specification of the workflow", len(w.Spec), maxBlobBytes)
	k.size("the progress of the workflow", len(w.Progress), maxBlobBytes)
	if !slices.Contains(workflowStates, w.State) {
		k.failf("a workflow is not %.40q but one of %v", w.State, workflowStates)
	}
	return k.message
}

func (r *replica) workflowSet(index uint64, c *WorkflowSet) Result {
	w := c.Workflow
	if problem := w.problem(); problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	o := r.operating.Load()
	i := slices.IndexFunc(o.Workflows, func(x *Workflow) bool { return x.ID == w.ID })
	now := millis(r.now.Load())
	w.Version, w.Created, w.Updated = index, now, now
	if len(w.Spec) == 0 {
		w.Spec = nil // as a snapshot gives it back
	}
	if len(w.Progress) == 0 {
		w.Progress = nil
	}
	var next []*Workflow
	if c.Expect == 0 {
		if i >= 0 {
			return Result{Code: CodeInvalid, Message: fmt.Sprintf("there is a workflow %s already", w.ID)}
		}
		var problem string
		if next, problem = workflowsWith(o.Workflows, &w); problem != "" {
			return Result{Code: CodeInvalid, Message: problem}
		}
	} else {
		switch {
		case i < 0:
			return Result{Code: CodeAbsent, Message: fmt.Sprintf("there is no workflow %s", w.ID)}
		case o.Workflows[i].Version != c.Expect:
			return Result{Code: CodeConflict, Message: fmt.Sprintf("the workflow was changed at %d, the change was made from %d", o.Workflows[i].Version, c.Expect)}
		case o.Workflows[i].Ended():
			return Result{Code: CodeInvalid, Message: fmt.Sprintf("the workflow has ended: it is %s", o.Workflows[i].State)}
		}
		w.Created = o.Workflows[i].Created
		next = slices.Clone(o.Workflows)
		next[i] = &w
	}
	r.operate(index, func(o *Operating) { o.Workflows = next })
	if i < 0 || o.Workflows[i].State != w.State || o.Workflows[i].Note != w.Note {
		r.emit(index, Event{Kind: EventWorkflow, Actor: w.Actor, Text: fmt.Sprintf("Workflow %s (%s) is %s%s", w.ID, w.Kind, w.State, because(w.Note))})
	}
	return Result{}
}

// workflowsWith is list with one more. The oldest that has ended makes room.
func workflowsWith(list []*Workflow, w *Workflow) ([]*Workflow, string) {
	next := slices.Clone(list)
	if len(next) >= maxWorkflows {
		i := slices.IndexFunc(next, (*Workflow).Ended)
		if i < 0 {
			return nil, fmt.Sprintf("there are %d workflows that have not ended, the most that a group keeps: abort some", maxWorkflows)
		}
		next = slices.Delete(next, i, i+1)
	}
	return append(next, w), ""
}

// appendWorkflow is the canonical form of a workflow.
func appendWorkflow(b []byte, p **Workflow) []byte {
	w := *p
	b = appendBytes(b, w.ID)
	b = appendBytes(b, w.Kind)
	b = appendBytes(b, w.State)
	b = appendBytes(b, w.Actor)
	b = appendTime(b, w.Created)
	b = appendTime(b, w.Updated)
	b = appendU64(b, w.Version)
	b = appendBytes(b, w.Spec)
	b = appendBytes(b, w.Progress)
	return appendBytes(b, w.Note)
}

func parseWorkflow(b []byte) (*Workflow, bool) {
	p := parser{b: b}
	w := &Workflow{ID: p.string(), Kind: p.string(), State: p.string(), Actor: p.string(), Created: p.time(), Updated: p.time(), Version: p.u64(),
		Spec: p.bytes(), Progress: p.bytes(), Note: p.string()}
	return w, p.done() && w.problem() == ""
}
