package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/vip"
)

// machine is what survives a process: a disk, an address, a clock.
type machine struct {
	w          *world
	name, addr string
	disk       *disk
	profiles   *chance
	off        atomic.Int64 // nanoseconds by which the wall clock is wrong

	mu       sync.Mutex
	proc     *process // nil while none runs
	starting bool
}

// process is one run of a node.
type process struct {
	m       *machine
	node    *raftnode.Node
	state   *fsm.State
	handle  *handle
	host    *host
	manager *vip.Manager
	keeper  *keeper
	cancel  context.CancelFunc
	ended   chan struct{} // closed when Run has returned
	dead    atomic.Bool   // nobody hears of it any more
	leaving atomic.Bool   // it was told to stop
	handing atomic.Bool   // it hands leadership over
	audit   audit
}

// wall is the time of day of the world. It is later than what a state takes for an assignment's last use (fsm.SeenEpoch).
func (w *world) wall() time.Time { return epoch.Add(w.trace.at()) }

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (m *machine) now() time.Time { return m.w.wall().Add(time.Duration(m.off.Load())) }

// bootTime is a clock that nobody sets. All machines' are the same, so that what is promised by one can be held against another one.
func (w *world) bootTime() int64 { return int64(time.Hour + w.trace.at()) }

func (m *machine) running() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

// start brings a process up, if none runs.
func (m *machine) start() {
	m.mu.Lock()
	if m.proc != nil || m.starting || m.w.over.Load() {
		m.mu.Unlock()
		return
	}
	m.starting = true
	m.mu.Unlock()
	p := m.open()
	m.mu.Lock()
	m.proc, m.starting = p, false
	m.mu.Unlock()
	if p == nil {
		return
	}
	w := m.w
	w.trace.add("%s starts", m.name)
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	w.all.Go(func() {
		err := p.node.Run(ctx)
		close(p.ended)
		if err != nil && !p.dead.Load() && !p.leaving.Load() {
			p.failed(err)
		}
	})
	if w.over.Load() {
		m.crash(false)
	}
}

// timing is the profile of the next process.
func (m *machine) timing() string {
	if m.w.s.Timing == "mixed" {
		return []string{"lan", "wan", "fast"}[m.profiles.below(3)]
	}
	return m.w.s.Timing
}

// open makes a process that does not run yet, nil if that is refused.
func (m *machine) open() *process {
	w := m.w
	p := &process{m: m, state: fsm.New(), handle: m.disk.open(), host: &host{net: w.net, addr: m.addr, dead: make(chan struct{})}, ended: make(chan struct{})}
	log := slog.New(slog.NewTextHandler(nodeLog{p}, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: withoutTime}))
	node, err := raftnode.Open(raftnode.Options{
		Name: m.name, PeerAddr: m.addr, Timing: m.timing(), Join: w.addresses(), JoinToken: w.token, BootstrapExpect: len(w.machines), Version: "sim",
		Dir: p.handle, State: p.state, Logger: log, Now: m.now, Network: p.host, Steady: time.Second,
		BootTime:   func() (int64, error) { return w.bootTime(), nil },
		Compaction: raftnode.Compaction{Threshold: 400, Trailing: 200, Every: 5 * time.Second},
	})
	if err != nil {
		w.violated("node %s does not start: %v", m.name, err)
		return nil
	}
	p.node = node
	p.keeper = &keeper{p: p, events: make(chan vip.Event)}
	every, length := node.LeaseTiming()
	p.manager = vip.New(vip.Settings{
		Keeper: p.keeper, Every: every, Length: length, Eligible: node.DiskLost, Logger: log, Now: func() vip.Deadline { return vip.Deadline(w.bootTime()) },
		Lease: func(ctx context.Context, term uint64) (vip.Deadline, error) {
			until, err := node.Lease(ctx, term)
			if node.NoLease() != nil {
				p.handOver()
			}
			return vip.Deadline(until), err
		},
	})
	node.OnElected(func(ctx context.Context, s raftnode.Succession) {
		w.elected(m.name, s)
		p.manager.Lead(ctx, vip.Tenure{Term: s.Term, Planned: s.Planned})
	})
	node.OnLead(p.endQuiesces)
	return p
}

// handOver is package server's, as far as a leader goes that the others' profiles keep from holding the virtual address.
func (p *process) handOver() {
	if p.handing.Swap(true) {
		return
	}
	p.m.w.all.Go(func() {
		defer p.handing.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = p.node.TransferLeadership(ctx) // the next question for the lease tries it again
	})
}

// failed is that a node has stopped by itself: it may when its disk is broken, and for no other reason.
func (p *process) failed(err error) {
	w := p.m.w
	w.trace.add("%s has stopped: %v", p.m.name, err)
	if !errors.Is(err, raftnode.ErrDisk) || !w.brokeDisk(p.m.name) {
		w.violated("node %s has stopped by itself: %v", p.m.name, err)
	}
	p.m.crash(false)
	w.later(w.chance.between(0, 3*time.Second), p.m.start)
}

// crash ends the process as kill -9 does, or the machine as a power loss does. The guard of the virtual address drops it a moment after the process has died, and only
// then lets the peer port go.
func (m *machine) crash(power bool) {
	m.mu.Lock()
	p := m.proc
	m.proc = nil
	m.mu.Unlock()
	if p == nil {
		return
	}
	w := m.w
	p.dead.Store(true)
	p.host.die()
	if power {
		w.net.change(func() { w.net.off[m.addr] = true })
		p.handle.powerLoss()
	} else {
		p.handle.die()
	}
	w.net.kill(m.addr)
	w.trace.add("%s is gone (power %t)", m.name, power)
	if power {
		p.keeper.letGo()
	} else {
		w.later(w.chance.between(0, 20*time.Millisecond), p.keeper.letGo)
	}
	w.all.Go(p.bury)
}

// bury ends the goroutines of a dead process. Nothing of what they do reaches anybody.
func (p *process) bury() {
	_ = p.manager.Close()
	ctx, cancel := context.WithTimeout(context.Background(), buried/2)
	defer cancel()
	_ = p.node.Kill(ctx)
	p.cancel()
	<-p.ended
}

// powerOn is the end of a power loss; the process is started apart.
func (m *machine) powerOn() {
	m.w.net.change(func() { delete(m.w.net.off, m.addr) })
}

// stop ends the process as an operator does.
func (m *machine) stop() {
	m.mu.Lock()
	p := m.proc
	m.mu.Unlock()
	if p == nil {
		return
	}
	m.w.trace.add("%s is told to stop", m.name)
	p.leaving.Store(true)
	_ = p.manager.Close() // before the peer port
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	defer cancel()
	err := p.node.Stop(ctx)
	m.mu.Lock()
	mine := m.proc == p
	if mine {
		m.proc = nil
	}
	m.mu.Unlock()
	p.dead.Store(true)
	p.host.die()
	p.handle.die()
	m.w.net.kill(m.addr)
	p.keeper.letGo()
	if err != nil {
		m.w.trace.add("%s did not stop in time: %v", m.name, err)
	}
	m.w.all.Go(p.bury)
}

// nodeLog puts what a node logs into the trace.
type nodeLog struct{ p *process }

func (l nodeLog) Write(b []byte) (int, error) {
	if !l.p.dead.Load() {
		l.p.m.w.trace.add("%s %s", l.p.m.name, b[:max(len(b)-1, 0)])
	}
	return len(b), nil
}

var _ io.Writer = nodeLog{}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// endQuiesces is the leader's duty of package server, as far as deadlines go.
func (p *process) endQuiesces(ctx context.Context, _ uint64) {
	for {
		changed := p.node.Changed()
		wait := time.Minute
		for _, q := range p.state.Operating().Quiesces {
			left := q.Deadline.Sub(p.node.GroupTime().Truncate(time.Millisecond))
			if left > 0 {
				wait = min(wait, left)
				continue
			}
			r, err := p.node.Propose(ctx, &fsm.QuiesceEnd{ID: q.ID, Subject: q.Subject, Deadline: q.Deadline, Node: p.m.name})
			if err != nil || r.Code != fsm.CodeOK {
				wait = min(wait, 20*time.Millisecond)
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		t.Stop()
	}
}

// String names the process.
func (p *process) String() string { return fmt.Sprintf("node %s", p.m.name) }
