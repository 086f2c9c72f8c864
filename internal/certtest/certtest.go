// Package certtest makes certificates for tests: an authority, and what it signs. Nothing of it is for use outside of tests: keys are made fast and kept in
// clear.
package certtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"testing"
	"time"
)

// CA is an authority.
type CA struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	t    testing.TB
	up   *CA
}

// NewCA makes an authority that signed itself.
func NewCA(t testing.TB, name string) *CA {
	t.Helper()
	ca := &CA{t: t, Key: Key(t)}
	ca.Cert = ca.sign(caTemplate(name), ca.Key, nil)
	return ca
}

// Intermediate makes an authority that ca has signed.
func (ca *CA) Intermediate(name string) *CA {
	ca.t.Helper()
	next := &CA{t: ca.t, Key: Key(ca.t), up: ca}
	next.Cert = ca.sign(caTemplate(name), next.Key, ca)
	return next
}

func caTemplate(name string) *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
}

// Leaf is a certificate with its key.
type Leaf struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	ca   *CA
}

// Server makes a certificate for names; addresses may be among them.
func (ca *CA) Server(names ...string) *Leaf { return ca.Leaf(nil, names...) }

// Client makes a certificate for a client.
func (ca *CA) Client(name string) *Leaf {
	return ca.Leaf(func(c *x509.Certificate) {
		c.Subject.CommonName, c.ExtKeyUsage = name, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
}

// Leaf makes a certificate that change may alter before it is signed; nil changes nothing.
func (ca *CA) Leaf(change func(*x509.Certificate), names ...string) *Leaf {
	ca.t.Helper()
	return ca.LeafOf(Key(ca.t), change, names...)
}

// LeafOf does so for a key that is there.
func (ca *CA) LeafOf(key crypto.Signer, change func(*x509.Certificate), names ...string) *Leaf {
	ca.t.Helper()
	c := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
			continue
		}
		c.DNSNames = append(c.DNSNames, n)
	}
	if len(names) > 0 {
		c.Subject.CommonName = names[0]
	}
	if change != nil {
		change(c)
	}
	return &Leaf{Cert: ca.sign(c, key, ca), Key: key, ca: ca}
}

// sign completes a template and signs it; by nil: with its own key.
func (ca *CA) sign(c *x509.Certificate, key crypto.Signer, by *CA) *x509.Certificate {
	ca.t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		ca.t.Fatal(err)
	}
	c.SerialNumber = serial
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if c.NotAfter.IsZero() {
		c.NotAfter = time.Now().Add(90 * 24 * time.Hour)
	}
	parent, signer := c, key
	if by != nil {
		parent, signer = by.Cert, by.Key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		ca.t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		ca.t.Fatal(err)
	}
	return out
}

// Key makes a key on the curve P-256.
func Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Pool is one with the authority alone.
func (ca *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(ca.Cert)
	return pool
}

// PEM is the authority's certificate.
func (ca *CA) PEM() []byte { return CertPEM(ca.Cert) }

// ChainPEM is the certificate with those of the intermediates above it.
func (l *Leaf) ChainPEM() []byte {
	out := CertPEM(l.Cert)
	for ca := l.ca; ca != nil && ca.up != nil; ca = ca.up {
		out = append(out, CertPEM(ca.Cert)...)
	}
	return out
}

// KeyPEM is the private key as PKCS#8.
func (l *Leaf) KeyPEM() []byte { return KeyPEM(l.ca.t, l.Key) }

// TLS is the certificate as crypto/tls has it.
func (l *Leaf) TLS() tls.Certificate {
	c := tls.Certificate{Certificate: [][]byte{l.Cert.Raw}, PrivateKey: l.Key, Leaf: l.Cert}
	for ca := l.ca; ca != nil && ca.up != nil; ca = ca.up {
		c.Certificate = append(c.Certificate, ca.Cert.Raw)
	}
	return c
}

// CertPEM writes a certificate.
func CertPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// KeyPEM writes a private key as PKCS#8.
func KeyPEM(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}
