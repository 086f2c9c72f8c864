package hook

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTheProgramEndsWithItsNode: it and what it has started, or it would take the address from the next holder; and a frozen node does not keep it alive.
func TestTheProgramEndsWithItsNode(t *testing.T) {
	for name, c := range map[string]struct {
		limit  string
		signal syscall.Signal
	}{"killed": {"1h", syscall.SIGKILL}, "frozen": {"2s", syscall.SIGSTOP}} {
		t.Run(name, func(t *testing.T) {
			path := script(t, "mkfifo pipe; exec 3< pipe; sleep 600 & echo > begun; wait") // both have the pipe open
			node := exec.Command(os.Args[0], "hook-node", path, c.limit)
			node.Stderr = os.Stderr
			if err := node.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() { _ = errors.Join(node.Process.Kill(), node.Wait()) }()
			dir := filepath.Dir(path)
			pipe, err := os.OpenFile(filepath.Join(dir, "pipe"), os.O_WRONLY|unix.O_NONBLOCK, 0)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for ; err != nil; pipe, err = os.OpenFile(filepath.Join(dir, "pipe"), os.O_WRONLY|unix.O_NONBLOCK, 0) { // nobody reads it yet
				<-tick.C
			}
			defer func() { _ = pipe.Close() }()
			for _, err := os.Stat(filepath.Join(dir, "begun")); err != nil; _, err = os.Stat(filepath.Join(dir, "begun")) {
				<-tick.C
			}
			if err := node.Process.Signal(c.signal); err != nil {
				t.Fatal(err)
			}
			raw, err := pipe.SyscallConn()
			if err != nil {
				t.Fatal(err)
			}
			var ended []unix.PollFd
			if err := raw.Control(func(fd uintptr) {
				ended = []unix.PollFd{{Fd: int32(fd)}}
				for _, err = unix.Poll(ended, 30_000); err == unix.EINTR; _, err = unix.Poll(ended, 30_000) {
				}
			}); err != nil {
				t.Fatal(err)
			}
			if err != nil || ended[0].Revents&unix.POLLERR == 0 { // no reader is left
				t.Errorf("it goes on: %v", err)
			}
		})
	}
}

// TestStatusOfTheProgram: that it was killed is told from a status of its own, and what cannot be started from both.
func TestStatusOfTheProgram(t *testing.T) {
	for text, want := range map[string]int{"exit 7": 7, "kill -9 $$": killedStatus + 9} {
		err := of(script(t, text)).run(t.Context(), dropped)
		if err == nil || !strings.Contains(err.Error(), "ended with exit status "+strconv.Itoa(want)) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestNotByHand: without a node nothing is run, and above all nothing is killed.
func TestNotByHand(t *testing.T) {
	path := script(t, "echo > ran")
	out, err := exec.Command(os.Args[0], Command, "0s", path, taken).CombinedOutput()
	if _, serr := os.Stat(filepath.Join(filepath.Dir(path), "ran")); err == nil || !strings.Contains(string(out), ErrByHand.Error()) || serr == nil {
		t.Errorf("%s, %v", out, err)
	}
}
