package guard

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/calm"
	"github.com/holdfast-lb/holdfast/vip"
)

// parentLease is what the parents of these tests hold for, parentRenews how often.
const (
	parentLease  = 80 * time.Millisecond
	parentRenews = 10 * time.Millisecond
)

// parentProcess is a node as far as a guard is concerned: a peer port, and a lease that is renewed for ever. It writes its port into path.port. way is
// hold or prepare.
func parentProcess(path, way string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	g, err := Start(Options{Addresses: testAddresses, Listener: file, Open: openDiary(path), Command: []string{"/proc/self/exe", "guard-child", path}})
	if err != nil {
		return err
	}
	go func() {
		for {
			if c, err := l.Accept(); err == nil {
				_ = c.Close()
			}
		}
	}()
	if err := os.WriteFile(path+".port", []byte(l.Addr().String()), 0o600); err != nil {
		return err
	}
	go func() { // it ends with its test at the latest
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	for tick := time.NewTicker(parentRenews); ; <-tick.C {
		until := vip.Now().After(parentLease)
		if way == "prepare" {
			_, err = g.Prepare(context.Background(), until)
		} else {
			err = g.Hold(context.Background(), until)
		}
		if err != nil && !errors.Is(err, vip.ErrTooLate) && !errors.Is(err, ErrLost) {
			return err
		}
	}
}

// node is such a process, with its guard.
type node struct {
	t     testing.TB
	path  string
	cmd   *exec.Cmd
	addr  string
	guard int
}

func startNode(t testing.TB, way string) *node {
	t.Helper()
	n := &node{t: t, path: filepath.Join(t.TempDir(), "diary")}
	n.cmd = exec.Command("/proc/self/exe", "guard-parent", n.path, way)
	n.cmd.Stderr = os.Stderr
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := n.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = n.cmd.Process.Kill()
		_ = n.cmd.Wait()
		until(t, "the guard ends with its parent", func() bool { return n.guard == 0 || !alive(n.guard) })
		if t.Failed() {
			t.Logf("diary: %v", n.diary())
		}
	})
	until(t, "the addresses are there", func() bool {
		entries, err := readDiary(n.path)
		port, perr := os.ReadFile(n.path + ".port")
		n.addr = string(port)
		return err == nil && perr == nil && holds(entries)
	})
	for _, e := range n.diary() {
		n.guard = e.pid
	}
	if n.guard == n.cmd.Process.Pid {
		t.Fatal("the parent touches the addresses")
	}
	return n
}

// stop stops a process, and waits until it is, or has ended: the signal's sender goes on before that.
func stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "all its threads have stopped", func() bool { return stopped(pid) || !alive(pid) })
}

// stopped tells whether every thread of a process is stopped.
func stopped(pid int) bool {
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if _, state, _ := strings.Cut(string(data), ") "); err != nil || !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return err == nil && len(stats) > 0
}

// alive tells whether a process is there and no zombie.
func alive(pid int) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(data), ") ")
	return !strings.HasPrefix(state, "Z") && !strings.HasPrefix(state, "X")
}

func (n *node) diary() []entry {
	entries, err := readDiary(n.path)
	if err != nil {
		n.t.Fatal(err)
	}
	return entries
}

// signal sends a signal and gives the time before.
func (n *node) signal(pid int, s syscall.Signal) vip.Deadline {
	n.t.Helper()
	now := vip.Now()
	if err := syscall.Kill(pid, s); err != nil {
		n.t.Fatal(err)
	}
	return now
}

// removed waits until the addresses are gone, and gives when.
func (n *node) removed() entry {
	n.t.Helper()
	var last entry
	until(n.t, "the addresses are removed", func() bool {
		entries := n.diary()
		if holds(entries) {
			return false
		}
		i := len(entries) - 1
		for entries[i].what != "remove" {
			i--
		}
		last = entries[i]
		return true
	})
	return last
}

// refused waits until the peer port refuses connections, and gives when.
func (n *node) refused() vip.Deadline {
	n.t.Helper()
	until(n.t, "the peer port refuses connections", func() bool {
		c, err := net.Dial("tcp", n.addr)
		if err == nil {
			_ = c.Close()
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
	return vip.Now()
}

// TestAKilledNodeLosesTheAddressesAtOnce: SIGKILL of the node; the guard drops in milliseconds, and only then does the peer port refuse connections.
func TestAKilledNodeLosesTheAddressesAtOnce(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		n := startNode(t, "hold")
		killed := n.signal(n.cmd.Process.Pid, syscall.SIGKILL)
		refused := n.refused()
		gone := n.removed()
		if gone.pid != n.guard {
			t.Errorf("process %d removed them, not the guard", gone.pid)
		}
		d := gone.at.Sub(killed)
		t.Logf("removed after %v, refused after %v", d, refused.Sub(killed))
		if d >= parentLease-parentRenews {
			t.Errorf("it took %v: as long as the lease", d)
		}
		if refused < gone.at {
			t.Errorf("the port refused connections %v before the addresses were gone", gone.at.Sub(refused))
		}
		until(t, "the guard ends", func() bool { return !alive(n.guard) })
	})
}

// TestAFrozenNodeLosesTheAddressesAtTheDeadline: SIGSTOP of the node; its guard drops at the deadline, not before, and takes them again when the node goes on.
func TestAFrozenNodeLosesTheAddressesAtTheDeadline(t *testing.T) {
	calm.Try(t, mostStall, func(t testing.TB) {
		n := startNode(t, "hold")
		stopped := n.signal(n.cmd.Process.Pid, syscall.SIGSTOP)
		gone := n.removed()
		d := gone.at.Sub(stopped)
		t.Logf("removed after %v", d)
		if d < parentLease-4*parentRenews || d > parentLease+25*time.Millisecond {
			t.Errorf("removed %v after the stop; the lease is %v", d, parentLease)
		}
		if n.signal(n.cmd.Process.Pid, syscall.SIGCONT); !alive(n.guard) {
			t.Error("the guard has ended")
		}
		until(t, "they are taken again", func() bool { return holds(n.diary()) })
	})
}

// TestAFrozenPreparationEnds: a node that only prepared is frozen: addresses go, and silence after them.
func TestAFrozenPreparationEnds(t *testing.T) {
	n := startNode(t, "prepare")
	n.signal(n.cmd.Process.Pid, syscall.SIGSTOP)
	n.removed()
	until(t, "the silence ends", func() bool {
		e := n.diary()
		return e[len(e)-1].what == "silence false"
	})
	if slices.ContainsFunc(n.diary(), func(e entry) bool { return e.what == "announce" }) {
		t.Error("who only prepares announced the addresses")
	}
	n.signal(n.cmd.Process.Pid, syscall.SIGCONT)
}

// frozenNode gives a node that was stopped, and its guard after it, before the deadline.
func frozenNode(t *testing.T) *node {
	t.Helper()
	for range 20 {
		n := startNode(t, "hold")
		stop(t, n.cmd.Process.Pid)
		if stop(t, n.guard); holds(n.diary()) {
			return n
		}
		n.signal(n.cmd.Process.Pid, syscall.SIGKILL)
		n.signal(n.guard, syscall.SIGCONT) // it ends with its parent
	}
	t.Fatal("the deadline is always before the stop")
	return nil
}

// TestNodeAndGuardFrozenTogether: whatever wakes up first, the first thing that happens to the addresses after the deadline is that they are removed.
func TestNodeAndGuardFrozenTogether(t *testing.T) {
	for _, order := range []string{"guard first", "node first"} {
		t.Run(order, func(t *testing.T) {
			n := frozenNode(t)
			before := len(n.diary())
			deadline := time.NewTimer(2 * parentLease)
			defer deadline.Stop()
			<-deadline.C
			if more := n.diary(); len(more) != before {
				t.Fatalf("something runs: %v", more[before:])
			}
			if order == "guard first" {
				n.signal(n.guard, syscall.SIGCONT)
				if gone := n.removed(); gone.pid != n.guard {
					t.Errorf("process %d removed them, not the guard", gone.pid)
				}
			} else { // the node finds a guard that is late, and replaces it
				n.signal(n.cmd.Process.Pid, syscall.SIGCONT)
				until(t, "the guard is killed", func() bool { return !alive(n.guard) && len(n.diary()) > before })
			}
			if first := n.diary()[before]; first.what != "remove" && first.what != "open" {
				t.Errorf("the first thing was %q", first.what)
			}
			n.signal(n.cmd.Process.Pid, syscall.SIGCONT)
			until(t, "they are taken again", func() bool { return holds(n.diary()) })
			entries := n.diary()
			n.guard = entries[len(entries)-1].pid
		})
	}
}

// TestSignalsForTheWholeServiceDoNotEndTheGuard: it ends with its parent, and a terminal's Ctrl-C does not reach it.
func TestSignalsForTheWholeServiceDoNotEndTheGuard(t *testing.T) {
	n := startNode(t, "hold")
	if group, err := syscall.Getpgid(n.guard); err != nil || group == n.cmd.Process.Pid {
		t.Errorf("the guard is in the process group %d of its parent: %v", group, err)
	}
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGABRT, syscall.SIGTSTP, syscall.SIGUSR1} {
		n.signal(n.guard, s)
	}
	before := len(n.diary())
	until(t, "it goes on to renew", func() bool {
		return slices.ContainsFunc(n.diary()[before:], func(e entry) bool { return e.what == "add" && e.pid == n.guard })
	})
}

// TestTheGuardHasNoEnvironment: what is in the node's may be a secret.
func TestTheGuardHasNoEnvironment(t *testing.T) {
	t.Setenv("HOLDFAST_JOIN_TOKEN", "hfj1.secret")
	n := startNode(t, "hold")
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", n.guard))
	if err != nil || strings.Contains(string(env), "HOLDFAST") {
		t.Errorf("%q, %v", env, err)
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", n.guard)); err != nil || string(name) != "holdfast-guard\n" {
		t.Errorf("its name is %q, %v", name, err)
	}
}
