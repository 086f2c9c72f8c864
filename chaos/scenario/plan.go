package scenario

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/fault"
)

// Step is one fault of a plan, fully drawn but for what its target means when it happens.
type Step struct {
	At, For time.Duration
	Fault   *fault.Fault
	Target  string
	Amount  fault.Amount
	// Named says that the scenario names the fault; else it was drawn, and another one does as well.
	Named bool
	// Seed is for what the fault itself draws.
	Seed uint64
}

func (s Step) String() string {
	text := fmt.Sprintf("%8.3fs %s", s.At.Seconds(), s.Fault.Name)
	if amount := s.Fault.Measure.Format(s.Amount); amount != "" {
		text += " " + amount
	}
	if s.Fault.Kind != fault.OnGroup {
		text += " on " + s.Target
	}
	return text + " for " + s.For.String()
}

// Plan is what happens in one run.
type Plan []Step

func (p Plan) String() string {
	var b strings.Builder
	for _, s := range p {
		b.WriteString(s.String() + "\n")
	}
	return b.String()
}

// calm is the time at the beginning and the end of a run in which no fault is drawn: a plan needs something to compare with.
const calm = time.Second

// Plan draws the plan of a seed. The same scenario and seed give the same plan.
func (s *Scenario) Plan(seed uint64) Plan {
	name := fnv.New64a()
	_, _ = name.Write([]byte(s.Name))
	random := rand.New(rand.NewPCG(seed, name.Sum64()))
	var plan Plan
	for _, rule := range s.Faults {
		switch {
		case len(rule.Draw) > 0:
			plan = append(plan, s.drawn(rule, random)...)
		case rule.Every > 0:
			until := rule.Until
			if until == 0 {
				until = s.Length
			}
			// Each begins in a drawn place of its turn: what happens in step with something else shows less.
			for at := rule.From; at < until; at += rule.Every {
				plan = append(plan, step(rule, rule.Fault, min(at+time.Duration(random.Int64N(int64(rule.Every)/2+1)), s.Length), random))
			}
		default:
			plan = append(plan, step(rule, rule.Fault, rule.At, random))
		}
	}
	for i := range plan { // what lasts longer than the run ends with it
		plan[i].For = min(plan[i].For, max(s.Length-plan[i].At, 0))
	}
	slices.SortStableFunc(plan, func(a, b Step) int { return int(a.At - b.At) })
	return plan
}

func step(rule Rule, f *fault.Fault, at time.Duration, random *rand.Rand) Step {
	amount := f.Draw(random)
	if rule.Amount != nil {
		amount = *rule.Amount
	}
	lasts := rule.For[0] + time.Duration(random.Int64N(int64(rule.For[1]-rule.For[0])+1))
	target := rule.Target
	if f.Kind == fault.OnGroup {
		target = ""
	}
	seed := random.Uint64() // always, so that what follows is drawn alike
	if rule.Seed != nil {
		seed = *rule.Seed
	}
	return Step{At: at, For: lasts, Fault: f, Target: target, Amount: amount, Named: len(rule.Draw) == 0 && !rule.Drawn, Seed: seed}
}

// drawn draws count faults, overlap of them at a time: the time is cut into as many turns as there are such groups, and in each turn they begin within a part of the shortest one.
func (s *Scenario) drawn(rule Rule, random *rand.Rand) (plan Plan) {
	from, until := max(rule.From, calm), s.Length-calm
	if rule.Until > 0 {
		until = min(until, rule.Until)
	}
	if until <= from {
		from, until = 0, s.Length
	}
	turns := (rule.Count + rule.Overlap - 1) / rule.Overlap
	each := (until - from) / time.Duration(turns)
	for t := range turns {
		begin := from + time.Duration(t)*each
		room := max(each-rule.For[1], each/4)
		begin += time.Duration(random.Int64N(int64(room) + 1))
		deck := random.Perm(len(rule.Draw)) // no fault twice at a time, as long as there are others
		for i := range min(rule.Overlap, rule.Count-t*rule.Overlap) {
			late := time.Duration(random.Int64N(int64(rule.For[0])/2 + 1))
			plan = append(plan, step(rule, rule.Draw[deck[i%len(deck)]], min(begin+late, s.Length), random))
		}
	}
	return plan
}
