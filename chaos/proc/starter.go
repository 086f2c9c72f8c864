package proc

import (
	"os/exec"
	"runtime"
	"sync"
)

// The kernel sends the parent-death signal when the thread dies that started the child, not the process (prctl(2),
// PR_SET_PDEATHSIG). So all children are started by one goroutine that keeps its thread for ever.
var (
	starterOnce sync.Once
	starts      chan startRequest
)

type startRequest struct {
	cmd  *exec.Cmd
	done chan error
}

func startOnOwnThread(cmd *exec.Cmd) error {
	starterOnce.Do(func() {
		starts = make(chan startRequest)
		go func() {
			runtime.LockOSThread()
			for request := range starts {
				request.done <- request.cmd.Start()
			}
		}()
	})
	request := startRequest{cmd, make(chan error, 1)}
	starts <- request
	return <-request.done
}
