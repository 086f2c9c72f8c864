package lb

import (
	"context"
	"errors"
	"net"
	"syscall"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// loops is the engine on event loops, nil where net/http does everything.
func (b *Balancer) loops() *h1.Engine { return b.engine }

// startLoops makes the engine, once. Without it everything goes on, by net/http.
func (b *Balancer) startLoops() {
	b.once.Do(func() {
		if b.opts.NetOnly {
			return
		}
		engine, err := h1.New(h1.Options{Director: &director{b}, Loops: b.opts.Loops, Stats: b.metrics, Log: b.log, Files: filesForClients, Short: b.short.note, Latest: latestLimits, Own: []string{lostHeader}, Shut: b.opts.shut, ShutMany: b.opts.shutMany})
		switch {
		case err == nil:
			b.engine = engine
		case !errors.Is(err, h1.ErrNoEngine):
			b.log.Warn("event loops cannot be had; every request takes the slower way", "error", err)
		}
	})
}

// latestLimits are those of a connection's listener. A head is read by what is in force when it begins; Direct would be too late to say.
func latestLimits(c *h1.Conn) *h1.Limits {
	if who, ok := c.Tag.(*caller); ok {
		return who.front.edge.Load().loops
	}
	return nil
}

// closeLoops ends the engine with all that it still has.
func (b *Balancer) closeLoops() {
	if b.engine == nil {
		return
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	b.engine.Close(over)
}

// loopListener is a front's listener as the loops get it.
type loopListener struct {
	net.Listener
	front *front
}

// SyscallConn gives access to the descriptor.
func (l *loopListener) SyscallConn() (syscall.RawConn, error) {
	if c, ok := l.Listener.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, syscall.EINVAL
}

// director decides for the loops.
type director struct{ b *Balancer }

// turnedAway is a connection that is one too many.
type turnedAway struct {
	front *front
	why   error
}

// Accept implements h1.Director.
func (d *director) Accept(c *h1.Conn, from net.Listener) bool {
	f := from.(*loopListener).front
	f.accepted.Add(1)
	if f.edge.Load().expectsHeader() {
		c.Tag = &proxiedConn{f}
		c.LetGo()
		return true
	}
	held, err := f.admit(c.Remote.Addr())
	if err != nil {
		c.Tag = &turnedAway{f, err}
		c.LetGo()
		return true
	}
	who := &caller{front: f, local: c.Local.Addr(), held: held}
	c.Tag = who
	c.Use(f.edge.Load().loops)
	d.b.conns.add(who, (*onLoop)(c))
	return true
}

// turnOut has the connection of nobody yet answered, or looked at.
func (d *director) turnOut(tag any, conn net.Conn, rest []byte) {
	switch away := tag.(type) {
	case *turnedAway:
		away.front.turnAway(conn, away.why)
	case *proxiedConn:
		away.front.takeProxied(conn, rest)
	}
}

// Gone implements h1.Director.
func (d *director) Gone(c *h1.Conn) {
	if who, ok := c.Tag.(*caller); ok {
		d.b.conns.remove(who)
	}
}

// Away implements h1.Director: net/http takes the connection over.
func (d *director) Away(c *h1.Conn, fd int, rest []byte) {
	who, ok := c.Tag.(*caller)
	if ok {
		d.b.conns.leave(who)
		who.detour.begin()
	}
	sent := ok && who.tls == nil && who.after != nil && who.after.to != nil && who.after.whole
	d.b.relays.Go(func() {
		conn, err := socketOn(fd)
		switch {
		case err != nil:
			d.b.short.note(err)
			d.b.log.Warn("a client's connection is lost", "error", err)
			if ok {
				d.b.conns.remove(who)
			}
		case ok:
			over := who.over(conn, rest)
			if s, plain := over.(*clientSocket); plain && sent {
				s.hush()
			}
			who.front.relay.give(over)
		default:
			d.turnOut(c.Tag, conn, rest)
		}
	})
}
