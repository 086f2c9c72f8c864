package lb

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/proxyproto"
)

// A trusted proxy may say in front of a connection whose it is (the PROXY protocol). The connection then is that client's, for everything: affinity, bounds,
// the log, X-Forwarded-For.

// mostAwaited bounds how many connections may be waiting for their header at once: each has a descriptor and a little memory before any bound of its client
// can count.
const mostAwaited = 4096

// proxyMode is what a listener says about headers of the PROXY protocol.
type proxyMode uint8

const (
	proxyOff     proxyMode = iota
	proxyAccept            // trusted proxies may send one
	proxyRequire           // nobody else may connect, and each connection has one
)

var proxyModes = map[string]proxyMode{"accept": proxyAccept, "require": proxyRequire}

// sendProxyVersions are those of a cluster's sendProxy.
var sendProxyVersions = map[string]int{"v1": 1, "v2": 2}

var (
	errHeaderStranger = errors.New("PROXY protocol: the listener requires it, and the peer is no trusted proxy")
	errHeaderMissing  = errors.New("PROXY protocol: the listener requires it, and the connection began without a header")
	errHeaderFlood    = errors.New("PROXY protocol: too many connections wait for their header")
	// errHeaderForged is for a header from somebody who is not believed.
	errHeaderForged = errors.New("PROXY protocol: a header from a peer that is no trusted proxy")
)

// introduction is how a connection is introduced by its header, or that it has none.
type introduction struct {
	source, destination netip.AddrPort // invalid: those of the connection
	rest                []byte         // what has been read behind the header
	suspect             bool           // a header that comes now is a lie
}

// expectsHeader reports whether a connection from the peer has to be looked at before it is anybody's.
func (e *edge) expectsHeader() bool { return e.proxied != proxyOff }

// introduce reads the header of a connection, if it may or must have one. before is what has been read of the connection already.
func (f *front) introduce(conn net.Conn, before []byte) (introduction, error) {
	e := f.edge.Load()
	in := introduction{rest: before}
	switch trusted := e.trusted.contains(remoteAddr(conn)); {
	case e.proxied == proxyOff:
		return in, nil
	case !trusted && e.proxied == proxyRequire:
		return in, errHeaderStranger
	case !trusted:
		in.suspect = true
		return in, nil
	}
	if f.b.awaitedHeaders.Add(1) > mostAwaited {
		f.b.awaitedHeaders.Add(-1)
		return in, errHeaderFlood
	}
	defer f.b.awaitedHeaders.Add(-1)
	return f.readHeader(conn, e, before)
}

// readHeader waits for the header for as long as a client may take for the head of its first request.
func (f *front) readHeader(conn net.Conn, e *edge, before []byte) (in introduction, err error) {
	stop := context.AfterFunc(f.requests, func() { conn.SetReadDeadline(longAgo) })
	defer stop()
	conn.SetReadDeadline(time.Now().Add(e.guard.First))
	h, rest, err := proxyproto.Read(conn, before)
	conn.SetReadDeadline(time.Time{})
	if f.requests.Err() != nil {
		return in, errClosed
	}
	in.rest = rest
	silent := len(rest) == 0 && (errors.Is(err, os.ErrDeadlineExceeded) || err == io.EOF)
	switch {
	case err == nil:
		in.source, in.destination = h.Source, h.Destination
		in.suspect = true // what follows is a stranger's
		return in, nil
	case err == proxyproto.ErrNone || silent: // a proxy that sends none, and perhaps waits for the instance to speak first
		if e.proxied == proxyRequire {
			return in, errHeaderMissing
		}
		return in, nil
	}
	return in, err
}

// refuseHeader closes a connection that is not what its listener takes, and says why, but not for each of a flood.
func (f *front) refuseHeader(conn net.Conn, err error) {
	peer := remoteAddr(conn)
	conn.Close()
	var limit *limitError
	if errors.Is(err, errClosed) || errors.As(err, &limit) {
		return
	}
	f.noteHeader(peer, err)
}

// noteHeader counts what is not taken, and says why.
func (f *front) noteHeader(peer netip.Addr, err error) {
	f.b.metrics.violations.WithLabelValues("proxy header").Inc()
	if f.headerTold.due(time.Now()) {
		f.b.log.Warn("a connection is refused; more of this listener are not logged for an hour", "listener", f.name(), "peer", peer, "error", err)
	}
}

// takeProxied takes over a connection of a listener for requests: once it is certain whose it is, net/http gets it.
func (f *front) takeProxied(conn net.Conn, before []byte) {
	in, err := f.introduce(conn, before)
	if err != nil {
		f.refuseHeader(conn, err)
		return
	}
	who := &caller{front: f, local: localAddr(conn)}
	s := &clientSocket{Conn: conn, who: who, before: in.rest, client: in.source, fresh: true}
	if len(s.before) == 0 {
		s.before = nil
	}
	held, err := f.admit(addrPortOf(s.RemoteAddr()).Addr())
	if err != nil {
		f.turnAway(conn, err)
		return
	}
	who.held = held
	f.relay.give(s)
}

// proxiedConn marks a connection that the loops let go of at once, because it may have a header.
type proxiedConn struct{ front *front }

// headers counts the connections that wait for their header.
type headers struct{ awaitedHeaders atomic.Int64 }

// addrPortOf gives an end of a connection, IPv4 as such.
func addrPortOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		at := tcp.AddrPort()
		return netip.AddrPortFrom(plainAddr(at.Addr()), at.Port())
	}
	return netip.AddrPort{}
}
