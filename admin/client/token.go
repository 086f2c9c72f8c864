package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// Tokens lists the access and join tokens, without their secrets.
func (c *Client) Tokens(ctx context.Context, opts ...ReadOption) ([]Token, error) {
	l, _, err := get[wire.TokenList](ctx, c, "/v1/tokens", queryOf(opts))
	if err != nil {
		return nil, err
	}
	return l.Tokens, nil
}

// CreateToken makes a token. Its secret is in this answer only, so a call whose outcome is unknown is not repeated.
func (c *Client) CreateToken(ctx context.Context, r TokenRequest) (*NewToken, error) {
	body, header, err := jsonBody(r)
	if err != nil {
		return nil, err
	}
	t, _, err := call[NewToken](ctx, c, request{method: http.MethodPost, path: "/v1/tokens", body: body, header: header})
	return t, err
}

// RevokeToken revokes a token. No such token is a *Problem with not-found.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	h := http.Header{}
	h.Set("Idempotency-Key", keyOr(""))
	_, err := c.do(ctx, request{method: http.MethodDelete, path: "/v1/tokens/" + url.PathEscape(id), header: h, repeatable: true})
	return err
}
