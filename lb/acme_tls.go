package lb

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"strings"
	"time"
)

// acmeProtocol is what the client of tls-alpn-01 speaks, and nobody else (RFC 8737 section 6.2).
const acmeProtocol = "acme-tls/1"

// acmeExtension is id-pe-acmeIdentifier (RFC 8737 section 6.1).
var acmeExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 31}

// errChallenged ends a connection that has shown what it was made for: the handshake is all of tls-alpn-01.
var errChallenged = errors.New("the handshake was a challenge of an authority")

// challengeConfig is tls.Config.GetConfigForClient: an authority that asks for a challenge that is open gets the certificate which answers it, everybody else what the
// listener has. Neither client certificates nor tickets belong to it.
func (b *Balancer) challengeConfig(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	open := b.challenges.Load()
	if open == nil || len(hello.SupportedProtos) != 1 || hello.SupportedProtos[0] != acmeProtocol { // one alone: RFC 8737 section 3
		return nil, nil
	}
	host := strings.ToLower(hello.ServerName)
	answer, ok := open.byHost[host]
	if !ok {
		return nil, nil
	}
	cert, err := challengeCertificate(host, answer)
	if err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{acmeProtocol}, Certificates: []tls.Certificate{*cert}, SessionTicketsDisabled: true}, nil
}

// challengeCertificate signs itself, names the host, and has the digest of the key authorization.
func challengeCertificate(host, answer string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(answer))
	value, err := asn1.Marshal(sum[:])
	if err != nil {
		return nil, err
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "ACME challenge"}, DNSNames: []string{host},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		ExtraExtensions: []pkix.Extension{{Id: acmeExtension, Critical: true, Value: value}},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
