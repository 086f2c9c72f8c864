package server

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb"
)

const (
	// healthEvery is how often the leader asks the nodes what they think of the instances. Two small requests a second for each node: near to nothing.
	healthEvery = 500 * time.Millisecond
	// healthConfirm is how long a worse verdict must stand, in two gatherings, before it is proposed: a listener that flaps costs no entries.
	healthConfirm = 200 * time.Millisecond
	// healthSoon is how often it asks while an instance went out of service less than healthFresh ago: one that only restarts is to be back at once. A
	// better verdict needs no confirmation, because the nodes' own checks (rise) have confirmed it.
	healthSoon  = 100 * time.Millisecond
	healthFresh = time.Minute
	// maxVerdicts go into one command, with reasons of at most maxReason bytes: thousands of instances may fail at once.
	maxVerdicts, maxReason = 500, 1000
)

// healthDuty makes one verdict of what the nodes find. Each node goes by its own checks anyway; the verdict is what all agree on.
//
// A node that has an instance only since a moment ago may not have checked it yet, and takes it for available until then. Such a node has no vote: its
// "available" counts only once it is older than a check can take (the cluster's health time-out), or when the leader has seen the same process
// of the node find the instance unavailable before. Nor has a node that was cut off and has not found again what it found then. As long as its vote could
// turn the verdict, the verdict stays what it is.
type healthDuty struct {
	*term
	at      time.Time // of the last gathering
	pending map[fsm.InstanceID]pendingVerdict
	checked map[checkedBy]bool
}

// pendingVerdict is a change that must be found again before it counts.
type pendingVerdict struct {
	state fsm.HealthState
	since time.Time
}

// checkedBy says that a process of a node has found the instance unavailable, so that it has checked it.
type checkedBy struct {
	node              string
	started           time.Time
	cluster, instance string
}

func (*healthDuty) name() string { return "health" }

func (d *healthDuty) look(ctx context.Context) (time.Duration, error) {
	op := d.state.Operating()
	if !hasInstances(op.Config) {
		return never, nil
	}
	if wait := time.Until(d.at.Add(d.pause(op))); !d.at.IsZero() && wait > 0 {
		return wait, nil // something changed that has nothing to do with health
	}
	reports, at := d.reports.get(ctx, healthSoon/2)
	d.at = at
	changes := d.changes(op, reports)
	for part := range slices.Chunk(changes, maxVerdicts) {
		r, err := d.do(ctx, &fsm.VerdictSet{Verdicts: part})
		if err == nil {
			err = refusal(r)
		}
		if err != nil {
			return 0, err
		}
	}
	return d.pause(d.state.Operating()), nil
}

// pause is shorter while a change waits to be confirmed, and while one of those that are out may soon be back.
func (d *healthDuty) pause(op *fsm.Operating) time.Duration {
	now := d.now()
	for _, v := range op.Verdicts {
		if v.State != fsm.HealthUp && now.Sub(v.Since) < healthFresh {
			return healthSoon
		}
	}
	if len(d.pending) > 0 {
		return healthConfirm
	}
	return healthEvery
}

func hasInstances(c *config.Config) bool {
	for i := range c.Clusters {
		if len(c.Clusters[i].Instances) > 0 {
			return true
		}
	}
	return false
}

// changes gives the verdicts that are not what the group holds: better ones at once, worse ones when the last gathering had them too.
func (d *healthDuty) changes(op *fsm.Operating, reports []memberReport) (changes []fsm.Verdict) {
	present := make(map[fsm.InstanceID]fsm.HealthState, len(op.Verdicts))
	for _, v := range op.Verdicts {
		present[v.Instance] = v.State
	}
	pending := make(map[fsm.InstanceID]pendingVerdict)
	checked := make(map[checkedBy]bool)
	for i := range op.Config.Clusters {
		c := &op.Config.Clusters[i]
		for j := range c.Instances {
			id, ok := d.state.InstanceID(c.Name, c.Instances[j].Name)
			if !ok {
				continue
			}
			is := present[id]
			if is == "" {
				is = fsm.HealthUp
			}
			v := d.count(c, c.Instances[j].Name, reports, checked).verdict(is)
			if v.State == is {
				continue
			}
			v.Instance = id
			if p := d.pending[id]; better(v.State, is) {
				changes = append(changes, v)
			} else if p.state != v.State {
				pending[id] = pendingVerdict{v.State, d.at}
			} else if d.at.Sub(p.since) < healthConfirm {
				pending[id] = p
			} else {
				changes = append(changes, v)
			}
		}
	}
	d.pending, d.checked = pending, checked
	return changes
}

// better tells whether a brings more requests than b.
func better(a, b fsm.HealthState) bool {
	return b == fsm.HealthFailed || b == fsm.HealthSuspect && a == fsm.HealthUp
}

// votes are what the nodes say about one instance.
type votes struct {
	up, down, suspect, abstain int
	reasons                    []string
}

func (d *healthDuty) count(c *config.Cluster, name string, reports []memberReport, checked map[checkedBy]bool) (v votes) {
	for i := range reports {
		r := &reports[i]
		s := r.instance(c.Name, name)
		if !r.reachable || s == nil {
			continue
		}
		by := checkedBy{r.node, r.started, c.Name, name}
		checked[by] = d.checked[by]
		switch {
		case s.Health == "down" && s.Unproven:
			v.abstain++
		case s.Health == "down":
			v.down++
			v.reasons = append(v.reasons, fmt.Sprintf("node %s: %s", r.node, s.Reason))
			checked[by] = true
		case s.Suspect:
			v.suspect++
			v.reasons = append(v.reasons, fmt.Sprintf("node %s: checks have failed", r.node))
			checked[by] = true
		case c.Health.Type == "none" || checked[by] || d.knows(r, s, c):
			v.up++
		default:
			v.abstain++
		}
	}
	return v
}

// knows tells whether a node has the instance for longer than a check takes, by that node's clock.
func (d *healthDuty) knows(r *memberReport, s *lb.InstanceStatus, c *config.Cluster) bool {
	return d.at.Add(r.skew).Sub(s.Since) > time.Duration(c.Health.Timeout)
}

// verdict counts the votes; while those who have none yet could turn it, it stays what it is.
func (v votes) verdict(is fsm.HealthState) fsm.Verdict {
	reporting := v.up + v.down + v.suspect + v.abstain
	best, worst := state(v.down, v.suspect, reporting), state(v.down+v.abstain, v.suspect, reporting)
	out := fsm.Verdict{State: best, Down: v.down, Reporting: reporting - v.abstain}
	if reporting == 0 || best != worst {
		out.State = is
	}
	switch out.State {
	case fsm.HealthUp:
		out.Down = v.up // the event says by how many it is so
	case fsm.HealthSuspect:
		out.Down = v.down + v.suspect // so that it counts those whose reasons follow
	}
	if out.State != fsm.HealthUp {
		out.Reason = clip(strings.Join(v.reasons, "; "), maxReason)
	}
	return out
}

func state(down, suspect, reporting int) fsm.HealthState {
	switch {
	case 2*down > reporting:
		return fsm.HealthFailed
	case down > 0 || suspect > 0:
		return fsm.HealthSuspect
	}
	return fsm.HealthUp
}
