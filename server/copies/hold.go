package copies

import (
	"context"
	"sync"
	"time"
)

// holdFor is how long a node throws nothing away after it was asked so, holdEvery how often it is asked again while that is to last.
const holdFor, holdEvery = time.Minute, 20 * time.Second

// Hold has no member that answers throw anything away until ctx ends, and up to a minute longer: for who reads the values of one moment, which others replace meanwhile. It returns when all members have been asked once.
func (c *Copies) Hold(ctx context.Context) {
	c.holdAll(ctx)
	go func() {
		tick := time.NewTicker(holdEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				c.holdAll(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
}

func (c *Copies) holdAll(ctx context.Context) {
	var all sync.WaitGroup
	for _, id := range c.opt.Members() {
		if id == c.opt.Self() {
			c.hold()
			continue
		}
		all.Go(func() {
			if _, err := c.ask(ctx, id, &question{op: opHold}); err != nil && ctx.Err() == nil {
				c.opt.Logger.Debug("a node was not asked to keep values for a while", "member", nameOf(id), "error", err)
			}
		})
	}
	all.Wait()
}

func (c *Copies) hold() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held = time.Now().Add(holdFor)
}

func (c *Copies) holds() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Before(c.held)
}
