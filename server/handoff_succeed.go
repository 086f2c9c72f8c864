package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/holdfast-lb/holdfast/raftnode"
	"github.com/holdfast-lb/holdfast/server/handoff"
)

const (
	// servingPatience is how long a node that can serve some of its listeners waits for the others before it says that it serves.
	servingPatience = time.Second
	// servingLook is how often it is looked at whether it does.
	servingLook = 5 * time.Millisecond
	// handOffTries bounds how often leadership is handed over anew because it came back meanwhile.
	handOffTries = 3
)

// succeed carries the hand-off out. Until the node has parted from its group everything can be left as it was; after that somebody has to begin anew: the new program, or, when that fails,
// this process. gap is the time in which no process of the node took part in the group.
func (s *Server) succeed(ctx context.Context, child *handoff.Child, readyWithin time.Duration) (gap time.Duration, err error) {
	defer func() {
		if err != nil {
			child.Kill()
		}
	}()
	s.moving.Store(true) // nobody may hand leadership or addresses to this node now
	defer s.moving.Store(false)
	if err := s.takesOver(); err != nil { // since it was looked at
		return 0, err
	}
	sockets, err := s.sockets()
	if err != nil {
		return 0, err
	}
	if err := s.part(ctx); err != nil {
		sockets.Close()
		return 0, err
	}
	began := time.Now()
	if err := s.letGo(); err != nil {
		return 0, s.beginAnew(err, sockets)
	}
	if err = child.Give(sockets); err == nil {
		s.report(child.Reports)
		limited, cancel := context.WithTimeout(ctx, readyWithin)
		defer cancel()
		err = child.Serving(limited)
	}
	if err != nil {
		child.Kill() // before anything is opened again
		return 0, s.beginAnew(err, sockets)
	}
	gap = time.Since(began)
	s.handed <- nil
	sockets.Close()
	return gap, nil
}

// moveAway has another node lead and hold the addresses. A node that is alone in its group keeps both to the end.
func (s *Server) moveAway(ctx context.Context) error {
	if s.node.Info().Role != "leader" || s.node.Alone() {
		return nil
	}
	err := s.handOver(ctx, "", drainTime)
	for errors.Is(err, errHandingOver) { // one of the leader's duty or of an operator
		select {
		case <-time.After(retryFirst):
			err = s.handOver(ctx, "", drainTime)
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err != nil && !errors.Is(err, errNotLeading) {
		return fmt.Errorf("this node leads, and no other one takes that over: %w", err)
	}
	return nil
}

// part ends the membership. As long as this node leads, or leads again, nothing is changed by an error; after another one the node cannot go on.
func (s *Server) part(ctx context.Context) (err error) {
	for range handOffTries {
		if err := s.moveAway(ctx); err != nil {
			return err
		}
		limited, cancel := context.WithTimeout(ctx, leaveTime)
		err = s.node.Part(limited)
		cancel()
		if !errors.Is(err, raftnode.ErrLeads) {
			break
		}
	}
	switch {
	case errors.Is(err, raftnode.ErrLeads):
		return errors.New("this node leads again as soon as it has handed over: 'holdfast node evacuate' keeps it from that")
	case err != nil:
		s.handed <- err
	}
	return err
}

// letGo gives up the rest of what there is only one of for a node.
func (s *Server) letGo() error {
	s.backups.stop()
	if err := s.closeAddress(); err != nil {
		s.log.Error("virtual address", "error", err) // its lease ends it
	}
	return s.closeDir()
}

// report tells the next process what clients of this one still wait for.
func (s *Server) report(stream net.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	s.background.Go(func() {
		<-s.ended
		cancel()
		_ = stream.Close()
	})
	s.background.Go(func() { _ = s.tellRemains(ctx, stream) }) // it fails when the next one has ended
}

// beginAnew has this process take the node over from itself: the clients that it has are served on meanwhile, and the sockets stay open. It gives why, with more when that fails too: then Run ends.
func (s *Server) beginAnew(why error, sockets *handoff.Sockets) error {
	if s.upgrades.Err() != nil { // it was to end anyway
		sockets.Close()
		return why
	}
	s.log.Warn("the node begins anew in this process", "reason", why)
	defer sockets.CloseOwn()
	c := s.config
	c.Heir, c.Sockets = nil, sockets
	next, err := New(c, s.logTo)
	if err != nil {
		err = fmt.Errorf("%w; and this process cannot take the node back: %w", why, err)
		s.handed <- err
		return err
	}
	ours, theirs := net.Pipe()
	next.before = &predecessor{}
	next.stream = theirs
	s.report(ours)
	go func() { s.nextEnded <- next.Run(s.run) }()
	for tick := time.NewTicker(servingPoll); ; {
		if next.servesNow(servingPatience) {
			tick.Stop()
			break
		}
		select {
		case <-tick.C:
			continue
		case err := <-s.nextEnded:
			s.nextEnded <- err
		case <-s.upgrades.Done():
		}
		tick.Stop()
		break
	}
	s.next.Store(next)
	s.handed <- nil
	return why
}

// servesNow tells that this node does for clients what it can: it takes part in its group, knows what that knows, and listens. patience is how long listeners that cannot be bound are waited for.
func (s *Server) servesNow(patience time.Duration) bool {
	if s.state.Group() == nil || !s.caughtUp.Load() || s.node.Ready() != nil {
		return false
	}
	if s.balancer.Ready() == nil {
		return true
	}
	if s.balancer.Serving() != nil {
		return false
	}
	since := s.servesSome.Load()
	if since == nil {
		now := time.Now()
		s.servesSome.Store(&now)
		return false
	}
	return time.Since(*since) > patience
}

// announce says to the process before that this node serves.
func (s *Server) announce(ctx context.Context) {
	tick := time.NewTicker(servingLook)
	defer tick.Stop()
	for !s.servesNow(servingPatience) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
	s.config.Heir.Serving()
}

// stayBehind lets the clients that are left finish, after another process has taken the node over.
func (s *Server) stayBehind() {
	s.upgrading.Lock() // whoever asked for the upgrade, and the service manager, hear of it before this process may end
	defer s.upgrading.Unlock()
	drain, cancel := context.WithTimeout(context.Background(), drainTime)
	defer cancel()
	if err := s.balancer.HandOn(drain); err != nil {
		s.log.Warn("not everything could be finished", "after", drainTime, "error", err)
	}
	stop, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	if err := s.node.Stop(stop); err != nil {
		s.log.Warn("group member did not stop in time", "error", err)
	}
}
