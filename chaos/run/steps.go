package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/disk"
	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/lan"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
)

// steps lets the plan happen, until the length of the scenario is over and everything is healed.
func (p *player) steps(ctx context.Context) {
	began := time.Now()
	var all sync.WaitGroup
	defer all.Wait()
	for _, s := range p.Plan {
		if err := pause(ctx, s.At-time.Since(began)); err != nil {
			return
		}
		all.Go(func() { p.step(ctx, s) })
	}
	_ = pause(ctx, p.Scenario.Length-time.Since(began)) // an interruption ends the run; play sees it
}

// step lets one fault happen, and heals it.
func (p *player) step(ctx context.Context, s scenario.Step) {
	amount := s.Fault.Measure.Format(s.Amount)
	if err := s.Fault.Available(place(p.Scenario, p.Other)); err != nil {
		p.rec.LeftOut(s.Fault.Name, s.Target, amount, err.Error())
		return
	}
	target, random, release, err := p.claim(ctx, s)
	if err != nil {
		p.rec.LeftOut(s.Fault.Name, s.Target, amount, err.Error())
		p.came(s, err)
		return
	}
	defer release()
	if s.Fault.Planned {
		defer p.plans()()
	}
	number := p.rec.Begin(s.Fault.Name, target, amount)
	heal, err := s.Fault.Inject(ctx, p.field, fault.Order{Target: target, Amount: s.Amount, Random: random})
	if err != nil {
		p.rec.Void(number, err.Error())
		if errors.Is(err, fault.ErrBroken) {
			p.breaks("%v", err)
		}
		p.came(s, err)
		return
	}
	_ = pause(ctx, s.For) // also an interrupted run heals
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healTime)
	defer cancel()
	err = heal(limited)
	p.came(s, err)
	switch {
	case errors.Is(err, fault.ErrNothing) && !errors.Is(err, fault.ErrBroken):
		p.rec.Void(number, err.Error())
		return
	case errors.Is(err, fault.ErrBroken):
		p.breaks("%s on %s: %v", s.Fault.Name, s.Fault.Subject(target), err)
	case err != nil && ctx.Err() == nil:
		p.breaks("%s on %s could not be healed: %v", s.Fault.Name, s.Fault.Subject(target), err)
	}
	p.rec.Heal(number, err)
}

// came keeps what became of the faults that the scenario names, by name: nil for one that happened, why not for those that never did.
func (p *player) came(s scenario.Step, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !s.Named {
		return
	}
	if known, seen := p.named[s.Fault.Name]; !seen || known != nil {
		p.named[s.Fault.Name] = err
	}
}

// never tells of the faults that the scenario names, that could happen here, and of which not one did: the run shows nothing of what the scenario is about.
func (p *player) never() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.named)) {
		if err := p.named[name]; err != nil {
			errs = append(errs, fmt.Errorf("no %s happened: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// place is where a scenario plays, as faults have to know it.
func place(s *scenario.Scenario, other string) fault.Place {
	return fault.Place{Substrate: s.Substrate, Nodes: s.Group.Nodes, Other: other, Disks: s.Group.FaultyDisks}
}

// Missing says what a scenario needs that this machine does not have; nil: nothing.
func Missing(s *scenario.Scenario) error {
	if s.Group.FaultyDisks {
		if err := disk.Missing(); err != nil {
			return fmt.Errorf("the scenario wants disks that can be hurt: %w", err)
		}
	}
	if s.Substrate == fault.Netns {
		if err := lan.Missing(); err != nil {
			return fmt.Errorf("the scenario plays in network namespaces: %w", err)
		}
	}
	return nil
}

// Lacks says what a plan needs that whoever plays could have given and has not: the run would show nothing of what the scenario names. The error is fault.ErrLacks. A fault that was drawn is left out instead, another
// one does as well; and so is what this machine cannot do.
func Lacks(s *scenario.Scenario, plan scenario.Plan, other string) error {
	for _, step := range plan {
		if err := step.Fault.Available(place(s, other)); step.Named && errors.Is(err, fault.ErrLacks) {
			return fmt.Errorf("scenario %s: %w", s.Name, err)
		}
	}
	return nil
}

// claimTime is how long a fault waits for its target to be free. One that takes a disk away waits its turn if the scenario names it: such a scenario is about each of them.
const (
	claimTime = 2 * time.Second
	turnTime  = 3 * time.Minute
)

// claim resolves the target of a step and takes hold of it. What it gives to draw from does not depend on how often it had to try.
func (p *player) claim(ctx context.Context, s scenario.Step) (target string, random *rand.Rand, release func(), err error) {
	patience := claimTime
	if s.Named && s.Fault.Takes {
		patience = turnTime
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		random = rand.New(rand.NewPCG(s.Seed, 1))
		if target, err = p.field.Resolve(ctx, s.Fault, s.Target, random); err == nil {
			if release, err = p.field.Claim(s.Fault, target); err == nil {
				return target, random, release, nil
			}
		}
		if !errors.Is(err, fault.ErrHeld) || pause(limited, 50*time.Millisecond) != nil {
			return "", nil, nil, err
		}
	}
}

// pause waits; the error is that of ctx.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// window is a time in which some node hands over in an orderly way; to is zero while it lasts.
type window struct{ from, to time.Time }

// afterwards is how long after such a fault the hand-over may still go on.
const afterwards = time.Second

// plans notes that a planned hand-over begins; the given function, that it is over.
func (p *player) plans() (over func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := len(p.windows)
	p.windows = append(p.windows, window{from: time.Now()})
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.windows[i].to = time.Now().Add(afterwards)
	}
}

// planned says whether a planned hand-over was going on.
func (p *player) planned(at time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.windows, func(w window) bool { return !at.Before(w.from) && (w.to.IsZero() || at.Before(w.to)) })
}
