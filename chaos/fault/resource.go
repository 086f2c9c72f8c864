package fault

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

func resourceFaults() []*Fault {
	return []*Fault{
		{Name: "few-files", Kind: OnNode, Rows: []int{28}, Holds: true, Measure: Count, Amounts: []Amount{1, 8, 32}, About: "the node may open so many files and connections more than it has, and no more", inject: fewFiles},
		{Name: "few-ports", Kind: OnNode, Planned: true, Only: Netns, Needs: needsLAN, Rows: []int{30}, Holds: true, Measure: Count, Amounts: []Amount{1, 2, 4},
			About: "the node's machine has so many local ports for new connections to any one address, and no more", inject: fewPorts},
		{Name: "little-memory", Kind: OnNode, Planned: true, Rows: []int{29}, Holds: true, Measure: Count, Amounts: []Amount{4, 16},
			About: "restarted with a goal of so many MiB for its memory that it cannot reach (GOMEMLIMIT); healed by a restart without", inject: littleMemory},
		{Name: "no-memory", Kind: OnNode, Rows: []int{29}, Holds: true, Ends: true, Measure: Count, Amounts: []Amount{16, 48},
			About: "restarted so that it gives no memory back (GOGC=off), with a limit of so many MiB more than it has then (RLIMIT_DATA): it ends when some allocation fails; healed by a start", inject: noMemory},
	}
}

func fewFiles(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	short, err := shortOf(ctx, n, "files")
	if err != nil {
		return nil, err
	}
	p := n.Process()
	pid := p.Pid()
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
	return func(ctx context.Context) error {
		defer doubt()
		err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil)
		if errors.Is(err, syscall.ESRCH) || !p.Alive() {
			return nil // it has ended since
		}
		if err != nil {
			return err
		}
		return f.wasShort(ctx, n, "files", short)
	}, nil
}

// wasShort says that nothing came of a fault when the node was not short of something meanwhile, by its own count, or cannot be asked.
func (f *Field) wasShort(ctx context.Context, n *group.Node, what string, before int) error {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	after := 0
	err := proc.Poll(limited, 200*time.Millisecond, func() (err error) {
		after, err = shortOf(limited, n, what)
		return err
	})
	if err != nil {
		return fmt.Errorf("%w that can be shown: whether %s was short of %s is not known: %w", ErrNothing, n.Name, what, err)
	}
	if after == before {
		return fmt.Errorf("%w: %s was never short of %s, by its own count", ErrNothing, n.Name, what)
	}
	f.Witness.Say(n.Name, fmt.Sprintf("%s was short of %s %d times, by its own count", n.Name, what, after-before))
	return nil
}

// fewPorts says nothing of instances: that the node cannot connect to them is its own fault, and none of their sessions may move for it. A node that is short for a while hands over what it holds, as it does when it is
// stopped.
func fewPorts(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	before, err := shortOf(ctx, n, "ports")
	if err != nil {
		return nil, err
	}
	doubt := f.Ledger.Doubt()
	heal, err := f.Stage.LAN().FewPorts(n.Name, int(o.Amount))
	if err != nil {
		doubt()
		return nil, err
	}
	return func(ctx context.Context) error {
		defer doubt()
		if err := heal(); err != nil {
			return err
		}
		return f.wasShort(ctx, n, "ports", before)
	}, nil
}

// shortOf is how often a node was short of something, by its own count.
func shortOf(ctx context.Context, n *group.Node, what string) (times int, err error) {
	metrics, err := n.Client.Metrics(ctx)
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(metrics), "\n") {
		if rest, found := strings.CutPrefix(line, `holdfast_node_shortages_total{of="`+what+`"} `); found {
			return strconv.Atoi(rest)
		}
	}
	return 0, nil // never yet
}
