package lb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/lb/proxyproto"
)

// checkListener makes one probe of a listener URL, and asks the agent if there is one: each of them can fail the probe. nil means healthy.
func (e *endpoint) checkListener(ctx context.Context, s *healthSettings) error {
	if s.agentPort == 0 && s.kind != "agent" {
		e.forgetAgent()
		return e.check(ctx, s)
	}
	asked := make(chan error, 1)
	go func() { asked <- e.askAgent(ctx, s) }()
	err := e.check(ctx, s)
	if said := <-asked; said != nil && err == nil {
		err = &agentError{said}
	}
	return err
}

// agentError is why a listener is unavailable by its agent, not by the check.
type agentError struct{ err error }

func (e *agentError) Error() string { return "agent: " + e.err.Error() }
func (e *agentError) Unwrap() error { return e.err }

// check makes the probe proper.
func (e *endpoint) check(ctx context.Context, s *healthSettings) error {
	switch {
	case s.kind == "http":
		return e.checkHTTP(ctx, s)
	case s.kind == "grpc":
		return e.checkGRPC(ctx, s.service)
	case s.kind != "tcp" && s.agentPort != 0 && e.up():
		return nil // the agent is all there is
	case s.kind != "tcp" && e.scheme == "udp":
		return e.checkUDP(ctx)
	default: // types none and agent find out whether a listener that refused accepts again
		return e.checkTCP(ctx, s)
	}
}

// explain is the reason that operators see, "" without an error.
func explain(s *healthSettings, err error) string {
	var agent *agentError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &agent):
		return "agent: " + explain(s, agent.err)
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return fmt.Sprintf("no answer within %v", s.timeout)
	default:
		return err.Error()
	}
}

func (e *endpoint) checkTCP(ctx context.Context, s *healthSettings) error {
	conn, err := e.dialer.DialContext(ctx, "tcp", e.hostPort)
	if err != nil {
		return err
	}
	e.noteReached()
	if s.sendProxy > 0 {
		h := proxyproto.Header{Version: s.sendProxy}
		conn.Write(h.Append(nil)) // so that the instance does not take it for a broken client; that it has accepted is what counts
	}
	if s.passedTLS && e.scheme == "tcp" {
		e.look(ctx, conn, s.serverName)
		conn.Close() // it may be closed
		return nil
	}
	return conn.Close()
}

// silentUDP is how long a port that is open may say nothing to an empty datagram, which is what most do; a closed one is refused by its machine at once.
const silentUDP = 250 * time.Millisecond

// checkUDP finds out whether a port that was refused is open again.
func (e *endpoint) checkUDP(ctx context.Context) error {
	conn, err := e.dialer.DialContext(ctx, "udp", e.hostPort)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write(nil); err != nil {
		return err
	}
	conn.SetReadDeadline(time.Now().Add(silentUDP))
	if _, err := conn.Read(make([]byte, 1)); err != nil && !isTimeout(err) {
		return err
	}
	return nil
}

func (e *endpoint) checkHTTP(ctx context.Context, s *healthSettings) error {
	url, err := config.HealthURL(e.url, s.path)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", healthUserAgent)
	r.Close = true // a connection of its own also proves that the instance still accepts
	t := e.transport
	if e.h2 {
		t = e.http2Transport() // Close is of requests of HTTP/1.1
		defer t.CloseIdleConnections()
	}
	resp, err := t.RoundTrip(r)
	if errors.Is(err, errUntouched) {
		resp, err = t.RoundTrip(r) // it may only have begun to end a connection
	}
	if err != nil {
		return err
	}
	io.CopyN(io.Discard, resp.Body, 4<<10) // lets a small answer end in order; its text is of no interest
	resp.Body.Close()
	if !s.healthy.Contains(resp.StatusCode) {
		return fmt.Errorf("health check answered %d, not %s", resp.StatusCode, s.expect)
	}
	return nil
}

// healthUserAgent is how checks name themselves.
const healthUserAgent = "holdfast-health"

// isSilent reports whether an attempt failed without anything having come back from the instance's machine. That may be this node's own fault, or the
// network's; a refused connection, a reset or a bad answer cannot.
func isSilent(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		return true
	}
	for _, e := range []syscall.Errno{syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EHOSTDOWN} {
		if errors.Is(err, e) {
			return true
		}
	}
	var unknown *net.DNSError // names are resolved over the network too
	return errors.As(err, &unknown)
}

// isTimeout reports whether the network says that the time is over.
func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
