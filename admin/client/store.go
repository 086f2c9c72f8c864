package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of the store.
type (
	StoredKey   = wire.StoredKey
	StoredKeys  = wire.StoredKeys
	StoreReport = wire.StoreReport
)

// ModuleName names a module of a cluster. ContextRoot may be empty when the cluster has only one.
type ModuleName struct{ Cluster, Host, ContextRoot string }

func (m ModuleName) query() url.Values {
	q := url.Values{}
	if m.Host != "" {
		q.Set("host", m.Host)
	}
	if m.ContextRoot != "" {
		q.Set("contextRoot", m.ContextRoot)
	}
	return q
}

// Value is one value of the store.
type Value struct {
	Data []byte
	Type string // the media type; empty: application/octet-stream
	ETag string // its version, in quotes
	// Expires is when it goes without another write; zero: never.
	Expires time.Time
}

// WriteIf is the condition of a write; the zero value is none.
type WriteIf struct {
	ETag   string // only when the value has this version
	Absent bool   // only when there is none
}

func (w WriteIf) header() http.Header {
	h := http.Header{}
	if w.ETag != "" {
		h.Set("If-Match", w.ETag)
	}
	if w.Absent {
		h.Set("If-None-Match", "*")
	}
	h.Set("Idempotency-Key", keyOr(""))
	return h
}

// Key reads the value of a key. No such key is a *Problem with not-found.
func (c *Client) Key(ctx context.Context, m ModuleName, key string, opts ...ReadOption) (*Value, error) {
	return c.value(ctx, "/v1/kv/"+url.PathEscape(m.Cluster)+"/"+url.PathEscape(key), m.query(), nil, opts)
}

// PutKey writes the value of a key and gives its version. ttl 0 is for ever. A condition that does not hold is a *Problem with precondition-failed.
func (c *Client) PutKey(ctx context.Context, m ModuleName, key string, v Value, ttl time.Duration, w WriteIf) (etag string, err error) {
	return c.put(ctx, "/v1/kv/"+url.PathEscape(m.Cluster)+"/"+url.PathEscape(key), m.query(), v, ttl, w.header())
}

// DeleteKey removes a key.
func (c *Client) DeleteKey(ctx context.Context, m ModuleName, key string, w WriteIf) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1/kv/" + url.PathEscape(m.Cluster) + "/" + url.PathEscape(key), query: m.query(), header: w.header(), repeatable: true})
	return err
}

// ClearKeys removes all keys of a module.
func (c *Client) ClearKeys(ctx context.Context, m ModuleName) error {
	q := m.query()
	q.Set("all", "true")
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1/kv/" + url.PathEscape(m.Cluster), query: q, header: WriteIf{}.header(), repeatable: true})
	return err
}

// KeyFilter chooses keys of a module.
type KeyFilter struct {
	Prefix, After string
	Limit         int  // of one page, 1 to 1000; 0: 100
	Values        bool // with the values
	// ChangedSince is the Index of a list: the call waits until a key of the module has changed since, for Wait at most (1 s to 60 s; 0: 30 s).
	ChangedSince uint64
	Wait         time.Duration
}

// Keys reads a page of the keys of a module.
func (c *Client) Keys(ctx context.Context, m ModuleName, f KeyFilter, opts ...ReadOption) (*StoredKeys, error) {
	q := m.query()
	for _, o := range opts {
		o(q)
	}
	for name, value := range map[string]string{"prefix": f.Prefix, "after": f.After} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	if f.Values {
		q.Set("values", "true")
	}
	r := request{method: http.MethodGet, path: "/v1/kv/" + url.PathEscape(m.Cluster), query: q, repeatable: true}
	if f.ChangedSince > 0 {
		q.Set("changedSince", strconv.FormatUint(f.ChangedSince, 10))
		r.extra = 30 * time.Second
		if f.Wait > 0 {
			q.Set("waitSeconds", strconv.Itoa(max(1, int(f.Wait/time.Second))))
			r.extra = f.Wait
		}
	}
	list, _, err := call[StoredKeys](ctx, c, r)
	return list, err
}

// SessionData reads the data of a session of a module by the application's own session id.
func (c *Client) SessionData(ctx context.Context, m ModuleName, session string, opts ...ReadOption) (*Value, error) {
	return c.value(ctx, "/v1/session-data/"+url.PathEscape(m.Cluster), m.query(), http.Header{"Holdfast-Session": {session}}, opts)
}

// PutSessionData writes the data of a session and gives its version. ttl 0 is the time of an idle session.
func (c *Client) PutSessionData(ctx context.Context, m ModuleName, session string, v Value, ttl time.Duration, w WriteIf) (etag string, err error) {
	h := w.header()
	h.Set("Holdfast-Session", session)
	return c.put(ctx, "/v1/session-data/"+url.PathEscape(m.Cluster), m.query(), v, ttl, h)
}

// DeleteSessionData removes the data of a session.
func (c *Client) DeleteSessionData(ctx context.Context, m ModuleName, session string, w WriteIf) error {
	h := w.header()
	h.Set("Holdfast-Session", session)
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1/session-data/" + url.PathEscape(m.Cluster), query: m.query(), header: h, repeatable: true})
	return err
}

// DataOfKey reads the data of the session with a key that operators see.
func (c *Client) DataOfKey(ctx context.Context, key string, opts ...ReadOption) (*Value, error) {
	return c.value(ctx, "/v1/sessions/"+url.PathEscape(key)+"/data", url.Values{}, nil, opts)
}

// Store tells how much the modules keep.
func (c *Client) Store(ctx context.Context, opts ...ReadOption) (*StoreReport, error) {
	r, _, err := get[StoreReport](ctx, c, "/v1/store", queryOf(opts))
	return r, err
}

func (c *Client) value(ctx context.Context, path string, q url.Values, h http.Header, opts []ReadOption) (*Value, error) {
	for _, o := range opts {
		o(q)
	}
	ans, err := c.do(ctx, request{method: http.MethodGet, path: path, query: q, header: h, repeatable: true})
	if err != nil {
		return nil, err
	}
	v := &Value{Data: ans.body, Type: ans.header.Get("Content-Type"), ETag: ans.header.Get("ETag")}
	if text := ans.header.Get("Holdfast-Expires"); text != "" {
		if v.Expires, err = time.Parse(time.RFC3339Nano, text); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (c *Client) put(ctx context.Context, path string, q url.Values, v Value, ttl time.Duration, h http.Header) (string, error) {
	if ttl > 0 {
		q.Set("ttlSeconds", strconv.FormatInt(max(1, int64(ttl/time.Second)), 10))
	}
	if v.Type != "" {
		h.Set("Content-Type", v.Type)
	}
	ans, err := c.do(ctx, request{method: http.MethodPut, path: path, query: q, body: v.Data, header: h, repeatable: true})
	if err != nil {
		return "", err
	}
	return ans.header.Get("ETag"), nil
}
