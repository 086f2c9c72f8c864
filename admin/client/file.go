package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// Files lists the files of the group.
func (c *Client) Files(ctx context.Context, opts ...ReadOption) (*wire.FileList, error) {
	l, _, err := get[wire.FileList](ctx, c, "/v1/files", queryOf(opts))
	return l, err
}

// File gives the bytes of a file. No such file is a *Problem with not-found.
func (c *Client) File(ctx context.Context, name string, opts ...ReadOption) ([]byte, error) {
	ans, err := c.do(ctx, request{method: http.MethodGet, path: filePath(name), query: queryOf(opts), repeatable: true})
	if err != nil {
		return nil, err
	}
	return ans.body, nil
}

// PutFile adds a file, or puts another one in the place of one. Sent twice it does nothing more.
func (c *Client) PutFile(ctx context.Context, name string, data []byte) (*wire.File, error) {
	f, _, err := call[wire.File](ctx, c, request{method: http.MethodPut, path: filePath(name), body: data, header: http.Header{"Content-Type": {"application/octet-stream"}}, repeatable: true})
	return f, err
}

// RemoveFile removes a file. One that an error page names is a *Problem with refused.
func (c *Client) RemoveFile(ctx context.Context, name string) error {
	return c.remove(ctx, filePath(name), nil)
}

func filePath(name string) string { return "/v1/files/" + url.PathEscape(name) }
