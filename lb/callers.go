package lb

import (
	"context"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// quietTime is how long nothing must have come on a connection that is to end before it may do so between two requests: a client that has not sent
// anything for so long is unlikely to do so in the very moment in which the end of the stream is on its way to it.
const quietTime = 2 * time.Second

// caller is a client's connection, whichever engine has it at the moment.
type caller struct {
	front  *front
	local  netip.Addr
	client string // the client's address, "" until it is asked for on the loop
	source string // what source affinity makes of it, the same

	held hold // of the bounds of the listener

	of        *caller   // the connection of this stream of HTTP/2; nil for a connection
	handovers handovers // to the other engine, of streams of this connection

	tls *secured // nil in clear text; set before anybody has the connection

	// Of the engine that has the connection.
	after  *afterwards // what the other engine has found out about the request that goes away to it
	detour detour
	traced traceContext // of the request that a loop has, for the engine to which it may go away

	// Guarded by clientConns.mu.
	at               engineConn // nil on the way from one engine to the other
	ending, upgraded bool
	cut              bool // it is to be closed at once
}

// engineConn is a connection as the engine that has it offers it. The methods may be called at any time, and do nothing when the connection is gone.
type engineConn interface {
	// retire has it end in an orderly way, and stay takes that back.
	retire()
	stay()
	Close() error
}

// clientConns are the connections of clients that are open, upgraded ones and those that linger included, by local address. The time that a request takes
// is not spent here: a connection comes and goes once, and once for each change of the engine.
type clientConns struct {
	ending atomic.Int64 // connections that are to end
	sweeps sync.Mutex   // held while a change of who is to end is carried out, so that two do not meet

	mu       sync.Mutex // guards what follows, and the fields of the callers
	gone     sync.Cond  // a connection is open no more
	open     map[netip.Addr]*localConns
	draining map[netip.Addr]bool
}

func newClientConns() *clientConns {
	c := &clientConns{open: map[netip.Addr]*localConns{}}
	c.gone.L = &c.mu
	return c
}

// localConns are those of one local address.
type localConns struct {
	callers  map[*caller]struct{}
	upgraded int // of them
}

// plainAddr is the address without a zone, IPv4 as such.
func plainAddr(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// add takes a new connection in, which an engine has, or gets (at is nil then, and arrive follows); from now on it counts.
func (c *clientConns) add(s *caller, at engineConn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	local := c.open[s.local]
	if local == nil {
		local = &localConns{callers: map[*caller]struct{}{}}
		c.open[s.local] = local
	}
	local.callers[s], s.at = struct{}{}, at
	s.front.open++
	if s.ending = c.draining[s.local] || s.front.closing; s.ending {
		c.ending.Add(1)
		if at != nil {
			at.retire()
		}
	}
}

// leave notes that an engine lets go of a connection, for the other one.
func (c *clientConns) leave(s *caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.at = nil
}

// arrive notes that an engine has a connection that the other one had. What it was told meanwhile is done now.
func (c *clientConns) arrive(s *caller, at engineConn) {
	c.mu.Lock()
	s.at = at
	cut := s.cut
	if s.ending && !cut {
		at.retire()
	}
	c.mu.Unlock()
	if cut {
		at.Close()
	}
}

// holdAs has the connection count as that of another client than the one that it came from; its error says that this one has too many.
func (c *clientConns) holdAs(s *caller, client netip.Addr) error {
	e := s.front.edge.Load()
	c.mu.Lock()
	defer c.mu.Unlock()
	s.held.give()
	held, err := e.bounds.hold(client, e.trusted.contains(client))
	s.held = held
	return err
}

func (c *clientConns) remove(s *caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s.held.give()
	local := c.open[s.local]
	if local == nil {
		return // it never came in
	}
	if _, ok := local.callers[s]; !ok {
		return
	}
	c.gone.Broadcast()
	if delete(local.callers, s); len(local.callers) == 0 {
		delete(c.open, s.local)
	}
	if s.ending {
		c.ending.Add(-1)
	}
	if s.upgraded {
		local.upgraded--
	} else {
		s.front.leftLocked()
	}
}

// upgrade notes that the connection speaks another protocol now: it ends when that ends.
func (c *clientConns) upgrade(s *caller) {
	c.mu.Lock()
	defer c.mu.Unlock()
	local := c.open[s.local]
	if local == nil || s.upgraded {
		return
	}
	if _, ok := local.callers[s]; ok {
		s.upgraded = true
		local.upgraded++
		s.front.leftLocked()
	}
}

// leftLocked: one connection less that the front waits for when it closes.
func (f *front) leftLocked() {
	f.open--
	f.emptyLocked()
}

// emptyLocked looks whether it waits for none any more.
func (f *front) emptyLocked() {
	if f.open+f.coming > 0 || !f.closing {
		return
	}
	select {
	case <-f.empty: // more came behind the last one, whose PROXY header was waited for
	default:
		close(f.empty)
	}
}

// sweep brings every connection into agreement with who is to end now. Asking the kernel about each of many takes a while: nobody waits for a lock meanwhile
// who takes a connection in or closes one.
func (c *clientConns) sweep(change func()) {
	c.sweeps.Lock()
	defer c.sweeps.Unlock()
	var retire, stay []engineConn
	c.mu.Lock()
	change()
	for addr, local := range c.open {
		for s := range local.callers {
			switch ends := c.draining[addr] || s.front.closing; {
			case ends && !s.ending:
				c.ending.Add(1)
				if s.at != nil {
					retire = append(retire, s.at)
				}
			case !ends && s.ending:
				c.ending.Add(-1)
				if s.at != nil {
					stay = append(stay, s.at)
				}
			default:
				continue
			}
			s.ending = !s.ending
		}
	}
	c.mu.Unlock()
	for _, at := range retire {
		at.retire()
	}
	for _, at := range stay {
		at.stay()
	}
}

// cutAll closes those that the condition chooses, whatever goes on on them, and returns when they are closed. The condition may read what mu guards.
func (c *clientConns) cutAll(which func(*caller) bool) {
	var chosen []engineConn
	var cut []*caller
	c.mu.Lock()
	for _, local := range c.open {
		for s := range local.callers {
			if which(s) {
				s.cut = true
				cut = append(cut, s)
				if s.at != nil {
					chosen = append(chosen, s.at)
				}
			}
		}
	}
	c.mu.Unlock()
	for _, at := range chosen {
		at.Close()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range cut {
		for c.isOpenLocked(s) { // a loop closes it in its next turn, or it is on its way between two engines
			c.gone.Wait()
		}
	}
}

func (c *clientConns) isOpenLocked(s *caller) bool {
	local := c.open[s.local]
	if local == nil {
		return false
	}
	_, ok := local.callers[s]
	return ok
}

// drainBehind is drain for a front to which connections may come until done is closed: whose handshake was under way when it stopped listening. Those that are there need not wait for that.
func (c *clientConns) drainBehind(ctx context.Context, f *front, done <-chan struct{}) error {
	c.mu.Lock()
	f.coming++
	c.mu.Unlock()
	var last sync.WaitGroup
	last.Go(func() {
		<-done
		c.mu.Lock()
		defer c.mu.Unlock()
		f.coming--
		f.emptyLocked()
	})
	err := c.drain(ctx, f)
	last.Wait()
	return err
}

// drain has the front's connections end, and waits until they have; the error of ctx says that it was over first. Upgraded ones go on.
func (c *clientConns) drain(ctx context.Context, f *front) error {
	c.sweep(func() {
		if !f.closing {
			f.closing, f.empty = true, make(chan struct{})
			if f.open+f.coming == 0 {
				close(f.empty)
			}
		}
	})
	select {
	case <-f.empty:
		return nil
	default:
	}
	select {
	case <-f.empty:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
