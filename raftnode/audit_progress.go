package raftnode

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// A node may hear its leader and yet be of no use: it does not apply what the group commits, or what it asks the leader to record fails. Clients that are sent to it would get old answers, or none for new
// sessions. Such a node is found here, by what it sees itself, and is in quarantine for as long as that lasts: CauseFull when it is behind because its disk has no room, else CauseStuck. A node that hears no leader is no such case: then nobody can tell who is cut off.
// Nor is one that has not had all that its leader had since it was started: it is not in service yet, and a restart would only have it begin anew.

const (
	// progressEvery is how often a node looks, and a follower asks its leader how far the group is.
	progressEvery = time.Second
	// startEvery is how often it looks until it has caught up after its start.
	startEvery = progressEvery / 10
	// stuckAfter is for how long a node may apply nothing while the group goes on, or apply one batch.
	stuckAfter = 3 * time.Second
	// refillAfter is how long after there is room on its disk again a node that was full may apply nothing: the leader, whose entries it has refused, tries again after 10 s at the latest (raft's backoff).
	refillAfter = 15 * time.Second
	// unheardAfter is for how long nothing may come of what a node asks its leader.
	unheardAfter = 5 * time.Second
	// failedLeast is how many attempts to record must have failed in that time.
	failedLeast = 3
)

// progress gathers what the watch looks at.
type progress struct {
	caught   atomic.Bool               // see pace.caughtUp
	applying atomic.Pointer[time.Time] // since when a batch of entries is being applied; nil: none is

	mu      sync.Mutex
	failing time.Time // since when all attempts to record have failed; zero: the last one has not
	fails   int
	failAt  uint64 // what was applied then
	reason  string
}

// beginApply notes that entries are being applied; what it gives ends that. A nil progress notes nothing.
func (p *progress) beginApply() (end func()) {
	if p == nil {
		return func() {}
	}
	now := time.Now()
	p.applying.Store(&now)
	return func() { p.applying.Store(nil) }
}

// outcome notes how an attempt of this node to have something recorded has ended. A refusal is an answer.
func (p *progress) outcome(err error, applied uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		p.failing, p.fails, p.reason = time.Time{}, 0, ""
	case p.failing.IsZero():
		p.failing, p.failAt = time.Now(), applied
		fallthrough
	default:
		p.fails++
		p.reason = err.Error()
	}
}

// noteOutcome notes an attempt of this node at whoever leads; one that was broken off, or came to nothing because another node leads, says nothing of this node.
func (n *Node) noteOutcome(ctx context.Context, err error) {
	var f *failure
	switch {
	case errors.Is(err, ErrRefused), errors.Is(err, ErrNoRoom):
		err = nil
	case errors.Is(ctx.Err(), context.Canceled), errors.As(err, &f) && f.code == failNotLeader:
		return
	}
	n.audit.progress.outcome(err, n.state.Applied())
}

// failed is for how long nothing could be recorded, though others' entries came, and why; 0 when that is not so.
func (p *progress) failed(now time.Time, applied uint64) (time.Duration, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failing.IsZero() || p.fails < failedLeast || applied <= p.failAt {
		return 0, ""
	}
	return now.Sub(p.failing), p.reason
}

// sight is what a node sees of its own progress at one moment.
type sight struct {
	full     string // why this node takes nothing new because of its disk; empty: it does
	now      time.Time
	applied  uint64        // here
	applying time.Duration // for how long one batch has been; 0: none is
	restore  bool          // a whole state comes from the leader
	leads    bool          // this node does
	follows  bool          // another node leads, and is heard
	leader   leaderInfo    // it
	answered bool          // it has answered this node's request
	theirs   uint64        // what it has applied
	failed   time.Duration // see progress.failed
	reason   string
}

// pace remembers from one sight to the next.
type pace struct {
	last    time.Time // of the last sight
	since   time.Time // when applied was as it is, and less than target
	applied uint64
	target  uint64
	unheard time.Time // since when the leader does not answer
	goal    *uint64   // what the leader had when it answered first since the start
	caught  bool      // it has had that since, or has led
	refill  *uint64   // what the leader had when there was room on the disk again
	kind    stuckness // the last one
	text    string    // what was said of it first
}

// stuckness is a way to be stuck.
type stuckness int

const (
	notStuck      stuckness = iota
	stuckApplying           // one batch takes too long
	stuckUnheard            // the leader does not answer
	stuckBehind             // nothing is applied
	stuckRecord             // nothing is recorded
	stuckFull               // the disk has no room
	stuckRefill             // it has room again, and what came meanwhile is not here yet
)

// step says in which way the node is stuck, and why, or nothing. While it is so in one way the words stay the same: they say since when, and become events.
func (p *pace) step(s sight) (stuckness, string) {
	kind, text := p.judge(s)
	if kind != p.kind {
		p.kind, p.text = kind, text
	}
	return p.kind, p.text
}

// cause is that of the quarantine of a node that is stuck in this way.
func (k stuckness) cause() Cause {
	if k == stuckFull || k == stuckRefill {
		return CauseFull
	}
	return CauseStuck
}

func (p *pace) judge(s sight) (stuckness, string) {
	paused := !p.last.IsZero() && s.now.Sub(p.last) > 3*progressEvery // this process stood still: what it has missed says nothing
	p.last = s.now
	if !s.follows || paused {
		p.unheard, p.since, p.target, p.applied = time.Time{}, s.now, 0, s.applied
		if paused {
			return notStuck, ""
		}
	}
	if !p.caughtUp(s) {
		p.unheard, p.since, p.target, p.applied = time.Time{}, s.now, 0, s.applied
		return notStuck, ""
	}
	if s.applying >= stuckAfter {
		return stuckApplying, fmt.Sprintf("it has been applying what the group committed behind log index %d since %s", s.applied, atTime(s.now.Add(-s.applying)))
	}
	if !s.follows {
		return notStuck, ""
	}
	switch p.full(s) {
	case stuckFull:
		return stuckFull, s.full
	case stuckRefill:
		return stuckRefill, "there is room on its disk again, and it is catching up with its group"
	}
	if !s.answered {
		if p.unheard.IsZero() {
			p.unheard = s.now
		}
		if s.now.Sub(p.unheard) >= unheardAfter {
			return stuckUnheard, fmt.Sprintf("the leader is heard, and has not answered what this node asks it since %s: nothing can be recorded here", atTime(p.unheard))
		}
		return notStuck, ""
	}
	p.unheard = time.Time{}
	switch {
	case s.restore || s.applied != p.applied || s.applied >= p.target:
		p.applied, p.target, p.since = s.applied, s.theirs, s.now
	case s.now.Sub(p.since) >= stuckAfter:
		return stuckBehind, fmt.Sprintf("it has applied nothing behind log index %d since %s, when the group was at %d", s.applied, atTime(p.since), p.target)
	}
	if s.failed >= unheardAfter {
		return stuckRecord, fmt.Sprintf("nothing that it asks for has been recorded since %s, while the group goes on: %s", atTime(s.now.Add(-s.failed)), clipText(s.reason, maxLabel))
	}
	return notStuck, ""
}

// full tells whether this node is behind because its disk has no room, or had none and is not back where the group was when there was room again. Full and not behind it is as good as any: what it knows is what there is.
func (p *pace) full(s sight) stuckness {
	was := p.kind == stuckFull || p.kind == stuckRefill
	moved := s.applied != p.applied
	if s.full != "" {
		p.refill = nil
		if was || s.answered && !moved && s.theirs > s.applied {
			return stuckFull
		}
		return notStuck
	}
	if !was {
		return notStuck
	}
	if moved || p.refill == nil {
		p.applied, p.target, p.since = s.applied, s.theirs, s.now
	}
	if p.refill == nil && s.answered {
		p.refill = &s.theirs
	}
	if (p.refill == nil || s.applied < *p.refill) && s.now.Sub(p.since) < refillAfter {
		return stuckRefill
	}
	return notStuck // or, if nothing has come, stuck in another way
}

// caughtUp tells whether this node has had all that its group had at its start. What the leader has now is no measure: under load that is always a little more.
func (p *pace) caughtUp(s sight) bool {
	if p.goal == nil && s.answered {
		p.goal = &s.theirs
	}
	p.caught = p.caught || s.leads || p.goal != nil && !s.restore && s.applied >= *p.goal
	return p.caught
}

// atTime is a time of day for words that last.
func atTime(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// watchProgress looks until ctx ends.
func (n *Node) watchProgress(ctx context.Context) {
	var p pace
	for {
		s := n.look(ctx)
		kind, why := p.step(s)
		if !p.unheard.IsZero() && s.now.Sub(p.unheard) >= stuckAfter {
			n.pool.drop(s.leader.addr, nameOf(s.leader.id), errUnheard) // the connection may be dead, while others between the two nodes are not
		}
		n.judged(kind, why)
		n.audit.progress.caught.Store(p.caught)
		every := progressEvery
		if !p.caught {
			every = startEvery
		}
		select {
		case <-time.After(every):
		case <-ctx.Done():
			return
		}
	}
}

// judged puts this node in quarantine for the way in which it is stuck, and ends what holds no more.
func (n *Node) judged(kind stuckness, why string) {
	if kind != notStuck {
		if kind.cause() != CauseFull {
			why = fmt.Sprintf("%s; restart it, and if that does not help 'holdfast node resync %s' or 'holdfast node remove %s'", why, n.opt.Name, n.opt.Name)
		}
		n.confine(Quarantine{Cause: kind.cause(), Index: n.state.Applied(), Text: why})
		n.stepAside()
	}
	if kind == notStuck || kind.cause() != CauseFull {
		n.free(CauseFull, "there is room on its disk, and it has caught up")
	}
	if kind == notStuck || kind.cause() != CauseStuck {
		n.free(CauseStuck, "it goes on")
	}
}

var errUnheard = errors.New("the leader does not answer")

// look sees how things are, and asks the leader, for at most progressEvery.
func (n *Node) look(ctx context.Context) sight {
	s := sight{full: n.diskFull(), now: time.Now(), applied: n.state.Applied(), restore: n.trans.installing.Load() || n.state.Group() == nil}
	if since := n.audit.progress.applying.Load(); since != nil {
		s.applying = s.now.Sub(*since)
	}
	s.failed, s.reason = n.audit.progress.failed(s.now, s.applied)
	at, _ := n.watch.get()
	s.leader = at
	s.leads = at.known && at.self
	if s.follows = at.known && !at.self; !s.follows {
		return s
	}
	ctx, cancel := context.WithTimeout(ctx, progressEvery)
	defer cancel()
	a, err := n.askDigest(ctx, raft.Server{ID: at.id, Address: raft.ServerAddress(at.addr)}, 0)
	var said *failure
	if errors.As(err, &said) { // an answer all the same; of an older version, perhaps
		s.answered = true
		return s
	}
	if err != nil {
		if now, _ := n.watch.get(); now != at { // it was lost meanwhile, or is another one
			s.follows = false
		}
		return s
	}
	s.answered, s.theirs = true, a.Applied
	return s
}

// stepAside has another node lead when this one does.
func (n *Node) stepAside() {
	if n.lead.Load() == nil || !n.audit.mending.TryLock() {
		return
	}
	n.goRun(func(ctx context.Context) {
		defer n.audit.mending.Unlock()
		others, _ := n.otherVoters()
		if len(others) > 0 {
			n.abdicate(ctx, others)
		}
	})
}
