package lb

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/holdfast-lb/holdfast/lb/h3"
)

// h3OneWay is how many streams a client may have on which it alone sends.
const h3OneWay = h3.OneWayStreams

// http3Conn is a client's connection of HTTP/3, from its first datagram on.
type http3Conn struct {
	h      *http3Front
	who    *caller
	peer   netip.Addr // from where it came; it may go on from elsewhere
	proven bool       // that is its address
	shaken func()     // gives the place of the handshake back, once

	conn *h3.Conn // nil while the handshake is under way

	mu       sync.Mutex
	told     bool
	retiring *time.Timer
	over     bool
}

type http3ConnKey struct{}

func http3ConnOf(ctx context.Context) *http3Conn {
	c, _ := ctx.Value(http3ConnKey{}).(*http3Conn)
	return c
}

var errFlooded = errors.New("too many handshakes at once")

// mustProve has a client show that it gets what is sent to its address (Retry, RFC 9000 section 8.1.2), when many handshakes are under way of clients that have not.
func (h *http3Front) mustProve(net.Addr) bool {
	s := h.over.secure.Load()
	if s == nil || h.unproven.Load() < max(1, s.most/10) {
		return false
	}
	h.b.metrics.http3.retries.Inc()
	return true
}

// arrives takes a handshake in, if the bounds allow. The address of a client that has proved nothing may be somebody else's: it does not count against that one.
func (h *http3Front) arrives(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	s := h.over.secure.Load()
	if s == nil {
		return nil, errNoTLS
	}
	c := &http3Conn{h: h, who: &caller{front: h.front}, peer: addrPortOfUDP(info.RemoteAddr).Addr(), proven: info.AddrVerified}
	c.peer = plainAddr(c.peer)
	if !c.proven {
		h.unproven.Add(1)
		c.shaken = sync.OnceFunc(func() { h.unproven.Add(-1) })
	} else {
		held, err := h.over.admit(c.peer)
		if err != nil {
			h.b.metrics.tls.handshake(h.name(), resultLimited, nil)
			return nil, err
		}
		if !h.shakes.begin(c.peer, s, h.edge.Load().trusted.contains(c.peer)) {
			held.give()
			h.b.metrics.tls.handshake(h.name(), resultFlood, nil)
			return nil, errFlooded
		}
		c.who.held = held
		c.shaken = sync.OnceFunc(func() { h.shakes.end(c.peer) })
	}
	context.AfterFunc(ctx, func() { c.gone(ctx) })
	return context.WithValue(ctx, http3ConnKey{}, c), nil
}

// gone comes when the connection has ended, whether its handshake was ever done or not.
func (c *http3Conn) gone(ctx context.Context) {
	c.shaken()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn != nil || c.over {
		return // begin has it
	}
	c.over = true
	c.who.held.give()
	c.h.b.metrics.tls.handshake(c.h.name(), quicFailure(context.Cause(ctx)), nil)
}

// quicFailure says in one word why a handshake failed.
func quicFailure(err error) string {
	_, late := errors.AsType[*quic.HandshakeTimeoutError](err)
	_, silent := errors.AsType[*quic.IdleTimeoutError](err)
	t, ours := errors.AsType[*quic.TransportError](err)
	switch {
	case late || silent:
		return resultTimeout
	case ours && t.Remote && t.ErrorCode.IsCryptoError():
		return resultRefused
	case ours && t.ErrorCode == quic.ConnectionRefused:
		return resultEnd
	case ours && t.ErrorCode.IsCryptoError():
		return failureResult(context.Background(), err)
	}
	return resultGone
}

// begin serves a connection whose handshake is done.
func (c *http3Conn) begin(conn *quic.Conn) {
	h, b := c.h, c.h.b
	defer c.shaken() // not before it is known as a connection: one of both is always counted
	state := conn.ConnectionState().TLS
	b.metrics.tls.handshake(h.name(), resultOf(&state), &state)
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	if !c.proven {
		held, err := h.over.admit(c.peer)
		if err != nil {
			c.over = true
			c.mu.Unlock()
			b.relays.Go(func() { conn.CloseWithError(http3ExcessiveLoad, "too many connections") })
			return
		}
		c.who.held = held
	}
	c.conn = h3.NewConn(conn, h3.Options{
		Handler: b.http3Handler(), Refused: b.metrics.http3Refused, Log: b.log,
		Latest: func() h3.Options {
			guard := &h.edge.Load().guard
			return h3.Options{Head: guard.Head, Lines: guard.Lines, HeadTimeout: guard.HeadTimeout, Idle: guard.Idle}
		},
	})
	c.mu.Unlock()
	c.who.local = plainAddr(addrPortOfUDP(conn.LocalAddr()).Addr())
	b.conns.add(c.who, c)
	h.accepted.Add(1)
	b.relays.Go(func() {
		defer b.conns.remove(c.who)
		c.conn.Serve()
		c.finish()
	})
}

// http3ExcessiveLoad is H3_EXCESSIVE_LOAD.
const http3ExcessiveLoad = 0x107

func (c *http3Conn) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.retiring != nil {
		c.retiring.Stop()
	}
}

// retire has it end: the client is told that it may begin nothing more, and what it has begun by the time it hears that is served to its end. It waits for nothing.
func (c *http3Conn) retire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	if !c.told {
		c.told = true
		c.conn.GoAway()
	}
	c.retiring = time.AfterFunc(http2Notice, c.shut)
}

// shut says which request was the last, unless that has been taken back.
func (c *http3Conn) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.over && c.retiring != nil {
		c.conn.Shut()
	}
}

// stay takes retire back. The client, which has been told, goes to another connection all the same.
func (c *http3Conn) stay() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.retiring != nil {
		c.retiring.Stop()
		c.retiring = nil
	}
}

// Close ends it at once.
func (c *http3Conn) Close() error { return c.conn.Close() }

// http3Handler is the handler of connections that speak HTTP/3.
func (b *Balancer) http3Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := h3.Protocol(r.Context()); p != "" {
			r.Header[protocolField] = []string{p}
		}
		b.serveStream(w, r, &http3ConnOf(r.Context()).who.front.edge.Load().guard)
	})
}
