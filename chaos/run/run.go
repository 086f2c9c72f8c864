package run

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/disk"
	"github.com/holdfast-lb/holdfast/chaos/fault"
	"github.com/holdfast-lb/holdfast/chaos/lan"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// Options of a run.
type Options struct {
	Scenario *scenario.Scenario
	Seed     uint64
	// Plan is what happens; nil: what the scenario and the seed give.
	Plan scenario.Plan
	// Binary is the program under test, Other another build of it for faults that need one.
	Binary, Other string
	// Env is added to the environment of the nodes.
	Env []string
	// Dir is the folder of the run; it is made. What is kept is below it.
	Dir string
	// Profile, Commit, Version, Replay and Programs are for the record.
	Profile, Commit, Version, Replay string
	Programs                         []record.Program
	// Keep keeps logs and data directories also of a run that passed.
	Keep bool
	// First ends the run at the first broken promise that holds at each moment: what comes after it, and whether the group would be well again, is not asked.
	First bool
	// Listen is given the recorder before anything happens; it may be nil.
	Listen func(*record.Recorder)
}

const (
	// startTime bounds the start of a group.
	startTime = time.Minute
	// healTime bounds one heal, judgeTime everything after the last, beside keyTime for the keys.
	healTime  = 6 * time.Minute
	judgeTime = 10 * time.Minute
)

// player plays one scenario.
type player struct {
	Options
	rec      *record.Recorder
	stage    *stage.Stage
	field    *fault.Field
	load     *load.Load
	evidence *check.Evidence
	checks   []check.Check

	disks   map[string]*disk.Disk // by node, where the scenario wants such
	changes atomic.Int64          // that operators have asked for

	mu      sync.Mutex
	windows []window               // of planned hand-overs
	broken  []string               // what no check sees: processes that ended, faults that could not be healed
	dead    map[*proc.Process]bool // those of them that have ended by themselves
	named   map[string]error       // by name of a fault that the scenario names: why none of that name happened; nil: one did
}

// Play plays a scenario and gives its record, which is written to run.json in Dir, too. The record says how it went; the error is for what kept it from being written.
func Play(ctx context.Context, o Options) (*record.Run, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	if o.Plan == nil {
		o.Plan = o.Scenario.Plan(o.Seed)
	}
	s := o.Scenario
	checks, err := Checks(s)
	if err != nil {
		return nil, err
	}
	if err := Lacks(s, o.Plan, o.Other); err != nil {
		return nil, err
	}
	p := &player{checks: checks, Options: o, dead: map[*proc.Process]bool{}, named: map[string]error{}, rec: record.New(record.Run{
		Scenario: s.Name, About: s.About, Profile: o.Profile, Substrate: s.Substrate, Seed: o.Seed, Digest: s.Digest(o.Plan), Commit: o.Commit, Version: o.Version, Replay: o.Replay,
		Nodes: s.NodeNames(), Instances: s.InstanceNames(), Budget: record.Budget(s.Budget),
		Programs: o.Programs, Env: o.Env, Judged: s.CheckNames(),
	})}
	if o.Listen != nil {
		o.Listen(p.rec)
	}
	problem := p.play(ctx)
	if problem == nil && len(o.Plan) > 0 && len(p.rec.Snapshot().Played()) == 0 {
		problem = fmt.Errorf("none of the %d faults of the plan happened, so the run shows nothing of them", len(o.Plan))
	}
	if problem == nil {
		problem = p.never()
	}
	switch {
	case ctx.Err() != nil:
		problem = fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case problem != nil && len(p.rec.Snapshot().Broken()) > 0:
		// A group that is broken cannot be asked everything: that is no excuse for it.
		p.note("", "not everything could be judged: "+problem.Error())
		problem = nil
	}
	keep := problem != nil && ctx.Err() == nil || len(p.rec.Snapshot().Broken()) > 0 || ctx.Err() != nil && p.seenBroken() || o.Keep
	cleared := p.clear(keep)
	if cleared != nil && len(p.rec.Snapshot().Broken()) > 0 {
		p.note("", "not everything could be put away: "+cleared.Error())
		cleared = nil
	}
	if keep && p.evidence != nil {
		if err := p.evidence.Keep(o.Dir); err != nil { // it is no excuse for what was broken
			p.note("", err.Error())
		}
	}
	run := p.rec.Finish(errors.Join(problem, cleared))
	return run, record.Write(filepath.Join(o.Dir, "run.json"), run)
}

// seenBroken says whether something of an interrupted run, which nobody has judged, is known to be broken.
func (p *player) seenBroken() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.load == nil {
		return len(p.broken) > 0
	}
	p.load.Ledger.Running(true) // what is not known is no broken promise
	_, violations := p.load.Ledger.Violations()
	return len(p.broken) > 0 || violations > 0
}

func (p *player) play(ctx context.Context) error {
	if err := p.set(ctx); err != nil {
		return err
	}
	defer p.field.Close()
	watched, stop := context.WithCancel(ctx)
	watchers, pulses := p.watch(watched), p.pulse(watched)
	traffic := p.begin()
	playing, enough := context.WithCancel(ctx)
	var looking sync.WaitGroup
	if p.First {
		p.load.Ledger.Running(true) // what is not known yet is no broken promise
		looking.Go(func() { p.untilBroken(playing, enough) })
	}
	p.steps(playing)
	ended := playing.Err() != nil
	enough()
	looking.Wait()
	traffic.stop()
	p.note("", traffic.said())
	p.rec.Idle()
	stop()
	watchers.Wait()
	pulses.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if ended { // the group may be in any state, and asking it would show nothing more
		p.live()
		check.Run(ctx, p.checks, record.Always, p.evidence)
		return nil
	}
	p.load.Ledger.Running(false)
	limited, cancel := context.WithTimeout(ctx, judgeTime+keyTime*time.Duration(p.load.Ledger.Len()/1000))
	defer cancel()
	err := p.judge(limited)
	died := false
	for _, n := range p.stage.Group.Nodes {
		died = p.ended(n) || died
	}
	if died { // while it was judged, which is perhaps why not everything could be
		p.live()
	}
	return err
}

// set sets the stage.
func (p *player) set(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	if err := Missing(p.Scenario); err != nil {
		return err
	}
	var network *lan.LAN
	if p.Scenario.Substrate == fault.Netns {
		made, err := lan.New(p.Scenario.NodeNames(), append(p.Scenario.InstanceNames(), stage.Outsider))
		if err != nil {
			return fmt.Errorf("the scenario plays in network namespaces: %w", err)
		}
		network = made
	}
	p.note("", fmt.Sprintf("%d nodes and %d instances are started", p.Scenario.Group.Nodes, p.Scenario.Group.Instances))
	g := p.Scenario.Group
	s, err := stage.Start(limited, stage.Options{
		Binary: p.Binary, Parent: p.Dir, Instances: g.Instances, Nodes: g.Nodes, Timing: g.Timing, Env: p.Env, Relayed: network == nil, LAN: network, Seed: p.Seed,
		QuiesceTimeout: g.QuiesceTimeout.String(), Mount: p.mounts(), Outsider: true,
	})
	if err != nil {
		return fmt.Errorf("start the group: %w", err)
	}
	p.stage = s
	p.load = load.New(load.Options{
		Targets: p.targets(), Dial: s.Dial(), Seed: p.Seed, Attempt: p.Scenario.Load.Attempt, Patience: p.Scenario.Load.Patience,
		Seen: func(r load.Request) { p.evidence.Seen(r) },
	})
	for _, kind := range kinds {
		p.load.Ledger.Members(kind.Name, p.Scenario.InstanceNames()...)
	}
	p.field = &fault.Field{Stage: s, Ledger: p.load.Ledger, Other: p.Other, Quiesce: g.QuiesceTimeout, Witness: p, Disks: p.disks}
	return p.gather(limited)
}

// targets are where clients ask: each node, and the virtual address where there is one.
func (p *player) targets() []load.Target {
	list := p.stage.Group.Targets()
	if p.stage.LAN() != nil {
		list = append(list, load.Target{Node: "address", Addr: net.JoinHostPort(lan.Address, strconv.Itoa(p.stage.Group.Port))})
	}
	return list
}

// mounts gives what makes disks that can be hurt, nil where the scenario does not want them.
func (p *player) mounts() func(dir, node string) (stage.Disk, error) {
	if !p.Scenario.Group.FaultyDisks {
		return nil
	}
	p.disks = map[string]*disk.Disk{}
	return func(dir, node string) (stage.Disk, error) {
		d, err := disk.Mount(dir, node+"-disk")
		if err != nil {
			return stage.Disk{}, err
		}
		p.disks[node] = d
		return stage.Disk{Path: d.Path, Heal: func() { d.Set(disk.Fault{}) }, Close: d.Close}, nil
	}
}

func (p *player) note(subject, text string) { p.rec.Note(record.Noted, subject, "%s", text) }

// clear ends all processes, and keeps the logs and data directories below Dir, or removes them. Whatever is left of the run then is a violation.
func (p *player) clear(keep bool) error {
	if p.stage == nil {
		return nil
	}
	began := time.Now()
	held, ended := p.stage.End()
	left := check.Alive(p.stage.Dir)
	for _, node := range held {
		left = append(left, "the virtual address on "+node)
	}
	defer func() {
		if _, err := os.Lstat(p.stage.Dir); err == nil {
			left = append(left, "folder "+p.stage.Dir)
		}
		saw := "no process, no file"
		if p.Scenario.Substrate == fault.Netns {
			saw += ", and the virtual address on no node"
		}
		if len(left) > 0 {
			saw = "something is left"
		}
		p.rec.Check(record.Result{
			Name: "nothing-left", When: record.AtEnd, About: "Nothing of a run is left on the machine.", Saw: saw, OK: len(left) == 0, Violations: left, Count: len(left), Took: time.Since(began),
		})
	}()
	if ended != nil {
		return ended
	}
	if !keep && len(left) == 0 {
		return p.stage.Close()
	}
	const name = "stage"
	if err := os.Rename(p.stage.Dir, filepath.Join(p.Dir, name)); err != nil {
		return fmt.Errorf("keep the logs: %w", err)
	}
	logs, err := filepath.Glob(filepath.Join(p.Dir, name, "*.log"))
	for _, l := range logs {
		p.rec.Keep(filepath.Join(name, filepath.Base(l)))
	}
	for _, n := range p.Scenario.NodeNames() {
		for _, dir := range []string{n, disk.Below(n + "-disk")} {
			if _, err := os.Stat(filepath.Join(p.Dir, name, dir)); err == nil {
				p.rec.Keep(filepath.Join(name, dir))
			}
		}
	}
	return err
}
