package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
)

// stopTime bounds an orderly end.
const stopTime = 30 * time.Second

func processFaults() []*Fault {
	return []*Fault{
		{Name: "kill", Kind: OnNode, Rows: []int{1, 24}, Holds: true, About: "SIGKILL; healed by a start", inject: kill},
		{Name: "terminate", Kind: OnNode, Planned: true, Rows: []int{2}, Holds: true, About: "SIGTERM: it hands over, finishes and ends; healed by a start", inject: terminate},
		{Name: "restart", Kind: OnNode, Planned: true, Rows: []int{2}, Holds: true, About: "SIGTERM and a start at once", inject: restart},
		{Name: "restart-storm", Kind: OnNode, Rows: []int{26}, Holds: true, About: "killed and started again and again, each time after a drawn part of a second and a half; one that ends by itself in between breaks a promise",
			inject: restartStorm},
		{Name: "freeze", Kind: OnNode, Rows: []int{3}, Holds: true, About: "SIGSTOP: sockets stay open and nobody answers; healed by SIGCONT", inject: freeze},
		{Name: "starve", Kind: OnNode, Rows: []int{4}, Holds: true, Measure: Share, Amounts: []Amount{0.5, 0.8, 0.9},
			About: "it stands still for a share of the time, in turns of a tenth of a second: too little processor", inject: starve},
		{Name: "upgrade", Kind: OnNode, Planned: true, Rows: []int{2}, Holds: true,
			About: "another process of the same program takes the node over (upgrade-binary); healed when the one before has let its clients finish, and has ended well", inject: upgrade},
		{Name: "other-version", Kind: OnNode, Planned: true, Rows: []int{47}, Holds: true, Needs: needsOther, About: "restarted with the other build of the program (--other), healed by the one under test",
			inject: otherVersion},
	}
}

func needsOther(p Place) error {
	if p.Other == "" {
		return fmt.Errorf("%w: another build of the program: name it with --other", ErrLacks)
	}
	return nil
}

// startAgain is the heal of most faults that end a process. It does not wait until the node is ready: without a quorum it cannot be.
func startAgain(n *group.Node, over ...func()) Heal {
	return func(context.Context) error {
		if !n.Alive() {
			if err := n.Start(); err != nil {
				return err
			}
		}
		for _, o := range over {
			o()
		}
		return nil
	}
}

func kill(_ context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	n.Kill()
	return startAgain(n, over, doubt), nil
}

// end ends a process in an orderly way. One that does not run any more has ended. One that goes on, or ends otherwise than with exit status 0, breaks a promise.
func end(ctx context.Context, n *group.Node) error {
	if !n.Alive() {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	return brokenIf(ctx, n.Stop(limited))
}

func terminate(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	if err := end(ctx, n); err != nil {
		return nil, errors.Join(err, startAgain(n, over, doubt)(ctx))
	}
	return startAgain(n, over, doubt), nil
}

func restart(ctx context.Context, f *Field, o Order) (Heal, error) {
	heal, err := terminate(ctx, f, o)
	if err == nil {
		err = heal(ctx)
	}
	return func(context.Context) error { return nil }, err
}

func restartStorm(_ context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	var crashed error // the first time: nobody else looks, because the node may be away
	look := func() {
		if crashed == nil && !n.Alive() {
			p := n.Process()
			crashed = fmt.Errorf("%w: node %s has ended by itself when it was started again: %v\n%s", ErrBroken, n.Name, p.Err(), p.Tail(10, nil))
		}
	}
	return background(func(ctx context.Context) error {
		for {
			n.Kill()
			if err := n.Start(); err != nil {
				return err
			}
			err := pause(ctx, time.Duration(o.Random.Int64N(int64(1500*time.Millisecond))))
			look()
			if err != nil {
				return err
			}
		}
	}, func(ctx context.Context) error {
		return errors.Join(crashed, startAgain(n, over, doubt)(ctx))
	}), nil
}

func freeze(_ context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	doubt := f.Ledger.Doubt()
	if err := n.Process().Freeze(); err != nil {
		doubt()
		return nil, err
	}
	return func(context.Context) error {
		defer doubt()
		return n.Process().Thaw()
	}, nil
}

// turn is one round of standing still and going on.
const turn = 100 * time.Millisecond

func starve(_ context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	doubt := f.Ledger.Doubt()
	p := n.Process()
	still := time.Duration(float64(turn) * float64(o.Amount))
	return background(func(ctx context.Context) error {
		for p.Alive() {
			if err := p.Freeze(); err != nil {
				return err
			}
			waited := pause(ctx, still)
			if err := errors.Join(p.Thaw(), waited); err != nil {
				return err
			}
			if err := pause(ctx, turn-still); err != nil {
				return err
			}
		}
		return nil
	}, func(context.Context) error { doubt(); return nil }), nil
}

func otherVersion(ctx context.Context, f *Field, o Order) (Heal, error) {
	n, err := f.node(o)
	if err != nil {
		return nil, err
	}
	over, doubt := f.Absent(n.Name), f.Ledger.Doubt()
	n.Program = f.Other
	err = end(ctx, n)
	if err == nil {
		err = n.Start()
	}
	if err == nil {
		err = comesUp(ctx, n)
	}
	if err == nil {
		over() // from now on its end is a broken promise
	}
	back := func(ctx context.Context) error {
		n.Program = ""
		defer f.Absent(n.Name)()
		return errors.Join(end(ctx, n), startAgain(n, over, doubt)(ctx))
	}
	if err != nil {
		return nil, errors.Join(err, back(ctx))
	}
	return back, nil
}

// whileAlive gives a context that ends with the process that the node is now: who has ended need not be waited for.
func whileAlive(ctx context.Context, n *group.Node) (context.Context, context.CancelFunc) {
	alive, cancel := context.WithCancel(ctx)
	p := n.Process()
	go func() {
		select {
		case <-p.Done():
			cancel()
		case <-alive.Done():
		}
	}()
	return alive, cancel
}

// upTime is how long a node of another version may take until it serves, or has said that it does not go with this state.
const upTime = time.Minute

// comesUp waits until a node that was started serves. One that refuses, with the exit status for that, keeps the fault from happening; any other end breaks a promise.
func comesUp(ctx context.Context, n *group.Node) error {
	limited, cancel := context.WithTimeout(ctx, upTime)
	defer cancel()
	alive, stop := whileAlive(limited, n)
	defer stop()
	err := n.Ready(alive)
	switch {
	case err == nil:
		return nil
	case n.Alive():
		return brokenIf(ctx, fmt.Errorf("node %s does not come up with the other version: %w", n.Name, err))
	case status(n.Process().Err()) == refuses:
		return fmt.Errorf("the other version refuses: %s", n.Process().Tail(3, nil))
	}
	return brokenIf(ctx, fmt.Errorf("node %s has ended with the other version: %w\n%s", n.Name, n.Process().Err(), n.Process().Tail(10, nil)))
}
