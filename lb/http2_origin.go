package lb

//lint:file-ignore SA1019 net/http has the same code, but ends all connections of a server or none, and shows none of its errors: see docs/DEPENDENCIES.md

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
)

const (
	// http2OriginPing is after how much silence a connection to an instance is asked whether it still lives, while there are requests on it.
	http2OriginPing = 15 * time.Second
	// http2Idle is how long a connection without requests is kept. It is one for many requests, so that closing it in time matters less than making it.
	http2Idle = 5 * time.Minute
)

// http2Transport has requests carried in HTTP/2: to http listeners without asking (prior knowledge), to https ones by ALPN. All requests to a listener share one
// connection, and others are made only when the instance takes no more streams on it. What becomes of a request that the instance says it has not touched is said in
// nextTry.
func (e *endpoint) http2Transport() transport {
	pool := &http2Pool{dial: e.dialHTTP2}
	pool.Transport = &http2.Transport{
		AllowHTTP: true, ConnPool: pool, DisableCompression: true, MaxHeaderListSize: maxResponseHeader,
		IdleConnTimeout: http2Idle, ReadIdleTimeout: http2OriginPing, PingTimeout: http2PingTimeout, WriteByteTimeout: http2Stuck,
	}
	return pool
}

// dialHTTP2 connects for it.
func (e *endpoint) dialHTTP2(ctx context.Context) (net.Conn, error) {
	if e.scheme == "http" {
		return e.dial(ctx, "tcp", "")
	}
	conn, err := e.handshake(ctx, "tcp", "", http2.NextProtoTLS)
	if err != nil {
		return nil, err
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != http2.NextProtoTLS {
		conn.Close()
		return nil, &connectError{fmt.Errorf("the instance does not speak HTTP/2 (it negotiated %q)", got)}
	}
	return conn, nil
}

// errUntouched says that the instance has not touched a request.
var errUntouched = errors.New("the instance did not take the request")

// untouchedPauses are how long a request waits that an instance has not touched, before it asks it once more: not at all at first, because one that begins to end a
// connection takes it on another, then for a moment, if there is nowhere else to go.
var untouchedPauses = [...]time.Duration{0, time.Second}

// asksAgain reports whether an instance that has not touched the request is asked once more, after a pause if it has to be.
func (x *exchange) asksAgain() bool {
	d := &x.deliver
	if d.refusals == len(untouchedPauses) {
		return false
	}
	pause := untouchedPauses[d.refusals]
	if pause > 0 {
		if x.otherListener() != nil || !x.assigned && x.mayMove() || x.deadline > 0 && time.Since(x.start)+pause >= x.deadline {
			return false
		}
		over := time.NewTimer(pause)
		defer over.Stop()
		select {
		case <-over.C:
		case <-x.r.Context().Done():
			return false
		}
	}
	d.refusals++
	return true
}

// isUnprocessed reports whether the instance has said that nothing has been done about a request (RFC 9113, section 8.7), or has not got it.
func isUnprocessed(err error) bool {
	if errors.Is(err, errUntouched) {
		return true
	}
	if stream, ok := errors.AsType[http2.StreamError](err); ok {
		return stream.Code == http2.ErrCodeRefusedStream
	}
	// x/net does not export this one: a GOAWAY with a fault, and a last stream before the first of the connection.
	return strings.HasPrefix(err.Error(), "http2: Transport received GOAWAY")
}

// isHTTP2Reset reports whether a connection of HTTP/2 to an instance has broken, or was ended by it.
func isHTTP2Reset(err error) bool {
	if _, ok := errors.AsType[http2.GoAwayError](err); ok {
		return true
	}
	text := err.Error() // x/net does not export these
	return strings.HasPrefix(text, "http2: client conn") || strings.HasPrefix(text, "http2: Transport: cannot retry err")
}
