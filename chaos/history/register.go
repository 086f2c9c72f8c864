package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/anishathalye/porcupine"
)

// current is the configuration of the model.
type current struct {
	revision uint64
	digest   string // empty: not known yet
}

// next gives the configuration after the operation; false when the operation cannot be.
func (c change) next(s current) (current, bool) {
	fits := c.anything || c.expect == s.revision
	switch {
	case c.read:
		same := s.digest == "" || c.digest == "" || s.digest == c.digest
		return current{s.revision, cmp.Or(s.digest, c.digest)}, c.revision == s.revision && same
	case c.outcome == Conflict:
		return s, !fits
	default:
		return current{c.revision, c.digest}, fits && c.revision == s.revision+1
	}
}

func revisionModel(first uint64) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return current{revision: first} },
		Step: func(state, input, _ any) (bool, any) {
			next, ok := input.(change).next(state.(current))
			return ok, next
		},
		DescribeOperation: func(input, _ any) string { return input.(change).text },
		DescribeState:     func(state any) string { return fmt.Sprintf("revision %d", state.(current).revision) },
	}
}

// Revisions judges the configuration, until ctx ends. First is the revision that was current when the history began.
func (h *History) Revisions(ctx context.Context, first uint64) Judgement {
	h.mu.Lock()
	changes := slices.Clone(h.changes)
	h.mu.Unlock()
	slices.SortFunc(changes, func(a, b change) int { return cmp.Or(cmp.Compare(a.back, b.back), cmp.Compare(a.call, b.call)) })
	r := register{revisionModel(first), first}
	j := Judgement{Operations: len(changes), Subjects: 1}
	result, steps := r.judge(ctx, changes)
	switch result {
	case porcupine.Illegal:
		j.fails(r.explain(ctx, changes), picture(r.model, steps))
	case porcupine.Unknown:
		j.Unjudged = 1
	}
	return j
}

// register judges histories of the configuration.
type register struct {
	model porcupine.Model
	first uint64
}

// judge searches for an order. Changes without an answer would make the search grow with two to the power of their number. But each revision is
// made by one change: so the revisions that were seen and that nobody was told of are all that such changes can have made, and the others of
// them were not made, as far as anybody saw. One more may have been made without being seen but by a change that came too late.
func (r register) judge(ctx context.Context, changes []change) (porcupine.CheckResult, []porcupine.Operation) {
	seen, late := r.first, false
	for _, c := range changes {
		if !c.optional && (c.read || c.outcome == Done) {
			seen = max(seen, c.revision)
		}
	}
	for _, c := range changes {
		late = late || !c.read && c.outcome == Conflict && c.expect == seen
	}
	steps := r.settle(changes, seen)
	result := judge(ctx, r.model, steps)
	if result == porcupine.Illegal && late {
		if more := r.settle(changes, seen+1); len(more) > len(steps) {
			if judge(ctx, r.model, more) == porcupine.Ok {
				return porcupine.Ok, more
			}
		}
	}
	return result, steps
}

// settle gives the operations of a history of the revisions up to last: each change without an answer becomes the revision that only it can
// have made, or is left out. Of those that fit a revision one that can be no other comes first, then the one that was sent first: whatever it
// can be, the others can be later.
func (r register) settle(changes []change, last uint64) []porcupine.Operation {
	made := map[uint64]bool{}
	var unknown []change
	var steps []porcupine.Operation
	add := func(c change) {
		steps = append(steps, porcupine.Operation{ClientId: c.client, Input: c, Call: c.call, Return: c.back})
	}
	for _, c := range changes {
		switch {
		case c.read || c.outcome == Conflict:
			add(c)
		case c.outcome == Unknown:
			unknown = append(unknown, c)
		case !c.optional || c.revision <= last:
			made[c.revision] = true
			add(c)
		}
	}
	slices.SortStableFunc(unknown, func(a, b change) int { return cmp.Compare(a.call, b.call) })
	for revision := r.first + 1; revision <= last && len(unknown) > 0; revision++ {
		if made[revision] {
			continue
		}
		seen := seenBy(changes, revision)
		at := slices.IndexFunc(unknown, func(c change) bool { return !c.anything && c.expect == revision-1 && c.call <= seen })
		if at < 0 {
			at = slices.IndexFunc(unknown, func(c change) bool { return c.anything && c.call <= seen })
		}
		if at < 0 {
			continue // nobody can have made it: there will be no order
		}
		c := unknown[at]
		unknown = slices.Delete(unknown, at, at+1)
		c.outcome, c.revision, c.text = Done, revision, c.text+fmt.Sprintf(", it made revision %d", revision)
		add(c)
	}
	return steps
}

// seenBy is when the revision, or a later one, had been seen for certain.
func seenBy(changes []change, revision uint64) int64 {
	seen := int64(never)
	for _, c := range changes {
		if (c.read || c.outcome == Done) && !c.optional && c.revision >= revision {
			seen = min(seen, c.back)
		}
	}
	return seen
}

// explain finds the operation with which the history first has no order, by halving. What had not ended by then may have happened or not.
func (r register) explain(ctx context.Context, changes []change) string {
	broken := func(i int) bool {
		until := changes[i].back
		list := slices.Clone(changes[:i+1])
		for _, c := range changes[i+1:] {
			if c.call > until || c.read || c.outcome == Conflict { // it had not begun, or changes nothing
				continue
			}
			c.back, c.optional = never, true
			list = append(list, c)
		}
		result, _ := r.judge(ctx, list)
		return result != porcupine.Ok
	}
	n := sort.Search(len(changes)-1, broken)
	last := changes[n]
	text := fmt.Sprintf("configuration: %s (asked at %s, answered at %s)", last.text, seconds(last.call), seconds(last.back))
	var before []string
	for _, c := range changes[max(0, n-3):n] {
		before = append(before, fmt.Sprintf("%s (%s)", c.text, seconds(c.back)))
	}
	if len(before) == 0 {
		return text + ", and nothing before allows that"
	}
	return text + " fits no order of what was told before: " + strings.Join(before, ", ")
}
