package scenario

import (
	"fmt"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/holdfast-lb/holdfast/chaos/fault"
)

// whole checks what the parts of a scenario mean together.
func (r *reader) whole(n ast.Node, s *Scenario) {
	if s.Name == "" {
		r.fail(n, "the scenario has no name")
	}
	if s.About == "" {
		r.fail(n, "the scenario does not say what it is about")
	}
	if s.Load.Attempt > s.Load.Patience {
		r.fail(n, "load: attempt (%v) is longer than patience (%v)", s.Load.Attempt, s.Load.Patience)
	}
	if s.Group.Nodes == 2 || s.Group.Nodes%2 == 0 {
		r.fail(n, "group: %d nodes survive no more than %d: take an odd number", s.Group.Nodes, s.Group.Nodes-1)
	}
	total := 0
	for _, rule := range s.Faults {
		at := func(format string, args ...any) { r.failAt(rule.Line, 1, format, args...) }
		for _, end := range []struct {
			what string
			ok   bool
		}{
			{"at", rule.At <= s.Length}, {"from", rule.From < s.Length}, {"until", rule.Until <= s.Length}, {"for", rule.For[1] <= s.Length},
		} {
			if !end.ok {
				at("%s is beyond the length of the scenario, %v", end.what, s.Length)
			}
		}
		if rule.Until > 0 && rule.Until <= rule.From {
			at("until (%v) is not after from (%v)", rule.Until, rule.From)
		}
		total += max(rule.Count, 0)
		if rule.Every > 0 {
			total += int(s.Length / rule.Every)
		}
		if why := s.lacks(rule); why != "" {
			at("%s", why)
		}
	}
	if total > maxFaulty {
		r.fail(n, "%d faults are too many for one scenario, at most %d", total, maxFaulty)
	}
}

// lacks says which target the group does not have.
func (s *Scenario) lacks(rule Rule) string {
	switch rule.Target {
	case fault.Any, fault.Leader, fault.Holder, fault.Follower:
		return ""
	}
	faults := rule.Draw
	if rule.Fault != nil {
		faults = append([]*fault.Fault{rule.Fault}, faults...)
	}
	for _, f := range faults {
		kind, names := fault.OnNode, s.NodeNames()
		if f.Kind == fault.OnInstance {
			kind, names = fault.OnInstance, s.InstanceNames()
		}
		if !slices.Contains(names, rule.Target) {
			return fmt.Sprintf("the group has no %s %q: it has %s to %s (%s)", kind, rule.Target, names[0], names[len(names)-1], f.Name)
		}
	}
	return ""
}

// CheckNames are the names of the checks that the scenario asks for; none: all.
func (s *Scenario) CheckNames() (names []string) {
	for _, c := range s.Checks {
		names = append(names, c.Name)
	}
	return names
}

// NodeNames are the names of the nodes that the scenario starts.
func (s *Scenario) NodeNames() []string { return numbered("n", s.Group.Nodes) }

// InstanceNames are the names of the instances.
func (s *Scenario) InstanceNames() []string { return numbered("instance", s.Group.Instances) }

func numbered(prefix string, n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("%s%d", prefix, i+1))
	}
	return names
}
