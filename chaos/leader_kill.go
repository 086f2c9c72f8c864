package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// LeaderKill is the main scenario: the leader dies by SIGKILL in the middle of a storm of new sessions.
type LeaderKill struct {
	Seed     uint64
	Sessions int // new sessions of the storm
	Clients  int // clients at once
	// Rate is how many sessions begin in a second at most; 0: as fast as it goes.
	Rate float64
	// Kinds of the sessions, default insert and both kinds of learn, half of the sessions each way.
	Kinds []load.Kind
	// Repeats is the largest number of requests of known sessions after each new one; the seed draws from 0 on.
	Repeats int
	// Everywhere lets every so many-th session come back through all nodes at the end, the others through one node each, in
	// turn. Default 1: all sessions through all nodes.
	Everywhere int
	// ForgeEvery lets every so many-th session of a client be attacked with a forged cookie; 0: none.
	ForgeEvery int
	// Freeze is how long the followers are frozen before the leader is killed: what it acknowledges in that time, no
	// majority has. The seed draws a part of it.
	Freeze time.Duration
	// Say is told what happens, as it happens; it may be nil.
	Say func(event string)
	// Watch is given the load before it begins, for a display; it may be nil.
	Watch func(*load.Load)
}

func (k LeaderKill) say(format string, args ...any) {
	if k.Say != nil {
		k.Say(fmt.Sprintf(format, args...))
	}
}

// Run plays the scenario on a stage. The error is for what kept it from being played; broken promises are in the report.
func (k LeaderKill) Run(ctx context.Context, s *stage.Stage) (*Report, error) {
	if len(k.Kinds) == 0 {
		k.Kinds = []load.Kind{stage.Insert, stage.Insert, stage.Learn, stage.Plain}
	}
	k.Everywhere = max(k.Everywhere, 1)
	r := &leaderKillRun{
		LeaderKill: k, stage: s, report: &Report{Scenario: "leader-kill", Seed: k.Seed}, random: rand.New(rand.NewPCG(k.Seed, 0)),
		load: load.New(load.Options{Targets: s.Group.Targets(), Seed: k.Seed}),
	}
	if k.Watch != nil {
		k.Watch(r.load)
	}
	for _, phase := range []struct {
		name string
		do   func(context.Context) error
	}{{"storm", r.storm}, {"settle", r.settle}, {"tables", r.tables}, {"revisit", r.revisit}} {
		began := time.Now()
		if err := phase.do(ctx); err != nil {
			return r.finish(), fmt.Errorf("%s: %w", phase.name, err)
		}
		r.report.Took = append(r.report.Took, Phase{phase.name, time.Since(began)})
	}
	return r.finish(), nil
}

type leaderKillRun struct {
	LeaderKill
	stage  *stage.Stage
	load   *load.Load
	random *rand.Rand
	report *Report

	victim       *group.Node
	known, fresh *load.Probe
}

func (r *leaderKillRun) finish() *Report {
	record := &r.load.Record
	r.report.Requests, r.report.Failed = record.Requests.Load(), record.Failed.Load()
	r.report.Retried, r.report.Forged = record.Retried.Load(), record.Forged.Load()
	r.report.Causes = record.Causes()
	r.report.Sessions = r.load.Ledger.Len()
	r.report.Violations, r.report.Broken = r.load.Ledger.Violations()
	return r.report
}

// storm makes the sessions, and kills and restarts the leader in the middle of that.
func (r *leaderKillRun) storm(ctx context.Context) error {
	var err error
	if r.known, err = r.load.Probe(ctx, 10*time.Millisecond, stage.Plain, false); err != nil {
		return err
	}
	if r.fresh, err = r.load.Probe(ctx, 10*time.Millisecond, stage.Insert, true); err != nil {
		r.known.Stop()
		return err
	}
	killAt := r.Sessions/3 + r.random.IntN(max(1, r.Sessions/3))
	trigger := make(chan struct{})
	var once sync.Once
	killed := make(chan error, 1)
	go func() {
		select {
		case <-trigger:
			killed <- r.kill(ctx)
		case <-ctx.Done():
			killed <- ctx.Err()
		}
	}()
	r.say("%d clients make %d sessions through three nodes", r.Clients, r.Sessions)
	err = r.load.Storm(ctx, load.Storm{
		Kinds: r.Kinds, Sessions: r.Sessions, Workers: r.Clients, Rate: r.Rate, Repeats: r.Repeats, ForgeEvery: r.ForgeEvery,
		Made: func(n int) {
			if n >= killAt {
				once.Do(func() { close(trigger) })
			}
		},
	})
	if err != nil { // somebody got no answer for as long as patience lasts
		r.load.Ledger.Violate(ledger.Failed, nil, "%v", err)
		once.Do(func() { close(trigger) })
	}
	err = <-killed
	r.known.Stop()
	r.fresh.Stop()
	return err
}

// kill ends the leader, the followers standing still for a moment before, and starts it again once there is a new leader.
func (r *leaderKillRun) kill(ctx context.Context) error {
	leader, err := r.stage.Group.Leader(ctx)
	if err != nil {
		return err
	}
	r.victim, r.report.Killed = leader, leader.Name
	if err := r.freezeFollowers(ctx); err != nil {
		return err
	}
	r.report.Before = r.load.Ledger.Len()
	began := time.Now()
	r.report.KilledAt = began
	r.known.Mark()
	r.fresh.Mark()
	leader.Kill()
	r.say("leader %s is killed with SIGKILL while %d sessions are known", leader.Name, r.report.Before)
	if err := r.thawFollowers(); err != nil {
		return err
	}
	next, err := r.stage.Group.Leader(ctx)
	if err != nil {
		return err
	}
	r.say("node %s leads after %d ms", next.Name, time.Since(began).Milliseconds())
	if err := leader.Restart(ctx); err != nil {
		return err
	}
	r.report.Known, r.report.Fresh = r.known.Gap(), r.fresh.Gap()
	r.say("node %s is back", leader.Name)
	return nil
}

func (r *leaderKillRun) freezeFollowers(ctx context.Context) error {
	if r.Freeze == 0 {
		return nil
	}
	for _, n := range r.stage.Group.Nodes {
		if n != r.victim {
			if err := n.Process().Freeze(); err != nil {
				return errors.Join(err, r.thawFollowers())
			}
		}
	}
	still := time.NewTimer(time.Duration(r.random.Int64N(int64(r.Freeze))))
	defer still.Stop()
	select {
	case <-still.C:
	case <-ctx.Done():
	}
	return nil
}

func (r *leaderKillRun) thawFollowers() error {
	if r.Freeze == 0 {
		return nil
	}
	var errs []error
	for _, n := range r.stage.Group.Nodes {
		if n != r.victim {
			errs = append(errs, n.Process().Thaw())
		}
	}
	return errors.Join(errs...)
}

// settle waits until all nodes have one state.
func (r *leaderKillRun) settle(ctx context.Context) error {
	hash, err := settled(ctx, r.stage.Group, r.load.Ledger)
	r.report.Hash = hash
	return err
}

// tables holds every node's table against the ledger, before any client comes again: a client's next request could repair what
// was lost.
func (r *leaderKillRun) tables(ctx context.Context) error {
	r.say("the tables of all nodes are read")
	provisional, err := r.stage.Group.Keys(ctx, r.load.Ledger, r.load.Sessions())
	if err != nil {
		return err
	}
	r.report.Provisional = provisional
	kept, err := tables(ctx, r.stage.Group, r.load.Ledger, provisional)
	if err != nil {
		return err
	}
	r.report.Kept, r.report.Lost = kept, r.load.Ledger.Len()-kept
	r.report.After = max(0, r.report.Before-r.report.Lost)
	r.say("every node's table has %d of %d sessions where their clients were told", kept, r.load.Ledger.Len())
	return nil
}

// revisit lets every client come back.
func (r *leaderKillRun) revisit(ctx context.Context) error {
	r.say("every client comes back through every node")
	if err := r.load.Revisit(ctx, r.load.Sessions(), r.Clients, r.Everywhere); err != nil {
		if ctx.Err() != nil {
			return err
		}
		r.load.Ledger.Violate(ledger.Failed, nil, "%v", err)
	}
	hash, err := settled(ctx, r.stage.Group, r.load.Ledger)
	r.report.Hash = hash
	return err
}
