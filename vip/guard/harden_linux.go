package guard

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memoryLimit is far more than the child ever needs (a few MiB), in bytes.
const memoryLimit = 64 << 20

// settle makes the process one that wakes up in time and may do little. Whatever is not allowed here is left as it is: the guard is useful without.
//
// No goroutine is locked to a thread: the one that waits for the timer and the one that acts on it then share a thread, which saves waking up a second one
// on a busy machine.
func settle(logf func(string, ...any)) {
	_ = os.WriteFile("/proc/self/comm", []byte("holdfast-guard"), 0) // what ps shows; only a name
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(memoryLimit)
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"a high priority", raisePriority},
		{"memory that is never paged out", lockMemory},
		{"no privileges but those for networks", dropPrivileges},
	} {
		if err := step.do(); err != nil {
			logf("the guard goes on without %s: %v", step.what, err)
		}
	}
}

// raisePriority raises that of every thread: those to come inherit it.
func raisePriority() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, -20); err != nil && !errors.Is(err, unix.ESRCH) { // that thread has ended
			return os.NewSyscallError("setpriority", err)
		}
	}
	return nil
}

// lockMemory keeps what has been used once in memory. The limit goes first: with memory locked and a limit, the runtime could not grow its heap.
func lockMemory() error {
	infinite := &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	if err := unix.Setrlimit(unix.RLIMIT_MEMLOCK, infinite); err != nil {
		return os.NewSyscallError("setrlimit", err)
	}
	return os.NewSyscallError("mlockall", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT))
}

// dropPrivileges keeps CAP_NET_ADMIN and CAP_NET_RAW where they are there, on all threads, and lets no program get more by being run.
func dropPrivileges() error {
	const keep = 1<<unix.CAP_NET_ADMIN | 1<<unix.CAP_NET_RAW
	var failed error
	for c := uintptr(0); ; c++ {
		if _, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err != nil {
			break // the kernel knows no more of them
		}
		if keep&(1<<c) == 0 && failed == nil {
			failed = allThreads("drop from the bounding set", unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0)
		}
	}
	if errors.Is(failed, unix.EPERM) {
		failed = nil // only who may hand out privileges can: then there are few
	}
	failed = errors.Join(failed, allThreads("no new privileges", unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0))
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&head, &data[0]); err != nil {
		return errors.Join(failed, os.NewSyscallError("capget", err))
	}
	allowed := data[0].Permitted & keep
	data = [2]unix.CapUserData{{Effective: allowed, Permitted: allowed}}
	return errors.Join(failed, allThreads("capset", unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&data[0])), 0))
}

// allThreads makes a system call that changes one thread on every thread. A program that uses cgo, as one with the race detector, cannot.
//
//go:uintptrescapes
func allThreads(what string, trap, a, b, c uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall(trap, a, b, c); errno != 0 {
		return fmt.Errorf("%s: %w", what, errno)
	}
	return nil
}
