package fault

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
)

// standbyBehind is how far a standby may be behind a group that ends under load: about 2 s over an election (docs/STANDBY.md), three times that on a busy machine.
const standbyBehind = 6 * time.Second

// disaster starts a standby. Its heal kills all nodes at once, with an amount the standby so long before, and promotes the standby, which has what it has: by the product's word everything that was acknowledged up to a
// time.
func disaster(ctx context.Context, f *Field, o Order) (Heal, error) {
	archive, standby, err := f.follow(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer standby.Kill()
		defer f.Ledger.Doubt()()
		nodes := f.Stage.Group.Nodes
		if err := f.ends(ctx); err != nil {
			return err
		}
		for _, n := range nodes {
			defer f.Absent(n.Name)()
		}
		early := o.Amount.Time()
		if early > 0 {
			standby.Kill()
			if err := pause(ctx, early); err != nil {
				return err
			}
		}
		ended, err := putAside(f, nodes...)
		if err != nil {
			return err
		}
		f.Witness.Say("", "all nodes are killed at once; the standby is promoted")
		if early == 0 {
			if err := f.standby(ctx, archive, func(s standbyStatus) bool { return !s.Following && !s.Silent.IsZero() }); err != nil {
				return err
			}
			if err := standby.Stop(ctx); err != nil {
				return err
			}
		}
		p, err := f.begin(ctx, archive, nodes[0])
		if err != nil {
			return err
		}
		f.Witness.Lost(Loss{How: "promote", After: p.Proven, Ended: ended, Bound: early + standbyBehind})
		return f.goOn(ctx, nodes[0], nodes[1:]...)
	}, nil
}

// needsOthers: of a group of one nothing is left without it.
func needsOthers(p Place) error {
	if p.Nodes < 3 {
		return fmt.Errorf("%w: a group of three nodes or more", ErrLacks)
	}
	return nil
}

// survivor is what 'recover -o json' prints.
type survivor struct {
	Node         string
	Epoch, Index uint64
	GroupTime    time.Time
}

// lostMajority kills all nodes but a drawn one. Its heal stops that one, too, and has the group go on from it.
func lostMajority(ctx context.Context, f *Field, o Order) (Heal, error) {
	nodes := f.Stage.Group.Nodes
	left := nodes[o.Random.IntN(len(nodes))]
	var others []*group.Node
	for _, n := range nodes {
		if n != left {
			others = append(others, n)
		}
	}
	for _, n := range nodes { // one that has not come in yet has nothing to go on from
		if err := votes(ctx, f, n); err != nil {
			return nil, err
		}
	}
	if err := f.ends(ctx); err != nil {
		return nil, err
	}
	doubt := f.Ledger.Doubt()
	overs := []func(){doubt}
	for _, n := range others {
		overs = append(overs, f.Absent(n.Name))
	}
	over := func() {
		for _, o := range overs {
			o()
		}
	}
	ended, err := putAside(f, others...)
	if err != nil {
		over()
		return nil, err
	}
	f.Witness.Say(left.Name, "only "+left.Name+" is left of the group")
	return func(ctx context.Context) error {
		defer over()
		defer f.Absent(left.Name)() // until now its end would be a broken promise
		if err := end(ctx, left); err != nil {
			return err
		}
		var has survivor
		if err := f.unanswered(ctx, func() error { return f.looks(ctx, &has, "recover", "--data-dir", left.DataDir, "-o", "json") }); err != nil {
			return err
		}
		var begun survivor
		if err := f.run(ctx, &begun, "recover", "--data-dir", left.DataDir, "--accept-loss", "-o", "json"); err != nil {
			return err
		}
		f.Witness.Say(left.Name, fmt.Sprintf("epoch %d begins on %s alone, after index %d", begun.Epoch, left.Name, has.Index))
		f.Witness.Lost(Loss{How: "recover", After: has.GroupTime, Ended: latest(ended, has.GroupTime)})
		return f.goOn(ctx, left, others...)
	}, nil
}

// latest is the later time. The node that is left may have entries from after the others' end, which nobody has acknowledged.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// aside is where the disk of a killed node is until it comes back.
func aside(n *group.Node) string { return n.DataDir + ".old" }

// putAside kills nodes at once and puts their disks aside. It tells when the last of them had ended.
func putAside(f *Field, nodes ...*group.Node) (ended time.Time, err error) {
	killAtOnce(f, nodes...)
	ended = time.Now()
	var errs []error
	for _, n := range nodes {
		errs = append(errs, os.RemoveAll(aside(n)), os.Rename(n.DataDir, aside(n)))
	}
	return ended, errors.Join(errs...)
}

// killAtOnce ends nodes by SIGKILL.
func killAtOnce(f *Field, nodes ...*group.Node) {
	_ = f.Stage.Group.Each(func(n *group.Node) error {
		if slices.Contains(nodes, n) {
			n.Kill()
		}
		return nil
	})
}

// goOn starts the first node of a new epoch. One of the others comes back from the disk that it had: it is to hear of the new epoch and to end, with the exit status for that (docs/OPERATING.md). Then all others begin
// with empty disks. No two come back: they might be a majority of the old epoch for as long as they hear of nobody else, and what they then recorded would be lost.
func (f *Field) goOn(ctx context.Context, first *group.Node, others ...*group.Node) error {
	if err := first.Start(); err != nil {
		return err
	}
	if err := first.Ready(ctx); err != nil {
		return err
	}
	if len(others) > 0 {
		if err := f.comesBack(ctx, others[0]); err != nil {
			return err
		}
	}
	return f.grow(ctx, first)
}

// The exit statuses of a node (docs/OPERATIONS.md).
const (
	refuses = 3 // it does not go with the state that it finds, or the group has left its disk behind
	doubts  = 4 // its disk is in doubt
)

// comesBack starts a node from the disk that was put aside, waits until it has ended, and takes the disk away again.
func (f *Field) comesBack(ctx context.Context, n *group.Node) error {
	if err := os.Rename(aside(n), n.DataDir); err != nil {
		return err
	}
	if err := n.Start(); err != nil {
		return err
	}
	if err := endsItself(ctx, n, "its disk, which is of an epoch that is over,"); err != nil {
		return errors.Join(err, os.RemoveAll(n.DataDir))
	}
	f.Witness.Say(n.Name, n.Name+" came back from its old disk, and ended: the group is in a later epoch")
	return os.RemoveAll(n.DataDir)
}

// status is an exit status, -1 for what has none.
func status(err error) int {
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return ended.ExitCode()
	}
	return -1
}

// looks is run for what changes nothing, and says so by exit status 3.
func (f *Field) looks(ctx context.Context, out any, arguments ...string) error {
	text, said, err := f.output(ctx, arguments...)
	if status(err) != refuses {
		return fmt.Errorf("holdfast %s: %v: want exit status %d: %s", strings.Join(arguments, " "), err, refuses, said)
	}
	if err := json.Unmarshal(text, out); err != nil { // it was refused before it looked
		return fmt.Errorf("holdfast %s: %w: %s", strings.Join(arguments, " "), err, said)
	}
	return nil
}
