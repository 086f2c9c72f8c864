package gameday

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/record"
)

// Options of a game day.
type Options struct {
	Client *client.Client
	Record *record.Recorder
	// Faults are names of Actions, of which Count are drawn from the seed, For long each and with Pause between them.
	Faults     []string
	Count      int
	For, Pause time.Duration
	Seed       uint64
	// Hooks are commands that kill and start nodes.
	Hooks Hooks
	// Execute does it. Without it the brakes are looked at, and what would be done is said.
	Execute bool
	// Probes are URLs that are asked ten times in a second each; more than MaxFailed of the last hundred answers (0 to 1) are a brake. None: the group's own word is all there is.
	Probes    []string
	MaxFailed float64
	// Patience is how long a brake may be on before the game day is called off.
	Patience time.Duration
}

// ErrBrake: a brake came on and stayed on, or came on while something was done.
var ErrBrake = errors.New("a brake is on")

// action is one thing that can be done.
type action struct {
	name, about string
	do          func(ctx context.Context, c *client.Client, status *client.Status, random *rand.Rand) (what string, target string, run, undo func(context.Context) error)
}

// Names lists the actions with what they do.
func Names() (list [][2]string) {
	for _, a := range actions(Hooks{}) {
		list = append(list, [2]string{a.name, a.about})
	}
	return list
}

// Play plays a game day. It returns nil when everything was done and taken back; ErrBrake when it was called off.
func Play(ctx context.Context, o Options) error {
	var chosen []action
	for _, name := range o.Faults {
		all := actions(o.Hooks)
		i := slices.IndexFunc(all, func(a action) bool { return a.name == name })
		if i < 0 {
			return fmt.Errorf("there is nothing called %.40q to be done on a game day", name)
		}
		chosen = append(chosen, all[i])
	}
	if len(chosen) == 0 {
		return errors.New("nothing to be done was named")
	}
	g := &game{Options: o, probes: newProbes(o.Probes, o.Record), random: rand.New(rand.NewPCG(o.Seed, 0))}
	watched, stop := context.WithCancel(ctx)
	done := g.probes.run(watched)
	defer done.Wait()
	defer stop()
	if len(o.Hooks.Kill)+len(o.Hooks.Start) > 0 {
		status, err := g.ready(ctx)
		if err != nil {
			return err
		}
		if unknown := o.Hooks.unknown(status); len(unknown) > 0 {
			return fmt.Errorf("there are hooks for %s, which the group does not have; nothing was done", strings.Join(unknown, ", "))
		}
	}
	for i := range o.Count {
		if err := g.round(ctx, chosen[g.random.IntN(len(chosen))]); err != nil {
			return err
		}
		if i < o.Count-1 {
			if err := pause(ctx, o.Pause); err != nil {
				return err
			}
		}
	}
	return nil
}

type game struct {
	Options
	probes *probes
	random *rand.Rand
}

// round waits until no brake is on, does one thing, and takes it back.
func (g *game) round(ctx context.Context, a action) error {
	status, err := g.ready(ctx)
	if err != nil {
		return err
	}
	what, target, run, undo := a.do(ctx, g.Client, status, g.random)
	if run == nil {
		g.Record.Note(record.Noted, "", "%s: %s", a.name, what)
		return nil
	}
	if !g.Execute {
		g.Record.Note(record.Noted, target, "would be done: %s", what)
		return nil
	}
	number := g.Record.Begin(a.name, target, what)
	err = run(ctx)
	if err == nil {
		err = g.hold(ctx)
	}
	// Whatever happened, and whoever interrupts: it is taken back.
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	back := undo(limited)
	g.Record.Heal(number, back)
	return errors.Join(err, back)
}

// undoTime bounds how long taking something back may take.
const undoTime = 2 * time.Minute

// hold waits as long as the fault is to last; a brake that comes on ends it.
func (g *game) hold(ctx context.Context) error {
	end := time.Now().Add(g.For)
	for time.Now().Before(end) {
		if err := pause(ctx, min(lookEvery, time.Until(end))); err != nil {
			return err
		}
		if why := g.probes.brake(g.MaxFailed); why != "" {
			return fmt.Errorf("%w: %s", ErrBrake, why)
		}
	}
	return nil
}

const lookEvery = 200 * time.Millisecond

// ready waits until no brake is on.
func (g *game) ready(ctx context.Context) (*client.Status, error) {
	end := time.Now().Add(g.Patience)
	said := ""
	for {
		status, err := g.Client.Status(ctx)
		why := ""
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			why = "the group does not answer: " + err.Error()
		default:
			if why = Brake(status); why == "" {
				why = g.probes.brake(g.MaxFailed)
			}
		}
		if why == "" {
			return status, nil
		}
		if why != said {
			g.Record.Note(record.Noted, "", "a brake is on: %s", why)
			said = why
		}
		if time.Now().After(end) {
			return nil, fmt.Errorf("%w since %v: %s", ErrBrake, g.Patience, why)
		}
		if err := pause(ctx, lookEvery); err != nil {
			return nil, err
		}
	}
}

// maxLag is how many log entries a voter may be behind.
const maxLag = 1000

// Brake says why nothing may be done to a group now; empty: it is whole. A group that could not lose a node without losing its majority is not.
func Brake(s *client.Status) string {
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

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
