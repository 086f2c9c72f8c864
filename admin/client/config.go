package client

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The formats of a configuration.
const (
	YAML = "application/yaml"
	JSON = "application/json"
)

// Config is a configuration document with the revision that it is.
type Config struct {
	Revision uint64
	Data     []byte // in the format that was asked for
}

// Config reads the current configuration as YAML or JSON.
func (c *Client) Config(ctx context.Context, format string, opts ...ReadOption) (*Config, error) {
	return c.config(ctx, format, queryOf(opts))
}

// ConfigAt reads a revision of the history.
func (c *Client) ConfigAt(ctx context.Context, revision uint64, format string, opts ...ReadOption) (*Config, error) {
	q := queryOf(opts)
	q.Set("revision", strconv.FormatUint(revision, 10))
	return c.config(ctx, format, q)
}

func (c *Client) config(ctx context.Context, format string, q url.Values) (*Config, error) {
	ans, err := c.do(ctx, request{method: http.MethodGet, path: "/v1/config", query: q, header: http.Header{"Accept": {format}}, repeatable: true})
	if err != nil {
		return nil, err
	}
	rev, err := strconv.ParseUint(strings.Trim(ans.header.Get("ETag"), `"`), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("%s: the configuration comes without a revision; is it a Holdfast node?", ans.base)
	}
	return &Config{Revision: rev, Data: ans.body}, nil
}

// PutConfig is a change of the configuration.
type PutConfig struct {
	Data   []byte
	Format string // YAML or JSON; empty: YAML, of which JSON is a part
	// Expect is the revision that the change was made from. Another current revision is a *Problem with revision-conflict.
	Expect  uint64
	Message string // why, for the history
	// Wait is how long to wait until every node has applied it, 1 s to 60 s; 0: a majority is enough.
	Wait time.Duration
	// Now is what is stopped at once instead of quiescing: all, or a list as in cluster1/instance1,cluster1:/fortune.
	Now string
	// At is when it is applied; zero: now. The result then has the schedule.
	At time.Time
	// Lock is the id of the maintenance lock under which the change is made, 0 for none.
	Lock uint64
	// Owner is the name under which the caller took that lock; empty: whom the token is for.
	Owner string
	// IdempotencyKey makes a repeated change harmless, also across calls; empty: one of this call's own.
	IdempotencyKey string
}

// PutConfig replaces the configuration. With Wait, AppliedBy of the result says whether all nodes made it in time.
func (c *Client) PutConfig(ctx context.Context, p PutConfig) (*ConfigResult, error) {
	q := changeQuery(p.Wait, p.At, p.Owner)
	for name, value := range map[string]string{"message": p.Message, "now": p.Now} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if p.Lock != 0 {
		q.Set("lock", strconv.FormatUint(p.Lock, 10))
	}
	h := http.Header{}
	h.Set("Content-Type", formatOr(p.Format))
	h.Set("If-Match", `"`+strconv.FormatUint(p.Expect, 10)+`"`)
	h.Set("Idempotency-Key", keyOr(p.IdempotencyKey))
	r, _, err := call[ConfigResult](ctx, c, request{method: http.MethodPut, path: "/v1/config", query: q, body: p.Data, header: h, repeatable: true, extra: p.Wait})
	return r, err
}

// ValidateConfig has a node check a configuration. A faulty one is a *Problem with config-invalid whose Errors are all its
// faults.
func (c *Client) ValidateConfig(ctx context.Context, data []byte, format string) (*ValidateResult, error) {
	h := http.Header{"Content-Type": {formatOr(format)}}
	r, _, err := call[ValidateResult](ctx, c, request{method: http.MethodPost, path: "/v1/config/validate", body: data, header: h, repeatable: true})
	return r, err
}

// History lists the newest revisions of the configuration, the newest first; limit 0: 100.
func (c *Client) History(ctx context.Context, limit int, opts ...ReadOption) ([]Revision, error) {
	q := queryOf(opts)
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	h, _, err := get[wire.History](ctx, c, "/v1/config/history", q)
	if err != nil {
		return nil, err
	}
	return h.Revisions, nil
}

func formatOr(format string) string {
	if format == "" {
		return YAML
	}
	return format
}

func keyOr(key string) string {
	if key == "" {
		return rand.Text()
	}
	return key
}
