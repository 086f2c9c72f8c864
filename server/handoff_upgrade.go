package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/server/handoff"
)

// DefaultReadyWithin is how long a new program may take until it serves, unless an Upgrade says otherwise.
const DefaultReadyWithin = 30 * time.Second

const (
	// helloWait is how long a new program may take to look at its settings.
	helloWait = 10 * time.Second
	// leastReady and mostReady bound Upgrade.ReadyWithin.
	leastReady, mostReady = time.Second, 10 * time.Minute
)

// Upgrade is a new program for this node.
type Upgrade struct {
	// Program is its path; empty: where the running one was started from. Another one has to be beside that, and must not be writable by others than its owner.
	Program string
	// ReadyWithin is how long it may take from when it is told to go until it serves; 0: DefaultReadyWithin.
	ReadyWithin time.Duration
}

// Upgraded says what serves now.
type Upgraded struct {
	Program string
	Pid     int
	// Version and Schema are the new program's, Before is the version of the one that ran.
	Version, Before string
	Schema          int
	// Took is the time from the request to the moment at which the new program served, Gap the part of it in which no process of this node took part in the group.
	Took, Gap time.Duration
}

// UpgradeError is an upgrade that has not come about. The node goes on as before.
type UpgradeError struct {
	// Words say why, in a sentence without a full stop.
	Words string
}

func (e *UpgradeError) Error() string { return e.Words }

func notNow(format string, args ...any) error {
	return &UpgradeError{fmt.Sprintf(format, args...)}
}

// UpgradeBinary has another program take this node over: its sockets, its place in the group and its data directory. It returns when that serves; then Run lets the clients that are left finish, and
// returns. No connection is refused meanwhile and no request fails. After an error this process goes on serving: an *UpgradeError, when nothing has gone wrong with the node itself.
func (s *Server) UpgradeBinary(ctx context.Context, u Upgrade) (Upgraded, error) {
	if next := s.next.Load(); next != nil {
		return next.UpgradeBinary(ctx, u)
	}
	if !s.upgrading.TryLock() {
		return Upgraded{}, s.refuseUpgrade(u, notNow("an upgrade of this node is under way already"))
	}
	defer s.upgrading.Unlock()
	began := time.Now()
	if u.ReadyWithin == 0 {
		u.ReadyWithin = DefaultReadyWithin
	}
	if u.ReadyWithin < leastReady || u.ReadyWithin > mostReady {
		return Upgraded{}, s.refuseUpgrade(u, notNow("%v is no time for a new program to get ready in: %v to %v", u.ReadyWithin, leastReady, mostReady))
	}
	if err := s.mayUpgrade(); err != nil {
		return Upgraded{}, s.refuseUpgrade(u, err)
	}
	program, err := s.config.successor(u.Program)
	if err != nil {
		return Upgraded{}, s.refuseUpgrade(u, &UpgradeError{Words: err.Error()})
	}
	// Whoever asked may go away; the node that leaves may not wait for it.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(s.upgrades, cancel)()
	s.log.Info("the node is handed to a new program", "program", program.Path)
	child, err := s.startSuccessor(ctx, program)
	if err != nil {
		s.log.Error("the new program does not take over; this one goes on", "program", program.Path, "reason", err)
		return Upgraded{}, &UpgradeError{Words: err.Error()}
	}
	gap, err := s.succeed(ctx, child, u.ReadyWithin)
	if err != nil {
		s.log.Error("the new program has not taken over; this one goes on", "program", program.Path, "reason", err)
		return Upgraded{}, &UpgradeError{Words: err.Error()}
	}
	done := Upgraded{Program: program.Path, Pid: child.Hello.Pid, Version: child.Hello.Version, Schema: child.Hello.Schema, Before: s.config.Version,
		Took: time.Since(began), Gap: gap}
	if s.config.Succeeded != nil {
		s.config.Succeeded(done.Pid)
	}
	s.log.Info("the new program serves; this one lets its clients finish", "pid", done.Pid, "version", done.Version, "gap", gap.Round(time.Millisecond), "took", done.Took.Round(time.Millisecond))
	return done, nil
}

// refuseUpgrade notes that nothing was begun, and gives why: nobody sees the answer to a signal.
func (s *Server) refuseUpgrade(u Upgrade, why error) error {
	s.log.Warn("an upgrade of the node's program was refused", "program", cmp.Or(u.Program, s.config.Self.Path), "reason", why)
	return why
}

// upgradeBinary is UpgradeBinary in the API's words.
func (s *Server) upgradeBinary(ctx context.Context, u wire.BinaryUpgrade) (wire.BinaryUpgraded, error) {
	done, err := s.UpgradeBinary(ctx, Upgrade{Program: u.Program, ReadyWithin: time.Duration(u.ReadyWithinMilli) * time.Millisecond})
	var words *UpgradeError
	switch {
	case errors.As(err, &words):
		return wire.BinaryUpgraded{}, &admin.RefusedError{Words: words.Words}
	case err != nil:
		return wire.BinaryUpgraded{}, adminError(err)
	}
	return wire.BinaryUpgraded{Node: s.config.Name, Program: done.Program, Pid: done.Pid, Version: done.Version, Before: done.Before, Schema: done.Schema,
		Took: done.Took.Milliseconds(), Gap: done.Gap.Milliseconds()}, nil
}

// mayUpgrade says why this node cannot be handed on now.
func (s *Server) mayUpgrade() error {
	switch {
	case s.leaving.Load() || s.upgrades.Err() != nil:
		return notNow("the node is leaving")
	case s.takingBack.Load():
		return notNow("this process does not take part in its group again yet, after an upgrade that came to nothing: 'holdfast status' on another node tells whether the group has a leader")
	case s.config.Self.Path == "":
		return &UpgradeError{Words: "this process does not know from where it was started: restart the node instead"}
	case os.Getpid() == 1:
		return &UpgradeError{Words: "this process is the first one of its container, which ends with it: replace the container instead"}
	case s.state.Group() == nil || !s.caughtUp.Load():
		return notNow("the node has not entered its group yet")
	case !s.before.over():
		return notNow("the process before has clients still: it ends when they do, after %v at the latest", drainTime)
	}
	if err := s.node.Ready(); err != nil {
		return notNow("the node does not take part in its group at the moment: %v", err)
	}
	if err := s.quarantined(); err != nil {
		return notNow("%v", err)
	}
	return s.takesOver()
}

// takesOver says why what this node is to do must wait until it has taken over the address that is being handed to it: clients' new connections come to it already.
func (s *Server) takesOver() error {
	if s.address == nil {
		return nil
	}
	if from := s.address.Prepared(); from != "" {
		return notNow("this node is taking over the address from node %s; once it holds that it is done in the usual way, so try again in a moment", from)
	}
	return nil
}

// successor is how the new program is started.
func (c Config) successor(path string) (handoff.Program, error) {
	p := c.Self
	if path == "" || path == p.Path {
		return p, nil
	}
	// Whoever may have a node upgraded must not be able to have it run anything.
	if !filepath.IsAbs(path) || filepath.Clean(path) != path || filepath.Dir(path) != filepath.Dir(p.Path) {
		return p, fmt.Errorf("%q is not a file beside the program that runs: put it into %s and name it with its whole path", path, filepath.Dir(p.Path))
	}
	for _, name := range []string{path, filepath.Dir(path)} {
		info, err := os.Stat(name)
		switch {
		case err != nil:
			return p, err
		case name == path && !info.Mode().IsRegular():
			return p, fmt.Errorf("%s is no file", name)
		case info.Mode().Perm()&0o022 != 0:
			return p, fmt.Errorf("%s can be written to by others than its owner (mode %04o), who could have this node run anything: chmod go-w %s", name, info.Mode().Perm(), name)
		}
	}
	p.Path = path
	return p, nil
}

// startSuccessor starts the program and judges what it says of itself. Nothing of the node has changed yet.
func (s *Server) startSuccessor(ctx context.Context, program handoff.Program) (*handoff.Child, error) {
	ctx, cancel := context.WithTimeout(ctx, helloWait)
	defer cancel()
	child, err := handoff.Start(ctx, program)
	if err != nil {
		return nil, err
	}
	if err := s.judge(child.Hello); err != nil {
		child.Kill()
		return nil, err
	}
	return child, nil
}

// judge refuses a program that would not be this node, or could not read its state.
func (s *Server) judge(h handoff.Hello) error {
	have := s.state.Schema()
	switch {
	case h.Name != s.config.Name || h.DataDir != s.config.DataDir:
		return fmt.Errorf("the new program would be node %q on %q, this is node %q on %q: its settings are others", h.Name, h.DataDir, s.config.Name, s.config.DataDir)
	case fsm.SchemaFits(h.Schema, have):
		return nil
	case h.Schema < have:
		return fmt.Errorf("version %s knows schema %d of the state, the group has schema %d, which is never lowered: install a version with schema %d", h.Version, h.Schema, have, have)
	}
	return fmt.Errorf("version %s has schema %d of the state, the group has schema %d, and a program may be one ahead: first upgrade all nodes to a version with schema %d, one after the other", h.Version, h.Schema, have, have+1)
}

// Check is what a new program looks at before it says that it is ready to take over: nothing is opened that the running one uses.
func (c Config) Check() error {
	if err := c.Validate(); err != nil {
		return err
	}
	if _, err := os.Stat(c.DataDir); err != nil {
		return fmt.Errorf("--data-dir: %w", err)
	}
	if _, err := c.virtualAddresses(); err != nil {
		return err
	}
	access, err := openLog(c.AccessLog)
	if err != nil {
		return err
	}
	return errors.Join(access.Close())
}

// Hello is what it says of itself then.
func (c Config) Hello() handoff.Hello {
	return handoff.Hello{Version: c.Version, Schema: fsm.Schema, Name: c.Name, DataDir: c.DataDir}
}
