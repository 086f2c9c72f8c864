package copies

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/storage/shelf"
)

const (
	// keepEvery is how often a node looks whether it has what it should have, and what it need not have.
	keepEvery = 3 * time.Second
	// syncWait bounds the wait for what the group has acknowledged: without that nothing is thrown away.
	syncWait = 5 * time.Second
	// paceBytes bounds how much is copied in a second to mend what is lacking, beside what clients write and read.
	paceBytes = 32 << 20
)

// Run keeps what this member should have, until ctx ends.
func (c *Copies) Run(ctx context.Context) {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		c.Look(ctx)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// Look fetches what is lacking here and throws away what is not needed, once.
func (c *Copies) Look(ctx context.Context) {
	if _, values, _ := c.opt.State.StoreHoldings(); values == 0 {
		if kept, _ := c.opt.Shelf.Usage(); kept == 0 {
			c.opt.State.StoreDropped()
			c.setMissing(0)
			return
		}
	}
	known := c.opt.Shelf.Now() // what comes from here on the state may not name yet, however long this takes
	limited, cancel := context.WithTimeout(ctx, syncWait)
	err := c.opt.Sync(limited)
	cancel()
	own := c.own()
	c.dropped()     // after that, so that nobody has put anew what is thrown away by it
	if err == nil { // otherwise the state may be an old one: what it does not name may be named by now
		c.sweep(known, own)
	}
	c.fetch(ctx, own)
}

// sweep throws away what is not among own, which is what the state says at known or later.
func (c *Copies) sweep(known time.Time, own map[shelf.Hash]*fsm.Copy) {
	if c.holds() || c.opt.Refuses() != nil || !slices.Contains(c.opt.Members(), c.opt.Self()) {
		return // the state may be a wrong one, or somebody reads an old one
	}
	values, size := c.opt.Shelf.Sweep(known, func(h shelf.Hash) bool { return own[h] != nil })
	c.met.swept.Add(float64(values))
	if values > 0 {
		c.opt.Logger.Debug("values that nothing names any more were thrown away", "values", values, "bytes", size)
	}
}

// dropped tells the shelf of values that were named, and are not any more, between two looks: without that they would count as never named, and stay for long.
func (c *Copies) dropped() {
	self := c.opt.Self()
	for _, of := range c.opt.State.StoreDropped() {
		if slices.Contains(of.Holders, self) {
			c.opt.Shelf.Dropped(of.Hash)
		}
	}
}

// own are the values that this member should have, by their hashes.
func (c *Copies) own() map[shelf.Hash]*fsm.Copy {
	self := c.opt.Self()
	own := make(map[shelf.Hash]*fsm.Copy)
	c.opt.State.StoredCopies(func(v *fsm.Stored) bool {
		for _, id := range v.Copy.Holders {
			if id == self {
				own[v.Copy.Hash] = v.Copy
			}
		}
		return true
	})
	return own
}

// fetch gets what is lacking here from the others that should have it. What cannot be had is asked for again with the next look; the leader decides what is lost.
func (c *Copies) fetch(ctx context.Context, own map[shelf.Hash]*fsm.Copy) {
	missing := 0
	silent := map[string]bool{} // members that have not answered: to wait for them with each value would be in the way of those that others have
	for h, of := range own {
		if c.opt.Shelf.Has(h) {
			continue
		}
		if err := c.fetchOne(ctx, of, silent); err != nil {
			missing++
			c.opt.Logger.Debug("a value that this node should have cannot be fetched", "error", err)
			if ctx.Err() != nil {
				return
			}
			continue
		}
		c.met.mended.Inc()
		pause(ctx, int(of.Size))
	}
	c.setMissing(missing)
}

func (c *Copies) fetchOne(ctx context.Context, of *fsm.Copy, silent map[string]bool) error {
	var failed []error
	for _, id := range of.Holders {
		if id == c.opt.Self() {
			continue
		}
		if silent[id] {
			failed = append(failed, ErrAway)
			continue
		}
		data, err := c.get(ctx, id, of)
		if err == nil {
			return c.keep(of.Hash, data)
		}
		silent[id] = c.isDown(id)
		failed = append(failed, err)
	}
	return errors.Join(append(failed, shelf.ErrAbsent)...)
}

func (c *Copies) setMissing(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.missing = n
}

// Missing is how many values this node should have and could not fetch when it looked last.
func (c *Copies) Missing() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.missing
}

// pause takes as long as copying so many bytes may.
func pause(ctx context.Context, size int) {
	t := time.NewTimer(time.Duration(size) * time.Second / paceBytes)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
