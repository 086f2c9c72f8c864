package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// Bounds of what is taken, so that no certificate makes handshakes or the replicated state heavy.
const (
	// MaxFile is the size of all PEM of one certificate, in bytes.
	MaxFile = 256 << 10
	// MaxChain is how many certificates a chain has at most; clients give up at about as many.
	MaxChain = 10
	// MaxAuthorities is how many certificates a bundle has at most: the bundles of browsers have about 150.
	MaxAuthorities = 200
	// MaxKey is the size of a private key in PKCS#8, in bytes: RSA 8192 has 4.7 KiB.
	MaxKey = 8 << 10
)

// Pair is a chain of certificates with the private key of the first one.
type Pair struct {
	// Chain is DER, the certificate of the server first, each one followed by its issuer.
	Chain [][]byte
	// Key is the private key as PKCS#8, in clear: it must not be kept or logged as it is.
	Key []byte
}

// ReadPair reads the PEM of a chain and of its private key, in any number of texts and in any order. The error says which text block is wrong, and never
// holds bytes of a key.
func ReadPair(texts ...[]byte) (*Pair, error) {
	b, err := readBlocks(texts)
	if err != nil {
		return nil, err
	}
	switch {
	case len(b.keys) == 0:
		return nil, errors.New("there is no private key: give the file with PRIVATE KEY in PEM")
	case len(b.keys) > 1:
		return nil, fmt.Errorf("there are %d private keys: give the one of the server's certificate", len(b.keys))
	case len(b.certs) == 0:
		return nil, errors.New("there is no certificate: give the file with CERTIFICATE in PEM")
	}
	key := b.keys[0]
	if err := checkKey(key.Public()); err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	chain, err := chainFrom(b.certs, key)
	if err != nil {
		return nil, err
	}
	if len(chain) > MaxChain {
		return nil, fmt.Errorf("the chain has %d certificates, at most %d are taken", len(chain), MaxChain)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("private key: %w", err)
	}
	if len(der) > MaxKey {
		return nil, fmt.Errorf("the private key has %d bytes, at most %d are taken", len(der), MaxKey)
	}
	p := &Pair{Key: der}
	for _, c := range chain {
		p.Chain = append(p.Chain, c.Raw)
	}
	return p, nil
}

// ReadAuthorities reads the PEM of a bundle of certificate authorities and gives them as DER. Each must be one: a certificate of a server or a client in
// the bundle would vouch for nobody.
func ReadAuthorities(text []byte) ([][]byte, error) {
	b, err := readBlocks([][]byte{text})
	switch {
	case err != nil:
		return nil, err
	case len(b.keys) > 0:
		return nil, errors.New("there is a private key among the authorities: give their certificates alone")
	case len(b.certs) == 0:
		return nil, errors.New("there is no certificate: give the file with CERTIFICATE in PEM")
	case len(b.certs) > MaxAuthorities:
		return nil, fmt.Errorf("there are %d authorities, at most %d are taken", len(b.certs), MaxAuthorities)
	}
	var out [][]byte
	for _, c := range b.certs {
		if !c.BasicConstraintsValid || !c.IsCA {
			return nil, fmt.Errorf("%s is no authority: it may not sign certificates", nameOf(c))
		}
		if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
			return nil, fmt.Errorf("%s may not sign certificates: its key usage says so", nameOf(c))
		}
		out = append(out, c.Raw)
	}
	return out, nil
}

// blocks is what PEM texts hold.
type blocks struct {
	certs []*x509.Certificate // without repetitions
	keys  []crypto.Signer
}

func readBlocks(texts [][]byte) (*blocks, error) {
	b := &blocks{}
	total, n := 0, 0
	for _, text := range texts {
		if total += len(text); total > MaxFile {
			return nil, fmt.Errorf("more than %d KiB of PEM: that is no chain of one server", MaxFile>>10)
		}
		for rest := text; ; {
			var block *pem.Block
			if block, rest = pem.Decode(rest); block == nil {
				if bytes.Contains(rest, []byte("-----BEGIN ")) {
					return nil, fmt.Errorf("block %d of PEM is damaged or cut off", n+1)
				}
				break
			}
			n++
			if err := b.add(block); err != nil {
				return nil, fmt.Errorf("block %d of PEM (%s): %w", n, clip(block.Type), err)
			}
		}
	}
	if n == 0 {
		return nil, errors.New(`this is no PEM: it begins with -----BEGIN CERTIFICATE-----; DER is turned into it by 'openssl x509 -inform der', PKCS#12 by 'openssl pkcs12 -nodes'`)
	}
	return b, nil
}

// maxCerts bounds what is parsed, repetitions included.
const maxCerts = 2 * MaxAuthorities

func (b *blocks) add(block *pem.Block) error {
	switch block.Type {
	case "CERTIFICATE", "TRUSTED CERTIFICATE", "X509 CERTIFICATE":
		if len(b.certs) >= maxCerts {
			return fmt.Errorf("more than %d certificates", maxCerts)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("is no certificate that can be read: %w", err)
		}
		if err := checkKey(c.PublicKey); err != nil {
			return fmt.Errorf("%s: %w", nameOf(c), err)
		}
		for _, other := range b.certs {
			if other.Equal(c) {
				return nil
			}
		}
		b.certs = append(b.certs, c)
	case "EC PARAMETERS", "DH PARAMETERS": // openssl puts them beside keys; they say nothing that the key does not
	default:
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			return errors.New("is neither a certificate nor a private key: remove it")
		}
		key, err := readKey(block)
		if err != nil {
			return err
		}
		b.keys = append(b.keys, key)
	}
	return nil
}

// clip shortens what a file says of itself for a message.
func clip(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
