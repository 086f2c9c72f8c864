package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of events.
type (
	Event     = wire.Event
	EventList = wire.EventList
)

const (
	// streamSilence is how long a stream may be quiet before it counts as broken: nodes send something every 15 s.
	streamSilence = 45 * time.Second
	// maxEventLine bounds a line of a stream, in bytes.
	maxEventLine = 64 << 10
)

// Events lists events after seq, at most limit of them (0: 100), the oldest first.
func (c *Client) Events(ctx context.Context, after uint64, limit int, opts ...ReadOption) (*EventList, error) {
	q := queryOf(opts)
	q.Set("after", strconv.FormatUint(after, 10))
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	l, _, err := get[EventList](ctx, c, "/v1/events", q)
	return l, err
}

// FollowEvents gives the events after seq as they happen, each once, until ctx ends. When a node goes, another one goes on from the last event that
// was given. The walk ends with an error when no node can be followed, or when the nodes refuse.
func (c *Client) FollowEvents(ctx context.Context, after uint64) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		failures := 0
		for ctx.Err() == nil {
			before := after
			more, err := c.followOnce(ctx, &after, yield)
			if !more || ctx.Err() != nil {
				return
			}
			if failures++; after != before || err == nil {
				failures = 0 // it was a stream, and will be one again
			}
			if final(err) || failures > c.rounds*len(c.urls) {
				yield(Event{}, err)
				return
			}
			c.current.Store((c.current.Load() + 1) % int64(len(c.urls)))
			if sleep(ctx, c.pause) != nil {
				return
			}
		}
	}
}

// final tells whether asking again would not help: the node has understood, and refused.
func final(err error) bool {
	p, ok := err.(*Problem) //nolint:errorlint // followOnce gives it unwrapped
	return ok && p.Status < 500
}

// followOnce follows one node. more is false when the walk is over; err is nil when there was a stream and it has ended.
func (c *Client) followOnce(ctx context.Context, after *uint64, yield func(Event, error) bool) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(c.attempt, cancel)
	defer silence.Stop()
	base := c.urls[int(c.current.Load())%len(c.urls)]
	q := url.Values{"after": {strconv.FormatUint(*after, 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/v1/events?"+q.Encode(), nil)
	if err != nil {
		return true, unsent{err}
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return true, plain(base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(resp.Body, maxEventLine))
		p, _ := c.judge(&answer{status: resp.StatusCode, header: resp.Header, body: body, base: base}, request{})
		return true, p
	}
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return true, fmt.Errorf("%s: the answer is no stream of events; is it a Holdfast node?", base)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxEventLine)
	for lines.Scan() {
		silence.Reset(streamSilence)
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		var e Event
		if err := json.Unmarshal([]byte(data), &e); err != nil {
			return true, fmt.Errorf("%s: /v1/events: the stream cannot be read: %w", base, err)
		}
		if e.Seq <= *after {
			continue
		}
		*after = e.Seq
		if !yield(e, nil) {
			return false, nil
		}
	}
	return true, nil
}
