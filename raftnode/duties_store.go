package raftnode

import (
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	// sweepStoreEvery is how long a key may be there after its time when nothing else moves the replicated time. The data of sessions is looked at with the sweep of the sessions.
	sweepStoreEvery = time.Second
	sweepStoreBatch = 1000 // values in one command
)

// sweepStore removes the values of the store whose time is over.
func (n *Node) sweepStore(l *leadership) {
	for round := 1; l.until(sweepStoreEvery); round++ {
		from := fsm.SpaceKV
		if round%int(sweepEvery/sweepStoreEvery) == 0 {
			from = fsm.SpaceSessions
		}
		for more := true; more && l.ctx.Err() == nil; {
			over := n.state.StoreOver(from, n.GroupTime(), sweepStoreBatch)
			if more = len(over) == sweepStoreBatch; len(over) == 0 {
				break
			}
			if _, err := n.command(l, &fsm.StoreSweep{Keys: over}); err != nil {
				n.log.Debug("sweep the store", "error", err)
				break
			}
		}
	}
}
