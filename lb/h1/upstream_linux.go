package h1

import (
	"sync"
	"time"
)

// upstream is a connection to an instance. It belongs to one loop for its whole life.
type upstream struct {
	sock
	timer      timer // while it is kept
	origin     *Origin
	conn       *Conn // whose request it has; nil: it is kept
	connecting bool
	used       bool          // it has had a request
	since      time.Duration // when it was released last, or got its request
	next, prev *upstream
}

// pool are the connections of one loop to one origin that are kept without a request: the one that was used last comes first.
type pool struct {
	ring upstream
	n    int
}

// originPools knows the loops that have a pool of an origin.
type originPools struct {
	mu    sync.Mutex
	loops []*loop
}

func (l *loop) pool(o *Origin) *pool {
	p := l.pools[o]
	if p == nil {
		p = &pool{}
		p.ring.next, p.ring.prev = &p.ring, &p.ring
		l.pools[o] = p
		o.pools.mu.Lock()
		o.pools.loops = append(o.pools.loops, l)
		o.pools.mu.Unlock()
	}
	return p
}

// closeIdle has every loop drop what it keeps.
func (o *Origin) closeIdle() {
	o.pools.mu.Lock()
	loops := o.pools.loops
	o.pools.loops = nil
	o.pools.mu.Unlock()
	for _, l := range loops {
		l.post(command{kind: cmdForget, origin: o})
	}
}

// forget drops the pool of an origin that is closed.
func (l *loop) forget(o *Origin) {
	p := l.pools[o]
	if p == nil {
		return
	}
	for p.ring.next != &p.ring {
		l.dropUp(p.ring.next)
	}
	delete(l.pools, o)
}

// disown drops what is kept of u's origin and was idle already when u got its request. An end or a reset in place of u's answer may mean that the instance is another one by now, or
// that something between has forgotten the connections: those that were idle as long are of the same past, and each request on one would find that out for itself.
func (l *loop) disown(u *upstream) {
	p := l.pools[u.origin]
	if p == nil {
		return
	}
	for p.n > 0 && p.ring.prev.since <= u.since {
		l.dropUp(p.ring.prev)
	}
}

// connection gives one that is kept, unless a fresh one is wanted, or begins another. What an instance sent behind its response, a second one perhaps, must not become the answer to another client's request. So
// the kernel is asked just before the request is sent whether something has come: an event may tell of it too late, since a turn goes on for a while after its look at the events.
func (l *loop) connection(o *Origin, fresh bool) (*upstream, error) {
	for p := l.pools[o]; !fresh && p != nil && p.n > 0; {
		u := p.ring.next
		if !rawNothing(u.fd) {
			l.dropUp(u)
			continue
		}
		l.takeKept(u)
		l.wheel.cancel(&u.timer)
		o.reused.Add(1)
		return u, nil
	}
	fd, err := connectTo(o.addr)
	if err != nil {
		return nil, err
	}
	u := &upstream{origin: o, connecting: true}
	u.timer.up = u
	u.fd = fd
	u.slot = l.take(slotUp)
	l.slots[u.slot].up = u
	if err := l.register(fd, u.slot, socketEvents); err != nil {
		l.giveBack(u.slot)
		rawClose(fd)
		return nil, err
	}
	o.open.Add(1)
	o.dialled.Add(1)
	return u, nil
}

// takeKept takes one out that is kept.
func (l *loop) takeKept(u *upstream) {
	l.pools[u.origin].n--
	u.next.prev, u.prev.next = u.prev, u.next
	u.next, u.prev = nil, nil
}

// release ends the trip's use of its connection: it is kept when nothing is left on it that could be taken for a part of the next response.
func (l *loop) release(x *exchange) {
	u := x.up
	a := &x.answer.Answer
	if !a.KeepAlive || !x.request.done || x.cut || x.hung || x.response.surplus || u.blocked() || x.request.pipe != nil || u.is(ended|broken) || u.origin.closed.Load() || l.closing {
		l.dropOf(x)
		return
	}
	p := l.pool(u.origin)
	if p.n >= l.e.limits.OriginsKept {
		l.dropOf(x)
		return
	}
	x.up, u.conn = nil, nil
	u.next, u.prev = p.ring.next, &p.ring
	u.next.prev, p.ring.next = u, u
	p.n++
	u.since = l.now
	l.wheel.set(&u.timer, after(l.now, l.e.limits.OriginIdle))
	if u.is(canRead) { // no event will tell of what is there already
		if u.ready &^= canRead; !rawNothing(u.fd) {
			l.dropUp(u)
		}
	}
}

// dropOf closes the connection that the trip has, if any, and forgets what has come of an answer.
func (l *loop) dropOf(x *exchange) {
	l.returnPipe(&x.request)
	l.bufs.put(x.early)
	x.early = nil
	if x.up != nil {
		l.dropUp(x.up)
		x.up = nil
	}
}

// dropUp closes a connection to an instance.
func (l *loop) dropUp(u *upstream) {
	if u.next != nil {
		l.takeKept(u)
	}
	l.wheel.cancel(&u.timer)
	l.dropOut(&u.sock)
	l.giveBack(u.slot)
	rawClose(u.fd)
	u.origin.open.Add(-1)
}
