package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Credentials are what a node shows to its peers: key, certificate, and the certificate of the group's authority.
type Credentials struct {
	Name    string // of the node
	GroupID string // UUID
	CertDER []byte
	CADER   []byte
	// CAKeyDER is the authority's key (PKCS#8). Only a node that founds its group has it, until the group's state does.
	CAKeyDER []byte `json:"-"`

	key  *ed25519.PrivateKey // behind a pointer: see Init.seed
	leaf *x509.Certificate
	ca   *x509.Certificate
}

// GroupName is the name of the group.
func (c *Credentials) GroupName() string { return c.ca.Subject.CommonName }

// NewCredentials checks that certificate, key and authority belong together and to one group. It does not look at the
// clock: TLS does, on each connection. A certificate that came over the network is to be passed through here.
func NewCredentials(certDER []byte, key ed25519.PrivateKey, caDER []byte) (*Credentials, error) {
	ca, groupID, err := parseCACert(caDER)
	if err != nil {
		return nil, fmt.Errorf("node credentials: %w", err)
	}
	leaf, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("node credentials: %w", err)
	}
	name, err := verifyNode(leaf, ca, groupID, x509.ExtKeyUsageServerAuth, validMoment(leaf, ca))
	if err != nil {
		return nil, fmt.Errorf("node credentials: %w", err)
	}
	if len(key) != ed25519.PrivateKeySize || !key.Public().(ed25519.PublicKey).Equal(leaf.PublicKey) {
		return nil, errors.New("node credentials: the key is not the certificate's")
	}
	return &Credentials{Name: name, GroupID: groupID, CertDER: certDER, CADER: caDER, key: &key, leaf: leaf, ca: ca}, nil
}

// SelfIssue makes the credentials of the node name with the authority itself: for the first nodes of a group. The
// authority's key is part of them, so that a restart before the group's state has it loses nothing.
func SelfIssue(ca *CA, name string, now time.Time) (*Credentials, error) {
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	cert, err := ca.IssueNode(name, key.Public(), now)
	if err != nil {
		return nil, err
	}
	c, err := NewCredentials(cert, key, ca.CertDER)
	if err != nil {
		return nil, err
	}
	c.CAKeyDER = ca.KeyDER
	return c, nil
}

// CA is the group's authority, nil when these credentials do not have its key.
func (c *Credentials) CA() (*CA, error) {
	if len(c.CAKeyDER) == 0 {
		return nil, nil
	}
	return LoadCA(c.CADER, c.CAKeyDER)
}

// WithoutCAKey is a copy for when the group's state keeps the authority's key.
func (c *Credentials) WithoutCAKey() *Credentials {
	d := *c
	d.CAKeyDER = nil
	return &d
}

// Expires is the time at which the node's certificate ends.
func (c *Credentials) Expires() time.Time { return c.leaf.NotAfter }

// Key is the node's private key.
func (c *Credentials) Key() ed25519.PrivateKey { return *c.key }

// tlsCertificate has the authority behind the leaf: a joining node knows only its pin.
func (c *Credentials) tlsCertificate() tls.Certificate {
	return tls.Certificate{
		Certificate: [][]byte{bytes.Clone(c.CertDER), bytes.Clone(c.CADER)},
		PrivateKey:  *c.key,
		Leaf:        c.leaf,
	}
}

// validMoment is a time at which both certificates hold, if there is one.
func validMoment(leaf, ca *x509.Certificate) time.Time {
	if leaf.NotBefore.Before(ca.NotBefore) {
		return ca.NotBefore
	}
	return leaf.NotBefore
}

// Format prints the credentials without keys, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "pki.Credentials{node %s, group %s, keys redacted}", c.Name, c.GroupID)
}

// LogValue implements slog.LogValuer without keys.
func (c Credentials) LogValue() slog.Value {
	return slog.GroupValue(slog.String("node", c.Name), slog.String("groupId", c.GroupID))
}
