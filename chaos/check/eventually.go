package check

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

func sprintf(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// pollEvery is how often the group is asked while a check waits for it.
const pollEvery = 100 * time.Millisecond

// eventually lists the checks for which the group has time.
func eventually() []Check {
	of := func(name, about string, so func(e *Evidence, views []View) (saw, lacks string)) Check {
		return Check{Name: name, When: record.Eventually, About: about, judge: wait(so)}
	}
	return []Check{
		of("nodes-ready", "After the last fault every node is ready again.", ready),
		of("one-leader", "After the last fault the group has one leader, and all nodes name it.", oneLeader),
		{Name: "one-holder", When: record.Eventually, About: "After the last fault one node holds the virtual address.", judge: holder},
		of("backlog-empty", "After the last fault every assignment that was given without a majority is recorded.", backlog),
		of("equal-state", "After the last fault all nodes are at one index, with one state.", equal),
	}
}

// wait asks the group until it is so, and says how long that took; or, when the patience is over, what is missing.
func wait(so func(e *Evidence, views []View) (saw, lacks string)) func(context.Context, *Evidence) verdict {
	return func(ctx context.Context, e *Evidence) (v verdict) {
		began := time.Now()
		limited, cancel := context.WithTimeout(ctx, e.Patience)
		defer cancel()
		lacks := ""
		err := proc.Poll(limited, pollEvery, func() error {
			views := e.Group.Look(limited)
			if limited.Err() != nil {
				return limited.Err() // half an answer is none
			}
			if v.saw, lacks = so(e, views); lacks != "" {
				return fmt.Errorf("%s", lacks)
			}
			return nil
		})
		took := time.Since(began)
		if err == nil {
			v.saw += ", after " + record.Short(took)
			return v
		}
		if lacks == "" {
			lacks = "the nodes did not answer"
		}
		v.saw = fmt.Sprintf("not so after %s", record.Short(took))
		v.breaks("%s after the last fault: %s", record.Short(took), lacks)
		return v
	}
}

func ready(_ *Evidence, views []View) (saw, lacks string) {
	var not []string
	for _, v := range views {
		switch {
		case v.Error != "":
			not = append(not, fmt.Sprintf("node %s does not answer (%s)", v.Node, v.Error))
		case !v.Ready:
			not = append(not, fmt.Sprintf("node %s is not ready (%s)", v.Node, v.Reason))
		}
	}
	return fmt.Sprintf("%s, all ready", count(len(views), "node")), strings.Join(not, ", ")
}

func oneLeader(_ *Evidence, views []View) (saw, lacks string) {
	var leads, names []string
	for _, v := range views {
		if v.leads() {
			leads = append(leads, v.Node)
		}
		names = append(names, fmt.Sprintf("%s names %s", v.Node, nobody(v.Leader)))
	}
	if len(leads) != 1 {
		return "", fmt.Sprintf("%s lead by their own word (%s)", nobody(strings.Join(leads, " and ")), strings.Join(names, ", "))
	}
	for _, v := range views {
		if v.Leader != leads[0] {
			return "", fmt.Sprintf("%s leads, but %s", leads[0], strings.Join(names, ", "))
		}
	}
	return leads[0] + " leads, and all name it", ""
}

// holder has nothing to judge in a group that was given no virtual address.
func holder(ctx context.Context, e *Evidence) verdict {
	given := false
	v := wait(func(e *Evidence, views []View) (saw, lacks string) {
		given = slices.ContainsFunc(views, func(v View) bool { return v.HasAddress || v.Holds })
		return oneHolder(e, views)
	})(ctx, e)
	if !given {
		v.none("the group has no virtual address")
	}
	return v
}

func oneHolder(e *Evidence, views []View) (saw, lacks string) {
	has, holders := false, []string(nil)
	for _, v := range views {
		has = has || v.HasAddress
		if v.Holds {
			holders = append(holders, v.Node)
		}
	}
	switch {
	case !has && len(holders) == 0 && e.Address != nil:
		return "", "no node says that it was given the virtual address, which the network has"
	case !has && len(holders) == 0:
		return "the group has no virtual address", ""
	case len(holders) != 1:
		return "", nobody(strings.Join(holders, " and ")) + " hold the virtual address"
	}
	return holders[0] + " holds it", ""
}

func backlog(_ *Evidence, views []View) (saw, lacks string) {
	for _, v := range views {
		if v.Error != "" || v.Pending < 0 {
			return "", fmt.Sprintf("node %s does not say whether it has a backlog (%s)", v.Node, v.Error)
		}
		if v.Pending > 0 {
			return "", fmt.Sprintf("node %s has %s to record", v.Node, count(v.Pending, "assignment"))
		}
	}
	return "no node has a backlog", ""
}

func equal(_ *Evidence, views []View) (saw, lacks string) {
	if len(views) == 0 {
		return "", "there is no node"
	}
	first := views[0]
	var list []string
	same := true
	for _, v := range views {
		same = same && v.Error == "" && v.Hash != "" && v.HashIndex == v.Applied && v.Applied == first.Applied && v.Hash == first.Hash
		list = append(list, fmt.Sprintf("%s: index %d, %s at %d", v.Node, v.Applied, nobody(short(v.Hash)), v.HashIndex))
	}
	if !same {
		return "", strings.Join(list, "; ")
	}
	return fmt.Sprintf("%s at index %d, state %s", count(len(views), "node"), first.Applied, short(first.Hash)), ""
}

func nobody(name string) string {
	if name == "" {
		return "nobody"
	}
	return name
}
