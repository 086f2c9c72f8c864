package client

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// Lasting are clients that keep their connections: each asks again and again over one, and opens another when an answer says that it was the last, or when the other
// side has closed it before the next request. A request that was sent and has no answer failed: half of them are POSTs, which nobody may send twice.
type Lasting struct {
	cancel  context.CancelFunc
	clients sync.WaitGroup
	mu      sync.Mutex
	records measure.Requests
	opened  int
}

// lastingPause is between two requests over one connection.
const lastingPause = 10 * time.Millisecond

// StartLasting begins with n clients; each opens a connection at once.
func StartLasting(dial Dial, address string, n int, next func(i int) Ask) *Lasting {
	ctx, cancel := context.WithCancel(context.Background())
	l := &Lasting{cancel: cancel}
	for i := range n {
		l.clients.Go(func() {
			for at := i; ctx.Err() == nil; at += n {
				l.keep(ctx, dial, address, func(post bool) Ask {
					ask := next(at)
					ask.Post = post
					return ask
				})
			}
		})
	}
	return l
}

// keep asks over one connection until it ends.
func (l *Lasting) keep(ctx context.Context, dial Dial, address string, next func(post bool) Ask) {
	started := time.Now()
	limited, cancel := context.WithTimeout(context.Background(), time.Second)
	c, err := dial(limited, address)
	cancel()
	if err != nil {
		l.record(measure.Request{Start: started, End: time.Now(), Err: cause(fmt.Errorf("connect: %w", err))})
		pause(ctx, lastingPause)
		return
	}
	defer func() { _ = c.Close() }()
	l.mu.Lock()
	l.opened++
	l.mu.Unlock()
	r := bufio.NewReaderSize(c, 1024)
	for i := 0; ctx.Err() == nil; i++ {
		started := time.Now()
		_ = c.SetDeadline(started.Add(3 * time.Second))
		answer, err := over(c, r, address, next(i%2 == 1), false)
		l.record(measure.Request{Start: started, End: time.Now(), By: answer.Node, Err: cause(err)})
		if err != nil || answer.Last {
			return
		}
		if !idle(ctx, c, r) {
			return
		}
	}
}

// idle waits for the pause, and says whether the connection is still open then.
func idle(ctx context.Context, c net.Conn, r *bufio.Reader) bool {
	_ = c.SetReadDeadline(time.Now().Add(lastingPause))
	_, err := r.Peek(1)
	if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
		return ctx.Err() == nil
	}
	return false // closed, or an answer to nothing
}

func (l *Lasting) record(r measure.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
}

// Stop ends the clients after the request that each is at, and gives all requests and how many connections there were.
func (l *Lasting) Stop() (requests measure.Requests, connections int) {
	l.cancel()
	l.clients.Wait()
	return l.records, l.opened
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
