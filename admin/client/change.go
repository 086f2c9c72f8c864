package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// ChangeOptions say how a change by names is made.
type ChangeOptions struct {
	// Wait is how long to wait until every node has applied it, 1 s to 60 s; 0: a majority is enough.
	Wait time.Duration
	// At is when it is applied; zero: now. The result then has the schedule.
	At time.Time
	// Pinned: only when Expect is the current revision, else a *Problem with revision-conflict. Otherwise the change is made to whatever is current.
	Pinned bool
	Expect uint64
	// Owner is the name under which the caller took the maintenance lock, for a change under it; empty: whom the token is for.
	Owner string
	// IdempotencyKey makes a repeated change harmless, also across calls; empty: one of this call's own.
	IdempotencyKey string
}

func changeQuery(wait time.Duration, at time.Time, owner string) url.Values {
	q := url.Values{}
	if owner != "" {
		q.Set("owner", owner)
	}
	if wait > 0 {
		q.Set("wait", "all")
		q.Set("waitSeconds", strconv.Itoa(max(1, int(wait.Seconds()))))
	}
	if !at.IsZero() {
		q.Set("at", at.UTC().Format(time.RFC3339Nano))
	}
	return q
}

// EditConfig makes edits of the configuration, one transaction.
func (c *Client) EditConfig(ctx context.Context, e Edits, o ChangeOptions) (*ConfigResult, error) {
	return c.change(ctx, "/v1/config/edits", e, o)
}

// RollbackConfig makes an earlier revision the newest one.
func (c *Client) RollbackConfig(ctx context.Context, r Rollback, o ChangeOptions) (*ConfigResult, error) {
	return c.change(ctx, "/v1/config/rollback", r, o)
}

func (c *Client) change(ctx context.Context, path string, v any, o ChangeOptions) (*ConfigResult, error) {
	body, header, err := jsonBody(v)
	if err != nil {
		return nil, err
	}
	header.Set("Idempotency-Key", keyOr(o.IdempotencyKey))
	if o.Pinned {
		header.Set("If-Match", `"`+strconv.FormatUint(o.Expect, 10)+`"`)
	}
	r, _, err := call[ConfigResult](ctx, c, request{method: http.MethodPost, path: path, query: changeQuery(o.Wait, o.At, o.Owner), body: body, header: header, repeatable: true, extra: o.Wait})
	return r, err
}

// PlanConfig asks what replacing the whole configuration would do. now is as in PutConfig.
func (c *Client) PlanConfig(ctx context.Context, data []byte, format, now string) (*Plan, error) {
	q := url.Values{}
	if now != "" {
		q.Set("now", now)
	}
	h := http.Header{"Content-Type": {formatOr(format)}}
	p, _, err := call[Plan](ctx, c, request{method: http.MethodPost, path: "/v1/config/plan", query: q, body: data, header: h, repeatable: true})
	return p, err
}

// PlanEdits asks what edits, or going back to a revision, would do.
func (c *Client) PlanEdits(ctx context.Context, e PlanEdits) (*Plan, error) {
	body, header, err := jsonBody(e)
	if err != nil {
		return nil, err
	}
	p, _, err := call[Plan](ctx, c, request{method: http.MethodPost, path: "/v1/config/plan", body: body, header: header, repeatable: true})
	return p, err
}

// Schedules lists the changes that wait for their time, the next one first.
func (c *Client) Schedules(ctx context.Context, opts ...ReadOption) ([]Schedule, error) {
	l, _, err := get[wire.ScheduleList](ctx, c, "/v1/schedules", queryOf(opts))
	if err != nil {
		return nil, err
	}
	return l.Schedules, nil
}

// Schedule reads one change that waits for its time.
func (c *Client) Schedule(ctx context.Context, id string, opts ...ReadOption) (*Schedule, error) {
	s, _, err := get[Schedule](ctx, c, "/v1/schedules/"+url.PathEscape(id), queryOf(opts))
	return s, err
}

// DropSchedule takes back a change that waits for its time.
func (c *Client) DropSchedule(ctx context.Context, id string) error {
	return c.remove(ctx, "/v1/schedules/"+url.PathEscape(id), nil)
}

// remove sends a DELETE whose answer says nothing.
func (c *Client) remove(ctx context.Context, path string, q url.Values) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: path, query: q, header: http.Header{"Idempotency-Key": {keyOr("")}}, repeatable: true})
	return err
}

// send is call with a JSON body and an Idempotency-Key.
func send[T any](ctx context.Context, c *Client, method, path string, body any) (*T, error) {
	data, header, err := jsonBody(body)
	if err != nil {
		return nil, err
	}
	header.Set("Idempotency-Key", keyOr(""))
	v, _, err := call[T](ctx, c, request{method: method, path: path, body: data, header: header, repeatable: true})
	return v, err
}
