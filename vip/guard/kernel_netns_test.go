//go:build netns

package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/calm"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/vip"
)

func init() {
	processes["vip-guard"] = func([]string) error { return Main(nil) }
	processes["kernel-parent"] = func([]string) error { return kernelParent() }
}

const vip4, vip6 = "10.7.0.100", "2001:db8:7::100"

// kernelParent is a node that holds for ever, by the kernel of the namespace that it is in.
func kernelParent() error {
	g, err := Start(Options{Addresses: []vip.Address{
		{Prefix: netip.MustParsePrefix(vip4 + "/24"), Interface: "eth0"}, {Prefix: netip.MustParsePrefix(vip6 + "/64"), Interface: "eth0"},
	}})
	if err != nil {
		return err
	}
	go func() {
		for ev := range g.Events() {
			fmt.Println(ev.Kind, ev.Text)
		}
	}()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	for tick := time.NewTicker(parentRenews); ; <-tick.C {
		err := g.Hold(context.Background(), vip.Now().After(parentLease))
		if err != nil && !errors.Is(err, vip.ErrTooLate) && !errors.Is(err, ErrLost) {
			return err
		}
	}
}

// holder is such a node in a namespace.
type holder struct {
	t     testing.TB
	ns    *netlab.NS
	cmd   *exec.Cmd
	guard int
}

func newHolder(t testing.TB) *holder {
	t.Helper()
	lab := netlab.New(t)
	h := &holder{t: t, ns: lab.Node("a")}
	lab.Connect(h.ns, "10.7.0.1/24", "2001:db8:7::1/64")
	h.cmd = exec.Command("/proc/self/exe", "kernel-parent")
	h.cmd.Stdout, h.cmd.Stderr = os.Stderr, os.Stderr
	stdin, err := h.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := h.ns.Start(h.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = h.cmd.Process.Kill()
		_ = h.cmd.Wait()
	})
	until(t, "the addresses are there", func() bool { return h.ns.Has(vip4) && h.ns.Has(vip6) })
	h.guard = h.child()
	if h.guard == 0 {
		t.Fatal("it has no guard")
	}
	return h
}

// child gives the process that the node has started, whichever of its threads did; 0: none.
func (h *holder) child() int {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", h.cmd.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // that thread has ended
		}
		if pids := strings.Fields(string(text)); len(pids) > 0 {
			pid, err := strconv.Atoi(pids[0])
			if err != nil {
				h.t.Fatal(err)
			}
			return pid
		}
	}
	return 0
}

// gone sends signals, and gives how long the kernel had the addresses after them.
func (h *holder) gone(s syscall.Signal, pids ...int) time.Duration {
	h.t.Helper()
	begin := time.Now()
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil {
			h.t.Fatal(err)
		}
	}
	until(h.t, "the addresses go", func() bool { return !h.ns.Has(vip4) && !h.ns.Has(vip6) })
	took := time.Since(begin)
	h.t.Logf("%v of %d processes: gone after %v", s, len(pids), took)
	return took
}

// TestTheKernelAndAKilledNode: real addresses, gone in milliseconds, by the guard.
func TestTheKernelAndAKilledNode(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		h := newHolder(t)
		if took := h.gone(syscall.SIGKILL, h.cmd.Process.Pid); took > parentLease/2 {
			t.Errorf("%v", took)
		}
		until(t, "the guard ends", func() bool { return !alive(h.guard) })
	})
}

// TestTheKernelAndAFrozenNode: at the deadline, and back when it goes on.
func TestTheKernelAndAFrozenNode(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		h := newHolder(t)
		if took := h.gone(syscall.SIGSTOP, h.cmd.Process.Pid); took > parentLease+25*time.Millisecond {
			t.Errorf("%v", took)
		}
		if err := syscall.Kill(h.cmd.Process.Pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		until(t, "they are taken again", func() bool { return h.ns.Has(vip4) && h.ns.Has(vip6) })
	})
}

// TestTheKernelAlone: node and guard are killed, or frozen, together: nothing of ours runs, and the kernel's lease ends.
func TestTheKernelAlone(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP} {
		t.Run(s.String(), func(t *testing.T) {
			h := newHolder(t)
			if took := h.gone(s, h.guard, h.cmd.Process.Pid); took > DefaultKernelLease+1500*time.Millisecond {
				t.Errorf("%v", took)
			}
		})
	}
}

// TestTheKernelAndAKilledGuard: the node takes off what the guard left, and a new guard takes them again.
func TestTheKernelAndAKilledGuard(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		h := newHolder(t)
		if err := syscall.Kill(h.guard, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		until(t, "there is a new guard", func() bool { pid := h.child(); return pid != 0 && pid != h.guard })
		until(t, "they are there", func() bool { return h.ns.Has(vip4) && h.ns.Has(vip6) })
		t.Logf("taken again %v after the guard was killed", time.Since(begin))
		if took := h.gone(syscall.SIGSTOP, h.cmd.Process.Pid); took > parentLease+25*time.Millisecond {
			t.Errorf("the new guard does not guard: %v", took)
		}
		if err := syscall.Kill(h.cmd.Process.Pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	})
}
