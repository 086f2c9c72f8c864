package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Why a peer was refused; test with errors.Is.
var (
	// ErrOtherGroup: a genuine certificate, but of another group.
	ErrOtherGroup = errors.New("of another group")
	// ErrNotNode: the certificate does not have the role node.
	ErrNotNode = errors.New("not a node certificate")
	// ErrUntrusted: no certificate, one that another authority made, or one outside its time.
	ErrUntrusted = errors.New("not trusted")
)

func nodeURI(groupID, name string) *url.URL {
	return &url.URL{Scheme: scheme, Host: groupID, Path: "/node/" + name}
}

// parseNodeURI takes holdfast://<group-id>/node/<name> in exactly this spelling.
func parseNodeURI(u *url.URL) (groupID, name string, err error) {
	name, ok := strings.CutPrefix(u.Path, "/node/")
	if _, err := parseUUID(u.Host); err != nil || !ok || !validName(name) || *u != *nodeURI(u.Host, name) {
		return "", "", fmt.Errorf("%w: its URI is not holdfast://<group-id>/node/<name>", ErrNotNode)
	}
	return u.Host, name, nil
}

// nodeOf gives the group id and the node name of a certificate of the role node.
func nodeOf(cert *x509.Certificate) (groupID, name string, err error) {
	if cert.IsCA || len(cert.URIs) != 1 {
		return "", "", fmt.Errorf("%w: it must have exactly one URI and be no authority", ErrNotNode)
	}
	return parseNodeURI(cert.URIs[0])
}

// verifyNode checks leaf against the authority ca at the time now and gives the node's name.
func verifyNode(leaf, ca *x509.Certificate, groupID string, usage x509.ExtKeyUsage, now time.Time) (string, error) {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	// No intermediates: only what the authority itself signed counts.
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{usage}})
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUntrusted, err)
	}
	gid, name, err := nodeOf(leaf)
	if err != nil {
		return "", err
	}
	if gid != groupID {
		return "", fmt.Errorf("%w: %s, this is %s", ErrOtherGroup, gid, groupID)
	}
	return name, nil
}

// PeerName is the name of the node at the other end of a finished handshake that was made with this package's settings.
func PeerName(cs tls.ConnectionState) (string, error) {
	if !cs.HandshakeComplete || len(cs.PeerCertificates) == 0 {
		return "", fmt.Errorf("name of peer: %w: no certificate", ErrUntrusted)
	}
	_, name, err := nodeOf(cs.PeerCertificates[0])
	if err != nil {
		return "", fmt.Errorf("name of peer: %w", err)
	}
	return name, nil
}

// PeerCA is the certificate (DER) of the group's authority as the other end of a JoinTLS connection sent it: the one
// with the pin of the join token.
func PeerCA(cs tls.ConnectionState, pin [32]byte) ([]byte, error) {
	ca, err := findPinned(cs.PeerCertificates, pin)
	if err != nil {
		return nil, fmt.Errorf("CA of peer: %w", err)
	}
	return bytes.Clone(ca.Raw), nil
}

// findPinned looks behind the leaf: a leaf that is its own authority is never right.
func findPinned(chain []*x509.Certificate, pin [32]byte) (*x509.Certificate, error) {
	for i, c := range chain {
		if i > 0 && pin != [32]byte{} && PinOf(c.Raw) == pin {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%w: it is not of the group that made the join token", ErrUntrusted)
}
