package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/history"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// atEnd lists the checks of all that was seen.
func atEnd() []Check {
	of := func(name, about string, judge func(context.Context, *Evidence) verdict) Check {
		return Check{Name: name, When: record.AtEnd, About: about, judge: judge}
	}
	return []Check{
		of("assignments-kept", "Every node's table has every session on the instance that its client was told.", tables),
		of("assignments-linearizable", "All answers about a session could have come from one table on one machine.", linearizable("session", func(e *Evidence) bool { return e.Ledger.Len() > 0 }, "no session was answered",
			func(ctx context.Context, e *Evidence) history.Judgement { return e.History.Assignments(ctx) })),
		of("epochs-rise", "A promotion begins a later epoch than any before, and every node is in it.", epochs),
		of("losses-told", "A group that goes on from an older state says up to when it has everything, and that is no longer ago than is documented.", losses),
		of("revisions-kept", "Every change of the configuration that was acknowledged is a revision that the group has.", revisions),
		of("revisions-linearizable", "All answers about the configuration could have come from one copy on one machine.", linearizable("configuration", func(e *Evidence) bool { return len(e.History.Acknowledged()) > 0 }, "no change was acknowledged",
			func(ctx context.Context, e *Evidence) history.Judgement { return e.History.Revisions(ctx, e.First) })),
		of("nothing-leaked", "Goroutines and open files are as before the load, but for what a leader has more of, and no request is under way.", leaks),
		{
			Name: "provisional-recorded", When: record.AtEnd, About: "A session that began without a majority is recorded everywhere when its client has come back.",
			judge: returned, back: true,
		},
	}
}

// searchTime bounds the search for an order.
const searchTime = 2 * time.Minute

// linearizable searches an order; where there was none of what may come in a wrong one, that it has found one shows nothing.
func linearizable(noun string, some func(*Evidence) bool, lacks string, search func(context.Context, *Evidence) history.Judgement) func(context.Context, *Evidence) verdict {
	return func(ctx context.Context, e *Evidence) (v verdict) {
		limited, cancel := context.WithTimeout(ctx, searchTime)
		defer cancel()
		j := search(limited, e)
		v.saw = fmt.Sprintf("%s on %s, all in an order", count(j.Operations, "operation"), count(j.Subjects, noun))
		if !j.OK() {
			v.saw = fmt.Sprintf("%s of %s without an order", record.Number(j.Count), count(j.Subjects, noun))
		}
		for _, wrong := range j.Wrong {
			v.breaks("%s", wrong.Text)
		}
		v.count = j.Count
		e.draws(j.Wrong)
		if !some(e) {
			v.none("%s: %s", v.saw, lacks)
		}
		if j.Unjudged > 0 {
			v.cannot("%s could not be judged in %s: that is no proof of anything", count(j.Unjudged, noun), record.Short(searchTime))
		}
		return v
	}
}

// tables holds every node's table against the ledger. The keys of the sessions must be known to it.
func tables(ctx context.Context, e *Evidence) (v verdict) {
	before := e.Ledger.Count()
	kept, excused, nodes := e.Ledger.Len(), 0, 0
	late := 0
	if e.Provisional != nil {
		late = e.Provisional()
	}
	var all map[string]map[string]ledger.Place
	read := func() (err error) {
		all, err = e.Group.Tables(ctx)
		return err
	}
	err := read()
	if err == nil && late > 0 { // those may still be on their way
		limited, cancel := context.WithTimeout(ctx, e.Patience)
		defer cancel()
		_ = proc.Poll(limited, pollEvery, func() error { // running out of time is no error: what is missing is told below
			if err = read(); err != nil {
				return err
			}
			for node, table := range all {
				if lacks := e.Ledger.Lacks(table); lacks > 0 {
					return fmt.Errorf("node %s lacks %d", node, lacks)
				}
			}
			return nil
		})
	}
	if err != nil {
		v.saw = "the tables could not be read"
		v.cannot("the tables could not be read: %v", err)
		return v
	}
	for _, node := range slices.Sorted(maps.Keys(all)) {
		has, may := e.Ledger.CheckTable(node, all[node])
		kept, excused = min(kept, has), max(excused, may)
		nodes++
	}
	if nodes == 0 {
		v.cannot("there is no table")
	}
	found, _ := e.Ledger.Violations()
	for _, f := range found {
		if f.Rule == ledger.Missing || f.Rule == ledger.Differs {
			v.breaks("%s", f)
		}
	}
	after := e.Ledger.Count()
	v.count = max(v.count, after[ledger.Missing]+after[ledger.Differs]+after[ledger.Crossed]-before[ledger.Crossed])
	if shared := after[ledger.Crossed] - before[ledger.Crossed]; shared > 0 {
		v.violations = append(v.violations, count(shared, "session")+" had the key of another one")
	}
	v.saw = fmt.Sprintf("%s of %s are on every one of %s", record.Number(kept), count(e.Ledger.Len(), "session"), count(nodes, "node"))
	if e.Ledger.Len() == 0 {
		v.none("no session was answered")
	}
	if excused > 0 {
		v.saw += fmt.Sprintf("; %s need not be: as far as their clients know no majority has recorded them, their instance was hurt, or the group went on from an older state", record.Number(excused))
	}
	return v
}

// returned holds every node's table against the sessions that began without a majority, once their clients have come back. The keys of these sessions must be known anew.
func returned(ctx context.Context, e *Evidence) (v verdict) {
	began := 0
	if e.Provisional != nil {
		began = e.Provisional()
	}
	if began == 0 {
		v.none("no session began without a majority")
		return v
	}
	owed := e.Ledger.Returned(e.Back)
	if len(owed) == 0 {
		v.none("of %s that began without a majority no client has come back", count(began, "session"))
		return v
	}
	nodes := 0
	var wrong []string
	limited, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	err := proc.Poll(limited, pollEvery, func() error { // whoever answered may have had to record some of them later
		all, err := e.Group.Tables(limited)
		if err != nil {
			return err
		}
		nodes, wrong = len(all), nil
		for _, node := range slices.Sorted(maps.Keys(all)) {
			wrong = append(wrong, e.Ledger.CheckReturned(node, all[node], owed)...)
		}
		if len(wrong) > 0 {
			return fmt.Errorf("%d are wrong", len(wrong))
		}
		return nil
	})
	for _, text := range wrong {
		v.breaks("%s", text)
	}
	if err != nil && len(wrong) == 0 {
		v.cannot("the tables could not be read: %v", err)
	}
	if nodes == 0 && err == nil {
		v.cannot("there is no table")
	}
	v.saw = fmt.Sprintf("the clients of %s of %s that began without a majority have come back, and they are on every one of %s", record.Number(len(owed)), count(began, "session"), count(nodes, "node"))
	if v.count > 0 {
		v.saw = fmt.Sprintf("the clients of %s of %s that began without a majority have come back, and they are not on every node", record.Number(len(owed)), count(began, "session"))
	}
	return v
}

// revisions holds the group's list against what was acknowledged. The group keeps the last revisions only: older ones than it has were followed by
// it.
func revisions(ctx context.Context, e *Evidence) (v verdict) {
	told := e.History.Acknowledged()
	has, err := e.Group.Revisions(ctx)
	if err != nil {
		v.saw = "the list could not be read"
		v.cannot("the group's revisions could not be read: %v", err)
		return v
	}
	if len(has) == 0 && len(told) > 0 {
		v.saw = "the group has no revision"
		v.breaks("the group has no revision, acknowledged: %s", count(len(told), "change"))
		return v
	}
	oldest := uint64(0)
	if len(has) > 0 {
		oldest = slices.Min(has)
	}
	for i, revision := range told {
		switch {
		case i > 0 && told[i-1] == revision:
			v.breaks("two changes were acknowledged as revision %d", revision)
		case revision >= oldest && !slices.Contains(has, revision):
			v.breaks("revision %d was acknowledged, and the group does not have it", revision)
		}
	}
	v.saw = fmt.Sprintf("%s acknowledged, the group has %s", count(len(told), "change"), count(len(has), "revision"))
	if len(told) == 0 {
		v.none("no change was acknowledged")
	}
	return v
}
