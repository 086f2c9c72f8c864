package server

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/workflow"
)

// workflowGroup is what workflows need of the group.
type workflowGroup interface {
	Operating() *fsm.Operating
	Now() time.Time
	InstanceID(cluster, instance string) (fsm.InstanceID, bool)
	// Changed gives a channel that is closed when anything in Operating changes.
	Changed() <-chan struct{}
	// Propose returns when the command has been applied here too. After an error the outcome is unknown.
	Propose(context.Context, fsm.Command) (fsm.Result, error)
	// Nodes asks every member how it is.
	Nodes(context.Context) []workflow.Node
}

// workflowHooks calls hooks. It returns when the call is over, soon after ctx ends.
type workflowHooks interface {
	Call(ctx context.Context, c *workflow.Call) workflow.Outcome
}

const (
	// workflowPoll is how often a workflow that waits for health or for requests in flight looks again.
	workflowPoll = 500 * time.Millisecond
	// workflowPropose bounds one proposal.
	workflowPropose = 30 * time.Second
	// noteTries is how often the outcome of an action is stored anew because somebody changed the workflow meanwhile.
	noteTries = 20
)

// workflowRunner carries out the workflows of the group. It is a duty of the leader.
type workflowRunner struct {
	group workflowGroup
	hooks workflowHooks
	log   *slog.Logger
	clock func() time.Time
}

// Run works until ctx, the leader's term, ends. Every workflow has a goroutine of its own.
func (r *workflowRunner) Run(ctx context.Context, term uint64) {
	var all sync.WaitGroup
	defer all.Wait()
	driven := map[string]bool{}
	ended := make(chan string)
	for {
		changed := r.group.Changed() // asked before the state is read, so that no change slips through in between
		for _, w := range r.group.Operating().Workflows {
			if id := w.ID; !w.Ended() && !driven[id] {
				driven[id] = true
				all.Go(func() {
					r.drive(ctx, term, id)
					select {
					case ended <- id:
					case <-ctx.Done():
					}
				})
			}
		}
		select {
		case <-changed:
		case id := <-ended:
			delete(driven, id)
		case <-ctx.Done():
			return
		}
	}
}

// drive takes one workflow to its end.
func (r *workflowRunner) drive(ctx context.Context, term uint64, id string) {
	tick := time.NewTicker(workflowPoll)
	defer tick.Stop()
	unreadable := false
	for ctx.Err() == nil {
		changed := r.group.Changed()
		w := r.find(id)
		if w == nil || w.Ended() {
			return
		}
		again, err := r.step(ctx, term, w)
		if err != nil && !unreadable {
			unreadable = true
			r.log.Error("workflow cannot be carried on by this version", "workflow", id, "error", err)
		}
		if again {
			continue
		}
		select {
		case <-changed:
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (r *workflowRunner) find(id string) *fsm.Workflow {
	for _, w := range r.group.Operating().Workflows {
		if w.ID == id {
			return w
		}
	}
	return nil
}

// now is never before replicated time.
func (r *workflowRunner) now() time.Time {
	now := r.clock()
	if t := r.group.Now(); t.After(now) {
		now = t
	}
	return now.UTC().Truncate(time.Millisecond)
}

// step decides, stores the decision and carries it out. again is whether another look is worth while at once. The error says that the workflow
// cannot be read.
func (r *workflowRunner) step(ctx context.Context, term uint64, w *fsm.Workflow) (again bool, err error) {
	world := workflow.World{Now: r.now(), Term: term, Operating: r.group.Operating(), InstanceID: r.group.InstanceID}
	if at, ok := workflow.CurrentStep(w); ok && at.NeedsReports() && (w.State == workflow.Running || w.State == workflow.Waiting) {
		world.Nodes = r.group.Nodes(ctx)
	}
	d, err := workflow.Next(w, world)
	if err != nil {
		return false, err
	}
	stored := d.State != w.State || d.Note != w.Note || string(d.Progress.Encode()) != string(w.Progress)
	if stored && !r.store(ctx, term, w, d) {
		return false, nil
	}
	if d.Action == nil {
		return stored, nil
	}
	outcome := r.do(ctx, w.ID, d.Action)
	if ctx.Err() == nil {
		r.note(ctx, term, w.ID, d.Action, outcome)
	}
	return true, nil
}

// store replaces the workflow if nobody was faster.
func (r *workflowRunner) store(ctx context.Context, term uint64, w *fsm.Workflow, d workflow.Decision) bool {
	next := *w
	next.State, next.Note, next.Progress, next.Updated = d.State, d.Note, d.Progress.Encode(), r.now()
	ctx, cancel := context.WithTimeout(ctx, workflowPropose)
	defer cancel()
	set := &fsm.WorkflowSet{Expect: w.Version, Workflow: next}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %s %s %s", w.ID, w.Version, term, next.State, next.Note, next.Progress))
	copy(set.RequestID[:], sum[:])
	result, err := r.group.Propose(ctx, set)
	switch {
	case err != nil, result.Code == fsm.CodeConflict:
		r.log.Debug("workflow was not stored", "workflow", w.ID, "code", result.Code, "error", err)
		return false
	case result.Code != fsm.CodeOK:
		r.log.Warn("the group refuses the progress of a workflow", "workflow", w.ID, "message", result.Message)
		return false
	}
	return true
}

// note stores the outcome of an action in the workflow as it is now: it may have been paused or aborted meanwhile.
func (r *workflowRunner) note(ctx context.Context, term uint64, id string, a *workflow.Action, o workflow.Outcome) {
	for range noteTries {
		w := r.find(id)
		if w == nil || ctx.Err() != nil {
			return
		}
		d, ok := workflow.After(w, a, o, r.now())
		if !ok || r.store(ctx, term, w, d) {
			return
		}
		select {
		case <-time.After(workflowPoll / 10):
		case <-ctx.Done():
		}
	}
}

// do carries out an action.
func (r *workflowRunner) do(ctx context.Context, id string, a *workflow.Action) workflow.Outcome {
	if a.Hook != nil {
		return r.callHook(ctx, id, a.Hook)
	}
	var commands []fsm.Command
	if a.Change != nil {
		commands = append(commands, a.Change)
	}
	for _, d := range a.Deadlines {
		commands = append(commands, d)
	}
	ctx, cancel := context.WithTimeout(ctx, workflowPropose)
	defer cancel()
	var last fsm.Result
	for _, c := range commands {
		result, err := r.group.Propose(ctx, c)
		if err != nil {
			r.log.Warn("the outcome of a workflow's change is unknown, it will be looked at again", "workflow", id, "error", err)
			return workflow.Outcome{Unknown: true}
		}
		if a.Change == nil && result.Code == fsm.CodeAbsent {
			continue // the quiesce has ended meanwhile
		}
		if last = result; result.Code != fsm.CodeOK {
			break
		}
	}
	return workflow.Outcome{Result: last}
}

// callHook calls a hook, and breaks the call off when the workflow is aborted.
func (r *workflowRunner) callHook(ctx context.Context, id string, c *workflow.Call) workflow.Outcome {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			changed := r.group.Changed()
			if w := r.find(id); w == nil || w.State == workflow.Aborting || w.Ended() {
				cancel()
				return
			}
			select {
			case <-changed:
			case <-over:
				return
			}
		}
	})
	r.log.Info("workflow calls a hook", "workflow", id, "step", c.Step, "cluster", c.Target.Cluster, "subject", c.Target.Name(), "attempt", c.Attempt)
	outcome := r.hooks.Call(ctx, c)
	close(over)
	watching.Wait()
	return outcome
}
