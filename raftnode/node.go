package raftnode

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/internal/mutant"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
	"github.com/holdfast-lb/holdfast/storage"
)

// Node is one member of a group.
type Node struct {
	opt     Options
	timing  timing
	log     *slog.Logger
	state   *fsm.State
	met     *metrics
	tcp     net.Listener
	addr    string // advertised
	started time.Time
	process string // tells this process of the node from every other one

	creds atomic.Pointer[pki.Credentials]
	id    atomic.Pointer[raft.ServerID] // known once the node has credentials
	phase atomic.Pointer[string]        // what Info says before raft runs

	applied, revised broadcast
	adapter          *fsmAdapter
	disk             *diskGuard
	store            *nodeLog
	reloading        sync.Mutex // of raft's configuration, see reload
	stable           raft.StableStore
	space            func() (storage.Space, error)
	rooms            rooms
	disks            othersDisks
	trial            diskTrial
	stream           *streamLayer
	trans            *peerTransport // of raft, and set before it
	links            links
	pipes            pipelines
	probes           probes
	challenges       challenges
	pool             *callPool
	beside           *callPool // for what is large
	server           *callServer
	port             atomic.Pointer[listener]
	watch            *leaderWatch
	rec              *recorder
	reads, verified  rounds // of this node, and of those that ask this one
	lead             atomic.Pointer[leadership]
	onLead           []func(context.Context, uint64)
	onElected        []func(context.Context, Succession)
	notify           chan bool
	stamp            stamper
	clock            *groupClock
	doubt            chan struct{} // the clock is to be judged again
	flying           flights
	formation        formation
	audit            audit
	removed          removedNodes
	inbound          inbound // connections of others on which they talk Raft
	learnt           learnt  // of a node that has parted
	behind           unapplied
	roll             memberships
	back             resync      // what was left of one when the node was opened; of open, enter and keepPlace, one after the other
	expelling        atomic.Bool // it is out of its group for good
	resyncing        atomic.Bool
	former           []founder // members before this epoch, if it began here
	troubles         troubles
	says             release // what this node tells others about its program
	said             remarks
	unleased         unleased
	knocks           knocks
	exchanged        atomic.Bool // with the leader, since the start
	admitting        turn        // one change of the membership at a time

	wasMember bool // before this start; set before raft starts
	raftStart turn // held while raft starts
	raftOver  bool // it must not start any more; under raftStart

	raft     atomic.Pointer[raft.Raft]
	raftEnd  sync.Once
	raftDown chan struct{} // closed when raft's goroutines have ended

	ctx    context.Context // ends with the node
	cancel context.CancelFunc
	member context.Context // of ctx: ends when the node parts, at the latest
	// endMember ends member.
	endMember context.CancelFunc
	wg        sync.WaitGroup
	aside     sync.WaitGroup // of what goes on after the node has parted

	starting sync.Mutex // orders goRun before the wait for what it started, or after it
	ended    bool

	failOnce sync.Once
	haltOnce sync.Once
	failed   chan struct{}
	failErr  error

	stopOnce sync.Once
	stopped  chan struct{}
}

// Open checks the options, binds the peer port and restores the state from the data directory. Nothing is served before
// Run. The node must be stopped with Stop, whether Run was called or not.
func Open(opt Options) (*Node, error) {
	if err := opt.fill(); err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	t, err := timingByName(opt.Timing)
	if err != nil {
		return nil, fmt.Errorf("open node: %w", err)
	}
	n := &Node{opt: opt, timing: t, log: opt.Logger, state: opt.State, started: opt.Now(), process: newProcess(), says: release{opt.Version, fsm.Schema},
		clock: &groupClock{wall: opt.Now, mono: time.Now}, doubt: make(chan struct{}, 1), notify: make(chan bool, 16), failed: make(chan struct{}), stopped: make(chan struct{}),
		raftDown: make(chan struct{}), admitting: newTurn(), raftStart: newTurn(), formation: formation{promising: newTurn()},
		audit: audit{hold: holdings{mu: newTurn()}, record: auditRecord{mu: newTurn()}}}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	n.member, n.endMember = context.WithCancel(n.ctx)
	if err := n.open(); err != nil {
		n.cancel()
		if n.tcp != nil {
			_ = n.tcp.Close()
		}
		return nil, fmt.Errorf("open node: %w", err)
	}
	return n, nil
}

func (n *Node) open() error {
	n.setPhase("starting")
	if err := Expelled(n.opt.Dir); err != nil {
		return err
	}
	if err := n.resumeResync(); err != nil {
		return err
	}
	if err := n.loadCredentials(); err != nil {
		return err
	}
	if err := n.loadAudit(); err != nil {
		return err
	}
	if !n.opt.Dir.Empty() {
		if n.creds.Load() == nil {
			return fmt.Errorf("%s has a log but %s has no node certificate: restore it from a backup, or move the data directory away and let the node join again", n.opt.Dir.Path(), n.opt.TLSDir)
		}
		if err := replay(n.opt.Dir.Log(), n.opt.Dir.Snapshots(), n.state); err != nil {
			if errors.Is(err, fsm.ErrEntryUnknown) || errors.Is(err, fsm.ErrSnapshotUnknown) {
				return fmt.Errorf("%w: %s has the state of a newer version: %w", ErrRefused, n.opt.Dir.Path(), err)
			}
			return fmt.Errorf("restore state: %w", err)
		}
	}
	var err error
	if n.tcp, err = n.bindPeer(); err != nil {
		return err
	}
	if n.addr, err = advertised(n.opt.Advertise, n.tcp.Addr()); err != nil {
		return err
	}
	if err := n.rememberFormer(); err != nil {
		return err
	}
	n.disk = &diskGuard{stop: n.fail, done: n.ctx.Done()}
	n.disk.space.look = make(chan struct{}, 1)
	n.space = n.opt.Dir.Space
	n.stable = &voteStore{Stable: n.opt.Dir.Stable()}
	if n.store, err = newNodeLog(guardedLog{n.opt.Dir.Log(), n.disk}, n.opt.Dir.Snapshots()); err != nil {
		return err
	}
	n.adapter = &fsmAdapter{state: n.state, stop: n.fail, applied: &n.applied, revised: &n.revised, members: n.noteMembers, heard: n.clock.heard,
		operating: n.state.Operating().Index, event: n.state.LastEvent(), progress: &n.audit.progress, hold: n.audit.images.hold}
	if mutant.On(mutant.LoseOpFollower) || mutant.On(mutant.LoseOpLeader) {
		n.adapter.badly = n.loseOnce
	}
	if n.met, err = newMetrics(n, n.opt.Registerer); err != nil {
		return err
	}
	n.disk.writes.took = func(d time.Duration) { n.met.diskWrite.Observe(d.Seconds()) }
	n.watch = newLeaderWatch(n.timing, n.met.leaderChanges.Inc)
	n.watch.gaveUp = func(term uint64) bool { return n.trans.isMute(term) }
	n.rec = newRecorder(n)
	n.links.ended = n.linksEnded
	n.probes.dial = func(ctx context.Context, addr string) (*tls.Conn, error) {
		creds := n.creds.Load()
		if creds == nil {
			return nil, errors.New("no credentials yet")
		}
		return dialPeer(ctx, n.opt.Network, creds, protoCall, addr, "", n.opt.Now)
	}
	n.stream = newStreamLayer(n.addr, n.dialRaft)
	n.pool = newCallPool(func(ctx context.Context, addr, name string) (net.Conn, error) {
		return n.dial(ctx, protoCall, addr, name)
	})
	n.beside = newCallPool(n.pool.dial)
	n.server = newCallServer(n.handlers(), n.countCall)
	n.server.refuses = n.refusesRemoved
	n.rec.start()
	return nil
}

func (n *Node) countCall(ok bool) {
	outcome := "failed"
	if ok {
		outcome = "ok"
	}
	n.met.calls.WithLabelValues(outcome).Inc()
}

func (n *Node) setPhase(p string) { n.phase.Store(&p) }

// Addr is the address that other nodes dial.
func (n *Node) Addr() string { return n.addr }

// ID is the node's Raft id, empty before it has credentials.
func (n *Node) ID() string {
	if id := n.id.Load(); id != nil {
		return string(*id)
	}
	return ""
}

// self is this node as others must know it.
func (n *Node) self() founder { return founder{Name: n.opt.Name, ID: *n.id.Load(), Addr: n.addr} }

// request is what this node tells a leader about itself.
func (n *Node) request() joinRequest { return joinRequest{n.self(), n.says, n.opt.Now(), n.process} }

// goRun runs f until the node ends, or parts. On a node that has been stopped, which may be while Run is still on its way, f does not run.
func (n *Node) goRun(f func(ctx context.Context)) {
	n.starting.Lock()
	defer n.starting.Unlock()
	if n.ended {
		return
	}
	n.wg.Add(1)
	go func() {
		defer n.wg.Done()
		f(n.member)
	}()
}

// Run founds or joins the group if need be, and serves. It returns nil when ctx ends (the node then still serves until
// Stop), and otherwise the reason for which the node has stopped taking part.
func (n *Node) Run(ctx context.Context) error {
	n.goRun(n.watchDisk)
	n.goRun(n.watchSpace)
	err := n.entered(ctx)
	if err == nil {
		select {
		case <-ctx.Done():
		case <-n.failed:
		case <-n.stopped:
			err = ErrClosed
		}
	}
	select {
	case <-n.failed:
		return n.failErr
	default:
	}
	if err != nil && ctx.Err() != nil {
		return nil
	}
	return err
}

// entered is enter, but it does not wait for a disk that hangs.
func (n *Node) entered(ctx context.Context) error {
	done := make(chan error, 1)
	go func() { done <- n.enter(ctx) }()
	select {
	case err := <-done:
		return err
	case <-n.failed:
		return n.failErr
	}
}

// enter brings the node to where raft runs.
func (n *Node) enter(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	if err := n.obtainCredentials(ctx); err != nil {
		return err
	}
	if err := n.servePort(); err != nil {
		return err
	}
	if blank, err := n.blank(); err != nil {
		return err
	} else if blank {
		if err := n.enterGroup(ctx); err != nil {
			return err
		}
	} else if err := n.fitsState(); err != nil {
		return err
	} else if err := n.comeBack(ctx); err != nil {
		return err
	} else {
		n.wasMember = true
	}
	if err := n.startRaft(); err != nil {
		return err
	}
	n.resumeForming()
	n.goRun(n.keepPlace)
	n.goRun(n.keepRevoked)
	if len(n.former) > 0 {
		n.goRun(n.tellFormer)
	}
	return nil
}

// servePort starts to take connections.
func (n *Node) servePort() error {
	l, err := newListener(n.tcp, n.creds.Load(), n.opt.Now, func(reason string) { n.met.refused.WithLabelValues(reason).Inc() })
	if err != nil {
		return err
	}
	l.accept = n.acceptPeer
	l.join = n.serveJoin
	l.wg.Add(1) // the loop that adds more: who waits for them waits for it
	n.port.Store(l)
	n.goRun(func(context.Context) {
		defer l.wg.Done()
		l.run()
	})
	return nil
}

func (n *Node) acceptPeer(c *tls.Conn, proto string, from caller) {
	switch {
	case proto == protoCall:
		n.server.serve(n.ctx, n.links.watch(c, from.id), from)
	case n.raft.Load() == nil || n.wasRemoved(from.id):
		n.met.refused.WithLabelValues("not a member").Inc()
		_ = c.Close()
	default:
		n.stream.hand(n.inbound.keep(n.links.watch(c, from.id), from.id))
	}
}

// startRaft hands log and state to raft.
func (n *Node) startRaft() (err error) {
	n.raftStart.Lock()
	defer n.raftStart.Unlock()
	if n.raftOver {
		return ErrClosed
	}
	defer func() { // NewRaft panics on an entry that it cannot read, and on a term that it cannot write
		if p := recover(); p != nil {
			_ = n.trans.Close()
			err = n.disk.explain(fmt.Errorf("start raft: %v", p))
		}
	}()
	logger := newRaftLogger(n.log)
	c := n.timing.raftConfig(*n.id.Load())
	n.opt.Compaction.set(c)
	c.Logger = logger
	c.NotifyCh = n.notify
	if err := n.roll.load(n.opt.Dir); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	vows, err := n.vowsBefore()
	if err != nil {
		return n.disk.explain(fmt.Errorf("start raft: %w", err))
	}
	n.trans = newPeerTransport(raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: n.stream, MaxPool: 3, Timeout: n.timing.rpc, Logger: logger,
	}), n.timing, vows, n.raft.Load, n.raftIdle)
	trans := n.trans
	trans.words = &n.challenges
	trans.barred = n.barred
	trans.bootTime = n.opt.BootTime
	n.goRun(trans.run)
	n.goRun(n.followTerms)
	n.goRun(func(ctx context.Context) { n.forgetVows(ctx, vows) })
	r, err := raft.NewRaft(c, n.adapter, memberLog{n.store, &n.roll}, guardedStable{n.stable, n.disk},
		memberSnapshots{notedSnapshots{n.opt.Dir.Snapshots(), n.store, n.disk}, &n.roll}, pipedTransport{trans, &n.pipes})
	if err != nil {
		_ = trans.Close()
		return n.disk.explain(fmt.Errorf("start raft: %w", err))
	}
	n.disk.live.Store(true)
	n.raft.Store(r)
	n.goRun(func(ctx context.Context) { n.watch.run(ctx, r, *n.id.Load()) })
	n.goRun(func(ctx context.Context) { n.ownTimer(ctx, r) })
	n.goRun(func(ctx context.Context) { n.keepLight(ctx, r) })
	n.goRun(n.watchSilence)
	n.goRun(n.keepWarm)
	n.goRun(n.runAudit)
	n.goRun(n.watchProgress)
	if !n.expelling.Load() { // it may have heard meanwhile that it is none of the group any more
		n.log.Info("node serves its group", "address", n.addr, "applied", n.state.Applied(), "sessions", n.state.Len())
	}
	return nil
}

// fail stops taking part at once, for good. The first reason is Run's error.
func (n *Node) fail(reason error) {
	n.resign(reason)
	n.haltOnce.Do(func() { go n.halt() })
}

// resign ends Run with the reason, and goes on taking part until Stop: requests that are under way may still have something to record.
func (n *Node) resign(reason error) {
	n.failOnce.Do(func() {
		n.failErr = reason
		close(n.failed)
	})
}

// halt leaves the group without a word: a node that doubts itself must not vote, lead or acknowledge.
func (n *Node) halt() {
	_ = n.stream.Close()
	if l := n.port.Load(); l != nil {
		l.close()
	}
	n.cancel()
	n.noMoreRaft()
	n.endRaft()
}

// membership is empty before raft runs.
func (n *Node) membership() raft.Configuration {
	if r := n.raft.Load(); r != nil {
		return r.GetConfiguration().Configuration()
	}
	return raft.Configuration{}
}

// Quorum is false once no leader has been known for three election time-outs, and while the disks of most nodes are full.
func (n *Node) Quorum() bool { return n.watch.quorum() && !n.rooms.refuses(time.Now()) }

// Changed gives a channel that is closed when anything in Operating changes, the configuration included, or the group has a new event. Ask for it before looking at the state.
func (n *Node) Changed() <-chan struct{} { return n.revised.wait() }

// OnLead has f run whenever this node begins to lead, after everything of earlier terms is applied. ctx ends with the term;
// f must return then. To be called before Run.
func (n *Node) OnLead(f func(ctx context.Context, term uint64)) { n.onLead = append(n.onLead, f) }

func (n *Node) dial(ctx context.Context, proto, addr, name string) (net.Conn, error) {
	creds := n.creds.Load()
	if creds == nil {
		return nil, errors.New("no credentials yet")
	}
	c, err := dialPeer(ctx, n.opt.Network, creds, proto, addr, name, n.opt.Now)
	if err != nil {
		return nil, err // a nil *tls.Conn must not become a net.Conn that is not nil
	}
	return c, nil
}

// dialRaft insists on the member that has the address: a vote that came from another node would count twice. The name is not enough: a node
// that was replaced may come back at its old address with its old disk, and must not answer for its successor.
func (n *Node) dialRaft(ctx context.Context, addr string) (net.Conn, error) {
	var member raft.Server
	for _, s := range n.membership().Servers {
		if string(s.Address) == addr {
			member = s
		}
	}
	creds := n.creds.Load()
	if creds == nil {
		return nil, errors.New("no credentials yet")
	}
	c, err := dialPeer(ctx, n.opt.Network, creds, protoRaft, addr, nameOf(member.ID), n.opt.Now)
	if err != nil {
		return nil, err // a nil *tls.Conn must not become a net.Conn that is not nil
	}
	peer, err := callerOf(c.ConnectionState())
	if err == nil && member.ID != "" && peer.id != member.ID {
		err = fmt.Errorf("dial %s: the node there is %s, the member is %s", addr, peer.id, member.ID)
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}
