package gameday

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
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
	// MaxOutage is how long no probe at all may have a good answer; longer is a brake, and an answer that takes longer is none. 0: not limited.
	MaxOutage time.Duration
	// Patience is how long a brake may be on before the game day is called off.
	Patience time.Duration
	// Reach are the flags by which the holdfast command asks the same nodes: they are part of a command that somebody is to type.
	Reach string

	undo, unsure, bear, aftermath time.Duration // in the place of UndoTime, unsureTime, bearTime and record.Aftermath, in tests
}

// ErrBrake: a brake came on and stayed on, or came on while something was done.
var ErrBrake = errors.New("a brake is on")

// Names lists the actions with what they do.
func Names() (list [][2]string) {
	for _, a := range actions {
		list = append(list, [2]string{a.name, a.about})
	}
	return list
}

// Play plays a game day. It returns nil when everything was done and taken back; ErrBrake when it was called off.
func Play(ctx context.Context, o Options) error {
	var chosen []action
	for _, name := range o.Faults {
		i := slices.IndexFunc(actions, func(a action) bool { return a.name == name })
		if i < 0 {
			return fmt.Errorf("there is nothing called %.40q to be done on a game day", name)
		}
		chosen = append(chosen, actions[i])
	}
	if len(chosen) == 0 {
		return errors.New("nothing to be done was named")
	}
	g := &game{Options: o, probes: newProbes(o.Probes, o.MaxOutage, o.Record), random: rand.New(rand.NewPCG(o.Seed, 0))}
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
		if o.Execute && i < o.Count-1 { // there is nothing to recover from where nothing was done
			if err := pause(ctx, o.Pause); err != nil {
				return err
			}
		}
	}
	return g.after(ctx)
}

// after looks at the group once the last thing has been taken back: it must be well again, and what the end of it did to clients counts as well. Before each earlier one's successor ready looks.
func (g *game) after(ctx context.Context) error {
	if g.last == nil {
		return nil
	}
	if err := pause(ctx, cmp.Or(g.aftermath, record.Aftermath)); err != nil {
		return err
	}
	if _, err := g.ready(ctx); err != nil {
		return fmt.Errorf("after everything was taken back: %w", err)
	}
	return g.outage(*g.last)
}

type game struct {
	Options
	probes *probes
	random *rand.Rand
	last   *int // the number of what was done last
}

// round waits until no brake is on, does one thing, and takes it back.
func (g *game) round(ctx context.Context, a action) error {
	status, err := g.ready(ctx)
	if err != nil {
		return err
	}
	d := a.prepare(g, status)
	if d.run == nil {
		g.Record.Note(record.Noted, "", "%s: %s", a.name, d.what)
		return nil
	}
	if !g.Execute {
		g.Record.Note(record.Noted, d.target, "would be done: %s", d.what)
		return nil
	}
	number := g.Record.Begin(a.name, d.target, d.what)
	g.last = &number
	ran, err := g.do(ctx, &d)
	back := g.takeBack(ctx, &d, err)
	if ran != nil && back == nil && d.none(ran) {
		g.Record.Void(number, ran.Error())
	} else {
		g.Record.Heal(number, back)
	}
	if err == nil {
		err = g.outage(number)
	}
	return errors.Join(err, back)
}

// do does one thing and waits as long as it is to last; a brake ends both. ran is what the doing itself said, err why it is over before its time.
func (g *game) do(ctx context.Context, d *deed) (ran, err error) {
	watched, end := context.WithCancelCause(ctx)
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer end(nil)
	watchers.Go(func() { g.watchClients(watched, end) })
	watchers.Go(func() { g.watchGroup(watched, end, d) })
	if ran = d.run(watched); ran == nil {
		err = pause(watched, g.For)
	} else {
		err = ran
	}
	switch why := g.probes.brake(g.MaxFailed, g.MaxOutage); {
	case err != nil && watched.Err() != nil:
		err = context.Cause(watched)
	case err == nil && why != "":
		err = fmt.Errorf("%w: %s", ErrBrake, why)
	}
	return ran, err
}

// UndoTime bounds how long taking something back may take.
const UndoTime = 2 * time.Minute

// takeBack takes it back, whatever happened and whoever interrupts. Who waits for that because something went wrong hears what is going on.
func (g *game) takeBack(ctx context.Context, d *deed, why error) error {
	if d.undo == nil {
		return nil
	}
	limit := cmp.Or(g.undo, UndoTime)
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	if why != nil && !refused(why) {
		g.Record.Note(record.Noted, d.target, "taking back, for %v at most: %s (by hand: %s)", limit, d.what, d.byHand)
	}
	return d.undo(limited)
}

// outage says that a fault has cost clients more than it may have.
func (g *game) outage(number int) error {
	if longest := g.Record.Snapshot().Faults[number].Outage; g.MaxOutage > 0 && longest > g.MaxOutage {
		return fmt.Errorf("%w: no probe had a good answer for %s", ErrBrake, record.Short(longest))
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
			return nil, context.Cause(ctx)
		case err != nil:
			why = "the group does not answer: " + err.Error()
		default:
			if why = Brake(status); why == "" {
				why = g.probes.brake(g.MaxFailed, g.MaxOutage)
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

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(max(d, 0))
	defer timer.Stop()
	select {
	case <-timer.C:
		return context.Cause(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
