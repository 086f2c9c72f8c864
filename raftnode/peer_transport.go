package raftnode

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// peerTransport is raft's transport with a watch on what comes in. It adds what raft 1.8.0 has no way to say:
//
//   - A follower can vouch for its leader (vouch): until its time-out is over it votes for nobody else.
//   - A follower whose time-out is over votes when it is asked. raft's own does so only when its timer, which is random, has found that out: so
//     that of two followers the later one decides when there is a new leader.
//   - A node that holds by a lease of its own, or may have vouched before it was restarted, does not vote before that is over.
//   - It does not encourage one node to stand while another does (giveWay).
//   - This node can be made a candidate at once (begin), checked and done in one step.
//   - A leader can fall silent (mute) although raft's main goroutine hangs.
//
// All but heartbeats passes through one goroutine (run), as raft takes it one at a time anyway; heartbeats run on their own connection's goroutine, beside
// raft's main one.
type peerTransport struct {
	*raft.NetworkTransport
	timing timing
	raft   func() *raft.Raft
	// idle returns nil when raft's main goroutine has finished what it was given before.
	idle  func(ctx context.Context) error
	words wordKeeper // nil: none are given
	// barred says why this node must not become the leader; nil: it may. It is set before raft starts.
	barred func() error
	// bootTime is the clock of ownLease.
	bootTime func() (int64, error)
	asked    atomic.Pointer[asked]

	rpcs   chan raft.RPC
	orders chan order

	started   time.Time     // when raft did
	vows      time.Duration // for so long from then on, words may be out that this node has given before it was restarted
	ownLease  atomic.Int64  // until when this node holds by Lease, see bootTime
	unflagged atomic.Uint64
	muted     atomic.Uint64 // see mute
	absent    absences
	// installing: raft takes a whole state from the leader.
	installing atomic.Bool

	mu      turn   // held while a heartbeat is taken, a word is given, or an election is begun
	voting  bool   // raft has been given a request for a vote
	unsure  uint64 // counts what makes raft's last contact no proof, see heard
	sure    uint64 // up to where raft's main goroutine has been waited for
	reign   reign
	reigns  map[raft.ServerID]time.Time // the last sign of life of each that has led before, see past
	planned uint64                      // the term that this node was asked to take over
}

// reign is the last leader that this node knew, and its last sign of life.
type reign struct {
	leader raft.ServerID
	term   uint64
	heard  time.Time // zero when this node led itself
}

func newPeerTransport(inner *raft.NetworkTransport, t timing, vows time.Duration, r func() *raft.Raft, idle func(context.Context) error) *peerTransport {
	return &peerTransport{NetworkTransport: inner, timing: t, raft: r, idle: idle, rpcs: make(chan raft.RPC), orders: make(chan order),
		started: time.Now(), vows: vows, bootTime: bootTime, mu: newTurn()}
}

// Consumer is where raft takes its messages from.
func (t *peerTransport) Consumer() <-chan raft.RPC { return t.rpcs }

// run passes messages on to raft until ctx ends.
func (t *peerTransport) run(ctx context.Context) {
	for {
		select {
		case rpc := <-t.NetworkTransport.Consumer():
			t.pass(ctx, rpc)
		case o := <-t.orders:
			o.done <- t.begin(ctx, o)
		case <-ctx.Done():
			return
		}
	}
}

func (t *peerTransport) pass(ctx context.Context, rpc raft.RPC) {
	switch m := rpc.Command.(type) {
	case *raft.AppendEntriesRequest:
		t.mu.Lock()
		t.note(m)
		t.mu.Unlock()
	case *raft.InstallSnapshotRequest:
		t.installing.Store(true)
		defer t.installing.Store(false)
		t.handAndWait(ctx, rpc, func(any) {}) // raft's main goroutine has no time for anything else meanwhile
		return
	case *raft.TimeoutNowRequest:
		if err := t.mayLead(); err != nil {
			rpc.Respond(nil, err)
			return
		}
		if r := t.raft(); r != nil {
			t.mu.Lock()
			t.planned = r.CurrentTerm() + 1
			t.mu.Unlock()
		}
	case *raft.RequestPreVoteRequest:
		if t.bound() {
			rpc.Respond(nil, errBound)
			return
		}
		t.passPreVote(ctx, rpc, m)
		return
	case *raft.RequestVoteRequest:
		t.passVote(ctx, rpc, m)
		return
	}
	t.hand(ctx, rpc)
}

func (t *peerTransport) hand(ctx context.Context, rpc raft.RPC) bool {
	select {
	case t.rpcs <- rpc:
		return true
	case <-ctx.Done():
		return false
	}
}

var errBound = errors.New("this node is bound by a lease for a moment more")

// bound tells whether this node has itself held by a lease that is not over, or may have vouched for a leader before it was restarted.
func (t *peerTransport) bound() bool {
	return t.vouched() || t.holds()
}

// vouched tells whether a word may be out that this node has given before it was restarted.
func (t *peerTransport) vouched() bool { return time.Since(t.started) < t.vows }

// holds tells whether a lease of this node is not over.
func (t *peerTransport) holds() bool {
	until := t.ownLease.Load()
	if until == 0 {
		return false
	}
	now, err := t.bootTime()
	return err != nil || now < until
}

// mayHold takes note that this node wants to hold until then, and tells whether it may: not while it may be voting for another one.
func (t *peerTransport) mayHold(until int64) bool {
	for was := t.ownLease.Load(); was < until && !t.ownLease.CompareAndSwap(was, until); was = t.ownLease.Load() {
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.voting
}

// passVote waits for raft's answer. Until it is there this node vouches for nobody: raft may find that it knows no leader, and be overtaken by a heartbeat
// on its way from there to the vote.
func (t *peerTransport) passVote(ctx context.Context, rpc raft.RPC, m *raft.RequestVoteRequest) {
	t.mu.Lock()
	t.voting = true // before the look at the lease: a lease that comes after that look finds it (mayHold)
	if r := t.raft(); r != nil && !m.LeadershipTransfer && r.State() == raft.Follower && time.Since(r.LastContact()) >= t.timing.heartbeat {
		// The time-out is over, though raft's timer has not seen it yet. The flag has raft not mind the leader that it knows.
		expired := *m
		expired.LeadershipTransfer = true
		rpc.Command = &expired
	}
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.voting = false
		t.mu.Unlock()
	}()
	if !m.LeadershipTransfer && t.bound() {
		rpc.Respond(nil, errBound)
		return
	}
	t.handAndWait(ctx, rpc, func(any) {})
}

// handAndWait has look see raft's answer before anybody else does; no other message reaches raft meanwhile.
func (t *peerTransport) handAndWait(ctx context.Context, rpc raft.RPC, look func(answer any)) {
	to, answer := rpc.RespChan, make(chan raft.RPCResponse, 1)
	rpc.RespChan = answer
	if !t.hand(ctx, rpc) {
		return
	}
	select {
	case a := <-answer:
		look(a.Response)
		to <- a
	case <-ctx.Done():
	}
}

// mayLead is nil when nothing keeps this node from becoming the leader.
func (t *peerTransport) mayLead() error {
	if t.barred == nil {
		return nil
	}
	return t.barred()
}

// RequestVote asks for a vote. When the leader was silent, and not known to be dead, the others must decide by what they have heard themselves: the
// flag that has raft skip its own question before is not for them.
func (t *peerTransport) RequestVote(id raft.ServerID, target raft.ServerAddress, m *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := t.mayLead(); err != nil {
		return err
	}
	if m.LeadershipTransfer && m.Term == t.unflagged.Load() {
		plain := *m
		plain.LeadershipTransfer = false
		m = &plain
	}
	if !m.LeadershipTransfer && t.vouched() { // by a longer profile than the one that its timer has now
		return errBound
	}
	t.asked.Store(&asked{term: m.Term, vote: true, at: time.Now()})
	return hedge(t.timing.heartbeat, resp, func(resp *raft.RequestVoteResponse) error {
		return t.NetworkTransport.RequestVote(id, target, m, resp)
	})
}

// SetHeartbeatHandler has handle run under mu.
func (t *peerTransport) SetHeartbeatHandler(handle func(raft.RPC)) {
	t.NetworkTransport.SetHeartbeatHandler(func(rpc raft.RPC) {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.heard(rpc, handle)
	})
}

// heard takes a heartbeat. raft's main goroutine may have found right before that the time-out is over, or that there is no leader, and act upon it right
// after: then what raft says of the leader is no proof until that goroutine has come round again.
func (t *peerTransport) heard(rpc raft.RPC, handle func(raft.RPC)) {
	r := t.raft()
	if r == nil {
		t.unsure++
		handle(rpc)
		return
	}
	_, before := r.LeaderWithID()
	contact := r.LastContact()
	handle(rpc)
	if _, after := r.LeaderWithID(); before == "" || before != after || r.LastContact().Sub(contact) >= t.timing.heartbeat {
		t.unsure++
	}
	if m, ok := rpc.Command.(*raft.AppendEntriesRequest); ok {
		t.note(m)
	}
}

// note takes a sign of life of a leader. mu is held.
func (t *peerTransport) note(m *raft.AppendEntriesRequest) {
	r := t.raft()
	if id := raft.ServerID(m.ID); id != "" && m.Term >= t.reign.term && (r == nil || m.Term >= r.CurrentTerm()) {
		t.past(id)
		t.reign = reign{leader: id, term: m.Term, heard: time.Now()}
	}
}

// begun tells whom this node follows as a leader of term, and whether it was asked to.
func (t *peerTransport) begun(self raft.ServerID, term uint64) (before reign, planned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.past(self)
	before = t.reign
	t.reign = reign{leader: self, term: term}
	return before, t.planned == term
}

// maxReigns bounds how many leaders of the past are known: more than a group has voters.
const maxReigns = 32

// past keeps when the leader was heard of last, when another follows it. mu is held.
func (t *peerTransport) past(next raft.ServerID) {
	was := t.reign
	if was.leader == next || was.heard.IsZero() {
		return
	}
	if t.reigns == nil {
		t.reigns = map[raft.ServerID]time.Time{}
	}
	t.reigns[was.leader] = was.heard
	for len(t.reigns) > maxReigns {
		first := was.leader
		for id, at := range t.reigns {
			if at.Before(t.reigns[first]) {
				first = id
			}
		}
		delete(t.reigns, first)
	}
}

// contacts gives the last sign of life, as a leader, of each node that has led and that this one has heard of, by name.
func (t *peerTransport) contacts() map[string]time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	list := map[string]time.Time{}
	for id, at := range t.reigns {
		list[nameOf(id)] = at
	}
	return list
}

var (
	errNoWord  = errors.New("no follower of that leader in that term")
	errExpired = errors.New("has not heard of the leader for too long")
)

// vouch gives how long ago this node heard of its leader in term. It votes for no other node, nor stands for election, before that is one heartbeat
// time-out ago (see vow), unless the leader hands over or has died.
func (t *peerTransport) vouch(ctx context.Context, leader raft.ServerID, term uint64) (age time.Duration, err error) {
	if err := t.settle(ctx); err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.raft()
	if r == nil || t.sure != t.unsure || t.voting {
		return 0, retryLater("raft is busy")
	}
	contact := r.LastContact()
	_, id := r.LeaderWithID()
	if r.State() != raft.Follower || id != leader || r.CurrentTerm() != term {
		return 0, errNoWord
	}
	if age = time.Since(contact); age >= t.timing.heartbeat {
		return 0, errExpired
	}
	return age, nil
}

// settle waits for raft's main goroutine if need be.
func (t *peerTransport) settle(ctx context.Context) error {
	t.mu.Lock()
	unsure, sure := t.unsure, t.sure
	t.mu.Unlock()
	if sure == unsure {
		return nil
	}
	if err := t.idle(ctx); err != nil {
		return err
	}
	t.mu.Lock()
	t.sure = max(t.sure, unsure)
	t.mu.Unlock()
	return nil
}
