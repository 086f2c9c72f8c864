package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// ReadOption changes how a read is made.
type ReadOption func(url.Values)

// Stale has a node answer at once from its own state, also without a quorum.
func Stale() ReadOption {
	return func(q url.Values) { q.Set("consistency", wire.Stale) }
}

func queryOf(opts []ReadOption) url.Values {
	q := url.Values{}
	for _, o := range opts {
		o(q)
	}
	return q
}

// Status asks for one screen of everything. It is answered also without a quorum.
func (c *Client) Status(ctx context.Context, opts ...ReadOption) (*Status, error) {
	s, _, err := get[Status](ctx, c, "/v1/status", queryOf(opts))
	return s, err
}

// Nodes lists the members of the group.
func (c *Client) Nodes(ctx context.Context, opts ...ReadOption) ([]Node, error) {
	l, _, err := get[wire.NodeList](ctx, c, "/v1/nodes", queryOf(opts))
	if err != nil {
		return nil, err
	}
	return l.Nodes, nil
}

// SessionFilter chooses assignments.
type SessionFilter struct {
	Cluster, Instance string // empty: all
	// Host and ContextRoot name a module: only sessions that were recorded there. Host is empty when the module has none.
	Host, ContextRoot string
	Limit             int    // of one page, 1 to 1000; 0: 100
	Cursor            string // Next of the page before; empty: the first
}

// Sessions reads one page of assignments.
func (c *Client) Sessions(ctx context.Context, f SessionFilter, opts ...ReadOption) (*SessionPage, error) {
	q := queryOf(opts)
	for name, value := range map[string]string{"cluster": f.Cluster, "instance": f.Instance, "host": f.Host, "contextRoot": f.ContextRoot, "cursor": f.Cursor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	p, _, err := get[SessionPage](ctx, c, "/v1/sessions", q)
	return p, err
}

// AllSessions walks over all assignments, page by page. An assignment that is there during the whole walk is met exactly
// once. After an error the walk ends.
func (c *Client) AllSessions(ctx context.Context, f SessionFilter, opts ...ReadOption) iter.Seq2[Session, error] {
	return func(yield func(Session, error) bool) {
		if f.Limit == 0 {
			f.Limit = 1000
		}
		for {
			page, err := c.Sessions(ctx, f, opts...)
			if err != nil {
				yield(Session{}, err)
				return
			}
			for _, s := range page.Sessions {
				if !yield(s, nil) {
					return
				}
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				return
			}
		}
	}
}

// Session reads one assignment by its key, 32 hexadecimal digits.
func (c *Client) Session(ctx context.Context, key string, opts ...ReadOption) (*Session, error) {
	s, _, err := get[Session](ctx, c, "/v1/sessions/"+url.PathEscape(key), queryOf(opts))
	return s, err
}

// LookupSession finds the assignment of an application's session id or of an insert cookie.
func (c *Client) LookupSession(ctx context.Context, l Lookup, opts ...ReadOption) (*LookupResult, error) {
	body, header, err := jsonBody(l)
	if err != nil {
		return nil, err
	}
	r, _, err := call[LookupResult](ctx, c, request{
		method: http.MethodPost, path: "/v1/sessions/lookup", query: queryOf(opts), body: body, header: header, repeatable: true})
	return r, err
}

// Healthy is nil when a node is alive.
func (c *Client) Healthy(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/healthz", repeatable: true})
	return err
}

// Ready is nil when a node should get traffic; else a *Problem whose Errors are the reasons, without further attempts.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/readyz", repeatable: true})
	return err
}

// Metrics reads a node's metrics in the Prometheus text format.
func (c *Client) Metrics(ctx context.Context) ([]byte, error) {
	return c.raw(ctx, "/metrics")
}

// OpenAPI reads the description of the API as JSON.
func (c *Client) OpenAPI(ctx context.Context) ([]byte, error) {
	return c.raw(ctx, "/v1/openapi.json")
}

func (c *Client) raw(ctx context.Context, path string) ([]byte, error) {
	ans, err := c.do(ctx, request{method: http.MethodGet, path: path, repeatable: true})
	if err != nil {
		return nil, err
	}
	return ans.body, nil
}
