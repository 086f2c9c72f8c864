package raftnode

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// How a group is founded by nodes that start together (bootstrap-expect): see greet.go for how they meet and promise.go for
// why there can be only one group. All of them then write the same first log entry, the membership, and Raft takes over.

var keyTerm = []byte("CurrentTerm") // raft's own key

// blank tells whether the node has yet to enter a group. A term of 1 without a log is an interrupted bootstrap: leaders
// begin at term 2.
func (n *Node) blank() (bool, error) {
	if n.opt.Dir.Empty() {
		return true, nil
	}
	last, err := n.opt.Dir.Log().LastIndex()
	if err != nil || last > 0 {
		return false, err
	}
	snaps, err := n.opt.Dir.Snapshots().List()
	if err != nil || len(snaps) > 0 {
		return false, err
	}
	if n.comesBack() {
		return true, nil
	}
	term, err := n.opt.Dir.Stable().GetUint64(keyTerm)
	return err == nil && term == 1, nil
}

// bootstrap writes the first membership, as raft.BootstrapCluster does; other than that it can be repeated, also after a
// crash between its two writes. All founders write the same bytes.
func (n *Node) bootstrap(members []founder) error {
	if blank, err := n.blank(); err != nil || !blank {
		return err
	}
	var c raft.Configuration
	for _, m := range members {
		c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: m.ID, Address: raft.ServerAddress(m.Addr)})
	}
	if err := n.opt.Dir.Stable().SetUint64(keyTerm, 1); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	entry := &raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(c)}
	if err := n.store.StoreLog(entry); err != nil {
		return fmt.Errorf("bootstrap: %w", err)
	}
	return nil
}

// enterGroup brings a node without state into a group.
func (n *Node) enterGroup(ctx context.Context) error {
	switch {
	case n.comesBack():
	case n.opt.Bootstrap, n.opt.BootstrapExpect == 1:
		n.log.Info("founding a group of this node alone")
		return n.bootstrap([]founder{n.self()})
	case n.opt.BootstrapExpect > 1:
		n.setPhase("forming")
		err := n.form(ctx)
		if !errors.Is(err, errFormed) {
			return err
		}
		n.log.Info("the group exists already; joining it")
	}
	n.setPhase("joining")
	return n.joinGroup(ctx)
}

// errFormed says that the others have founded the group without this node.
var errFormed = errors.New("the group exists already")

const (
	greetEvery = 100 * time.Millisecond
	// greetFresh is how long a greeting counts: who is silent for longer may be gone.
	greetFresh = 2 * time.Second
)

// form greets the others until the group is founded, with this node (nil) or without it (errFormed).
func (n *Node) form(ctx context.Context) error {
	f := &n.formation
	done := f.begin()
	defer f.end()
	if p, err := n.loadPromise(); err != nil {
		return err
	} else if p.Phase == phaseForming && p.Proposer == *n.id.Load() {
		return n.bootstrap(p.Members) // decided before a crash
	}
	n.log.Info("waiting for the other nodes", "expect", n.opt.BootstrapExpect)
	for {
		if formed := n.greetAll(ctx); formed != nil {
			select {
			case <-done:
				return nil
			default:
			}
			return n.followFormed(formed)
		}
		members, agreed := f.agreement(n.self(), n.opt.BootstrapExpect, time.Now())
		if len(members) > n.opt.BootstrapExpect {
			n.log.Error("more nodes greet each other than --bootstrap-expect says: it must be the same everywhere, and the number of nodes", "expect", n.opt.BootstrapExpect, "nodes", namesOf(members))
		}
		if agreed && members[0].ID == *n.id.Load() {
			err := n.found(ctx, members)
			if err == nil {
				return nil
			}
			n.log.Warn("not founded yet", "error", err)
		}
		select {
		case <-done:
			return nil
		case <-time.After(jitter(greetEvery)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// followFormed is for a node that has promised to take part but was not told to: a founder has, so the group is decided.
func (n *Node) followFormed(formed []founder) error {
	f := &n.formation
	f.promising.Lock()
	defer f.promising.Unlock()
	p, err := n.loadPromise()
	if err != nil {
		return err
	}
	if len(formed) > 0 && sameMembers(formed, p.Members) {
		return n.bootstrap(p.Members)
	}
	return errFormed
}

// found collects everybody's promise and, with all of them, founds the group.
func (n *Node) found(ctx context.Context, members []founder) error {
	f := &n.formation
	f.promising.Lock()
	defer f.promising.Unlock()
	p, err := n.proposal(members)
	if err != nil {
		return err
	}
	if err := n.tellOthers(ctx, callPromise, p); err != nil {
		return err
	}
	p.Phase = phaseForming // from here on this membership is final
	if err := n.savePromise(p); err != nil {
		return err
	}
	if err := n.tellOthers(ctx, callForm, p); err != nil {
		n.log.Debug("tell the others", "error", err) // resumeForming goes on with it
	}
	n.log.Info("founding the group", "nodes", namesOf(members))
	return n.bootstrap(members)
}

// tellOthers sends p to all other members at once; nil when all have agreed.
func (n *Node) tellOthers(ctx context.Context, kind callKind, p promise) error {
	ctx, cancel := context.WithTimeout(ctx, greetFresh)
	defer cancel()
	p.release = n.says
	errs := make(chan error, len(p.Members))
	asked := 0
	for _, m := range p.Members {
		if m.ID == *n.id.Load() {
			continue
		}
		asked++
		go func() {
			_, err := n.pool.call(ctx, m.Addr, m.Name, kind, encodeJSON(p))
			if err != nil {
				err = fmt.Errorf("node %s: %w", m.Name, err)
			}
			errs <- err
		}()
	}
	var all []error
	for ; asked > 0; asked-- {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}

// resumeForming tells the other founders until all have heard it, over restarts too.
func (n *Node) resumeForming() {
	p, err := n.loadPromise()
	if err != nil || p.Phase != phaseForming || p.Proposer != *n.id.Load() {
		return
	}
	n.goRun(func(ctx context.Context) {
		wait := backoff{base: greetEvery, limit: 5 * time.Second}
		for n.tellOthers(ctx, callForm, p) != nil {
			select {
			case <-time.After(wait.next()):
			case <-ctx.Done():
				return
			}
		}
		p.Phase = phaseFormed
		if err := n.savePromise(p); err != nil {
			n.log.Warn("note that the group is founded", "error", err)
		}
	})
}
