package scenario

import (
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/holdfast-lb/holdfast/chaos/fault"
)

// Limits of what one scenario may ask for; a file may come from anybody.
const (
	maxLength = 24 * time.Hour
	maxRate   = 20_000
	maxFaulty = 100_000 // faults of one plan
)

// Profiles that a scenario may belong to.
var Profiles = []string{"ci", "soak", "netns"}

// Defaults gives the scenario that an empty file would be.
func Defaults() *Scenario {
	return &Scenario{
		Substrate: fault.Loopback, Length: 20 * time.Second,
		Group: Group{Nodes: 3, Instances: 3, Timing: "lan", QuiesceTimeout: 31 * time.Minute},
		Load:  Load{Rate: 100, NewSessions: 40, Attempt: 2 * time.Second, Patience: 30 * time.Second},
	}
}

// Parse reads a scenario. The error is of type Faults: everything that is wrong, with places.
func Parse(file string, data []byte) (*Scenario, error) {
	r := &reader{file: file}
	s := Defaults()
	s.File = file
	if root := r.tree(data); root != nil {
		r.scenario(root, s)
		if len(r.faults) == 0 {
			r.whole(root, s)
		}
	}
	if len(r.faults) > 0 {
		return nil, r.faults
	}
	return s, nil
}

func (r *reader) scenario(n ast.Node, s *Scenario) {
	r.object(n, "a scenario",
		field{"name", r.text(&s.Name, wantName)},
		field{"about", r.text(&s.About, nil)},
		field{"profiles", func(n ast.Node) {
			r.list(n, func(n ast.Node) {
				p := ""
				if r.text(&p, oneOf("profile", Profiles...))(n); p != "" {
					s.Profiles = append(s.Profiles, p)
				}
			})
		}},
		field{"catches", func(n ast.Node) {
			r.list(n, func(n ast.Node) {
				name := ""
				if r.text(&name, wantName)(n); name != "" {
					s.Catches = append(s.Catches, name)
				}
			})
		}},
		field{"substrate", r.text(&s.Substrate, oneOf("substrate", fault.Substrates...))},
		field{"length", r.duration(&s.Length, time.Second, maxLength)},
		field{"group", func(n ast.Node) { r.group(n, &s.Group) }},
		field{"load", func(n ast.Node) { r.load(n, &s.Load) }},
		field{"faults", func(n ast.Node) {
			r.list(n, func(n ast.Node) { s.Faults = append(s.Faults, r.rule(n)) })
		}},
		field{"checks", func(n ast.Node) {
			r.list(n, func(n ast.Node) {
				c := Check{Line: n.GetToken().Position.Line}
				r.text(&c.Name, wantName)(n)
				s.Checks = append(s.Checks, c)
			})
		}},
		field{"budget", func(n ast.Node) {
			r.object(n, "budget",
				field{"failed", r.integer(&s.Budget.Failed, 0, 1<<30)},
				field{"refused", r.integer(&s.Budget.Refused, 0, 1<<30)},
				field{"outage", r.duration(&s.Budget.Outage, 0, maxLength)},
				field{"slowest", r.duration(&s.Budget.Slowest, 0, maxLength)},
			)
		}},
	)
}

func (r *reader) group(n ast.Node, g *Group) {
	r.object(n, "group",
		field{"nodes", r.integer(&g.Nodes, 1, 7)},
		field{"instances", r.integer(&g.Instances, 1, 20)},
		field{"timing", r.text(&g.Timing, oneOf("timing", "lan", "wan", "fast"))},
		field{"faultyDisks", r.boolean(&g.FaultyDisks)},
		field{"quiesceTimeout", r.duration(&g.QuiesceTimeout, time.Second, maxLength)},
	)
}

func (r *reader) load(n ast.Node, l *Load) {
	r.object(n, "load",
		field{"rate", r.number(&l.Rate, 0, maxRate)},
		field{"newSessions", r.number(&l.NewSessions, 0.1, maxRate)},
		field{"edits", r.number(&l.Edits, 0, 100)},
		field{"forgeEvery", r.integer(&l.ForgeEvery, 0, 1<<20)},
		field{"attempt", r.duration(&l.Attempt, 10*time.Millisecond, time.Minute)},
		field{"patience", r.duration(&l.Patience, 100*time.Millisecond, 10*time.Minute)},
		field{"rest", r.boolean(&l.Rest)},
	)
}

// drawnFor is how long faults last when nothing is said.
var drawnFor = [2]time.Duration{time.Second, 3 * time.Second}

func (r *reader) rule(n ast.Node) Rule {
	rule := Rule{Line: n.GetToken().Position.Line, For: drawnFor, Target: fault.Any, At: -1, Overlap: 2, Count: -1}
	amount := ast.Node(nil)
	name := func(to **fault.Fault) func(ast.Node) {
		return func(n ast.Node) {
			v, ok := r.scalar(n)
			if !ok {
				return
			}
			f, err := fault.ByName(v)
			if err != nil {
				r.fail(n, "%v", err)
				return
			}
			*to = f
		}
	}
	before := len(r.faults)
	r.object(n, "a fault",
		field{"name", name(&rule.Fault)},
		field{"draw", func(n ast.Node) {
			r.list(n, func(n ast.Node) {
				var f *fault.Fault
				if name(&f)(n); f != nil {
					rule.Draw = append(rule.Draw, f)
				}
			})
		}},
		field{"count", r.integer(&rule.Count, 1, maxFaulty)},
		field{"overlap", r.integer(&rule.Overlap, 1, 10)},
		field{"at", r.duration(&rule.At, 0, maxLength)},
		field{"every", r.duration(&rule.Every, 100*time.Millisecond, maxLength)},
		field{"from", r.duration(&rule.From, 0, maxLength)},
		field{"until", r.duration(&rule.Until, 0, maxLength)},
		field{"for", r.span(&rule.For, maxLength)},
		field{"target", r.text(&rule.Target, wantName)},
		field{"amount", func(n ast.Node) { amount = n }},
		field{"seed", r.seed(&rule.Seed)},
		field{"drawn", r.boolean(&rule.Drawn)},
	)
	if len(r.faults) == before {
		r.complete(n, &rule, amount)
	}
	return rule
}

// complete checks what the keys of a rule mean together.
func (r *reader) complete(n ast.Node, rule *Rule, amount ast.Node) {
	if (rule.Fault == nil) == (len(rule.Draw) == 0) {
		r.fail(n, "want either a name, or a list of names to draw from (draw)")
		return
	}
	if len(rule.Draw) > 0 {
		if rule.At >= 0 || rule.Every > 0 || amount != nil || rule.Seed != nil || rule.Drawn {
			r.fail(n, "what is drawn has a count, and neither at, every, amount nor seed")
		}
		if rule.Count < 0 {
			r.fail(n, "how many are drawn? Say so with count")
		}
		for _, f := range rule.Draw {
			r.target(n, f, rule.Target)
		}
		return
	}
	if (rule.At >= 0) == (rule.Every > 0) {
		r.fail(n, "when does it happen? Say so with at, or with every")
	}
	if rule.At < 0 && (rule.Seed != nil || rule.Drawn) {
		r.fail(n, "seed and drawn are for a fault of a plan that was written down: it happens once (at)")
	}
	if rule.Count >= 0 {
		r.fail(n, "count is for faults that are drawn; use every")
	}
	r.target(n, rule.Fault, rule.Target)
	if amount != nil {
		if v, ok := r.scalar(amount); ok {
			a, err := rule.Fault.Measure.Parse(v)
			if err != nil {
				r.fail(amount, "amount of %s: %v", rule.Fault.Name, err)
			}
			rule.Amount = &a
		}
	}
}

// target checks whom a fault can happen to; whether the group has that node is checked with the whole.
func (r *reader) target(n ast.Node, f *fault.Fault, target string) {
	special := map[string]bool{fault.Leader: true, fault.Holder: true, fault.Follower: true}
	switch {
	case target == fault.Any:
	case f.Kind == fault.OnGroup:
		r.fail(n, "%s happens to the whole group: it has no target", f.Name)
	case f.Kind == fault.OnInstance && special[target]:
		r.fail(n, "%s happens to an instance, and %q is a node", f.Name, target)
	}
}
