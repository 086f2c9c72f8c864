package workflow

import (
	"fmt"

	"github.com/holdfast-lb/holdfast/fsm"
)

// The kinds of steps.
const (
	StepCheck    = "check"    // somebody else serves the modules meanwhile
	StepDisable  = "disable"  // one transaction: everything of the target begins to quiesce
	StepDeadline = "deadline" // the time-out of this workflow instead of the configuration's
	StepQuiesce  = "quiesce"  // wait until the quiesces have ended
	StepInFlight = "inflight" // wait until every node obeys that and has nothing in flight
	StepHook     = "hook"
	StepHealthy  = "healthy" // wait until the instances are healthy
	StepEnable   = "enable"  // one transaction: version label, and enabled again
	StepGate     = "gate"
)

// Step is one step of a workflow. The list of steps follows from the specification alone.
type Step struct {
	// ID is unique in the workflow, and short ASCII: it is part of Idempotency-Key.
	ID   string
	Kind string
	// Target is what the step is about: a cluster, or an instance or module of one.
	Target fsm.Subject
	// Name is stop, upgrade or start, and Hook its text in the specification, for StepHook.
	Name, Hook string
}

// Steps lists the steps of a workflow in order.
func Steps(kind string, s *Spec) []Step {
	if kind == KindCycle {
		return targetSteps(nil, 1, *s.Subject, s)
	}
	var list []Step
	for i, name := range s.Clusters {
		target := fsm.Subject{Cluster: name}
		list = targetSteps(list, i+1, target, s)
		if s.Gate.Type != GateNone && i+1 < len(s.Clusters) {
			list = append(list, Step{ID: fmt.Sprintf("%d.gate", i+1), Kind: StepGate, Target: target})
		}
	}
	return list
}

func targetSteps(list []Step, number int, target fsm.Subject, s *Spec) []Step {
	add := func(kind string) {
		list = append(list, Step{ID: fmt.Sprintf("%d.%s", number, kind), Kind: kind, Target: target})
	}
	add(StepCheck)
	add(StepDisable)
	if s.QuiesceTimeout != nil && *s.QuiesceTimeout > 0 {
		add(StepDeadline)
	}
	add(StepQuiesce)
	add(StepInFlight)
	for _, h := range []struct{ name, hook string }{{"stop", s.Hooks.Stop}, {"upgrade", s.Hooks.Upgrade}, {"start", s.Hooks.Start}} {
		if h.hook != "" {
			list = append(list, Step{ID: fmt.Sprintf("%d.%s", number, h.name), Kind: StepHook, Target: target, Name: h.name, Hook: h.hook})
		}
	}
	add(StepHealthy)
	add(StepEnable)
	return list
}

// NeedsReports tells whether a step cannot be decided without the nodes' reports.
func (s Step) NeedsReports() bool {
	return s.Kind == StepInFlight || s.Kind == StepHealthy || s.Kind == StepGate
}

// String names the step for people.
func (s Step) String() string {
	target := describe(s.Target)
	switch s.Kind {
	case StepDeadline:
		return "set the deadline of " + target
	case StepInFlight:
		return "wait for requests in flight to " + target
	case StepHook:
		return "hook " + s.Name + " for " + target
	case StepHealthy:
		return "wait until " + target + " is healthy"
	case StepGate:
		return "gate after " + target
	}
	return s.Kind + " " + target // check, disable, quiesce, enable
}

// describe names a target for people.
func describe(t fsm.Subject) string {
	switch {
	case t.Instance != "":
		return "instance " + t.Instance + " of cluster " + t.Cluster
	case t.ContextRoot != "":
		return "module " + t.Name() + " of cluster " + t.Cluster
	}
	return "cluster " + t.Cluster
}
