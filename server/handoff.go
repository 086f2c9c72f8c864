package server

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// errMoving and errResyncing are why nobody may hand leadership or addresses to this node while a new program takes it over, and while it drops its state.
var errMoving, errResyncing = errors.New("a new program takes the node over"), errors.New("the node drops its state and takes a new copy of the group's")

// handing is a server's part in a hand-off from one process to the next: as the one before, as the one after, or as both in one process.
type handing struct {
	logTo io.Writer
	// run is the context of Run. It is written before anybody can ask for an upgrade.
	run context.Context
	// upgrades ends when there may be none any more.
	upgrades    context.Context
	endUpgrades context.CancelFunc
	upgrading   sync.Mutex // held during one
	moving      atomic.Bool
	resyncing   atomic.Bool // for good once it gives up its vote: another Server takes the copy
	// handed says that another one serves in the place of this server, or, with an error, that nobody can.
	handed chan error
	// next is this process's own next server, after an upgrade that failed too late; nextEnded has the result of its Run.
	next      atomic.Pointer[Server]
	nextEnded chan error
	// takingBack is set, for good, when this process begins anew, takeBacks ends when the next server is the node.
	takingBack atomic.Bool
	takeBacks  sync.WaitGroup

	// before is the process before this one, stream the way to it; both nil without one.
	before *predecessor
	stream net.Conn
	// turn is closed when this server may answer on the admin listener: not while one before it does, or who asks there would be told two things by turns. yielded is closed when
	// it answers nothing more itself; endAdmin has it do so.
	turn, yielded chan struct{}
	turnOnce      sync.Once
	admin         context.Context
	endAdmin      context.CancelFunc
	// servesSome is since when some listeners are bound, while others are not.
	servesSome atomic.Pointer[time.Time]
}

func newHanding(c Config, logTo io.Writer) *handing {
	h := &handing{logTo: logTo, handed: make(chan error, 1), nextEnded: make(chan error, 1), turn: make(chan struct{}), yielded: make(chan struct{})}
	h.upgrades, h.endUpgrades = context.WithCancel(context.Background())
	h.admin, h.endAdmin = context.WithCancel(context.Background())
	if c.Heir != nil {
		h.before, h.stream = &predecessor{}, c.Heir.Reports
	}
	return h
}

func (h *handing) takeTurn() { h.turnOnce.Do(func() { close(h.turn) }) }

// yield returns when this server answers nothing more on the admin listener, except for calls that came before.
func (h *handing) yield() {
	h.endAdmin()
	<-h.yielded
}

// goes is why nothing may be handed to this node now; nil: nothing is against it.
func (h *handing) goes() error {
	switch {
	case h.moving.Load():
		return errMoving
	case h.resyncing.Load():
		return errResyncing
	}
	return nil
}

// noMoreUpgrades ends the one that is under way, if there is one. It reports whether another server or process serves in the place of this one.
func (s *Server) noMoreUpgrades() bool {
	s.endUpgrades()
	s.upgrading.Lock()
	defer s.upgrading.Unlock()
	s.takeBacks.Wait()
	select {
	case err := <-s.handed:
		return err == nil
	default:
		return false
	}
}

// untilNextEnds waits for this process's next server, if there is one, and gives its reason then. This one gives back what it has before: its last client is gone, and a state may be large.
func (s *Server) untilNextEnds(reason error) error {
	next := s.next.Load()
	if next == nil {
		return reason
	}
	if err := s.Close(); err != nil {
		s.log.Warn("what the node had before it began anew in this process", "error", err)
	}
	s.state, s.node, s.balancer, s.api, s.names, s.backups, s.address, s.mark, s.jobs = nil, nil, nil, nil, nil, nil, nil, nil, nil
	return errors.Join(<-s.nextEnded, next.Close())
}

// Alive is nil while this node's parts answer; it waits for none that does not: then it does not return, which is how a watchdog notices. ErrDisk: a write has not ended.
func (s *Server) Alive() error {
	if next := s.next.Load(); next != nil {
		return next.Alive()
	}
	s.balancer.InForce() // takes the lock under which everything is put into force
	s.node.Info()
	return s.node.DiskLost()
}
