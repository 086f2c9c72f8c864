package fault

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/holdfast-lb/holdfast/chaos/disk"
)

func diskFaults() []*Fault {
	return []*Fault{
		ofDisk(Fault{Name: "slow-disk", Rows: []int{8}, Measure: Duration, Amounts: []Amount{0.02, 0.1, 0.5}, About: "each sync of the node's disk takes so much longer"},
			func(o Order) disk.Fault { return disk.Fault{SyncDelay: o.Amount.Time()} }),
		ofDisk(Fault{Name: "hung-disk", Rows: []int{9}, Ends: true, About: "writes and syncs of the node's disk do not end"}, func(Order) disk.Fault { return disk.Fault{Hang: true} }),
		ofDisk(Fault{Name: "full-disk", Rows: []int{7}, About: "the node's disk has no room for anything"}, func(Order) disk.Fault { return disk.Fault{Full: true} }),
		ofDisk(Fault{Name: "failed-sync", Rows: []int{10}, Ends: true, About: "the next sync of the node's disk fails; the node is to end, and is started again"},
			func(Order) disk.Fault { return disk.Fault{FailSyncs: 1} }),
	}
}

// ofDisk completes a fault of a node's disk.
func ofDisk(f Fault, which func(Order) disk.Fault) *Fault {
	f.Kind, f.Holds, f.Needs = OnNode, true, needsDisks
	f.inject = func(_ context.Context, field *Field, o Order) (Heal, error) {
		return hurtDisk(field, o, which(o), f.Ends)
	}
	return &f
}

// needsDisks: which scenario has such disks is said in its file; whether there can be any, by the machine.
func needsDisks(p Place) error {
	if err := disk.Missing(); err != nil {
		return err
	}
	if !p.Disks {
		return fmt.Errorf("%w: a scenario whose group has faultyDisks: true", ErrLacks)
	}
	return nil
}

// hurtDisk lets a fault happen to a node's disk. A node that ends because of it, where it may, is started when the disk is well again; where it has to go on, its end is a broken promise.
func hurtDisk(f *Field, o Order, what disk.Fault, ends bool) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	d := f.Disks[n.Name]
	if d == nil {
		return nil, fmt.Errorf("node %s has no disk that can be hurt", n.Name)
	}
	over, doubt := func() {}, f.Ledger.Doubt()
	if ends {
		over = f.Absent(n.Name)
	}
	failed := d.Failed()
	d.Set(what)
	return func(ctx context.Context) error {
		d.Set(disk.Fault{})
		if n.Alive() && d.Failed() > failed {
			// A node must not go on after a sync that failed; it may be about to end.
			select {
			case <-n.Process().Done():
			case <-ctx.Done():
				return fmt.Errorf("node %s goes on after a sync that failed", n.Name)
			}
		}
		again := startAgain(n, over, doubt)
		switch {
		case !n.Alive():
			f.Witness.Say(n.Name, n.Name+" has ended because of its disk")
			return errors.Join(endedFor(n, "its disk", doubts), again(ctx))
		case what.FailSyncs > 0:
			return cmp.Or(again(ctx), fmt.Errorf("%w: node %s has not synced anything", ErrNothing, n.Name))
		}
		return again(ctx)
	}, nil
}
