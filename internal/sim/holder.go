package sim

import (
	"context"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// holders knows who holds the virtual address, and that it is never two.
type holders struct {
	w *world

	mu    sync.Mutex
	until map[string]vip.Deadline
	last  string
	moves int
}

// hold is that a node takes or keeps the address until a deadline.
func (h *holders) hold(name string, until vip.Deadline) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := vip.Deadline(h.w.bootTime())
	for other, end := range h.until {
		if other != name && end > now {
			h.w.violated("nodes %s and %s hold the virtual address at once: the latter for %v more", name, other, time.Duration(end-now))
		}
	}
	if h.last != name {
		h.last = name
		h.moves++
		h.w.trace.add("%s holds the virtual address", name)
	}
	h.until[name] = until
}

func (h *holders) drop(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.until, name)
}

// present is who holds now; empty: nobody does.
func (h *holders) present() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, end := range h.until {
		if end > vip.Deadline(h.w.bootTime()) {
			return name
		}
	}
	return ""
}

// keeper is the guard of one process. It is a vip.Keeper.
type keeper struct {
	p      *process
	events chan vip.Event
	once   sync.Once
	gone   sync.Once

	mu     sync.Mutex
	frozen bool // the process does nothing, though its goroutines here go on
	missed bool // it would have dropped meanwhile
}

var _ vip.Keeper = (*keeper)(nil)

// Hold implements vip.Keeper.
func (k *keeper) Hold(_ context.Context, until vip.Deadline) error {
	if k.isFrozen() || k.p.dead.Load() || int64(until) <= k.p.m.w.bootTime() {
		return vip.ErrTooLate
	}
	k.p.m.w.holders.hold(k.p.m.name, until)
	return nil
}

// Prepare implements vip.Keeper.
func (k *keeper) Prepare(context.Context, vip.Deadline) ([]vip.Hop, error) { return nil, nil }

// Relay implements vip.Keeper.
func (k *keeper) Relay(context.Context, []vip.Hop) error { return vip.ErrNoRelay }

// Drop implements vip.Keeper. A process that is dead drops nothing: its guard does.
func (k *keeper) Drop(context.Context, time.Duration) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case k.frozen:
		k.missed = true
	case !k.p.dead.Load():
		k.p.m.w.holders.drop(k.p.m.name)
	}
	return nil
}

func (k *keeper) isFrozen() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.frozen
}

// freeze has the process neither take nor drop; thaw has it drop at last.
func (k *keeper) freeze(frozen bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.frozen = frozen
	if !frozen && k.missed && !k.p.dead.Load() {
		k.missed = false
		k.p.m.w.holders.drop(k.p.m.name)
	}
}

// Announce implements vip.Keeper.
func (k *keeper) Announce(context.Context) error { return nil }

// Probe implements vip.Keeper.
func (k *keeper) Probe(context.Context, time.Duration) ([]vip.Claim, error) { return nil, nil }

// Events implements vip.Keeper.
func (k *keeper) Events() <-chan vip.Event { return k.events }

// Close implements vip.Keeper.
func (k *keeper) Close() error {
	k.once.Do(func() { close(k.events) })
	return k.Drop(context.Background(), 0)
}

// letGo is the end of the guard: the address is dropped, and then the peer port closed.
func (k *keeper) letGo() {
	k.gone.Do(func() {
		k.p.m.w.holders.drop(k.p.m.name)
		k.p.m.w.net.closePort(k.p.m.addr)
	})
}
