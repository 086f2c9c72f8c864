package scenario

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/holdfast-lb/holdfast/chaos/fault"
)

// Digest tells a scenario with a plan from another one: whatever is played differently gives another digest.
func (s *Scenario) Digest(plan Plan) string {
	sum := sha256.Sum256([]byte(s.Write(plan)))
	return hex.EncodeToString(sum[:8])
}

// Write writes the scenario as a file that has the plan in place of its rules: each fault with its time and what it draws from. Whatever the seed, it gives that plan.
func (s *Scenario) Write(plan Plan) string {
	var b strings.Builder
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) }
	p("name: %s", s.Name)
	p("about: %s", strconv.Quote(s.About))
	p("substrate: %s", s.Substrate)
	p("length: %v", s.Length)
	p("group: {nodes: %d, instances: %d, timing: %s, quiesceTimeout: %v, faultyDisks: %v}", s.Group.Nodes, s.Group.Instances, s.Group.Timing, s.Group.QuiesceTimeout, s.Group.FaultyDisks)
	l := s.Load
	p("load: {rate: %g, newSessions: %g, edits: %g, forgeEvery: %d, attempt: %v, patience: %v, rest: %v}", l.Rate, l.NewSessions, l.Edits, l.ForgeEvery, l.Attempt, l.Patience, l.Rest)
	if len(plan) > 0 {
		p("faults:")
	}
	for _, step := range plan {
		text := fmt.Sprintf("name: %s, at: %v, for: %v", step.Fault.Name, step.At, step.For)
		if step.Fault.Kind != fault.OnGroup {
			text += ", target: " + step.Target
		}
		if amount := step.Fault.Measure.Format(step.Amount); amount != "" {
			text += ", amount: " + strconv.Quote(amount)
		}
		text += fmt.Sprintf(", seed: %d", step.Seed)
		if !step.Named {
			text += ", drawn: true"
		}
		p("  - {%s}", text)
	}
	if len(s.Checks) > 0 {
		p("checks:")
		for _, c := range s.Checks {
			p("  - %s", c.Name)
		}
	}
	p("budget: {failed: %d, refused: %d, outage: %v, slowest: %v}", s.Budget.Failed, s.Budget.Refused, s.Budget.Outage, s.Budget.Slowest)
	return b.String()
}
