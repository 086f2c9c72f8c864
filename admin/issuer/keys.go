package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/holdfast-lb/holdfast/fsm"
)

const (
	maxDocument = 256 << 10 // bytes of what the issuer sends
	maxKeys     = 32
	minRSA      = 2048 // bits
	maxRSA      = 8192
)

// key is one with which tokens may be signed.
type key struct {
	public any
	alg    string // the only algorithm for which it is good; empty: each that fits
}

func count(keys map[string][]key) (n int) {
	for _, list := range keys {
		n += len(list)
	}
	return n
}

// CheckURL refuses an address that is no issuer's: it is https, or http on the machine itself, and has neither user nor query.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "":
		return errors.New("is no address: want https://HOST[:PORT][/PATH]")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(text, "#"):
		return errors.New("must have neither user, nor query, nor fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http" && onThisMachine(u.Hostname()):
		return nil
	}
	return errors.New("must begin with https:// (http:// is for an issuer on the same machine only)")
}

func onThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Pool reads the authorities that vouch for the issuer's certificate: nil, for those of the machine, when pem is empty.
func Pool(pem string) (*x509.CertPool, error) {
	if pem == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		return nil, errors.New("there is no certificate in PEM")
	}
	return pool, nil
}

// newClient makes the client for one issuer. It follows no redirects: whoever the operator named is asked.
func newClient(is *fsm.Issuer) (*http.Client, error) {
	pool, err := Pool(is.Authorities)
	if err != nil {
		return nil, fmt.Errorf("authorities of the issuer: %w", err)
	}
	return &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// fetch asks the issuer where its keys are, and for them.
func (v *Verifier) fetch(ctx context.Context, is *fsm.Issuer) (map[string][]key, error) {
	if v.failed != nil {
		return nil, v.failed
	}
	if err := CheckURL(is.URL); err != nil {
		return nil, fmt.Errorf("issuer %s: it %w", is.URL, err)
	}
	ctx, cancel := context.WithTimeout(ctx, v.fetchTime)
	defer cancel()
	var about struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	// OpenID Connect Discovery 1.0, section 4.
	data, err := v.get(ctx, strings.TrimSuffix(is.URL, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &about); err != nil {
		return nil, fmt.Errorf("the issuer's description of itself is no JSON: %w", err)
	}
	if about.Issuer != is.URL {
		return nil, fmt.Errorf("the issuer says that it is %.200q, the group believes %s: write it as the issuer does", about.Issuer, is.URL)
	}
	if err := CheckURL(withoutQuery(about.Keys)); err != nil {
		return nil, fmt.Errorf("the address of the issuer's keys %w", err)
	}
	if secure(is.URL) && !secure(about.Keys) {
		return nil, errors.New("the address of the issuer's keys must begin with https://, as that of the issuer does")
	}
	if data, err = v.get(ctx, about.Keys); err != nil {
		return nil, err
	}
	return readKeys(data)
}

// secure tells whether an address that CheckURL takes is asked by TLS.
func secure(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https"
}

func withoutQuery(address string) string {
	base, _, _ := strings.Cut(address, "?")
	return base
}

// get reads a document, no further than maxDocument.
func (v *Verifier) get(ctx context.Context, address string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("ask the issuer: %w", err)
	}
	req.Header.Set("Accept", "application/json")
	resp, err := v.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask the issuer: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // it was only read
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask the issuer: %s answers with status %d", address, resp.StatusCode)
	}
	if media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); media == "text/html" {
		return nil, fmt.Errorf("ask the issuer: %s answers with a page", address)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("ask the issuer: read %s: %w", address, err)
	}
	if len(data) > maxDocument {
		return nil, fmt.Errorf("ask the issuer: %s has more than %d bytes", address, maxDocument)
	}
	return data, nil
}

// readKeys reads a JSON Web Key Set (RFC 7517). Keys that are for something else, or too weak, are left out; none at all is an error.
func readKeys(data []byte) (map[string][]key, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(data, &set); err != nil {
		return nil, fmt.Errorf("the issuer's keys are no JSON Web Key Set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("the issuer has %d keys, at most %d are kept", len(set.Keys), maxKeys)
	}
	out := map[string][]key{}
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if k.UnmarshalJSON(raw) != nil || k.Use != "" && k.Use != "sig" || !strong(k.Key) {
			continue // of a kind that this version does not know, or for something else
		}
		out[k.KeyID] = append(out[k.KeyID], key{public: k.Key, alg: k.Algorithm})
	}
	if len(out) == 0 {
		return nil, errors.New("the issuer has no key that tokens can be verified with")
	}
	return out, nil
}

// strong tells whether a key is a public one that is strong enough, and not so large that it costs much.
func strong(k any) bool {
	switch k := k.(type) {
	case *rsa.PublicKey:
		bits := k.N.BitLen()
		return bits >= minRSA && bits <= maxRSA
	case *ecdsa.PublicKey:
		return k.Curve == elliptic.P256() || k.Curve == elliptic.P384() || k.Curve == elliptic.P521()
	case ed25519.PublicKey:
		return len(k) == ed25519.PublicKeySize
	}
	return false
}
