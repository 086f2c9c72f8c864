//go:build netns

package vip

import (
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/vip/field"
)

// contested is how long the old holder may answer for the address in a planned hand-over after the new one has announced it: until it has heard that.
const contested = 50 * time.Millisecond

// broken says which promises a round broke, in words; none when all were kept.
func broken(f field.Fault, r *field.Result) (all []string) {
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if r.Before.Failed > 0 {
		say("before the fault: %s", r.Before)
	}
	if r.Strangers > 0 {
		say("%d claims of the address by machines that are no node", r.Strangers)
	}
	for _, s := range []struct {
		name    string
		service field.Service
	}{{"the probe", r.Hurt.Probe}, {"new sessions", r.Hurt.Fresh}, {"IPv6", r.Hurt.Six}} {
		if s.service.Sent > 0 && !s.service.Over && r.Sessions == 0 {
			say("%s: the outage did not end while the fault lasted: %s", s.name, s.service)
		}
	}
	brokenByHolders(f, r, say)
	brokenByHeal(f, r, say)
	if f.Planned || f.Keeps {
		for name, s := range map[string]field.Service{"the probe": r.Hurt.Probe, "new sessions": r.Hurt.Fresh, "IPv6": r.Hurt.Six, "requests of a second": r.Hurt.Slow, "kept connections": r.Hurt.Lasting} {
			if s.Failed > 0 {
				say("nothing may be lost, but of %s: %s", name, s.Failures())
			}
		}
	}
	if r.Right != r.Sessions || r.SessionErr != nil {
		say("%d of %d sessions went to their instances: %v", r.Right, r.Sessions, r.SessionErr)
	}
	return all
}

// both is how long two kernels may have the address while a fault lasts.
func both(f field.Fault) time.Duration {
	switch {
	case f.Lasts > 0: // the guard is ended or frozen too
		return field.KernelLease
	case f.Name == "freeze":
		return 150 * time.Millisecond
	case f.Planned: // the next holder's kernel has it before, silently
		return time.Hour
	}
	return 0
}

// unsafe says what no busy machine excuses: two nodes that had the address, or answered for it, for longer than they may, and sessions that were moved.
func unsafe(f field.Fault, r *field.Result) (all []string) {
	allowed := contested
	if f.Lasts > 0 {
		allowed = field.KernelLease
	} else if f.Name == "freeze" {
		allowed = 150 * time.Millisecond
	}
	if r.Hurt.Contested > allowed || r.Heal.Contested > contested {
		all = append(all, fmt.Sprintf("two nodes answered for the address for %.1f ms, and for %.1f ms from the heal on", field.Milliseconds(r.Hurt.Contested), field.Milliseconds(r.Heal.Contested)))
	}
	// What was seen may be late by a stall, at either end of the time.
	if most := both(f) + r.Stall; max(r.Hurt.Both, r.Hurt.Both6) > most {
		all = append(all, fmt.Sprintf("two nodes had the address for %.1f ms (IPv6: %.1f ms), allowed are %.0f with the stall", field.Milliseconds(r.Hurt.Both), field.Milliseconds(r.Hurt.Both6), field.Milliseconds(most)))
	}
	if !f.Planned && !handedOver(r) && max(r.Heal.Both, r.Heal.Both6) > r.Stall {
		all = append(all, fmt.Sprintf("from the heal on two nodes had the address for %.1f ms (IPv6: %.1f ms), more than the stall", field.Milliseconds(r.Heal.Both), field.Milliseconds(r.Heal.Both6)))
	}
	if r.Moved() {
		all = append(all, "sessions were moved to another instance")
	}
	return all
}

// brokenByHolders judges who had the address.
func brokenByHolders(f field.Fault, r *field.Result, say func(string, ...any)) {
	allowed, old := both(f), 0
	switch {
	case f.Lasts > 0:
		old = int(field.KernelLease / (5 * time.Millisecond))
	case f.Planned: // the old one has it until it has heard that it was taken
		old = 10
	}
	if r.Hurt.Both > allowed || r.Hurt.Both6 > allowed {
		say("two nodes had the address for %.1f ms (IPv6: %.1f ms), allowed are %.0f", field.Milliseconds(r.Hurt.Both), field.Milliseconds(r.Hurt.Both6), field.Milliseconds(allowed))
	}
	if allowed == 0 && r.Hurt.Two > 0 {
		say("in %d of %d samples two nodes had the address", r.Hurt.Two, r.Hurt.Samples)
	}
	if f.Planned && max(r.Hurt.Contested, r.Heal.Contested) > contested {
		say("two nodes answered for the address for %.1f and %.1f ms", field.Milliseconds(r.Hurt.Contested), field.Milliseconds(r.Heal.Contested))
	}
	if r.Hurt.Old > old {
		say("the old holder answered for the address %d times after another had it", r.Hurt.Old)
	}
	switch {
	case f.Keeps && (r.Next != r.Holder || r.Last != r.Holder || r.Hurt.Taken+r.Heal.Taken > 0):
		say("the address went from node %d to %d and %d; it was to stay", r.Holder, r.Next, r.Last)
	case !f.Keeps && !f.MayKeep && (r.Next < 0 || r.Next == r.Holder):
		say("no other node had the address when the fault ended")
	}
}

// handedOver tells of a holder that was cut off before and hands over to a node that reaches more: then its successor's kernel has the address silently.
func handedOver(r *field.Result) bool {
	return r.Last != r.Next && r.Next != r.Holder && r.Heal.Contested <= contested
}

// brokenByHeal judges what the end of the fault cost.
func brokenByHeal(f field.Fault, r *field.Result, say func(string, ...any)) {
	for name, s := range map[string]field.Service{"the probe": r.Heal.Probe, "new sessions": r.Heal.Fresh, "IPv6": r.Heal.Six, "requests of a second": r.Heal.Slow, "kept connections": r.Heal.Lasting} {
		if s.Failed > 0 {
			say("the heal cost requests: of %s: %s", name, s.Failures())
		}
	}
	if !f.Planned && !handedOver(r) && (r.Heal.Both > 0 || r.Heal.Both6 > 0 || r.Heal.Two > 0) {
		say("from the heal on two nodes had the address for %.1f ms (IPv6: %.1f ms; %d samples)", field.Milliseconds(r.Heal.Both), field.Milliseconds(r.Heal.Both6), r.Heal.Two)
	}
	if r.Heal.Old > 0 {
		say("from the heal on the old holder answered for the address %d times", r.Heal.Old)
	}
	if r.Last < 0 {
		say("at the end not exactly one node had the address")
	}
}

// allowedOutage is how long the median outage of a fault may be; 0: nothing is said about it.
func allowedOutage(timing string, f field.Fault) time.Duration {
	const wan = 2 * time.Second
	silent, ok := map[string]time.Duration{"fast": 150 * time.Millisecond, "lan": 600 * time.Millisecond, "wan": wan}[timing]
	switch {
	case !ok:
		return 0
	case f.Name == "kill" || f.Name == "kill in its unit":
		return 40 * time.Millisecond
	case f.Planned || f.Keeps: // no request fails; what is left is one that took its time
		return 150 * time.Millisecond
	}
	return silent
}
