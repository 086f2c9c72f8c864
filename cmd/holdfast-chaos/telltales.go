package main

import (
	"errors"
	"slices"

	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
	"github.com/holdfast-lb/holdfast/internal/mutant"
)

// telltale is how a known bug shows.
type telltale struct {
	// checks are the promises that it breaks. What a busy machine or any other trouble may bring about is never among them: requests beyond a budget, nodes that are not ready or equal in time, leaks, processes that end.
	checks []string
	// needs is the fault without which it does not show, where a machine may lack it.
	needs string
}

// lostSession are the promises that a session breaks that was acknowledged and is not, or not everywhere, where its client was told.
var lostSession = []string{"sessions-stay", "assignments-kept", "assignments-linearizable"}

// telltales has each of the known bugs. docs/CHAOS.md has the same table for people.
var telltales = map[string]telltale{
	mutant.AckBeforeCommit:        {checks: lostSession},
	mutant.BarrierSkipped:         {checks: append([]string{"revisions-linearizable"}, lostSession...)},
	mutant.BatchDropped:           {checks: lostSession},
	mutant.ClockLocal:             {checks: append([]string{"quiesce-rules"}, lostSession...), needs: "clock"}, // with the clock, quiesces end and sessions expire
	mutant.CookieOldEpoch:         {checks: append([]string{"cookies-outdated"}, lostSession...)},
	mutant.CookieUnauthenticated:  {checks: []string{"cookies-authentic"}},
	mutant.FailoverAcrossClusters: {checks: []string{"clusters-apart"}},
	mutant.ForwardedTwice:         {checks: []string{"requests-once"}},
	mutant.LeaseUnconfirmed:       {checks: []string{"address-once"}},
	mutant.LoseOpFollower:         {checks: []string{"one-state", "assignments-kept"}},
	mutant.LoseOpLeader:           {checks: []string{"one-state", "assignments-kept"}},
	mutant.MapIterated:            {checks: []string{"one-state"}},
	mutant.OwnFaultBlamed:         {checks: []string{"sessions-stay", "assignments-linearizable"}},
	mutant.PostRepeated:           {checks: []string{"requests-once"}},
	mutant.PromoteSameEpoch:       {checks: []string{"epochs-rise"}},
	mutant.QuiesceIgnored:         {checks: []string{"quiesce-rules"}},
	mutant.QuiesceRestarted:       {checks: []string{"quiesce-rules"}},
	mutant.SnapshotTorn:           {checks: append([]string{"backups-whole", "one-state"}, lostSession...)},
	mutant.StrayGuessed:           {checks: []string{"sessions-stay", "assignments-linearizable"}},
}

// telling gives the checks that may catch any of these bugs.
func telling(bugs ...string) (checks []string) {
	for _, bug := range bugs {
		checks = append(checks, telltales[bug].checks...)
	}
	slices.Sort(checks)
	return slices.Compact(checks)
}

// gaveAway names the check by which a run shows a bug, empty where none does: a promise counts that is one of the bug's, and of which somebody saw that it was broken.
func gaveAway(r *record.Run, bug string) string {
	for _, c := range r.Broken() {
		if r.Verdict == record.Failed && c.Shown() && slices.Contains(telltales[bug].checks, c.Name) {
			return c.Name
		}
	}
	return ""
}

// shows says why a bug cannot show on this machine, in any of the scenarios that are said to catch it; nil: it can.
func shows(bug string, scenarios []*scenario.Scenario, other string) error {
	list := thatCatch(scenarios, bug)
	if len(list) == 0 {
		return errors.New("no scenario of the profile catches it, because it shows in virtual time or with a virtual address only (make sim-mutants)")
	}
	name := telltales[bug].needs
	if name == "" {
		return nil
	}
	f, err := fault.ByName(name)
	if err != nil {
		return err
	}
	for _, s := range list {
		if err = f.Available(fault.Place{Substrate: s.Substrate, Nodes: s.Group.Nodes, Other: other, Disks: s.Group.FaultyDisks}); err == nil {
			return nil
		}
	}
	return err
}
