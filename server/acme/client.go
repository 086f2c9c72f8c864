package acme

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path"
	"time"

	"github.com/caddyserver/certmagic"
	acmelib "github.com/mholt/acmez/v3/acme"
	"go.uber.org/zap"

	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// Client obtains certificates from one authority. It must be closed. One attempt at a time is made.
type Client struct {
	store  *Store
	config *config.ACME
	cache  *certmagic.Cache
	issuer *certmagic.ACMEIssuer
	// door is where certmagic finds somebody listening, so that it opens no port of its own: all nodes answer challenges, on the listeners of the group.
	door net.Listener
}

// NewClient makes a client of what the configuration says. roots vouch for the authority's server; nil: those of the system do.
func NewClient(store *Store, c *config.ACME, roots *x509.CertPool) (*Client, error) {
	door, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("ACME client: %w", err)
	}
	go shut(door)
	cl := &Client{store: store, config: c, door: door}
	cfg := certmagic.Config{Storage: store, Logger: zap.NewNop()}
	cl.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert: func(certmagic.Certificate) (*certmagic.Config, error) { return &cfg, nil },
		Logger:           zap.NewNop(),
	})
	port := door.Addr().(*net.TCPAddr).Port
	template := certmagic.ACMEIssuer{
		CA: c.Directory, TestCA: c.Directory, Email: c.Email, Agreed: c.AcceptTerms, TrustedRoots: roots, Logger: zap.NewNop(),
		ListenHost: "127.0.0.1", AltHTTPPort: port, AltTLSALPNPort: port,
		DisableHTTPChallenge: !uses(c, "http-01"), DisableTLSALPNChallenge: !uses(c, "tls-alpn-01"),
	}
	cl.issuer = certmagic.NewACMEIssuer(certmagic.New(cl.cache, cfg), template)
	return cl, nil
}

func uses(c *config.ACME, challenge string) bool {
	for _, is := range c.Challenges {
		if is == challenge {
			return true
		}
	}
	return false
}

// shut closes whatever comes.
func shut(door net.Listener) {
	for {
		conn, err := door.Accept()
		if err != nil {
			return
		}
		conn.Close()
	}
}

// Close lets go of what it has.
func (c *Client) Close() {
	c.door.Close()
	c.cache.Stop()
}

// forgotten is what certmagic says when the authority does not know the account any more: it has made another one by then, and goes on with the old one.
const forgotten = "no certificate chains"

// Obtain gets a certificate with a new private key. The error says what the authority did not like.
func (c *Client) Obtain(ctx context.Context, want *config.ACMECertificate) (*certs.Pair, error) {
	lock := "obtain/" + want.Name
	if err := c.store.Lock(ctx, lock); err != nil {
		return nil, err
	}
	defer func() { _ = c.store.Unlock(context.WithoutCancel(ctx), lock) }() // it ends by itself, too
	if err := c.bind(ctx); err != nil {
		return nil, err
	}
	// What a leader has left that died in the middle of an order: nobody asks for it any more.
	if err := c.store.Delete(ctx, path.Join("acme", certmagic.StorageKeys.Safe(c.issuer.IssuerKey()), "challenge_tokens")); err != nil {
		return nil, err
	}
	key, err := newKey(want.Key)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{DNSNames: want.Hosts}, key)
	if err != nil {
		return nil, fmt.Errorf("request for a certificate: %w", err)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("request for a certificate: %w", err)
	}
	if err := c.issuer.PreCheck(ctx, want.Hosts, false); err != nil {
		return nil, err
	}
	issued, err := c.issuer.Issue(ctx, csr)
	if err != nil && err.Error() == forgotten {
		issued, err = c.issuer.Issue(ctx, csr)
	}
	if err != nil {
		return nil, err
	}
	return read(issued.Certificate, key, want)
}

// bind has the account bound to the customer's, where the authority wants that.
func (c *Client) bind(ctx context.Context) error {
	id := c.config.ExternalAccount
	if id == "" {
		return nil
	}
	key, err := c.store.Load(ctx, certs.ExternalAccountKey(id))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the key of the external account %s is missing: give it with 'holdfast cert account %s --key FILE'", id, id)
	}
	if err != nil {
		return err
	}
	c.issuer.ExternalAccount = &acmelib.EAB{KeyID: id, MACKey: string(key)}
	return nil
}

func newKey(kind string) (crypto.Signer, error) {
	switch kind {
	case "ecdsa-p384":
		return ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "rsa-2048":
		return rsa.GenerateKey(rand.Reader, 2048)
	case "rsa-4096":
		return rsa.GenerateKey(rand.Reader, 4096)
	}
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

// read takes what an authority has sent, as far as it is what was asked for: a certificate that clients could not use must not replace one that they can.
func read(chain []byte, key crypto.Signer, want *config.ACMECertificate) (*certs.Pair, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	defer clear(der)
	pair, err := certs.ReadPair(chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	if err != nil {
		return nil, fmt.Errorf("the authority sent a certificate that cannot be used: %w", err)
	}
	leaf, err := x509.ParseCertificate(pair.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("the authority sent a certificate that cannot be used: %w", err)
	}
	for _, host := range want.Hosts {
		if leaf.VerifyHostname(host) != nil {
			return nil, fmt.Errorf("the authority sent a certificate that is not good for %s", host)
		}
	}
	if now := time.Now(); now.After(leaf.NotAfter) {
		return nil, fmt.Errorf("the authority sent a certificate that ended on %s", leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return pair, nil
}
