package workflow

import (
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

// maxProgress bounds what a workflow notes of its targets, in bytes. The group refuses a progress of more than 256 KiB.
const maxProgress = 200 << 10

// View is what a plan looks at.
type View struct {
	Operating  *fsm.Operating
	InstanceID func(cluster, instance string) (fsm.InstanceID, bool)
	// Sessions counts the assignments of an instance, or of a module.
	Sessions func(fsm.Subject) int
}

// Preview is what a workflow would do.
type Preview struct {
	Steps   []Step
	Targets []Target
	// Refused says why the workflow would not be taken, empty when it would be.
	Refused []string
	// AtMost bounds its time, but for what a person has to do (ByHand).
	AtMost time.Duration
	ByHand bool
}

// Target is one cluster, instance or module of a plan.
type Target struct {
	fsm.Subject
	Subjects []fsm.Subject
	Sessions int
	// Quiesce is how long known sessions are served at most.
	Quiesce time.Duration
	// Unserved are the modules that nobody would serve meanwhile.
	Unserved []fsm.Subject
}

// Plan says what a specification, decoded and valid, would do now.
func Plan(kind string, s *Spec, v View) Preview {
	p := Preview{Steps: Steps(kind, s)}
	refuse := func(format string, args ...any) { p.Refused = append(p.Refused, fmt.Sprintf(format, args...)) }
	if s.SchemaChange && !s.Force {
		refuse("the upgrade changes a schema that old and new version share, so the clusters cannot be upgraded one after the other; force it only when both versions can work with both schemas")
	}
	for _, target := range s.targets() {
		t := Target{Subject: target, Subjects: subjects(v.Operating.Revision.Config, target)}
		switch {
		case cluster(v.Operating.Config, target.Cluster) == nil:
			refuse("there is no cluster %s", target.Cluster)
			continue
		case target.Instance != "" && registered(v.Operating, target.Cluster) && len(t.Subjects) == 0,
			target.Instance == "" && target.ContextRoot == "" && registered(v.Operating, target.Cluster):
			refuse("instances of cluster %s registered themselves, and only they can take themselves out", target.Cluster)
			continue
		case len(t.Subjects) == 0 && target.Instance == "" && target.ContextRoot == "":
			refuse("cluster %s has no instance", target.Cluster)
			continue
		case len(t.Subjects) == 0:
			refuse("there is no %s", describe(target))
			continue
		case len(Progress{Disabled: t.Subjects}.Encode()) > maxProgress:
			refuse("cluster %s has %d instances, more than one workflow can keep track of", target.Cluster, len(t.Subjects))
			continue
		case s.MinHealthy > len(t.Subjects):
			refuse("cluster %s has %d instances, so %d cannot be healthy", target.Cluster, len(t.Subjects), s.MinHealthy)
		}
		t.look(s, v)
		if len(t.Unserved) > 0 && !s.Force {
			refuse("nobody would serve %s while %s is disabled (force goes on all the same)", names(t.Unserved), describe(target))
		}
		for _, w := range v.Operating.Workflows {
			if !w.Ended() && Touches(w, target.Cluster) {
				refuse("workflow %s is at cluster %s", w.ID, target.Cluster)
			}
		}
		p.Targets = append(p.Targets, t)
	}
	p.bound(s)
	return p
}

// targets lists what is worked at, in order.
func (s *Spec) targets() []fsm.Subject {
	if s.Subject != nil {
		return []fsm.Subject{*s.Subject}
	}
	list := make([]fsm.Subject, len(s.Clusters))
	for i, name := range s.Clusters {
		list[i] = fsm.Subject{Cluster: name}
	}
	return list
}

// look fills in what the state says about the target.
func (t *Target) look(s *Spec, v View) {
	c := v.Operating.Revision.Config
	for _, sub := range t.Subjects {
		t.Sessions += v.Sessions(sub)
		cl := cluster(c, sub.Cluster)
		if sub.IsModule() {
			t.Quiesce = max(t.Quiesce, time.Duration(module(cl, sub.Host, sub.ContextRoot).QuiesceTimeout))
		} else {
			t.Quiesce = max(t.Quiesce, time.Duration(instance(cl, sub.Instance).QuiesceTimeout))
		}
	}
	if s.QuiesceTimeout != nil {
		t.Quiesce = time.Duration(*s.QuiesceTimeout)
	}
	t.Unserved = Unserved(v.Operating, v.InstanceID, t.Subject)
}

// bound adds up the times of the steps. It cannot overflow: there are at most MaxClusters targets, and each time is at most MaxTime or one of the
// configuration, which are cut to MaxTime here.
func (p *Preview) bound(s *Spec) {
	hook := time.Duration(s.Timeouts.Hook) * MaxFailures
	for n := 1; n < MaxFailures; n++ {
		hook += backoff(n)
	}
	for _, t := range p.Targets {
		p.AtMost += min(t.Quiesce, MaxTime)
	}
	for _, step := range p.Steps {
		switch {
		case step.Kind == StepInFlight:
			p.AtMost += time.Duration(s.Timeouts.InFlight)
		case step.Kind == StepHealthy:
			p.AtMost += time.Duration(s.Timeouts.Healthy)
		case step.Kind == StepHook && step.Hook == Manual, step.Kind == StepGate && s.Gate.Type == GateManual:
			p.ByHand = true
		case step.Kind == StepHook:
			p.AtMost += hook
		case step.Kind == StepGate:
			p.AtMost += time.Duration(s.Gate.Duration)
		}
	}
}
