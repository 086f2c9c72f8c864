package field

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// System is what has the virtual address on the three nodes.
type System interface {
	Name() string
	// Start starts all nodes; StartNode one whose processes have ended.
	Start(ctx context.Context) error
	StartNode(ctx context.Context, i int) error
	// Ready waits until every node would take over.
	Ready(ctx context.Context) error
	// Processes are those of a node that run now.
	Processes(i int) Processes
	// Stop tells a node to end in an orderly way and does not wait.
	Stop(i int) error
	// Tails are the last lines of what the nodes said.
	Tails() string
	// Close ends all.
	Close()
}

// Processes of a node, by id.
type Processes struct {
	Main []int
	// Guard are those beside the main ones that enforce that the address goes.
	Guard []int
}

// All are all of them, the guards first: together they are killed or frozen before the main ones could notice.
func (p Processes) All() []int { return append(append([]int(nil), p.Guard...), p.Main...) }

// signal sends a signal to processes that were started here. One that has ended is no error.
func signal(pids []int, s syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("signal %d to process %d: %w", s, pid, err))
		}
	}
	return errors.Join(errs...)
}

// children are the descendants of a process.
func children(pid int) (all []int) {
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, path := range lists {
		text, _ := os.ReadFile(path)
		for field := range strings.FieldsSeq(string(text)) {
			if child, err := strconv.Atoi(field); err == nil {
				all = append(append(all, child), children(child)...)
			}
		}
	}
	return all
}

// in is the specification of a process in a namespace. `ip netns exec` becomes the program, so that the process id is that of the program.
func in(ns *netlab.NS, s proc.Spec) proc.Spec {
	s.Args = append([]string{"netns", "exec", filepath.Base(ns.Path), s.Path}, s.Args...)
	s.Path = "ip"
	return s
}
