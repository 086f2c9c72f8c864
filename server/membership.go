package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/raftnode"
)

// ErrResync is in the reason for which Run ends when the node takes a new copy of the group's state: close it, and make and run another one with the same settings.
var ErrResync = raftnode.ErrResync

const (
	// memberDrain is how long connections to the virtual addresses may take to end when a leader is removed or drops its state, memberWait how long that is waited for.
	memberDrain, memberWait = 15 * time.Second, 25 * time.Second
	// memberTries bounds how often a change is tried anew because the leader has changed meanwhile.
	memberTries = 5
)

// Remove asks the leader; one that is to leave itself hands over first, and the next one is asked.
func (a adminNode) Remove(ctx context.Context, name string, force bool) error {
	var err error
	for range memberTries {
		leader := a.s.node.Leader()
		switch leader {
		case "":
			err = fmt.Errorf("%w: no leader is known", raftnode.ErrNoQuorum)
		case name:
			if _, err = a.s.ask(ctx, leader, asked{Do: askTransfer}); err == nil {
				err = raftnode.ErrNoQuorum // go on with the next one
			}
		default:
			_, err = a.s.ask(ctx, leader, asked{Do: askRemove, To: name, Force: force})
		}
		if !raftnode.TryAgain(err) {
			return memberError(name, err)
		}
		if err := a.s.otherLeader(ctx, leader); err != nil {
			return adminError(err)
		}
	}
	return memberError(name, err)
}

// Resync asks the node itself.
func (a adminNode) Resync(ctx context.Context, name string) error {
	_, err := a.s.ask(ctx, name, asked{Do: askResync})
	return memberError(name, err)
}

// otherLeader waits until a node leads that is not the one of that name, for an election's time: then the same one may do.
func (s *Server) otherLeader(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	patience := time.After(time.Second)
	tick := time.NewTicker(successorPoll)
	defer tick.Stop()
	for {
		if leader := s.node.Leader(); leader != "" && leader != name {
			return nil
		}
		select {
		case <-tick.C:
		case <-patience:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", raftnode.ErrNoQuorum, ctx.Err())
		}
	}
}

// changeMembers is the other end: the leader removes, the node itself drops its state.
func (s *Server) changeMembers(ctx context.Context, what asked) (err error) {
	if what.Do == askRemove {
		if err := s.moveCopies(ctx, what.To, what.Force); err != nil {
			return err
		}
		return s.node.RemoveMember(ctx, what.To, what.Force)
	}
	for range memberTries {
		if s.node.Leader() != s.config.Name {
			break
		}
		if err := s.handOver(ctx, "", memberDrain); err != nil && !errors.Is(err, errNotLeading) {
			return err
		}
		if err := s.otherLeader(ctx, s.config.Name); err != nil {
			return err
		}
	}
	if !s.resyncing.CompareAndSwap(false, true) { // from here on nobody hands anything to this node: its connections would break with it
		return errors.New("it is under way")
	}
	defer func() {
		if err != nil {
			s.resyncing.Store(false)
		}
	}()
	if err := s.takesOver(); err != nil {
		return err
	}
	return s.node.Resync(ctx)
}

// memberError gives a refusal in its own words; that it is about this node is no news to whoever asked.
func memberError(name string, err error) error {
	if raftnode.TryAgain(err) {
		return fmt.Errorf("%w: %w", admin.ErrNoQuorum, err)
	}
	if !errors.Is(err, raftnode.ErrRefused) || errors.Is(err, raftnode.ErrTimeout) {
		return adminError(err)
	}
	text := strings.ReplaceAll(err.Error(), raftnode.ErrRefused.Error()+": ", "")
	if at := strings.LastIndex(text, "ask node "); at >= 0 { // whom this node asked is no news
		if _, rest, ok := strings.Cut(text[at:], ": "); ok {
			text = rest
		}
	}
	for _, what := range []string{"remove", "resync"} {
		text = strings.TrimPrefix(text, what+" node "+name+": ")
	}
	return &admin.RefusedError{Words: text}
}
