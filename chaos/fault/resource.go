package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func resourceFaults() []*Fault {
	return []*Fault{
		{Name: "few-files", Kind: OnNode, Rows: []int{28}, Holds: true, Measure: Count, Amounts: []Amount{1, 8, 32}, About: "the node may open so many files and connections more than it has, and no more", inject: fewFiles},
	}
}

func fewFiles(_ context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	pid := n.Process().Pid()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return nil, fmt.Errorf("how many files it has open: %w", err)
	}
	var before unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before); err != nil {
		return nil, fmt.Errorf("read its limit: %w", err)
	}
	few := before
	few.Cur = min(before.Cur, uint64(len(open))+uint64(o.Amount))
	if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil); err != nil {
		return nil, fmt.Errorf("lower its limit: %w", err)
	}
	doubt := f.Ledger.Doubt()
	return func(context.Context) error {
		defer doubt()
		err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil)
		if errors.Is(err, syscall.ESRCH) {
			return nil // it has ended since
		}
		return err
	}, nil
}
