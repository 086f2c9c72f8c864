package lb

import (
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	touchParts    = 16 // of idleTimeout: a session is touched at most once in each
	touchInFlight = 1024
)

// touching holds the keys whose touch is on its way, so that parallel requests of a session send one.
type touching struct {
	mu   sync.Mutex
	keys map[fsm.Key]*commit
}

// touch marks the session of the request as in use when its record is old enough. The response waits for it when the record
// is older than half the idle timeout: sessions go at 1.5 of it, so none goes before its time. The clock is this node's or the
// group's, whichever is further on: the time that counts, the one in the record, is written by the leader.
func (x *exchange) touch() {
	if co, must := x.inquiry.touch(x.start); must {
		x.touched = co
	}
}

// touch does so at the given time; must tells that the response waits for the commit, if there is one.
func (q *inquiry) touch(now time.Time) (co *commit, must bool) {
	due, must := q.touchDue(now)
	if !due {
		return nil, false
	}
	co = q.mark()
	return co, must && co != nil
}

// mark begins a touch, or notes that it is owed: nil.
func (q *inquiry) mark() *commit {
	if !q.b.recorder.Quorum() {
		q.b.pending.put(fsm.SessionOp{Kind: fsm.OpTouch, Key: q.s.key, Module: q.mod.id})
		return nil
	}
	return q.b.beginTouch(q.s, q.mod)
}

// touchDue reports whether the record is old enough for a touch, and whether the response must wait for that.
func (q *inquiry) touchDue(now time.Time) (due, must bool) {
	if !q.s.inTable {
		return false, false
	}
	if group := q.b.view.Now(); group.After(now) {
		now = group
	}
	age, idle := now.Sub(time.Unix(fsm.SeenEpoch+int64(q.s.seen), 0)), q.mod.cluster.idle
	return age > idle/touchParts, age > idle/2
}

// beginTouch sends a touch, or joins the one that is on its way. When too many are, or when it fails, the touch is owed: nil, or a commit
// that ends without it.
func (b *Balancer) beginTouch(s session, m *module) *commit {
	c := m.cluster
	t := &b.touching
	t.mu.Lock()
	defer t.mu.Unlock()
	if co, ok := t.keys[s.key]; ok {
		return co
	}
	owed := fsm.SessionOp{Kind: fsm.OpTouch, Key: s.key, Module: m.id}
	if len(t.keys) >= touchInFlight {
		b.pending.put(owed)
		return nil
	}
	co := &commit{op: owed, done: make(chan struct{})}
	started := b.tasks.start(func() {
		res, err := b.record(b.ctx, co.op)
		if err == nil && res.Code == fsm.CodeAbsent { // it expired meanwhile, and is in use
			again := fsm.SessionOp{Kind: fsm.OpAssign, Key: s.key, Instance: s.instance, Reason: fsm.ReasonRevived, Module: m.id}
			if _, err = b.record(b.ctx, again); err != nil && c.provisional {
				b.pending.put(again)
			}
		}
		if err != nil {
			b.pending.put(owed)
			b.log.Debug("session not touched", "cluster", c.name, "error", err)
		}
		t.mu.Lock()
		delete(t.keys, s.key)
		t.mu.Unlock()
		close(co.done)
	})
	if !started {
		return nil
	}
	t.keys[s.key] = co
	return co
}

// keepInUse touches the session of a tunnel for as long as the tunnel lasts: it may outlive the record by hours, and the session must be found
// when its next request comes. Call the result at the end.
func (x *exchange) keepInUse() (stop func()) {
	b, s, m := x.b, x.s, x.mod
	c := m.cluster
	if x.commit != nil { // the session began with this request
		s = session{key: x.commit.op.Key, keyed: true, instance: x.in.id}
	}
	if !s.keyed || s.instance == 0 {
		return func() {}
	}
	var mu sync.Mutex // orders the first firing after the assignment of timer, and stop after all
	var timer *time.Timer
	ended := false
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(c.idle/4, func() {
		mu.Lock()
		defer mu.Unlock()
		if ended {
			return
		}
		if b.recorder.Quorum() {
			b.beginTouch(s, m)
		} else {
			b.pending.put(fsm.SessionOp{Kind: fsm.OpTouch, Key: s.key, Module: m.id})
		}
		timer.Reset(c.idle / 4)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		ended = true
		timer.Stop()
	}
}
