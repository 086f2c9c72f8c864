package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one started process. It is made by Start or Set.Start and never restarted: a restart is a new Process.
type Process struct {
	spec  Spec
	pid   int
	group int           // id of its process group: its own, or that of the process from which it was adopted
	done  chan struct{} // closed when the process has ended and been waited for

	mu    sync.Mutex // held while the process is signalled or reaped
	ended bool
	end   error
}

// Start starts a process. Whoever does not use a Set must Kill or Stop it.
func Start(spec Spec) (*Process, error) {
	cmd, log, err := spec.command()
	if err != nil {
		return nil, err
	}
	if err := startOnOwnThread(cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", spec.Name, err), log.Close())
	}
	p := &Process{spec: spec, pid: cmd.Process.Pid, group: cmd.Process.Pid, done: make(chan struct{})}
	go p.reap(func() error {
		err := cmd.Wait()
		_ = log.Close() // the child had its own descriptor of it
		return err
	})
	return p, nil
}

// reap waits for the end, which wait then collects. The process is first waited for without reaping it: as long as its id is not free, it cannot
// become that of a stranger, and signal relies on that.
func (p *Process) reap(wait func() error) {
	for {
		err := unix.Waitid(unix.P_PID, p.Pid(), nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end = wait()
	p.ended = true
	close(p.done)
}

// Name is the name in the spec.
func (p *Process) Name() string { return p.spec.Name }

// Pid is the process id.
func (p *Process) Pid() int { return p.pid }

// Group is the id of its process group.
func (p *Process) Group() int { return p.group }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Alive says whether the process has not ended yet; a frozen one is alive.
func (p *Process) Alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Err tells how the process ended: nil for exit status 0. It blocks until the end.
func (p *Process) Err() error {
	<-p.done
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.end
}

// Kill ends the process and its group with SIGKILL and waits until it is gone. Killing an ended process does nothing.
func (p *Process) Kill() {
	_ = p.signal(syscall.SIGKILL) // the only error is that it has ended
	<-p.done
}

// Stop sends SIGTERM and waits; a process that is still there when ctx ends is killed, and that is an error.
// A process that ends with another exit status than 0 is an error too.
func (p *Process) Stop(ctx context.Context) error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("stop %s: %w", p.spec.Name, err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("stop %s: still running %w, killed", p.spec.Name, ctx.Err())
	}
	if err := p.Err(); err != nil {
		return fmt.Errorf("stop %s: %w\n%s", p.spec.Name, err, p.Tail(10, nil))
	}
	return nil
}

// Freeze stops the process with SIGSTOP: its sockets stay open and nobody answers. It returns when every thread stands
// still.
func (p *Process) Freeze() error {
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return fmt.Errorf("freeze %s: %w", p.spec.Name, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	return Poll(ctx, time.Millisecond, func() error {
		if state := p.state(); state != 'T' {
			return fmt.Errorf("freeze %s: state %c", p.spec.Name, state)
		}
		return nil
	})
}

// Thaw lets a frozen process go on.
func (p *Process) Thaw() error {
	if err := p.signal(syscall.SIGCONT); err != nil {
		return fmt.Errorf("thaw %s: %w", p.spec.Name, err)
	}
	return nil
}

// signal goes to the whole group.
func (p *Process) signal(s syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return os.ErrProcessDone
	}
	return syscall.Kill(-p.group, s)
}
