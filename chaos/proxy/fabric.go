package proxy

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Any stands for every party.
const Any = "*"

// Who tells which party has dialled a connection: client is the dialler's end of it, server the other. Empty: nobody knows; only effects on Any concern it.
type Who func(client, server net.Addr) string

// Fabric is all the ways, and what is imposed on them.
type Fabric struct {
	who   Who
	seed  uint64
	rules atomic.Pointer[rules]

	relayed atomic.Uint64 // connections so far

	mu     sync.Mutex // for all below, and to replace rules
	next   int
	ways   []*way
	conns  map[*connection]bool
	closed bool
	done   chan struct{}
	all    sync.WaitGroup
}

// rules are what is imposed at one time. A value never changes.
type rules struct {
	list    []rule
	changed chan struct{} // closed when these are no longer the rules
}

type rule struct {
	id       int
	from, to string
	effect   Effect
}

// New gives a fabric without a way. What is random in it is drawn from the seed; when which piece arrives is the machine's.
func New(who Who, seed uint64) *Fabric {
	f := &Fabric{who: who, seed: seed, conns: map[*connection]bool{}, done: make(chan struct{})}
	f.rules.Store(&rules{changed: make(chan struct{})})
	return f
}

// Impose lets the effect happen to what from sends to to, either of which may be Any, until lift is called; calling that again does nothing.
func (f *Fabric) Impose(from, to string, e Effect) (lift func(), err error) {
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("from %s to %s: %w", from, to, err)
	}
	f.mu.Lock()
	f.next++
	id := f.next
	f.replace(append(slices.Clone(f.rules.Load().list), rule{id, from, to, e}))
	f.mu.Unlock()
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.replace(slices.DeleteFunc(slices.Clone(f.rules.Load().list), func(r rule) bool { return r.id == id }))
	}, nil
}

// Imposed is how many effects are in force.
func (f *Fabric) Imposed() int { return len(f.rules.Load().list) }

// replace changes the rules; mu is held.
func (f *Fabric) replace(list []rule) {
	old := f.rules.Load()
	f.rules.Store(&rules{list: list, changed: make(chan struct{})})
	close(old.changed)
}

// effect is what happens to what from sends to to.
func (r *rules) effect(from, to string) Effect {
	var e Effect
	for _, rule := range r.list {
		if (rule.from == Any || rule.from == from) && (rule.to == Any || rule.to == to) {
			e = e.and(rule.effect)
		}
	}
	return e
}

// Reset ends the connections between two parties, whoever dialled, with a reset to both; either may be Any. It gives their number.
func (f *Fabric) Reset(a, b string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	fits := func(want, have string) bool { return want == Any || want == have }
	for c := range f.conns {
		if fits(a, c.from) && fits(b, c.to) || fits(b, c.from) && fits(a, c.to) {
			c.reset()
			n++
		}
	}
	return n
}

// HangUp has a party end the connections to it on which nothing has come for so long since it has answered, in an orderly way, as a server does with those that wait for the next request. One on which a request is under way, or
// about to be, it leaves alone however long that takes. It gives their number.
func (f *Fabric) HangUp(to string, silent time.Duration) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, since := 0, time.Now().Add(-silent).UnixNano()
	for c := range f.conns {
		if c.to == to && c.answered.Load() && c.last.Load() <= since && c.hangUp() {
			n++
		}
	}
	return n
}

// Ending counts the connections to a party that it has hung up and the other side has not closed yet.
func (f *Fabric) Ending(to string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for c := range f.conns {
		if c.to == to && c.ending() {
			n++
		}
	}
	return n
}

// Connections counts those that are open from one party to another.
func (f *Fabric) Connections(from, to string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := 0
	for c := range f.conns {
		if (from == Any || from == c.from) && (to == Any || to == c.to) {
			n++
		}
	}
	return n
}

// Close ends everything and waits for it.
func (f *Fabric) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.done)
	}
	for _, w := range f.ways {
		w.shut()
	}
	for c := range f.conns {
		c.reset()
	}
	f.mu.Unlock()
	f.all.Wait()
}

// enter takes a connection in; false: the fabric is closed.
func (f *Fabric) enter(c *connection) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	f.conns[c] = true
	return true
}

func (f *Fabric) leave(c *connection) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.conns, c)
}
