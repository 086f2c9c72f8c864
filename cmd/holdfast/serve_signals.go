package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/server"
	"github.com/holdfast-lb/holdfast/server/handoff"
)

// inherit takes what was open before this process: from the node's process that still runs, whose place it is to take, or from the service manager.
func inherit(heir *handoff.Heir, c *server.Config) (err error) {
	c.Self = handoff.Program{Path: ownPath(), Args: os.Args[1:]}
	c.Succeeded = func(pid int) { manager{to: handoff.NotifyManager()}.tell(fmt.Sprintf("MAINPID=%d", pid)) }
	if heir == nil {
		c.Sockets, err = handoff.FromManager()
		return err
	}
	if err := c.Check(); err != nil {
		return err
	}
	if err := heir.Await(c.Hello()); err != nil {
		return err
	}
	c.Heir, c.Sockets = heir, heir.Sockets
	return nil
}

// admit tells the process before why this one does not take over.
func admit(heir *handoff.Heir, err error) error {
	if heir != nil && err != nil {
		heir.Fail(err)
	}
	return err
}

// ownPath is where this program was started from: not where its file is now, which another one may have replaced.
func ownPath() string {
	path := os.Args[0]
	if !strings.Contains(path, "/") {
		found, err := exec.LookPath(path)
		if err != nil {
			return ""
		}
		path = found
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return ""
	}
	return path
}

// attend does what signals ask for and tells the service manager what the node does, until the function that it gives is called. stop gives signals their default action again.
func attend(ctx context.Context, stop func(), node *server.Server) (end func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGUSR2)
	m := manager{handoff.NotifyManager(), node}
	m.tell("READY=1", "STATUS=the node runs")
	watch, endWatch := context.WithCancel(context.WithoutCancel(ctx))
	var all sync.WaitGroup
	all.Go(func() { m.watchdog(watch) })
	all.Go(func() {
		leaving := ctx.Done()
		for {
			select {
			case s := <-signals:
				if s == syscall.SIGHUP {
					m.reload()
				} else {
					// Beside: it takes seconds, and other signals count meanwhile. Its end is in the log.
					go func() { _, _ = node.UpgradeBinary(watch, server.Upgrade{}) }()
				}
			case <-leaving:
				leaving = nil
				stop() // from here on the default action of a signal holds again
				m.tell("STOPPING=1", "STATUS=the node leaves")
			case <-watch.Done():
				return
			}
		}
	})
	return func() {
		signal.Stop(signals)
		endWatch()
		all.Wait()
	}
}

// manager is the service manager, as a node tells it things.
type manager struct {
	to   *handoff.Manager
	node *server.Server
}

// tell never fails: a node whose manager does not listen serves all the same.
func (m manager) tell(assignments ...string) {
	if err := m.to.Tell(assignments...); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}

func (m manager) reload() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err == nil {
		m.tell("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", now.Nano()/int64(time.Microsecond)))
	}
	m.node.Reload()
	m.tell("READY=1")
}

// watchdog gives a sign of life as often as the manager wants one, while the node answers itself.
func (m manager) watchdog(ctx context.Context) {
	every := handoff.Watchdog() / 2
	if every == 0 || m.to == nil {
		return
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := m.node.Alive(); errors.Is(err, server.ErrDisk) {
			m.tell("STATUS=" + strings.ReplaceAll(err.Error(), "\n", "; "))
		} else {
			m.tell("WATCHDOG=1")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
