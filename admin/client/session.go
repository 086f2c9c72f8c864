package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of sessions.
type (
	Explain     = wire.Explain
	Explanation = wire.Explanation
	SessionMove = wire.SessionMove
)

// ExplainSession asks for everything about one session.
func (c *Client) ExplainSession(ctx context.Context, e Explain, opts ...ReadOption) (*Explanation, error) {
	body, header, err := jsonBody(e)
	if err != nil {
		return nil, err
	}
	r, _, err := call[Explanation](ctx, c, request{
		method: http.MethodPost, path: "/v1/sessions/explain", query: queryOf(opts), body: body, header: header, repeatable: true})
	return r, err
}

// MoveSession moves a session to another instance of its cluster.
func (c *Client) MoveSession(ctx context.Context, key string, m SessionMove) (*Session, error) {
	body, header, err := jsonBody(m)
	if err != nil {
		return nil, err
	}
	s, _, err := call[Session](ctx, c, request{method: http.MethodPost, path: "/v1/sessions/" + url.PathEscape(key) + "/move", body: body, header: header, repeatable: true})
	return s, err
}

// DropSession drops an assignment. No such assignment is a *Problem with not-found.
func (c *Client) DropSession(ctx context.Context, key string) error {
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1/sessions/" + url.PathEscape(key)})
	return err
}
