package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// Sizes of RSA keys in bits. Below, nobody accepts them; above, a handshake costs more than a flood of them may, and Go's own clients refuse them.
const (
	minRSA = 2048
	maxRSA = 8192
)

// checkKey refuses keys that are too weak, too heavy or of a kind that no client knows.
func checkKey(public any) error {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if n := k.N.BitLen(); n < minRSA || n > maxRSA {
			return fmt.Errorf("RSA of %d bits, must be from %d to %d", n, minRSA, maxRSA)
		}
		return nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256(), elliptic.P384(), elliptic.P521():
			return nil
		}
		return fmt.Errorf("curve %s, must be P-256, P-384 or P-521", k.Curve.Params().Name)
	case ed25519.PublicKey:
		return nil
	}
	return errors.New("its kind of key is none that TLS clients know: use ECDSA P-256 or RSA")
}

// readKey reads a private key in any of the usual forms.
func readKey(block *pem.Block) (crypto.Signer, error) {
	const decrypt = "is encrypted: decrypt it first, as in 'openssl pkey -in key.pem -out clear.pem'; the group seals it when it is added"
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" || block.Headers["Proc-Type"] != "" {
		return nil, errors.New(decrypt)
	}
	if len(block.Bytes) > 2*MaxKey { // before it is parsed: the time that checks of an RSA key take grows fast
		return nil, fmt.Errorf("has %d bytes: no key that is taken is so large", len(block.Bytes))
	}
	var key any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	default:
		return nil, errors.New("is no form of a private key that can be read: turn it into PKCS#8 with 'openssl pkey'")
	}
	if err != nil {
		// What the parser says may name values of the key.
		return nil, errors.New("is no private key that can be read: check it with 'openssl pkey -in key.pem -noout'")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("is a key that cannot sign: a server needs ECDSA, RSA or Ed25519")
	}
	return signer, nil
}

// samePublic tells whether the certificate is that of the key.
func samePublic(c *x509.Certificate, key crypto.Signer) bool {
	public, ok := c.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	return ok && public.Equal(key.Public())
}
