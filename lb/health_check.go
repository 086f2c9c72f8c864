package lb

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// checkListener makes one probe of a listener URL, and asks the agent if there is one: each of them can fail the probe. The empty string
// means healthy.
func (e *endpoint) checkListener(ctx context.Context, s *healthSettings) string {
	if s.agentPort == 0 && s.kind != "agent" {
		e.forgetAgent()
		return explain(s, e.check(ctx, s))
	}
	asked := make(chan error, 1)
	go func() { asked <- e.askAgent(ctx, s.agentPort) }()
	reason := explain(s, e.check(ctx, s))
	if said := explain(s, <-asked); said != "" && reason == "" {
		reason = "agent: " + said
	}
	return reason
}

// check makes the probe proper.
func (e *endpoint) check(ctx context.Context, s *healthSettings) error {
	switch {
	case s.kind == "http":
		return e.checkHTTP(ctx, s)
	case s.kind == "grpc":
		return e.checkGRPC(ctx, s.service)
	case s.kind != "tcp" && s.agentPort != 0 && e.up():
		return nil // the agent is all there is
	default: // types none and agent find out whether a listener that refused accepts again
		return e.checkTCP(ctx)
	}
}

// explain is the reason that operators see, "" without an error.
func explain(s *healthSettings, err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded) || isTimeout(err):
		return fmt.Sprintf("no answer within %v", s.timeout)
	default:
		return err.Error()
	}
}

func (e *endpoint) checkTCP(ctx context.Context) error {
	conn, err := e.dialer.DialContext(ctx, "tcp", e.hostPort)
	if err != nil {
		return err
	}
	return conn.Close()
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
	resp, err := e.transport.RoundTrip(r)
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

// isTimeout reports whether the network says that the time is over.
func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
