package proxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	pieceBytes = 16 << 10
	// piecesAhead bounds what is under way in one direction.
	piecesAhead = 64
)

// connection is one relayed connection.
type connection struct {
	fabric   *Fabric
	number   uint64
	from, to string       // who dialled whom
	last     atomic.Int64 // when something came last, of either side; Unix nanoseconds
	answered atomic.Bool  // what came last is of the side that was dialled: no request is under way

	mu     sync.Mutex
	client *net.TCPConn
	server *net.TCPConn // nil before meet
	ended  bool
	hung   bool          // up, by the side that was dialled
	done   chan struct{} // closed when it has been reset
}

// meet is given the other end; false: the connection has been reset in the meantime.
func (c *connection) meet(server *net.TCPConn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = server
	if c.ended {
		_ = server.SetLinger(0)
		_ = server.Close()
		return false
	}
	return true
}

// reset ends both halves with a RST.
func (c *connection) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	c.ended = true
	close(c.done)
	for _, side := range []*net.TCPConn{c.client, c.server} {
		if side != nil {
			_ = side.SetLinger(0)
			_ = side.Close()
		}
	}
}

// hangUp has the side that was dialled end the connection in an orderly way, as a server does with one that waits for the next request; false: it has ended already. What the other side makes of it
// is its own matter: as long as it does not close its end, the connection stays.
func (c *connection) hangUp() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended || c.hung || c.server == nil {
		return false
	}
	c.hung = c.server.CloseRead() == nil // the read on it ends with io.EOF, which is passed on
	return c.hung
}

// ending says that it was hung up and goes on.
func (c *connection) ending() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hung && !c.ended
}

// run passes on what comes until both directions have ended.
func (c *connection) run() {
	var both sync.WaitGroup
	both.Go(func() { c.flow(c.client, c.server, c.from, c.to, 0) })
	both.Go(func() { c.flow(c.server, c.client, c.to, c.from, 1) })
	both.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.ended = true
		close(c.done)
		_, _ = c.client.Close(), c.server.Close()
	}
}

// piece is some bytes and when they are due; with an error it is the last of its direction.
type piece struct {
	data []byte
	due  time.Time
	end  error
}

// flow passes one direction on. An orderly end is passed on as one; any other resets the connection.
func (c *connection) flow(in, out *net.TCPConn, from, to string, direction uint64) {
	random := rand.New(rand.NewPCG(c.fabric.seed, 2*c.number+direction))
	pieces := make(chan piece, piecesAhead)
	var reader sync.WaitGroup
	reader.Go(func() { c.read(in, from, to, random, pieces) })
	defer reader.Wait()
	for p := range pieces {
		if p.end != nil {
			if !errors.Is(p.end, io.EOF) || !c.due(p.due, from, to) || out.CloseWrite() != nil {
				c.reset()
			}
			return
		}
		if !c.due(p.due, from, to) || !c.write(out, p.data, from, to) {
			c.reset()
			return
		}
	}
}

// read takes pieces off one side and says when each is due.
func (c *connection) read(in *net.TCPConn, from, to string, random *rand.Rand, pieces chan<- piece) {
	defer close(pieces)
	last := time.Time{}
	for {
		buffer := make([]byte, pieceBytes)
		n, err := in.Read(buffer)
		e := c.fabric.rules.Load().effect(from, to)
		p := piece{data: buffer[:n], due: time.Now(), end: err}
		if n > 0 {
			c.last.Store(p.due.UnixNano())
			c.answered.Store(in == c.server)
			p.end = e.alter(p.data, random)
			p.due = p.due.Add(e.lateness(random))
		}
		if p.due.Before(last) { // what was sent first arrives first
			p.due = last
		}
		last = p.due
		for _, one := range p.split(err) {
			select {
			case pieces <- one:
			case <-c.done:
				return
			}
			if one.end != nil {
				return
			}
		}
	}
}

// split gives what a read brought as pieces: bytes and an end may come together.
func (p piece) split(end error) []piece {
	switch {
	case p.end != nil || len(p.data) == 0:
		return []piece{{due: p.due, end: errors.Join(p.end, end)}}
	case end != nil:
		return []piece{{data: p.data, due: p.due}, {due: p.due, end: end}}
	}
	return []piece{p}
}

// errBroken ends a connection at a piece that Effect.Break has drawn.
var errBroken = errors.New("broken as told")

// alter changes the bytes as the effect says. An error: the connection breaks here.
func (e Effect) alter(data []byte, random *rand.Rand) error {
	if e.Break > 0 && random.Float64() < e.Break {
		return errBroken
	}
	if e.Junk {
		for i := range data {
			data[i] = byte(random.Uint32())
		}
	}
	if e.Garble > 0 && random.Float64() < e.Garble {
		data[random.IntN(len(data))] ^= byte(1 + random.IntN(255))
	}
	return nil
}

// lateness draws how late a piece is.
func (e Effect) lateness(random *rand.Rand) time.Duration {
	late := e.Delay
	if e.Jitter > 0 {
		late += time.Duration(random.Int64N(int64(e.Jitter)))
	}
	for wait := retransmission; e.Loss > 0 && random.Float64() < e.Loss && wait < 10*time.Second; wait *= 2 {
		late += wait
	}
	return late
}

// due waits until the time has come and nothing holds the piece back; false: the connection has been reset.
func (c *connection) due(at time.Time, from, to string) bool {
	if wait := time.Until(at); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-c.done:
			return false
		}
	}
	for {
		now := c.fabric.rules.Load()
		if !now.effect(from, to).Hold {
			return true
		}
		select {
		case <-now.changed:
		case <-c.done:
			return false
		}
	}
}

// write sends a piece at the rate that holds.
func (c *connection) write(out *net.TCPConn, data []byte, from, to string) bool {
	for len(data) > 0 {
		rate := c.fabric.rules.Load().effect(from, to).Rate
		n := len(data)
		if rate > 0 {
			n = min(n, max(1, rate/50)) // what passes in 20 ms
		}
		if _, err := out.Write(data[:n]); err != nil {
			return false
		}
		data = data[n:]
		if rate > 0 {
			timer := time.NewTimer(time.Duration(n) * time.Second / time.Duration(rate))
			select {
			case <-timer.C:
			case <-c.done:
				timer.Stop()
				return false
			}
		}
	}
	return true
}
