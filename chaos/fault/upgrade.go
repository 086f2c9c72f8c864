package fault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

const (
	// serveTime is how long the new process may take until it serves. Other faults go on: it may have to wait for a majority.
	serveTime = 15 * time.Second
	// leaveTime bounds how long the process before lets its clients finish: docs/UPGRADING.md says 30 s, and the machine is busy.
	leaveTime = 45 * time.Second
	// quietTime is how long there must be no new process until an upgrade without an answer has come to nothing.
	quietTime = 2 * time.Second
)

// upgrade has the node start the program that it runs once more, and hand itself over. Nothing excuses anybody meanwhile: no request may fail, and no session may leave its instance.
func upgrade(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	before := n.Process()
	over := f.Absent(n.Name) // the process before may have ended when it is not yet known who has the node
	defer over()
	known, err := n.Handing()
	if err != nil {
		return nil, err
	}
	defer known()
	pid, err := handOver(ctx, n)
	if err == nil {
		err = n.Adopt(pid)
	}
	if err != nil {
		return nil, errors.Join(err, startAgain(n)(ctx))
	}
	served := time.Now()
	f.Witness.Say(n.Name, fmt.Sprintf("process %d has taken %s over from process %d, which lets its clients finish", pid, n.Name, before.Pid()))
	return func(ctx context.Context) error {
		return leaves(ctx, before, served.Add(leaveTime))
	}, nil
}

// handOver has a node hand itself to a new process, whose id it gives. It tries again for a while when the node refuses. An error that is ErrNothing says that the process before goes on.
func handOver(ctx context.Context, n *group.Node) (pid int, err error) {
	limited, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	for {
		done, err := n.Client.UpgradeBinary(ctx, client.BinaryUpgrade{ReadyWithinMilli: serveTime.Milliseconds()})
		if err == nil {
			return done.Pid, nil
		}
		if pid, err = outcome(ctx, n, err); !errors.Is(err, ErrNothing) || errors.Is(err, ErrBroken) || pause(limited, 200*time.Millisecond) != nil {
			return pid, err
		}
	}
}

// outcome judges an upgrade that was not answered by a new process that serves: what has the node in the end, and whether the refusal is the product's doing.
func outcome(ctx context.Context, n *group.Node, refusal error) (pid int, err error) {
	before := n.Process()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	quiet := time.Now().Add(quietTime)
	var problem *client.Problem
	if errors.As(refusal, &problem) && problem.Code == "refused" {
		quiet = time.Now() // nothing comes after this answer
	}
	err = proc.Poll(limited, 50*time.Millisecond, func() error {
		heirs := n.Heirs()
		switch {
		case len(heirs) == 1 && !before.Alive():
			pid = heirs[0]
			return nil
		case len(heirs) > 0:
			return fmt.Errorf("node %s has the processes %d and %v", n.Name, before.Pid(), heirs)
		case before.Alive() && time.Now().Before(quiet):
			return errors.New("it may be about to begin")
		}
		return nil
	})
	switch {
	case err != nil:
		return 0, brokenIf(ctx, fmt.Errorf("an upgrade of node %s (%w) has no end: %w", n.Name, refusal, err))
	case pid != 0:
		return pid, nil
	case !before.Alive():
		return 0, fmt.Errorf("%w: node %s has ended when it was to be upgraded: %v, %w\n%s", ErrBroken, n.Name, before.Err(), refusal, before.Tail(10, nil))
	}
	return 0, refused(refusal)
}

// refused says what a refusal counts for: the new process is the same program with the same settings, so that the node must neither find that these are others, nor may it crash. That nobody leads, that it does not serve in time, and the like
// come from other faults.
func refused(refusal error) error {
	for _, wrong := range []string{"has ended", "settings are others", "knows schema", "has schema", "speaks version", "cannot take the node back"} {
		if strings.Contains(refusal.Error(), wrong) {
			return fmt.Errorf("%w: the program does not take over from itself: %w", ErrBroken, refusal)
		}
	}
	return fmt.Errorf("%w: the process before goes on: %w", ErrNothing, refusal)
}

// leaves waits until the process before has let its clients finish and has ended, with exit status 0. One that goes on is ended.
func leaves(ctx context.Context, before *proc.Process, deadline time.Time) error {
	late := time.NewTimer(time.Until(deadline))
	defer late.Stop()
	select {
	case <-before.Done():
	case <-late.C:
		before.KillAlone()
		return fmt.Errorf("%w: process %d of %s goes on %v after another one has taken over from it: killed\n%s", ErrBroken, before.Pid(), before.Name(), leaveTime, before.Tail(10, nil))
	case <-ctx.Done():
		before.KillAlone()
		return ctx.Err()
	}
	if err := before.Err(); err != nil {
		return fmt.Errorf("%w: process %d of %s, from which another one has taken over, was to end with exit status 0: %v\n%s", ErrBroken, before.Pid(), before.Name(), err, before.Tail(10, nil))
	}
	return nil
}
