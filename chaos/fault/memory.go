package fault

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/chaos/group"
)

const mebibyte = 1 << 20

// littleMemory restarts a node in an orderly way so that its collector has a goal that it cannot reach (GOMEMLIMIT): it works as much as it is ever allowed to. The node has to do everything all the same.
func littleMemory(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	doubt := f.Ledger.Doubt()
	again := func(ctx context.Context, environment ...string) error {
		defer f.Absent(n.Name)() // in between it is to run: should it end for want of memory, that is a broken promise
		n.Env = environment
		return errors.Join(end(ctx, n), startAgain(n)(ctx))
	}
	back := func(ctx context.Context) error {
		defer doubt()
		return again(ctx)
	}
	if err := again(ctx, fmt.Sprintf("GOMEMLIMIT=%dMiB", int(o.Amount))); err != nil {
		return nil, errors.Join(err, back(ctx))
	}
	return back, nil
}

// usedUp bounds how long it takes until a node has used up what it may have. It waits for clients.
const usedUp = time.Minute

// noMemory restarts a node so that it never gives memory back (GOGC=off), and lets it have so much more than it begins with and no more: some allocation fails, wherever it is, and the process ends there. It counts only if
// that is what ended it.
func noMemory(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	back := startAgain(n, over, doubt)
	if err := f.useUp(ctx, n, int(o.Amount)); err != nil {
		n.Kill()
		return nil, errors.Join(err, back(ctx))
	}
	f.Witness.Say(n.Name, n.Name+" has ended for want of memory")
	return back, nil
}

// useUp waits until a node has ended for want of memory.
func (f *Field) useUp(ctx context.Context, n *group.Node, more int) error {
	n.Env = []string{"GOGC=off"}
	err := end(ctx, n)
	if err == nil {
		err = n.Start()
	}
	n.Env = nil
	if err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, usedUp)
	defer cancel()
	if err := n.Ready(limited); err != nil {
		return err
	}
	p := n.Process()
	has, err := dataOf(p.Pid())
	if err != nil {
		return err
	}
	most := has + uint64(more)*mebibyte
	if err := unix.Prlimit(p.Pid(), unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}, nil); err != nil {
		return fmt.Errorf("bound its memory: %w", err)
	}
	select {
	case <-p.Done():
	case <-limited.Done():
		return fmt.Errorf("node %s has not used up %d MiB: %w", n.Name, more, context.Cause(limited))
	}
	// What the runtime says comes before the stacks of all goroutines, of which there may be a MiB.
	said := p.Tail(1_000_000, func(line string) bool {
		return !strings.Contains(line, "out of memory") && !strings.Contains(line, "cannot allocate memory")
	})
	if !strings.Contains(said, "memory") {
		return brokenIf(ctx, fmt.Errorf("node %s has ended, and not for want of memory: %v\n%s", n.Name, p.Err(), p.Tail(10, nil)))
	}
	return nil
}

// dataOf is how many bytes of a process count for RLIMIT_DATA.
func dataOf(pid int) (uint64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("how much memory it has: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if rest, found := strings.CutPrefix(lines.Text(), "VmData:"); found {
			kibibytes, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kibibytes << 10, err
		}
	}
	return 0, errors.New("how much memory it has: the kernel does not say")
}
