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
	// takeBackPatience is for how long a process that begins anew looks for a leader before it is the node again without one, as after any start: the group may have none. takeBackBound
	// is when the upgrade's failure is told in any case.
	takeBackPatience, takeBackBound = 5 * time.Second, 7 * time.Second
	// yieldPatience is how long one that serves waits for the process before to answer no more on the admin listener. A process that is frozen does not.
	yieldPatience = remainsSilence
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
		limited, cancel := context.WithTimeoutCause(ctx, readyWithin, fmt.Errorf("it does not serve %v after it was told to go", readyWithin))
		defer cancel()
		err = child.Serving(limited)
	}
	if err != nil {
		child.Kill() // before anything is opened again
		return 0, s.beginAnew(err, sockets)
	}
	gap = time.Since(began)
	s.yield()
	child.Yield()
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
// It returns when that is done, or when it takes long; then it goes on.
func (s *Server) beginAnew(why error, sockets *handoff.Sockets) error {
	if s.upgrades.Err() != nil { // it was to end anyway
		sockets.Close()
		return why
	}
	s.log.Warn("the node begins anew in this process", "reason", why)
	c := s.config
	c.Heir, c.Sockets = nil, sockets
	next, err := New(c, s.logTo)
	if err != nil {
		sockets.CloseOwn()
		err = fmt.Errorf("%w; and this process cannot take the node back: %w", why, err)
		s.handed <- err
		return err
	}
	ours, theirs := net.Pipe()
	next.before = &predecessor{}
	next.stream = theirs
	s.report(ours)
	go func() { s.nextEnded <- next.Run(s.run) }()
	taken := make(chan struct{})
	s.takingBack.Store(true)
	s.takeBacks.Go(func() {
		defer sockets.CloseOwn()
		defer close(taken)
		s.awaitNext(next)
		s.yield()
		next.takeTurn()
		s.next.Store(next)
		s.handed <- nil
	})
	late := time.NewTimer(takeBackBound)
	defer late.Stop()
	select {
	case <-taken:
	case <-late.C: // clients are served, and whoever asked for the upgrade need not wait for a group that has no leader
		s.log.Warn("this process does not take part in its group again yet; it serves on meanwhile")
	}
	return why
}

// awaitNext returns when this process's next server can be the node, or has ended, or is to.
func (s *Server) awaitNext(next *Server) {
	began := time.Now()
	tick := time.NewTicker(servingPoll)
	defer tick.Stop()
	for !next.servesNow(servingPatience) && (time.Since(began) < takeBackPatience || !next.servesAlone(s.state.Operating().Index)) {
		select {
		case <-tick.C:
			continue
		case err := <-s.nextEnded:
			s.nextEnded <- err
		case <-s.upgrades.Done():
		}
		return
	}
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

// servesAlone tells that it does for clients what a node can that finds no leader: it has looked for what the group knows, listens, and obeys nothing older than the one before, which had the
// index inForce of Operating. The last entries of the log are not known to be committed before a leader says so.
func (s *Server) servesAlone(inForce uint64) bool {
	return s.state.Group() != nil && s.caughtUp.Load() && s.balancer.Serving() == nil && s.state.Operating().Index >= inForce
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
		if !s.config.Heir.Yields() && s.before.over() {
			s.takeTurn() // it has died
		}
	}
	s.config.Heir.Serving()
	if s.config.Heir.Yields() {
		late := time.NewTimer(yieldPatience)
		defer late.Stop()
		select {
		case <-s.turn:
		case <-late.C:
			s.log.Warn("the process before does not say that it answers no more on the admin listener; this one begins")
		case <-ctx.Done():
			return
		}
	}
	s.takeTurn()
}

// awaitTurn takes it when the process before has yielded, or has ended.
func (s *Server) awaitTurn(ctx context.Context) {
	if s.config.Heir.Yields() && s.config.Heir.Yielded(ctx) {
		s.takeTurn()
	}
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
