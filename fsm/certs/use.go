package certs

import (
	"crypto"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
)

// keyPurpose binds a sealed private key to the name under which it is kept and to its certificate.
func keyPurpose(name string, leaf []byte) string {
	sum := sha256.Sum256(leaf)
	return "certificate\x00" + name + "\x00" + hex.EncodeToString(sum[:])
}

// SealKey seals the private key of a pair that is kept under a name.
func (p *Pair) SealKey(secret []byte, name string, random [32]byte) ([]byte, error) {
	return Seal(secret, keyPurpose(name, p.Chain[0]), random, p.Key)
}

// OpenPair makes a pair usable again whose key SealKey has sealed under that name.
func OpenPair(secret []byte, name string, chain [][]byte, sealed []byte) (*tls.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("there is no certificate")
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	der, err := Open(secret, keyPurpose(name, chain[0]), sealed)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	defer clear(der)
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errors.New("private key: what was sealed is none")
	}
	signer, ok := key.(crypto.Signer)
	if !ok || !samePublic(leaf, signer) {
		return nil, errors.New("private key: it is not that of the certificate")
	}
	return &tls.Certificate{Certificate: chain, PrivateKey: signer, Leaf: leaf}, nil
}

const ticketPurpose = "ticket key"

// SealTicketKey seals the root of the keys of TLS tickets.
func SealTicketKey(secret []byte, random, key [32]byte) ([]byte, error) {
	return Seal(secret, ticketPurpose, random, key[:])
}

// OpenTicketKey opens it again; the error is ErrSealed.
func OpenTicketKey(secret, sealed []byte) ([]byte, error) { return Open(secret, ticketPurpose, sealed) }

// valuePurpose binds a sealed value of the ACME client to its key.
func valuePurpose(key string) string { return "acme\x00" + key }

// SealValue seals a value that the ACME client keeps under a key.
func SealValue(secret []byte, key string, random [32]byte, value []byte) ([]byte, error) {
	return Seal(secret, valuePurpose(key), random, value)
}

// OpenValue opens it again; the error is ErrSealed.
func OpenValue(secret []byte, key string, sealed []byte) ([]byte, error) {
	return Open(secret, valuePurpose(key), sealed)
}

// ExternalAccountKey is the key under which the ACME client keeps the MAC key of an external account: base64url, as authorities hand it out.
func ExternalAccountKey(id string) string { return "external/" + hex.EncodeToString([]byte(id)) }
