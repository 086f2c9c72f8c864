package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Inherit has this process become the parent of what the processes that it has started leave behind when they end, so that it learns how those end. It has to be called before a process ends that has started another one in
// its own place.
func Inherit() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("inherit children of children: %w", err)
	}
	return nil
}

// Adopt takes into hand a process that p, which may have ended since, has started in its own place and group: signals go to the group, so that as long as both run they get them both. How the adopted one ends is known if p has ended before.
// Whoever does not use a Set must Kill or Stop it.
func (p *Process) Adopt(pid int) (*Process, error) {
	fail := func(err error) (*Process, error) {
		return nil, fmt.Errorf("adopt process %d from %s: %w", pid, p.spec.Name, err)
	}
	handle, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return fail(err)
	}
	group, err := unix.Getpgid(pid) // of the process that the handle is of, or of none
	if err == nil && group != p.group {
		err = fmt.Errorf("it is in process group %d, not in %d", group, p.group)
	}
	if err != nil {
		return fail(errors.Join(err, unix.Close(handle)))
	}
	dismiss, err := warden(p.group)
	if err != nil {
		return fail(errors.Join(err, unix.Close(handle)))
	}
	heir := &Process{spec: p.spec, pid: pid, group: p.group, done: make(chan struct{})}
	go func() {
		ended(handle)
		dismiss()
		heir.inherited()
		if heir.state() == 'Z' { // it is this process's child by now
			heir.reap(func() error { return endOf(pid) })
			return
		}
		heir.mu.Lock()
		defer heir.mu.Unlock()
		heir.end, heir.ended = errors.New("its own parent has seen how it ended"), true
		close(heir.done)
	}()
	return heir, nil
}

// ended returns when the process has ended that a handle is of.
func ended(handle int) {
	defer func() { _ = unix.Close(handle) }()
	for {
		if _, err := unix.Poll([]unix.PollFd{{Fd: int32(handle), Events: unix.POLLIN}}, -1); !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// inherited returns when a process that has ended is this one's child, or is gone: its parent has waited for it.
func (p *Process) inherited() {
	for {
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT|unix.WNOHANG, nil)
		if err == nil || p.state() != 'Z' {
			return
		}
		time.Sleep(10 * time.Millisecond) // the kernel tells nobody that a child was inherited
	}
}

// endOf collects an ended child. The error is what exec.Cmd would give.
func endOf(pid int) error {
	child, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	state, err := child.Wait()
	if err == nil && !state.Success() {
		err = &exec.ExitError{ProcessState: state}
	}
	return err
}

// collect waits for children of a group that nobody has taken into hand, and that have ended.
func collect(group int) {
	for {
		pid, err := unix.Wait4(-group, nil, unix.WNOHANG, nil)
		if pid <= 0 && !errors.Is(err, unix.EINTR) {
			return
		}
	}
}

// KillAlone ends the process with SIGKILL, and what it has started goes on. It waits until it is gone.
func (p *Process) KillAlone() {
	p.mu.Lock()
	if !p.ended {
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // the only error is that it has ended
	}
	p.mu.Unlock()
	<-p.done
}

// warden has a process group killed when this process has ended, whatever ends it: the kernel does that for processes that this one has started, and not for those that they start.
func warden(group int) (dismiss func(), err error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	cmd := watch(theirs, group)
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("watch over process group %d: %w", group, err), ours.Close())
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = ours.Close()
	}, nil
}

// watch kills a process group when nobody has the other end of a pipe any more.
func watch(pipe *os.File, group int) *exec.Cmd {
	cmd := exec.Command("/bin/sh", "-c", `read -r _; kill -s KILL -- "-$0"`, strconv.Itoa(group))
	cmd.Stdin = pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // what a terminal sends is not for it
	return cmd
}
