package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ServerOptions says what a peer port speaks.
type ServerOptions struct {
	// Mutual are the protocols (ALPN) that need a node certificate from the client.
	Mutual []string
	// Open are those that do not: the caller checks a join token instead. A client that offers a protocol of both
	// kinds is held to Mutual.
	Open []string
	// Now is the clock for certificates, time.Now when nil.
	Now func() time.Time
}

// ServerTLS gives the settings of the peer port. After Handshake has returned nil, NegotiatedProtocol is one of
// Mutual, and PeerName works, or one of Open.
func ServerTLS(c *Credentials, o ServerOptions) (*tls.Config, error) {
	if len(o.Mutual)+len(o.Open) == 0 || slices.Contains(o.Mutual, "") || slices.Contains(o.Open, "") {
		return nil, errors.New("peer TLS settings: need at least one protocol, none empty")
	}
	mutual := base(c, o.Mutual)
	// RequireAnyClientCert rather than RequireAndVerify: verifyPeer does all of the verification, in one place.
	mutual.ClientAuth = tls.RequireAnyClientCert
	mutual.VerifyConnection = verifyPeer(c, o.Mutual, x509.ExtKeyUsageClientAuth, "", o.Now)
	open := base(c, o.Open)
	open.VerifyConnection = func(cs tls.ConnectionState) error { return checkProtocol(cs, o.Open) }

	front := base(c, slices.Concat(o.Mutual, o.Open))
	front.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		for _, p := range hello.SupportedProtos {
			if slices.Contains(o.Mutual, p) {
				return mutual, nil
			}
		}
		for _, p := range hello.SupportedProtos {
			if slices.Contains(o.Open, p) {
				return open, nil
			}
		}
		return nil, errors.New("peer offers no protocol of this port")
	}
	return front, nil
}

// ClientTLS gives the settings to call a node of the own group. peer, when not empty, is the name that the node must have.
func ClientTLS(c *Credentials, protocol, peer string, now func() time.Time) (*tls.Config, error) {
	if protocol == "" {
		return nil, errors.New("peer TLS settings: need a protocol")
	}
	cfg := base(c, []string{protocol})
	// The name of the host says nothing here: verifyPeer checks authority, group, role and name of the node.
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = verifyPeer(c, cfg.NextProtos, x509.ExtKeyUsageServerAuth, peer, now)
	return cfg, nil
}

// JoinTLS gives the settings for a node that has no certificate yet: the other end must be a node of the token's group,
// under the authority that the token pins. The secret may be sent once Handshake has returned nil.
func JoinTLS(t *JoinToken, protocol string, now func() time.Time) (*tls.Config, error) {
	if protocol == "" {
		return nil, errors.New("join TLS settings: need a protocol")
	}
	groupID, pin := t.GroupID, t.CAPin
	return &tls.Config{
		MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13,
		NextProtos:         []string{protocol},
		InsecureSkipVerify: true, // the pin is checked below instead
		VerifyConnection: func(cs tls.ConnectionState) error {
			if err := checkProtocol(cs, []string{protocol}); err != nil {
				return err
			}
			ca, err := findPinned(cs.PeerCertificates, pin)
			if err != nil {
				return fmt.Errorf("verify peer: %w", err)
			}
			if gid, err := caGroup(ca); err != nil || gid != groupID {
				return fmt.Errorf("verify peer: %w than the join token's", ErrOtherGroup)
			}
			if _, err = verifyNode(cs.PeerCertificates[0], ca, groupID, x509.ExtKeyUsageServerAuth, clock(now)); err != nil {
				return fmt.Errorf("verify peer: %w", err)
			}
			return nil
		},
	}, nil
}

func base(c *Credentials, protocols []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, MaxVersion: tls.VersionTLS13,
		NextProtos:   slices.Clone(protocols),
		Certificates: []tls.Certificate{c.tlsCertificate()},
		// No resumption: each connection shows its certificate and has it checked against the present time.
		SessionTicketsDisabled: true,
	}
}

func verifyPeer(c *Credentials, protocols []string, usage x509.ExtKeyUsage, peer string, now func() time.Time) func(tls.ConnectionState) error {
	return func(cs tls.ConnectionState) error {
		if err := checkProtocol(cs, protocols); err != nil {
			return err
		}
		if len(cs.PeerCertificates) == 0 {
			return fmt.Errorf("verify peer: %w: no certificate", ErrUntrusted)
		}
		name, err := verifyNode(cs.PeerCertificates[0], c.ca, c.GroupID, usage, clock(now))
		if err != nil {
			return fmt.Errorf("verify peer: %w", err)
		}
		if peer != "" && name != peer {
			return fmt.Errorf("verify peer: this is node %s, wanted %s", name, peer)
		}
		return nil
	}
}

// checkProtocol is needed because crypto/tls lets a peer that does not speak ALPN at all pass.
func checkProtocol(cs tls.ConnectionState, protocols []string) error {
	if !slices.Contains(protocols, cs.NegotiatedProtocol) || cs.NegotiatedProtocol == "" {
		return errors.New("verify peer: no agreed protocol")
	}
	return nil
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}
