package client

import (
	"context"
	"io"
	"maps"
	"net/http"
	"net/url"
	"time"
)

// Stream is what a node sends for as long as it takes. It must be closed.
type Stream struct {
	// Node is the base address of the node that sends it.
	Node string

	body   io.ReadCloser
	silent time.Duration
	timer  *time.Timer
	cancel context.CancelFunc
}

// Read gives the next bytes. It fails when the node is silent for too long.
func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.body.Read(p)
	if n > 0 {
		s.timer.Reset(s.silent)
	}
	return n, err
}

// Close ends the stream.
func (s *Stream) Close() error {
	s.timer.Stop()
	s.cancel()
	return s.body.Close()
}

// streamRequest asks one node for a stream.
type streamRequest struct {
	base, path string
	query      url.Values
	header     http.Header
	// start is how long the node may take to begin, silence how long it may send nothing afterwards.
	start, silence time.Duration
}

// stream gives a stream, or the node's refusal, or why there was no answer.
func (c *Client) stream(ctx context.Context, r streamRequest) (*Stream, http.Header, *answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	u := r.base + r.path
	if len(r.query) > 0 {
		u += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		cancel()
		return nil, nil, nil, unsent{err}
	}
	maps.Copy(req.Header, r.header)
	req.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	timer := time.AfterFunc(r.start, cancel)
	give := func() { timer.Stop(); cancel() }
	resp, err := c.http.Do(req)
	if err != nil {
		give()
		return nil, nil, nil, plain(r.base, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer give()
		defer resp.Body.Close()
		body, err := io.ReadAll(io.LimitReader(resp.Body, maxEventLine))
		if err != nil {
			return nil, nil, nil, plain(r.base, err)
		}
		return nil, nil, &answer{status: resp.StatusCode, header: resp.Header, body: body, base: r.base}, nil
	}
	timer.Reset(r.silence)
	return &Stream{Node: r.base, body: resp.Body, silent: r.silence, timer: timer, cancel: cancel}, resp.Header, nil, nil
}
