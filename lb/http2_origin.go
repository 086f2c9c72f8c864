package lb

//lint:file-ignore SA1019 net/http has the same code, but ends all connections of a server or none, and shows none of its errors: see docs/DEPENDENCIES.md

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
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
// connection, and others are made only when the instance takes no more streams on it. A request that the instance says it has not touched is sent again by
// x/net itself, see onceMore.
func (e *endpoint) http2Transport() *http2.Transport {
	return &http2.Transport{
		AllowHTTP: true, DialTLSContext: e.dialHTTP2, DisableCompression: true, MaxHeaderListSize: maxResponseHeader,
		IdleConnTimeout: http2Idle, ReadIdleTimeout: http2OriginPing, PingTimeout: http2PingTimeout, WriteByteTimeout: http2Stuck,
	}
}

// dialHTTP2 is dial for http2.Transport, which calls it for clear text too.
func (e *endpoint) dialHTTP2(ctx context.Context, network, addr string, _ *tls.Config) (net.Conn, error) {
	if e.scheme == "http" {
		return e.dial(ctx, network, addr)
	}
	conn, err := e.handshake(ctx, network, addr, http2.NextProtoTLS)
	if err != nil {
		return nil, err
	}
	if got := conn.ConnectionState().NegotiatedProtocol; got != http2.NextProtoTLS {
		conn.Close()
		return nil, &connectError{fmt.Errorf("the instance does not speak HTTP/2 (it negotiated %q)", got)}
	}
	return conn, nil
}

// errUntouched says that the instance has twice not touched a request.
var errUntouched = errors.New("the instance took the request on no connection")

// onceMore is the Request.GetBody by which x/net sends what was not touched once more, on another connection, as an instance needs it that begins to end a
// connection. By itself it would go on for a minute; a request without a session is better off elsewhere by then, if there is another place for it.
func (x *exchange) onceMore() func() (io.ReadCloser, error) {
	again := false
	return func() (io.ReadCloser, error) {
		if again {
			return nil, errUntouched
		}
		again = true
		return x.bodyAgain()
	}
}

// isUnprocessed reports whether the instance has said that nothing has been done about a request (RFC 9113, section 8.7).
func isUnprocessed(err error) bool {
	if errors.Is(err, errUntouched) {
		return true
	}
	stream, ok := errors.AsType[http2.StreamError](err)
	return ok && stream.Code == http2.ErrCodeRefusedStream
}

// isHTTP2Reset reports whether a connection of HTTP/2 to an instance has broken, or was ended by it.
func isHTTP2Reset(err error) bool {
	if _, ok := errors.AsType[http2.GoAwayError](err); ok {
		return true
	}
	text := err.Error() // x/net does not export these
	return strings.HasPrefix(text, "http2: client conn") || strings.HasPrefix(text, "http2: Transport: cannot retry err")
}
