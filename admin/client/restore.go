package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// Restored is the answer to a restore into the running group.
type Restored = wire.Restored

// Restore says what is to become the state of the running group.
type Restore struct {
	// Group is its name, as a confirmation. Archive is what events call the archive, Reason is for them too.
	Group, Archive, Reason string
	// Lock is the id of the maintenance lock under which it is done, 0 for none, and Owner the name under which that was taken, empty for the caller's.
	Lock  uint64
	Owner string
	// Open gives the archive from its beginning; it is called once for each node that is tried.
	Open func() (io.ReadCloser, error)
}

// RestoreGroup makes the state of the running group that of an archive. Another node is tried as long as none has taken any of it. It is not repeated when its outcome is unknown. Needs the role admin. The
// context bounds the transfer too.
func (c *Client) RestoreGroup(ctx context.Context, r Restore) (*Restored, error) {
	q := url.Values{"group": {r.Group}}
	for name, value := range map[string]string{"archive": r.Archive, "reason": r.Reason, "owner": r.Owner} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if r.Lock != 0 {
		q.Set("lock", strconv.FormatUint(r.Lock, 10))
	}
	var tried []error
	var last *Problem
	first := int(c.current.Load())
	for i := range c.urls {
		at := (first + i) % len(c.urls)
		ans, err := c.restoreAt(ctx, c.urls[at]+"/v1/restore?"+q.Encode(), c.urls[at], r.Open)
		if err == nil {
			p, again := c.judge(ans, request{path: "/v1/restore"})
			switch {
			case p == nil:
				c.current.Store(int64(at))
				out := new(Restored)
				if err := json.Unmarshal(ans.body, out); err != nil {
					return nil, fmt.Errorf("%s: the answer cannot be read, look at 'holdfast status' for the epoch: %w", c.urls[at], err)
				}
				return out, nil
			case !again:
				return nil, p
			}
			last, err = p, p
		} else if !neverSent(err) {
			return nil, fmt.Errorf("restore into the group: %w (it may have been done; look at the epoch in 'holdfast status' before you repeat it)", err)
		}
		tried = append(tried, err)
		if ctx.Err() != nil {
			break
		}
	}
	return nil, giveUp(ctx, last, tried)
}

func (c *Client) restoreAt(ctx context.Context, u, base string, open func() (io.ReadCloser, error)) (*answer, error) {
	body, err := open()
	if err != nil {
		return nil, unsent{err}
	}
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u, body)
	if err != nil {
		return nil, unsent{err}
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("User-Agent", c.agent)
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, plain(base, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(b) > maxAnswer {
		err = errors.New("the answer is too large")
	}
	if err != nil {
		return nil, plain(base, err)
	}
	return &answer{status: resp.StatusCode, header: resp.Header, body: b, base: base}, nil
}
