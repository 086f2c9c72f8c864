package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net/url"
)

// maxCSR bounds a signing request; a genuine one has about 300 bytes.
const maxCSR = 4096

// NewKey makes a node's key.
func NewKey() (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make node key: %w", err)
	}
	return key, nil
}

// CSR asks for a node certificate (PKCS #10, RFC 2986, DER) and proves possession of key.
func CSR(key ed25519.PrivateKey, name, groupID string) ([]byte, error) {
	if err := CheckName("node name", name); err != nil {
		return nil, fmt.Errorf("make signing request: %w", err)
	}
	if _, err := parseUUID(groupID); err != nil {
		return nil, fmt.Errorf("make signing request: %w", err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: name},
		URIs:    []*url.URL{nodeURI(groupID, name)},
	}, key)
	if err != nil {
		return nil, fmt.Errorf("make signing request: %w", err)
	}
	return der, nil
}

// ParseCSR checks a signing request and gives the node name and the ed25519 key that it asks for. It does not compare
// the group: CheckCSR does.
func ParseCSR(der []byte) (name string, pub crypto.PublicKey, err error) {
	_, name, pub, err = parseCSR(der)
	if err != nil {
		return "", nil, fmt.Errorf("signing request: %w", err)
	}
	return name, pub, nil
}

// CheckCSR is ParseCSR for the authority of group groupID: a request to another group is refused.
func CheckCSR(der []byte, groupID string) (name string, pub crypto.PublicKey, err error) {
	got, name, pub, err := parseCSR(der)
	if err == nil && got != groupID {
		err = fmt.Errorf("%w: it asks for group %s, this is %s", ErrOtherGroup, got, groupID)
	}
	if err != nil {
		return "", nil, fmt.Errorf("signing request: %w", err)
	}
	return name, pub, nil
}

func parseCSR(der []byte) (groupID, name string, pub crypto.PublicKey, err error) {
	if len(der) > maxCSR {
		return "", "", nil, fmt.Errorf("%d bytes, at most %d", len(der), maxCSR)
	}
	req, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return "", "", nil, err
	}
	// The signature proves that whoever asks has the key: else a token could be spent on somebody else's.
	if err := req.CheckSignature(); err != nil {
		return "", "", nil, err
	}
	key, ok := req.PublicKey.(ed25519.PublicKey)
	if !ok {
		return "", "", nil, fmt.Errorf("the key is a %T, must be ed25519", req.PublicKey)
	}
	if len(req.URIs) != 1 || len(req.DNSNames)+len(req.EmailAddresses)+len(req.IPAddresses) != 0 {
		return "", "", nil, errors.New("must name exactly one node")
	}
	groupID, name, err = parseNodeURI(req.URIs[0])
	if err == nil && req.Subject.CommonName != name {
		err = errors.New("its subject and its URI name different nodes")
	}
	return groupID, name, key, err
}
