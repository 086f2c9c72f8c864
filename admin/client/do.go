package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

var dialer = &net.Dialer{Timeout: 2 * time.Second}

// maxAnswer bounds an answer; the largest are a configuration and the metrics.
const maxAnswer = 64 << 20

// request is one call, ready to be sent any number of times.
type request struct {
	method, path string
	query        url.Values
	body         []byte
	header       http.Header
	// repeatable: sending it twice does no more than sending it once.
	repeatable bool
	// extra is added to the time of one attempt, for calls that wait on purpose.
	extra time.Duration
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
	base   string
}

// unsent marks an attempt of which no byte can have reached the node.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

func neverSent(err error) bool {
	var u unsent
	return errors.As(err, &u)
}

// do sends req to one node after the other until one gives an answer that is final.
func (c *Client) do(ctx context.Context, req request) (*answer, error) {
	var tried []error
	var lastProblem *Problem
	wait := time.Duration(0)
	for round := range c.rounds {
		if round > 0 {
			if err := sleep(ctx, max(c.pause, wait)); err != nil {
				break
			}
		}
		tried, wait = tried[:0], 0
		first := int(c.current.Load())
		for i := range c.urls {
			at := (first + i) % len(c.urls)
			ans, err := c.once(ctx, c.urls[at], req)
			if err == nil {
				var again bool
				if lastProblem, again = c.judge(ans, req); !again {
					c.current.Store(int64(at))
					if lastProblem != nil {
						return nil, lastProblem
					}
					return ans, nil
				}
				err = lastProblem
				wait = max(wait, retryAfter(ans.header))
			} else if !req.repeatable && !neverSent(err) {
				return nil, fmt.Errorf("%s %s: %w (it may have been done; look before you repeat it)", req.method, req.path, err)
			}
			tried = append(tried, err)
			if ctx.Err() != nil {
				return nil, giveUp(ctx, lastProblem, tried)
			}
		}
	}
	return nil, giveUp(ctx, lastProblem, tried)
}

// giveUp chooses the error that says most: a node's own answer before a broken connection.
func giveUp(ctx context.Context, p *Problem, tried []error) error {
	switch {
	case p != nil:
		return p
	case ctx.Err() != nil && len(tried) == 0:
		return context.Cause(ctx)
	}
	return &Unreachable{Tried: append([]error(nil), tried...)}
}

// judge turns an answer into a problem, and says whether another attempt may help: after 503, when nothing was done, and
// after 504, when repeating is harmless.
func (c *Client) judge(ans *answer, req request) (p *Problem, again bool) {
	if ans.status < 300 || ans.status == http.StatusNotModified {
		return nil, false
	}
	p = new(Problem)
	if err := json.Unmarshal(ans.body, p); err != nil || p.Code == "" {
		p = wire.NewProblem(ans.status, wire.CodeInternal, fmt.Sprintf("%s answers with status %d and without a problem document; is it a Holdfast node?", ans.base, ans.status))
	}
	p.Status = ans.status
	switch ans.status {
	case http.StatusServiceUnavailable:
		return p, req.path != "/readyz"
	case http.StatusGatewayTimeout, http.StatusBadGateway:
		return p, req.repeatable
	}
	return p, false
}

func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.Atoi(h.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxRetryAfter)
}

// once sends req to one node. The error is an unsent when the connection was never made.
func (c *Client) once(ctx context.Context, base string, req request) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, c.attempt+req.extra)
	defer cancel()
	u := base + req.path
	if len(req.query) > 0 {
		u += "?" + req.query.Encode()
	}
	hr, err := http.NewRequestWithContext(ctx, req.method, u, bytes.NewReader(req.body))
	if err != nil {
		return nil, unsent{err}
	}
	for name, values := range req.header {
		hr.Header[name] = values
	}
	hr.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		hr.Header.Set("Authorization", "Bearer "+c.token)
	}
	if req.repeatable && hr.Header.Get("Idempotency-Key") == "" && req.method != http.MethodGet {
		hr.Header["Idempotency-Key"] = nil // tells net/http that it may send again on a connection that went stale
	}
	resp, err := c.http.Do(hr)
	if err != nil {
		return nil, plain(base, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, plain(base, err)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("%s: answer larger than %d bytes", base, maxAnswer)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: body, base: base}, nil
}

// plain makes a short error: the node and the reason. *url.Error would add the whole address with its query.
func plain(base string, err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return unsent{fmt.Errorf("%s: %w", base, op.Err)}
	}
	return fmt.Errorf("%s: %w", base, err)
}

// get reads a JSON document.
func get[T any](ctx context.Context, c *Client, path string, query url.Values) (*T, *answer, error) {
	return call[T](ctx, c, request{method: http.MethodGet, path: path, query: query, repeatable: true})
}

// call sends req and reads a JSON document from the answer.
func call[T any](ctx context.Context, c *Client, req request) (*T, *answer, error) {
	ans, err := c.do(ctx, req)
	if err != nil {
		return nil, nil, err
	}
	v := new(T)
	if err := json.Unmarshal(ans.body, v); err != nil {
		return nil, nil, fmt.Errorf("%s: %s: the answer cannot be read: %w", ans.base, req.path, err)
	}
	return v, ans, nil
}

func jsonBody(v any) ([]byte, http.Header, error) {
	body, err := json.Marshal(v)
	if err != nil {
		return nil, nil, fmt.Errorf("encode request: %w", err)
	}
	return body, http.Header{"Content-Type": {"application/json"}}, nil
}
