package admin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// workflowStates lists the workflows that have not ended.
func workflowStates(o *fsm.Operating) []wire.WorkflowState {
	list := []wire.WorkflowState{}
	for _, w := range o.Workflows {
		if w.Ended() {
			continue
		}
		s := wire.WorkflowState{ID: w.ID, Kind: w.Kind, State: w.State, Note: w.Note, Clusters: []string{}}
		if p, err := workflow.DecodeProgress(w.Progress); err == nil { // else a newer version wrote it
			s.NeedsPerson = w.State == workflow.Waiting && p.NeedsPerson()
			s.Clusters = clustersOf(w, &p)
		}
		list = append(list, s)
	}
	return list
}

// clustersOf finds the clusters that a workflow is at: the one of its step, and those of which it has disabled something.
func clustersOf(w *fsm.Workflow, p *workflow.Progress) []string {
	at := []string{}
	add := func(name string) {
		if !slices.Contains(at, name) {
			at = append(at, name)
		}
	}
	if spec, err := workflow.Decode(w.Kind, w.Spec); err == nil {
		if steps := workflow.Steps(w.Kind, spec); p.Step < len(steps) {
			add(steps[p.Step].Target.Cluster)
		}
	}
	for _, s := range p.Disabled {
		add(s.Cluster)
	}
	return at
}

// halted says what a person can do about a workflow that stands still; empty when it does not.
func halted(w *wire.WorkflowState) string {
	resume, abort := "'holdfast upgrade resume "+w.ID+"'", "'holdfast upgrade abort "+w.ID+"'"
	switch {
	case w.State == workflow.Paused:
		return fmt.Sprintf("workflow %s (%s) is paused at: %s; %s goes on, %s gives it up", w.ID, w.Kind, strings.TrimPrefix(w.Note, "paused at: "), resume, abort)
	case w.State != workflow.Waiting:
		return ""
	case w.NeedsPerson:
		return fmt.Sprintf("workflow %s (%s) waits for a person: %s; %s goes on, %s gives it up", w.ID, w.Kind, w.Note, resume, abort)
	}
	return fmt.Sprintf("workflow %s (%s) waits, and goes on by itself: %s; %s gives it up", w.ID, w.Kind, w.Note, abort)
}

// workedAt tells whether a workflow is at a cluster.
func workedAt(s *wire.Status, cluster string) bool {
	return slices.ContainsFunc(s.Workflows, func(w wire.WorkflowState) bool { return slices.Contains(w.Clusters, cluster) })
}
