package fsm

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

func (s HealthState) known() bool { return s == HealthUp || s == HealthSuspect || s == HealthFailed }

func (r *replica) verdictSet(index uint64, c *VerdictSet) Result {
	var k check
	k.list("verdicts", len(c.Verdicts))
	for i := range c.Verdicts {
		v := &c.Verdicts[i]
		k.text("the reason of a verdict", v.Reason)
		if !v.State.known() {
			k.failf("an instance is %s, %s or %s, not %.40q", HealthUp, HealthSuspect, HealthFailed, v.State)
		}
		if v.Down < 0 || v.Reporting < 0 || v.Down > maxCount || v.Reporting > maxCount {
			k.failf("%d of %d nodes is no count", v.Down, v.Reporting)
		}
	}
	if res, refused := k.refused(); refused {
		return res
	}
	o := r.operating.Load()
	n := r.names.Load()
	known := configuredInstances(n, o.Config)
	var next []Verdict // nil: nothing has changed
	var events []Event
	for _, v := range c.Verdicts {
		if known[v.Instance] == nil {
			continue
		}
		if next == nil {
			next = slices.Clone(o.Verdicts)
		}
		i, found := findVerdict(next, v.Instance)
		v.Since = millis(r.now.Load())
		switch {
		case !found && v.State == HealthUp:
			continue // nothing to say: that is what having no verdict means
		case !found:
			next = slices.Insert(next, i, v)
		case next[i].State == v.State:
			v.Since = next[i].Since
			next[i] = v
			continue
		default:
			next[i] = v
		}
		ref := n.refs[v.Instance-1]
		events = append(events, Event{Kind: EventHealth, Subject: Subject{Cluster: ref.Cluster, Instance: ref.Instance},
			Text: fmt.Sprintf("Instance %s of cluster %s is %s, by %d of %d nodes%s", ref.Instance, ref.Cluster, v.State, v.Down, v.Reporting, because(v.Reason))})
	}
	if next == nil || slices.Equal(next, o.Verdicts) {
		return Result{}
	}
	r.operate(index, func(o *Operating) { o.Verdicts = next })
	for _, e := range events {
		r.emit(index, e)
	}
	return Result{}
}

func findVerdict(list []Verdict, id InstanceID) (int, bool) {
	return slices.BinarySearchFunc(list, id, func(v Verdict, id InstanceID) int { return cmp.Compare(v.Instance, id) })
}

// verdictsFor is what of list is about instances of c.
func verdictsFor(list []Verdict, n *names, c *config.Config) []Verdict {
	if len(list) == 0 {
		return nil
	}
	known := configuredInstances(n, c)
	return without(list, func(v *Verdict) bool { return known[v.Instance] == nil })
}

// appendVerdict is the canonical form of a verdict.
func appendVerdict(b []byte, v *Verdict) []byte {
	b = appendU32(b, uint32(v.Instance))
	b = appendBytes(b, string(v.State))
	b = appendTime(b, v.Since)
	b = appendBytes(b, v.Reason)
	b = appendU32(b, uint32(v.Down))
	return appendU32(b, uint32(v.Reporting))
}

func parseVerdict(b []byte) (Verdict, bool) {
	p := parser{b: b}
	v := Verdict{Instance: InstanceID(p.u32()), State: HealthState(p.string()), Since: p.time(), Reason: p.string(), Down: int(p.u32()), Reporting: int(p.u32())}
	return v, p.done() && v.State.known() && v.Down <= maxCount && v.Reporting <= maxCount
}
