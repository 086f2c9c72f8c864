package hook

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

// Command is the first argument with which the node starts its own binary between itself and the program: Main is to be called for it.
const Command = "vip-hook"

// ErrByHand is returned by Main when it was not started by a node.
var ErrByHand = errors.New(Command + " is what a node runs its --vip-hook in; it is not to be run by hand")

const (
	// nodeFD is a pipe of which only the node has the other end, and writes nothing: its end is the node's.
	nodeFD = 3
	// overdue is for how long the node may be late with killing a run that takes too long.
	overdue = time.Second
	// notStarted is the exit status for a program that could not be started, killedStatus with the signal that of one that was killed, as shells have it.
	notStarted, killedStatus = 126, 128
)

// Main runs a program for its node: args are how long it may take (0s: as long as the node lets it), its path and its argument. It is the first of a process
// group in which the program is, and what that starts. When the node dies, or is frozen while the program has taken longer than it may, all of the group is
// killed, Main with it. Else it gives the program's exit status.
func Main(args []string) (status int, err error) {
	var stat syscall.Stat_t
	if len(args) != 3 || syscall.Getpgrp() != os.Getpid() || syscall.Fstat(nodeFD, &stat) != nil || stat.Mode&syscall.S_IFMT != syscall.S_IFIFO {
		return 0, ErrByHand
	}
	limit, err := time.ParseDuration(args[0])
	if err != nil {
		return 0, ErrByHand
	}
	syscall.CloseOnExec(nodeFD)
	// A signal for all of a service is the program's own business. Ignored ones would be ignored by the program too.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM)
	if limit > 0 {
		time.AfterFunc(limit+overdue, killGroup)
	}
	go func() {
		_, _ = os.NewFile(nodeFD, "node").Read(make([]byte, 1))
		killGroup()
	}()
	runtime.LockOSThread() // whose end would be this process's, for what follows
	cmd := exec.Command(args[1], args[2])
	cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = os.Stdout, os.Stderr, dieTogether()
	err = cmd.Run()
	var ended *exec.ExitError
	switch {
	case err == nil:
		return 0, nil
	case !errors.As(err, &ended):
		fmt.Fprintln(os.Stderr, reason(err))
		return notStarted, nil
	}
	if s, ok := ended.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return killedStatus + int(s.Signal()), nil
	}
	return ended.ExitCode(), nil
}

// killGroup kills this process and all of its group. No other process can have that number meanwhile.
func killGroup() { _ = syscall.Kill(0, syscall.SIGKILL) }

// reason leaves out the path of an error: whoever reads it knows that.
func reason(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// self is this node's own binary, also when its file has been replaced since.
func self() string {
	const running = "/proc/self/exe"
	if _, err := os.Stat(running); err == nil {
		return running
	}
	if exe, err := os.Executable(); err == nil {
		return exe
	}
	return running
}
