package chaos

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/ledger"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// settleTime bounds how long a healed group may take to be one again (reliability: 30 s after the last fault).
const settleTime = 30 * time.Second

// settled waits until all nodes have one state, and returns its hash. A group that does not get there breaks a promise.
func settled(ctx context.Context, g *group.Group, l *ledger.Ledger) (string, error) {
	limited, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	hash, err := g.Equal(limited)
	if err != nil && ctx.Err() == nil {
		l.Violate(ledger.Diverged, nil, "%v", err)
		return "", nil
	}
	return hash, err
}

// pendingTime bounds how long provisional sessions may take to be recorded once there is a quorum.
const pendingTime = 10 * time.Second

// tables holds every node's whole table against the ledger and returns how many sessions the worst node has right. The keys of
// the sessions must be known, see group.Keys. Only provisional sessions may still be on their way: when there are any, they get
// pendingTime to arrive.
func tables(ctx context.Context, g *group.Group, l *ledger.Ledger, provisional int) (kept int, err error) {
	patience := pendingTime
	if provisional == 0 {
		patience = 0
	}
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	dumps := make([]map[string]ledger.Place, len(g.Nodes))
	_ = proc.Poll(limited, 200*time.Millisecond, func() error { // running out of time is no error: the check below tells
		if dumps, err = dumpAll(ctx, g); err != nil {
			return nil
		}
		for i, n := range g.Nodes {
			if lacks := l.Lacks(dumps[i]); lacks > 0 {
				return fmt.Errorf("node %s lacks %d", n.Name, lacks)
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	kept = l.Len()
	for i, n := range g.Nodes {
		found, _ := l.CheckTable(n.Name, dumps[i])
		kept = min(kept, found)
	}
	return kept, nil
}

func dumpAll(ctx context.Context, g *group.Group) ([]map[string]ledger.Place, error) {
	dumps := make([]map[string]ledger.Place, len(g.Nodes))
	errs := make([]error, len(g.Nodes))
	var all sync.WaitGroup
	for i, n := range g.Nodes {
		all.Go(func() { dumps[i], errs[i] = n.Dump(ctx) })
	}
	all.Wait()
	return dumps, errors.Join(errs...)
}
