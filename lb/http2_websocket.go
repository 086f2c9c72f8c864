package lb

import (
	"context"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// WebSockets over HTTP/2 (RFC 8441): a client opens one with an extended CONNECT, and the stream is the tunnel then. The instance gets the usual request with
// Upgrade, on a connection of HTTP/1.1 of its own.

const protocolField = ":protocol" // where x/net puts the pseudo-header field

// connectStream is what a stream needs to become a tunnel.
type connectStream struct {
	body io.ReadCloser // what the client sends
	key  string        // Sec-WebSocket-Key, made here: in HTTP/2 there is none
}

type connectStreamKey struct{}

// connectStreamOf gives it for requests that came as extended CONNECT; nil for all others.
func connectStreamOf(ctx context.Context) *connectStream {
	s, _ := ctx.Value(connectStreamKey{}).(*connectStream)
	return s
}

var errConnectProtocol = &wire.Error{Status: http.StatusNotImplemented, Reason: "protocol of an extended CONNECT not supported"}

// fromConnect makes the request with Upgrade out of an extended CONNECT; what is none stays as it is.
func fromConnect(r *http.Request) (*http.Request, *wire.Error) {
	protocol := r.Header[protocolField]
	if r.Method != http.MethodConnect || len(protocol) == 0 {
		return r, nil
	}
	if len(protocol) > 1 || protocol[0] != "websocket" {
		return r, errConnectProtocol
	}
	delete(r.Header, protocolField)
	var nonce [16]byte
	rand.Read(nonce[:])
	s := &connectStream{body: r.Body, key: base64.StdEncoding.EncodeToString(nonce[:])}
	r = r.WithContext(context.WithValue(r.Context(), connectStreamKey{}, s))
	r.Method, r.Body, r.ContentLength = http.MethodGet, http.NoBody, 0
	return r, nil
}

// asUpgrade adds what only HTTP/1.1 says. It comes after the request has been checked.
func (s *connectStream) asUpgrade(h http.Header) {
	h["Connection"], h["Upgrade"], h["Sec-Websocket-Key"] = []string{"Upgrade"}, []string{"websocket"}, []string{s.key}
}

// accepts reports whether the instance has understood the request as one for a WebSocket (RFC 6455, section 4.2.2).
func (s *connectStream) accepts(answer string) bool {
	sum := sha1.Sum([]byte(s.key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return strings.TrimSpace(answer) == base64.StdEncoding.EncodeToString(sum[:])
}

// upgradeStream is upgrade for a stream of HTTP/2.
func (x *exchange) upgradeStream(resp *http.Response, s *connectStream) error {
	x.info.close()
	instanceConn, ok := resp.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") || !s.accepts(resp.Header.Get("Sec-Websocket-Accept")) {
		return errBadUpgrade
	}
	client := &streamConn{body: s.body, w: x.w, control: http.NewResponseController(x.w)}
	t := &tunnel{client: client, instance: instanceConn, patience: x.edge.tunnel}
	if !x.b.tunnels.add(t) {
		t.close()
		return errClosed
	}
	defer x.b.tunnels.remove(t)
	x.endBy(t.close)
	x.hideInstances(resp.Header)
	h := x.w.Header()
	for name, values := range resp.Header {
		if name != "Connection" && name != "Upgrade" && name != "Sec-Websocket-Accept" {
			h[name] = values
		}
	}
	x.tellRequestID(h)
	x.tellHSTS(h)
	x.tellAltSvc(h)
	x.status, x.head = http.StatusOK, true
	x.w.WriteHeader(http.StatusOK)
	if err := x.inTime(client.control.Flush); err != nil {
		t.close()
		return fmt.Errorf("%w: %w", errClientWrite, err)
	}
	x.endTrace() // with the handshake
	defer x.keepInUse()()
	x.sent = t.run(nil)
	return nil
}

// streamConn is a stream of HTTP/2 as an end of a tunnel. The end of the handler ends the stream.
type streamConn struct {
	body    io.ReadCloser
	w       io.Writer
	control *http.ResponseController

	writes atomic.Bool // a write is under way
	once   sync.Once
}

func (c *streamConn) Read(p []byte) (int, error) { return c.body.Read(p) }

// Write sends at once.
func (c *streamConn) Write(p []byte) (int, error) {
	c.writes.Store(true)
	defer c.writes.Store(false)
	n, err := c.w.Write(p)
	if err != nil {
		return n, err
	}
	return n, c.control.Flush()
}

// Close ends reads and writes that are under way; the latter cost the stream.
func (c *streamConn) Close() error {
	c.once.Do(func() {
		c.body.Close()
		if c.writes.Load() {
			c.control.SetWriteDeadline(time.Unix(1, 0))
		}
	})
	return nil
}
