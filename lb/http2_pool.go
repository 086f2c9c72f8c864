package lb

//lint:file-ignore SA1019 see http2_origin.go

import (
	"context"
	"net"
	"net/http"
	"slices"
	"sync"

	"golang.org/x/net/http2"
)

// http2Pool is the transport to a listener that speaks HTTP/2, with its connections. That of x/net itself has a request that an instance has not touched sent again and again,
// for a minute, and asks nobody; here the attempt ends with errUntouched, and nothing is left of it.
type http2Pool struct {
	*http2.Transport
	dial func(context.Context) (net.Conn, error)

	mu      sync.Mutex
	conns   []*http2.ClientConn
	dialing *http2Dial
}

// http2Dial is a connection that is being made, for all who wait for it.
type http2Dial struct {
	done    chan struct{} // closed when the rest is set
	conn    *http2.ClientConn
	err     error
	waiting int // guarded by the pool's lock; the dial ends when nobody waits
	cancel  context.CancelFunc
}

// http2Try is what the pool knows of one attempt to have a request carried.
type http2Try struct{ conn *http2.ClientConn }

// http2TryKey is that of it in the context of the attempt.
type http2TryKey struct{}

// RoundTrip implements http.RoundTripper.
func (p *http2Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	return p.Transport.RoundTrip(r.WithContext(context.WithValue(r.Context(), http2TryKey{}, new(http2Try))))
}

// GetClientConn implements http2.ClientConnPool. The second time in an attempt it is because the instance has not touched the request on the first connection.
func (p *http2Pool) GetClientConn(r *http.Request, _ string) (conn *http2.ClientConn, err error) {
	try := r.Context().Value(http2TryKey{}).(*http2Try)
	if try.conn != nil {
		if !try.conn.CanTakeNewRequest() {
			p.retire(try.conn) // it takes no streams at all, as likely as not: it would be in nobody's way but stay
		}
		return nil, errUntouched
	}
	try.conn, err = p.get(r.Context())
	return try.conn, err
}

// get gives a connection with room for a request, which is reserved.
func (p *http2Pool) get(ctx context.Context) (*http2.ClientConn, error) {
	for {
		p.mu.Lock()
		for _, conn := range p.conns {
			if conn.ReserveNewRequest() {
				p.mu.Unlock()
				return conn, nil
			}
		}
		d := p.dialing
		if d == nil {
			d = p.begin()
		}
		d.waiting++
		p.mu.Unlock()
		select {
		case <-d.done:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if d.waiting--; d.waiting == 0 {
			d.cancel()
			p.ended(d)
		}
		p.mu.Unlock()
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case d.err != nil:
			return nil, d.err
		case d.conn.ReserveNewRequest():
			return d.conn, nil
		}
		if s := d.conn.State(); s.StreamsActive+s.StreamsReserved+s.StreamsPending == 0 { // it is new, and takes no stream
			p.retire(d.conn)
			return nil, errUntouched
		}
	}
}

// begin makes a connection. The pool is locked.
func (p *http2Pool) begin() *http2Dial {
	ctx, cancel := context.WithCancel(context.Background())
	d := &http2Dial{done: make(chan struct{}), cancel: cancel}
	p.dialing = d
	go func() {
		defer cancel()
		var conn net.Conn
		if conn, d.err = p.dial(ctx); d.err == nil {
			d.conn, d.err = p.NewClientConn(conn)
		}
		p.mu.Lock()
		if p.ended(d); d.err == nil {
			p.conns = append(p.conns, d.conn)
		}
		p.mu.Unlock()
		close(d.done)
	}()
	return d
}

// ended has nobody wait for a dial any more who does not yet. The pool is locked.
func (p *http2Pool) ended(d *http2Dial) {
	if p.dialing == d {
		p.dialing = nil
	}
}

// MarkDead implements http2.ClientConnPool.
func (p *http2Pool) MarkDead(conn *http2.ClientConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.conns, conn); i >= 0 {
		p.conns = slices.Delete(p.conns, i, i+1)
	}
}

// retire takes a connection out, and has it close when nothing is under way on it.
func (p *http2Pool) retire(conn *http2.ClientConn) {
	p.MarkDead(conn)
	go closeIdle(conn) // a writer may hold it
}

func closeIdle(conn *http2.ClientConn) {
	conn.SetDoNotReuse()
	if s := conn.State(); s.StreamsActive+s.StreamsReserved+s.StreamsPending == 0 {
		conn.Close()
	}
}

// CloseIdleConnections implements transport. What is under way finishes, and its connection then closes.
func (p *http2Pool) CloseIdleConnections() {
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.mu.Unlock()
	for _, conn := range conns {
		go closeIdle(conn)
	}
}
