package pki

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/url"
	"time"
)

const (
	// nodeLife is how long a node certificate lasts, caLife how long the authority does: the older of the two never
	// ends first, so a certificate issued in the authority's first twenty years has its full life.
	nodeLife = 10 * 365 * 24 * time.Hour
	caLife   = 30 * 365 * 24 * time.Hour
	scheme   = "holdfast"
)

// CA is the group's certificate authority: an ed25519 key and its self-signed certificate.
type CA struct {
	CertDER   []byte
	KeyDER    []byte `json:"-"` // PKCS#8
	GroupID   string // UUID, as in the certificate's URI holdfast://<group-id>
	GroupName string

	cert *x509.Certificate
}

// NewCA makes an authority with a random key for a group that starts without an init string.
func NewCA(groupID, groupName string, now time.Time) (*CA, error) {
	seed := make([]byte, ed25519.SeedSize)
	rand.Read(seed)
	return deriveCA(groupID, groupName, seed, now)
}

// LoadCA reads an authority from its certificate and PKCS#8 key and checks that they belong together.
func LoadCA(certDER, keyDER []byte) (*CA, error) {
	cert, groupID, err := parseCACert(certDER)
	if err != nil {
		return nil, fmt.Errorf("load CA: %w", err)
	}
	key, err := parseKey(keyDER)
	if err != nil {
		return nil, fmt.Errorf("load CA: %w", err)
	}
	if !key.Public().(ed25519.PublicKey).Equal(cert.PublicKey) {
		return nil, errors.New("load CA: the key is not the certificate's")
	}
	return &CA{CertDER: certDER, KeyDER: keyDER, GroupID: groupID, GroupName: cert.Subject.CommonName, cert: cert}, nil
}

// deriveCA is a function of its arguments alone: every field of the certificate that the library would choose (serial
// number, key ids) is set here, and ed25519 signatures have no randomness (RFC 8032 5.1.6).
func deriveCA(groupID, groupName string, seed []byte, from time.Time) (*CA, error) {
	if _, err := parseUUID(groupID); err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	if err := CheckName("group name", groupName); err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	id := sha256.Sum256(key.Public().(ed25519.PublicKey))
	id[0] = id[0]&0x7f | 0x40 // a serial number is positive and has no leading zero byte
	tmpl := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(id[:16]),
		Subject:      pkix.Name{CommonName: groupName, Organization: []string{"Holdfast group"}},
		NotBefore:    seconds(from).Add(-clockSlack),
		NotAfter:     seconds(from).Add(caLife),
		KeyUsage:     x509.KeyUsageCertSign,
		SubjectKeyId: id[:20], AuthorityKeyId: id[:20],
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
		URIs: []*url.URL{{Scheme: scheme, Host: groupID}},
	}
	certDER, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make CA: %w", err)
	}
	return LoadCA(certDER, keyDER)
}

// IssueNode signs a node certificate: role node, both directions of TLS, ten years from now (less when the authority
// ends before). pub must be an ed25519 key.
func (ca *CA) IssueNode(name string, pub crypto.PublicKey, now time.Time) (certDER []byte, err error) {
	if err := CheckName("node name", name); err != nil {
		return nil, fmt.Errorf("issue node certificate: %w", err)
	}
	if _, ok := pub.(ed25519.PublicKey); !ok {
		return nil, fmt.Errorf("issue node certificate: the key is a %T, must be ed25519", pub)
	}
	key, err := parseKey(ca.KeyDER)
	if err != nil {
		return nil, fmt.Errorf("issue node certificate: %w", err)
	}
	var serial [16]byte
	rand.Read(serial[:])
	serial[0] = serial[0]&0x7f | 0x40
	until := seconds(now).Add(nodeLife)
	if until.After(ca.cert.NotAfter) {
		until = ca.cert.NotAfter
	}
	tmpl := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial[:]),
		Subject:      pkix.Name{CommonName: name, Organization: []string{"Holdfast node"}},
		NotBefore:    seconds(now).Add(-clockSlack), NotAfter: until,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{nodeURI(ca.GroupID, name)},
	}
	certDER, err = x509.CreateCertificate(rand.Reader, tmpl, ca.cert, pub, key)
	if err != nil {
		return nil, fmt.Errorf("issue node certificate: %w", err)
	}
	return certDER, nil
}

// PinOf is the SHA-256 of a certificate's public key (SubjectPublicKeyInfo, as in RFC 7469 2.4); all zero when certDER
// is no certificate, which no pin ever matches.
func PinOf(certDER []byte) [32]byte {
	cert, err := x509.ParseCertificate(certDER)
	if err != nil {
		return [32]byte{}
	}
	return sha256.Sum256(cert.RawSubjectPublicKeyInfo)
}

// parseCACert reads a certificate that must be the authority of a group, and gives the group's id.
func parseCACert(der []byte) (*x509.Certificate, string, error) {
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, "", fmt.Errorf("CA certificate: %w", err)
	}
	groupID, err := caGroup(cert)
	return cert, groupID, err
}

func caGroup(cert *x509.Certificate) (string, error) {
	if !cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign == 0 || len(cert.URIs) != 1 {
		return "", errors.New("CA certificate: not the authority of a group")
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		return "", fmt.Errorf("CA certificate: not signed by itself: %w", err)
	}
	groupID := cert.URIs[0].Host
	if _, err := parseUUID(groupID); err != nil || cert.URIs[0].String() != scheme+"://"+groupID {
		return "", errors.New("CA certificate: it does not name a group")
	}
	return groupID, nil
}

func parseKey(der []byte) (ed25519.PrivateKey, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("private key: not a PKCS#8 key") // the library's text could quote parts of it
	}
	ed, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("private key: is a %T, must be ed25519", key)
	}
	return ed, nil
}

// Format prints the authority without its key, whatever the verb.
func (ca CA) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "pki.CA{group %s (%s), key redacted}", ca.GroupName, ca.GroupID)
}

// LogValue implements slog.LogValuer without the key.
func (ca CA) LogValue() slog.Value {
	return slog.GroupValue(slog.String("group", ca.GroupName), slog.String("groupId", ca.GroupID))
}
