package gameday

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// maxLag is how many log entries a voter may be behind.
const maxLag = 1000

// Brake says why nothing may be done to a group now; empty: it is whole. A group that could not lose a node without losing its majority is not.
func Brake(s *client.Status) string {
	return cmp.Or(unwell(s), busy(s))
}

// unwell says what is wrong with the nodes. While the leadership moves that may be so for a moment.
func unwell(s *client.Status) string {
	var wrong []string
	voters, well := 0, 0
	for _, n := range s.Nodes {
		if !n.Voter {
			continue
		}
		voters++
		switch {
		case !n.Reachable:
			wrong = append(wrong, "node "+n.Name+" does not answer")
		case !n.Ready:
			wrong = append(wrong, fmt.Sprintf("node %s is not ready (%s)", n.Name, n.Reason))
		case n.Lag > maxLag:
			wrong = append(wrong, fmt.Sprintf("node %s is %d log entries behind", n.Name, n.Lag))
		default:
			well++
		}
	}
	switch {
	case !s.Quorum || s.Leader == "":
		return "the group has no majority"
	case len(wrong) > 0:
		return strings.Join(wrong, ", ")
	case voters < 3 || well-1 <= voters/2:
		return fmt.Sprintf("with %d voters the loss of one more would be the loss of the majority", voters)
	}
	return ""
}

// busy says that somebody else is at work on the group, or has to be.
func busy(s *client.Status) string {
	switch {
	case s.StateHash == "differs":
		return "the states of the nodes differ"
	case s.Maintenance != nil:
		return "the maintenance lock is on"
	case len(s.Workflows) > 0:
		return "a workflow runs"
	case len(s.Quiesces) > 0:
		return "a quiesce runs"
	case len(s.Evacuated) > 0:
		return "node " + s.Evacuated[0].Node + " is evacuated"
	}
	return ""
}

const (
	// groupEvery is how often the group is asked while something goes on.
	groupEvery = 500 * time.Millisecond
	// bearTime is how long the group may be without a leader, or a node not be well, while something goes on: the leadership moves by it.
	bearTime = 5 * time.Second
)

// watchClients ends what goes on when clients get errors.
func (g *game) watchClients(ctx context.Context, end context.CancelCauseFunc) {
	for pause(ctx, lookEvery) == nil {
		if why := g.probes.brake(g.MaxFailed, g.MaxOutage); why != "" {
			end(fmt.Errorf("%w: %s", ErrBrake, why))
			return
		}
	}
}

// watchGroup ends what goes on when something is wrong with the group that is not its own doing.
func (g *game) watchGroup(ctx context.Context, end context.CancelCauseFunc, d *deed) {
	bear := cmp.Or(g.bear, bearTime)
	var since time.Time // of what is wrong, and may pass
	for pause(ctx, min(groupEvery, bear)) == nil {
		asked := time.Now()
		limited, cancel := context.WithTimeout(ctx, bear)
		status, err := g.Client.Status(limited)
		cancel()
		if ctx.Err() != nil {
			return
		}
		why := ""
		switch {
		case err == nil:
			if d.own != nil {
				d.own(status)
			}
			// A node that is behind may still speak of what is over.
			if others := busy(status); others != "" && status.Consistency != "stale" {
				end(fmt.Errorf("%w: %s", ErrBrake, others))
				return
			}
			why = unwell(status)
		case !d.silent:
			why = "the group does not answer: " + err.Error()
		}
		switch {
		case why == "":
			since = time.Time{}
			continue
		case since.IsZero():
			since = asked
		}
		if time.Since(since) >= bear {
			end(fmt.Errorf("%w for %v: %s", ErrBrake, bear, why))
			return
		}
	}
}
