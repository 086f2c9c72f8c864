package lb

import (
	"context"
	"sync"
	"time"
)

// contactPoll is how often a node looks whether it is in contact with its group. Who leads is known no finer than that.
const contactPoll = 20 * time.Millisecond

// contact knows since when this node has been in contact, without a break, with its group and with the instances. While it is cut off all that it finds out
// about instances is about itself; so what it found out before it was in contact again is no reason to move a session that the group has on record.
type contact struct {
	// group tells whether the group is there: a leader is known.
	group func() bool
	// regained is called when the node is in contact, for the first time or again.
	regained func(since time.Time)

	mu    sync.Mutex
	since time.Time // zero while out of contact
	deaf  bool      // not one listener of an instance answers
}

// contactState is contact at one moment.
type contactState struct {
	since time.Time // zero while out of contact
	deaf  bool
}

// look finds out how it is now.
func (c *contact) look() contactState {
	if c == nil {
		return contactState{}
	}
	group := c.group()
	c.mu.Lock()
	has, had := group && !c.deaf, !c.since.IsZero()
	switch {
	case !has:
		c.since = time.Time{}
	case !had:
		c.since = time.Now()
	}
	state := contactState{c.since, c.deaf}
	c.mu.Unlock()
	if has && !had && c.regained != nil {
		c.regained(state.since)
	}
	return state
}

// outdates reports whether what began then was overtaken: the node has been out of contact meanwhile, and is no more.
func (s contactState) outdates(begun time.Time) bool {
	return !s.since.IsZero() && begun.Before(s.since)
}

// hears notes whether any listener of an instance answers.
func (c *contact) hears(some bool) {
	if c == nil {
		return
	}
	c.mu.Lock()
	changed := c.deaf == some
	c.deaf = !some
	c.mu.Unlock()
	if changed {
		c.look()
	}
}

// run looks until ctx ends.
func (c *contact) run(ctx context.Context) {
	tick := time.NewTicker(contactPoll)
	defer tick.Stop()
	for {
		c.look()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// newContact makes that of a Balancer.
func (b *Balancer) newContact() *contact {
	group := b.opts.InContact
	if group == nil {
		group = b.recorder.Quorum
	}
	return &contact{group: group, regained: b.regained}
}

// regained has every listener that is out of service checked at once. A check that is under way began before, perhaps into the void; it is not waited for.
func (b *Balancer) regained(since time.Time) {
	checked := 0
	b.eachEndpoint(func(e *endpoint) bool {
		if !e.up() {
			e.prober.anew(since)
			checked++
		}
		return true
	})
	if checked > 0 {
		b.log.Info("this node is in contact again: what it has found unavailable is checked anew", "listeners", checked)
	}
}

// tried takes the outcome of a check or a request into account: nil when the listener answered.
func (b *Balancer) tried(failed *failedAttempt) {
	if failed == nil || !failed.silent {
		b.contact.hears(true)
		return
	}
	silent := false // of none at all nothing can be said
	b.eachEndpoint(func(e *endpoint) bool {
		last, _ := e.health.attempts()
		silent = !e.up() && last.silent
		return silent
	})
	if silent {
		b.contact.hears(false)
	}
}

// eachEndpoint calls f for the listeners of all instances until it returns false.
func (b *Balancer) eachEndpoint(f func(*endpoint) bool) {
	for _, c := range b.routing.Load().clusters {
		for _, in := range c.instances {
			for _, e := range *in.state.endpoints.Load() {
				if !f(e) {
					return
				}
			}
		}
	}
}
