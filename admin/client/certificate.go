package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// Certificates lists the certificates of the group, without their keys.
func (c *Client) Certificates(ctx context.Context, opts ...ReadOption) ([]Certificate, error) {
	l, err := c.CertificateList(ctx, opts...)
	if err != nil {
		return nil, err
	}
	return l.Certificates, nil
}

// CertificateList is Certificates with what the node that answers has seen instances present that end TLS themselves.
func (c *Client) CertificateList(ctx context.Context, opts ...ReadOption) (*wire.CertificateList, error) {
	l, _, err := get[wire.CertificateList](ctx, c, "/v1/certificates", queryOf(opts))
	return l, err
}

// Certificate gives one certificate with its chain in PEM. No such certificate is a *Problem with not-found.
func (c *Client) Certificate(ctx context.Context, name string, opts ...ReadOption) (*Certificate, error) {
	v, _, err := get[Certificate](ctx, c, certificatePath(name), queryOf(opts))
	return v, err
}

// AddCertificate adds a certificate or a bundle of authorities. One of that name is a *Problem with refused.
func (c *Client) AddCertificate(ctx context.Context, r NewCertificateRequest) (*Certificate, error) {
	return send[Certificate](ctx, c, http.MethodPost, "/v1/certificates", r)
}

// RotateCertificate puts another certificate in the place of one.
func (c *Client) RotateCertificate(ctx context.Context, name string, r CertificateRequest) (*Certificate, error) {
	return send[Certificate](ctx, c, http.MethodPut, certificatePath(name), r)
}

// RemoveCertificate removes a certificate. One that a listener names is a *Problem with refused.
func (c *Client) RemoveCertificate(ctx context.Context, name string) error {
	return c.remove(ctx, certificatePath(name), nil)
}

// RenewCertificate has a certificate obtained anew that the group obtains itself; it does not wait for it. No such certificate is a *Problem with not-found.
func (c *Client) RenewCertificate(ctx context.Context, name string) (*Certificate, error) {
	v, _, err := call[Certificate](ctx, c, request{method: http.MethodPost, path: certificatePath(name) + "/renew", header: http.Header{"Idempotency-Key": {keyOr("")}}, repeatable: true})
	return v, err
}

// SetExternalAccount gives the key by which the authority of the configuration's part acme knows its customer.
func (c *Client) SetExternalAccount(ctx context.Context, a wire.ExternalAccount) error {
	data, header, err := jsonBody(a)
	if err != nil {
		return err
	}
	_, err = c.do(ctx, request{method: http.MethodPut, path: "/v1/acme/account", body: data, header: header, repeatable: true})
	return err
}

func certificatePath(name string) string { return "/v1/certificates/" + url.PathEscape(name) }
