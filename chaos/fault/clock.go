package fault

import (
	"context"
	"fmt"
	"os"

	"github.com/holdfast-lb/holdfast/chaos/vip/warp"
)

func clockFaults() []*Fault {
	return []*Fault{
		{Name: "clock", Kind: OnNode, Rows: []int{15}, Holds: true, Measure: Offset, Amounts: []Amount{3600, -3600, 86400, -86400, 30, -30}, Needs: needsClock,
			About: "the wall clock of the node's process jumps; healed by a jump back", inject: clock},
		{Name: "clock-strobe", Kind: OnNode, Rows: []int{15}, Holds: true, Measure: Offset, Amounts: []Amount{3600, -3600}, Needs: needsClock,
			About: "the wall clock of the node's process jumps there and back several times in a second", inject: strobe},
	}
}

// needsClock tries it on this very process's image: what a process's clock needs is the right to write into it.
func needsClock(Place) error {
	if !warp.Supported() {
		return warp.ErrArchitecture
	}
	mem, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("the clock of a process cannot be set here: %w", err)
	}
	return mem.Close()
}

// clockOf takes the clock of a node's present process into hand, once in its life.
func (f *Field) clockOf(o Order) (*warp.Clock, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	pid := n.Process().Pid()
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.clocks[pid]; c != nil {
		return c, nil
	}
	c, err := warp.Take(pid)
	if err != nil {
		return nil, err
	}
	if f.clocks == nil {
		f.clocks = map[int]*warp.Clock{}
	}
	f.clocks[pid] = c
	return c, nil
}

// Close gives back what the field has taken into hand.
func (f *Field) Close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.clocks {
		_ = c.Close()
	}
	f.clocks = nil
}

// right sets the clock right; one of a process that has ended is nobody's.
func right(f *Field, o Order, c *warp.Clock) Heal {
	n, pid := f.Stage.Group.ByName(o.Target), 0
	if n != nil {
		pid = n.Process().Pid()
	}
	return func(context.Context) error {
		err := c.Set(0)
		if err != nil && (n.Process().Pid() != pid || !n.Alive()) {
			return nil
		}
		return err
	}
}

func clock(_ context.Context, f *Field, o Order) (Heal, error) {
	c, err := f.clockOf(o)
	if err != nil {
		return nil, err
	}
	if err := c.Set(o.Amount.Time()); err != nil {
		return nil, err
	}
	return right(f, o, c), nil
}

func strobe(_ context.Context, f *Field, o Order) (Heal, error) {
	c, err := f.clockOf(o)
	if err != nil {
		return nil, err
	}
	back := right(f, o, c)
	return background(func(ctx context.Context) error {
		for off := o.Amount.Time(); ; off = o.Amount.Time() - off {
			if err := c.Set(off); err != nil {
				return back(ctx)
			}
			if err := pause(ctx, turn); err != nil {
				return err
			}
		}
	}, back), nil
}
