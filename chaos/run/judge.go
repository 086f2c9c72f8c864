package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/check"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/load"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/record"
	"github.com/holdfast-lb/holdfast/chaos/scenario"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// Checks gives the checks of a scenario. An unknown name is an error with its place in the file.
func Checks(s *scenario.Scenario) ([]check.Check, error) {
	var names []string
	var faults scenario.Faults
	for _, c := range s.Checks {
		if _, err := check.Select(c.Name); err != nil {
			faults = append(faults, scenario.Fault{File: s.File, Line: c.Line, Column: 1, Text: err.Error()})
		}
		names = append(names, c.Name)
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return check.Select(names...)
}

// gather begins the evidence: what there is before the load.
func (p *player) gather(ctx context.Context) error {
	p.evidence = check.New(p.rec, p.load.Ledger, p.members())
	p.evidence.Budget = record.Budget(p.Scenario.Budget)
	p.evidence.Forged = func() int { return int(p.load.Record.Forged.Load()) }
	p.evidence.Quiesces.Timeout = p.Scenario.Group.QuiesceTimeout
	if network := p.stage.LAN(); network != nil {
		p.evidence.Address = func() (kernels, link time.Duration, taken, strangers int) { return network.Together(p.planned) }
	}
	status, err := p.stage.Group.Nodes[0].Client.Status(ctx)
	if err != nil {
		return fmt.Errorf("the group before the load: %w", err)
	}
	p.evidence.First = status.Revision.Number
	if p.evidence.Baseline, err = p.evidence.Group.Usage(ctx); err != nil {
		return fmt.Errorf("what the nodes use before the load: %w", err)
	}
	return nil
}

// untilBroken looks again and again whether a promise that holds at each moment is broken, and calls enough when one is.
func (p *player) untilBroken(ctx context.Context, enough func()) {
	for pause(ctx, lookEvery) == nil {
		p.mu.Lock()
		broken := len(p.broken) > 0
		p.mu.Unlock()
		if broken || len(check.Broken(ctx, p.checks, p.evidence)) > 0 && ctx.Err() == nil {
			p.note("", "a promise is broken: the run ends here")
			enough()
			return
		}
	}
}

// members are the nodes as checks ask them.
func (p *player) members() check.Nodes {
	var list check.Nodes
	for _, n := range p.stage.Group.Nodes {
		list = append(list, check.Member{Name: n.Name, Client: n.Client})
	}
	return list
}

// keyTime bounds how long it takes to ask for the keys of all sessions, for each thousand of them, and keyLeast in all.
const (
	keyTime  = 10 * time.Second
	keyLeast = time.Minute
)

// judge has the checks look at everything.
func (p *player) judge(ctx context.Context) error {
	e := p.evidence
	e.Group = p.members() // from now on they are asked for their newest word
	p.live()
	defer check.Run(context.WithoutCancel(ctx), p.checks, record.Always, e) // what was broken is broken, also where not everything could be asked
	check.Run(ctx, p.checks, record.Eventually, e)
	sessions := p.load.Sessions()
	var mu sync.Mutex
	owed := map[*load.Session]bool{} // what no majority has recorded, as far as its client knows
	err := p.keys(ctx, sessions, func(s *load.Session) {
		mu.Lock()
		defer mu.Unlock()
		owed[s] = true
		e.Ledger.Provisional(s.Entry)
	})
	if err != nil {
		return err
	}
	e.Provisional = func() int { return len(owed) }
	if !p.Scenario.Load.Rest && p.stage.Fabric != nil {
		e.HangUp = p.hangUp
	}
	p.occasions()
	check.Run(ctx, p.checks, record.AtEnd, e)
	e.Back = time.Now()
	if err := p.comeBack(ctx); err != nil {
		return err
	}
	if err := p.keys(ctx, slices.Collect(maps.Keys(owed)), func(*load.Session) {}); err != nil { // an instance that began anew has given new ids
		return err
	}
	check.RunBack(ctx, p.checks, e)
	r := &p.load.Record
	p.note("", fmt.Sprintf("%s uploads of %d KiB in all, %s WebSockets, of which %s broke while they were open", record.Number(int(r.Uploads.Load())), r.Bytes.Load()>>10,
		record.Number(int(r.Sockets.Load())), record.Number(int(r.Broken.Load()))))
	return ctx.Err()
}

// keys asks for the keys of sessions, and tells of each whose client knows of no majority that has recorded it, perhaps more than once.
func (p *player) keys(ctx context.Context, sessions []*load.Session, provisional func(*load.Session)) error {
	limited, cancel := context.WithTimeout(ctx, max(keyLeast, keyTime*time.Duration(len(sessions)/1000)))
	defer cancel()
	for try := 0; ; try++ { // a node that is busy with the last fault may need a moment
		_, err := p.stage.Group.KeysEach(limited, p.evidence.Ledger, sessions, provisional)
		if err == nil {
			return nil
		}
		if try == 2 || limited.Err() != nil {
			return fmt.Errorf("ask for the keys of %d sessions: %w", len(sessions), err)
		}
		if err := pause(limited, time.Second); err != nil {
			return err
		}
	}
}

// waiting is how long nothing has come on a connection that waits for the next request.
const waiting = 300 * time.Millisecond

// closing bounds how long nodes may take to close what an instance has hung up.
const closing = 2 * time.Second

// hangUp has the instances end what waits for the next request. Nodes keep it for 15 s, which a run would have to wait for. It returns when the nodes have seen it: an upload that is sent on such a
// connection before may have been executed, so it gets a 502, which would be the harness's doing.
func (p *player) hangUp() {
	for _, in := range p.stage.Instances {
		p.stage.Fabric.HangUp(in.Name, waiting)
	}
	ctx, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	_ = proc.Poll(ctx, time.Millisecond, func() error { // who keeps them after that has more files than before, and is judged by that
		for _, in := range p.stage.Instances {
			if n := p.stage.Fabric.Ending(in.Name); n > 0 {
				return fmt.Errorf("%d connections to %s", n, in.Name)
			}
		}
		return nil
	})
}

// comeBack lets every client ask once more, each through one node, now that all is well.
func (p *player) comeBack(ctx context.Context) error {
	sessions := p.load.Sessions()
	p.note("", fmt.Sprintf("%d clients come back", len(sessions)))
	_ = p.load.Revisit(ctx, sessions, 32, max(len(sessions), 1)) // a request without an answer is in the record, where the budget judges it
	// The last of them may have had WebSockets open, for which nobody waited.
	p.rec.Idle()
	shown, _ := p.load.ShowOld(ctx, sessions, 32)
	p.note("", fmt.Sprintf("%d of them show the cookie that they had before they were moved", shown))
	p.rec.Idle()
	return ctx.Err()
}

// occasions tells the history what the ledger knows: when sessions might leave an instance.
func (p *player) occasions() {
	const (
		late    = 10 * time.Second // as the ledger has it: checks of instances have to come round
		noticed = 3 * time.Second  // and how long it takes to notice that a node is alone
		pins    = 4                // each node sends a session that it cannot ask about where it thinks best, and then it goes home
	)
	spells := p.load.Ledger.Spells()
	end := func(s ledger.Spell) time.Time {
		if s.To.IsZero() {
			return s.To
		}
		return s.To.Add(late)
	}
	for _, s := range spells {
		for _, cluster := range clusters() {
			switch {
			case s.Instance == "" && cluster != stage.Insert.Name: // no cookie of the balancer leads these
				p.evidence.History.MayLeave(cluster, "", "a node that was alone may not have heard of it", s.From, end(s))
			case s.Instance != "":
				p.evidence.History.MayLeave(cluster, s.Instance, "it was hurt", s.From, end(s))
			case slices.ContainsFunc(spells, func(o ledger.Spell) bool {
				return o.Instance != "" && (s.To.IsZero() || o.From.Before(end(s))) && (o.To.IsZero() || end(o).After(s.From))
			}):
				for range pins {
					p.evidence.History.MayLeave(cluster, "", "a node may have decided alone", s.From.Add(-noticed), end(s))
				}
			}
		}
	}
}

// clusters are those that the sessions are of.
func clusters() (names []string) {
	for _, k := range kinds {
		if !slices.Contains(names, k.Name) {
			names = append(names, k.Name)
		}
	}
	return names
}

// live judges what no check sees.
func (p *player) live() {
	p.mu.Lock()
	defer p.mu.Unlock()
	kept, _ := p.load.Ledger.Violations()
	broken := p.broken
	for _, v := range kept {
		if v.Rule == ledger.Failed {
			broken = append(broken, v.String())
		}
	}
	r := record.Result{
		Name: "processes-live", When: record.Always, About: "No node ends by itself, and every fault can be taken away again.", OK: len(broken) == 0,
		Saw: "no process ended that nobody ended, and every fault was healed", Violations: broken, Count: len(broken),
	}
	if !r.OK {
		r.Saw = broken[0]
	}
	p.rec.Check(r)
}
