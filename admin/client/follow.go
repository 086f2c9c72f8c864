package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	followStart = 10 * time.Second
	// followSilence is how long a node that is followed may say nothing: it marks what it sends several times a second.
	followSilence = 3 * time.Second
)

// FollowFrom is what a follower has of a group.
type FollowFrom struct {
	Group string // id
	Epoch uint32
	Line  uint32 // that of the epoch; 0: not known
	// Index is the last log entry that it has, Term its term.
	Index, Term uint64
}

// Follow asks each node once for the log behind what the caller has: a segment of package archive that does not end by itself. Needs the role admin. When no node
// can go on from there, but one could with a backup first, the error is its *Problem with snapshot-needed.
func (c *Client) Follow(ctx context.Context, from FollowFrom) (*Stream, error) {
	q := url.Values{"group": {from.Group}, "epoch": {strconv.FormatUint(uint64(from.Epoch), 10)}, "from": {strconv.FormatUint(from.Index, 10)},
		"term": {strconv.FormatUint(from.Term, 10)}}
	header := http.Header{}
	if from.Line != 0 {
		header.Set("Holdfast-Epoch-Line", strconv.FormatUint(uint64(from.Line), 10)) // a query with it would be refused by earlier versions
	}
	var tried []error
	var worst *Problem
	first := int(c.current.Load())
	for i := range c.urls {
		at := (first + i) % len(c.urls)
		s, _, refusal, err := c.stream(ctx, streamRequest{base: c.urls[at], path: "/v1/follow", query: q, header: header, start: followStart, silence: followSilence})
		if err == nil && refusal == nil {
			c.current.Store(int64(at))
			return s, nil
		}
		if refusal != nil {
			p, _ := c.judge(refusal, request{repeatable: true})
			if worst == nil || p.Status == http.StatusGone {
				worst = p
			}
			err = p
		}
		tried = append(tried, err)
		if ctx.Err() != nil {
			break
		}
	}
	c.current.Store(int64((first + 1) % len(c.urls))) // another one first, next time
	return nil, giveUp(ctx, worst, tried)
}
