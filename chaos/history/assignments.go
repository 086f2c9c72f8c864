package history

import (
	"cmp"
	"context"
	"fmt"
	"math/bits"
	"slices"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"
)

// step is an operation as the model of one session sees it. Instances are numbered within the session; where it may be is a set of them, one
// bit each, and the lowest bit is nowhere.
type step struct {
	what what
	at   uint64 // the bit of the instance that answered, that was named, or that may be left
	all  uint64 // the bits of all instances that the session was ever seen on
	text string
}

const nowhere uint64 = 1

// maxPlaces is how many instances one session may be on in a run: one bit each, and one for nowhere.
const maxPlaces = 63

// next gives where the session may be after the step, 0 when the step cannot be.
func (s step) next(where uint64) uint64 {
	switch s.what {
	case answered: // it was there, or nowhere and was put there
		if where&(s.at|nowhere) == 0 {
			return 0
		}
		return s.at
	case silent: // if it was nowhere it may have been put anywhere
		if where&nowhere != 0 {
			return where | s.all
		}
		return where
	case looked:
		return where & s.at
	default: // it may have gone, or stayed
		if where&s.at != 0 {
			return where | nowhere
		}
		return where
	}
}

// sessionModel is a register that is set once, unless there is an occasion.
var sessionModel = porcupine.Model{
	Init: func() any { return nowhere },
	Step: func(state, input, _ any) (bool, any) {
		next := input.(step).next(state.(uint64))
		return next != 0, next
	},
	DescribeOperation: func(input, _ any) string { return input.(step).text },
	DescribeState: func(state any) string {
		if state.(uint64) == nowhere {
			return "nowhere"
		}
		return fmt.Sprintf("%d possible", bits.OnesCount64(state.(uint64)))
	},
}

// Assignments judges the sessions, each by itself, until ctx ends.
func (h *History) Assignments(ctx context.Context) Judgement {
	v := h.view()
	j := Judgement{Operations: len(v.ops)}
	for len(v.ops) > 0 {
		n := 1
		for n < len(v.ops) && v.ops[n].session == v.ops[0].session {
			n++
		}
		ops := v.telling(v.ops[:n])
		v.ops = v.ops[n:]
		j.Subjects++
		if len(ops) == 0 {
			continue
		}
		steps, problem := v.steps(ops)
		if problem != "" {
			j.fails(problem, nil)
			continue
		}
		switch judge(ctx, sessionModel, steps) {
		case porcupine.Illegal:
			j.fails(v.explain(ctx, ops, steps), picture(sessionModel, steps))
		case porcupine.Unknown:
			j.Unjudged++
		}
	}
	return j
}

// view is a copy of what is judged, sorted by session and time.
type view struct {
	ops       []op
	names     []string
	known     []session
	occasions []occasion
}

func (h *History) view() view {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := view{slices.Clone(h.ops), slices.Clone(h.names), slices.Clone(h.known), slices.Clone(h.occasions)}
	slices.SortFunc(v.ops, func(a, b op) int {
		return cmp.Or(cmp.Compare(a.session, b.session), cmp.Compare(a.back, b.back), cmp.Compare(a.call, b.call))
	})
	return v
}

// telling leaves out requests without an answer that say nothing. What one may have set, the next answer may have set as well: only who looks in
// between can tell. And there is no more to set than once, and once after each occasion to leave; what was sent first can have done so at least as
// early as the others.
func (v *view) telling(ops []op) []op {
	most := 0
	if slices.ContainsFunc(ops, func(o op) bool { return o.what == looked }) {
		most = 1
		for _, c := range v.occasions {
			if v.concerns(c, ops) {
				most++
			}
		}
	}
	kept := 0
	return slices.DeleteFunc(ops, func(o op) bool { // those without an answer come last, in the order in which they were sent
		if o.what == silent {
			kept++
		}
		return o.what == silent && kept > most
	})
}

// steps are the operations of one session for the model, with the occasions that concern it.
func (v *view) steps(ops []op) (steps []porcupine.Operation, problem string) {
	bit := map[uint16]uint64{0: nowhere}
	all := uint64(0)
	for _, o := range ops {
		if bit[o.place] == 0 {
			if len(bit) > maxPlaces {
				return nil, fmt.Sprintf("%s was on more than %d instances: that is not judged", v.session(ops[0]), maxPlaces)
			}
			bit[o.place] = 1 << len(bit)
			all |= bit[o.place]
		}
	}
	for _, o := range ops {
		s := step{what: o.what, at: bit[o.place], all: all, text: v.text(o)}
		steps = append(steps, porcupine.Operation{ClientId: int(o.client), Input: s, Call: o.call, Return: o.back})
	}
	for _, c := range v.occasions {
		if !v.concerns(c, ops) {
			continue
		}
		at := uint64(0)
		for number, b := range bit {
			if number != 0 && (c.place.instance == "" || v.names[number] == c.place.instance) {
				at |= b
			}
		}
		if at != 0 { // the session was never seen there: nothing to leave
			s := step{what: left, at: at, all: all, text: "may leave " + c.place.instance + ": " + c.why}
			steps = append(steps, porcupine.Operation{Input: s, Call: c.from, Return: c.to})
		}
	}
	return steps, ""
}

// concerns says whether an occasion is one of the session that the operations are of: of its cluster, and, where it is a loss, of what was answered after it.
func (v *view) concerns(c occasion, ops []op) bool {
	if c.place.cluster != v.known[ops[0].session].cluster {
		return false
	}
	if c.since == 0 {
		return true
	}
	first := slices.IndexFunc(ops, func(o op) bool { return o.what == answered }) // they are sorted by their ends
	return first >= 0 && ops[first].back > c.since
}

// judge lets porcupine search for an order.
func judge(ctx context.Context, m porcupine.Model, steps []porcupine.Operation) porcupine.CheckResult {
	limit := time.Duration(0) // none
	if deadline, ok := ctx.Deadline(); ok {
		limit = max(time.Until(deadline), time.Nanosecond)
	}
	if ctx.Err() != nil {
		return porcupine.Unknown
	}
	return porcupine.CheckOperationsTimeout(m, steps, limit)
}

func (v *view) session(o op) string {
	s := v.known[o.session]
	return fmt.Sprintf("session %s of cluster %s", s.name, s.cluster)
}

func (v *view) text(o op) string {
	switch {
	case o.what == silent:
		return "no answer"
	case o.what == looked && o.place == 0:
		return "the group has it nowhere"
	case o.what == looked:
		return "the group has it on " + v.names[o.place]
	default:
		return v.names[o.place] + " answers"
	}
}

// explain finds the operation with which the session's history first has no order, and says so in a sentence. Those that had not ended by then
// count as unknown: what they were told later cannot be held against earlier ones.
func (v *view) explain(ctx context.Context, ops []op, steps []porcupine.Operation) string {
	prefix := func(n int) []porcupine.Operation {
		until := ops[n-1].back
		var list []porcupine.Operation
		for i, s := range steps {
			switch {
			case i >= len(ops) || i < n: // occasions, and what has ended
			case s.Call <= until:
				in := s.Input.(step)
				s.Input, s.Return = step{what: silent, all: in.all}, never
			default:
				continue
			}
			list = append(list, s)
		}
		return list
	}
	n := 1
	for n < len(ops) && judge(ctx, sessionModel, prefix(n)) == porcupine.Ok {
		n++
	}
	last := ops[n-1]
	text := fmt.Sprintf("%s: at %s, %s", v.session(last), seconds(last.back), v.text(last))
	var before []string
	for _, o := range ops[:n-1] {
		if o.what != silent {
			before = append(before, fmt.Sprintf("%s (%s)", v.text(o), seconds(o.back)))
		}
	}
	if len(before) == 0 {
		return text + ", and nothing before allows that"
	}
	shown := before[max(0, len(before)-3):]
	return fmt.Sprintf("%s, after %s, and nothing in between lets it leave", text, strings.Join(shown, ", "))
}

// seconds gives a time of the history as people read it.
func seconds(at int64) string {
	if at == never {
		return "no known time"
	}
	return fmt.Sprintf("%.3f s", time.Duration(at).Seconds())
}
