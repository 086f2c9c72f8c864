package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"fmt"
)

// chainFrom puts the certificates into the order in which a server sends them: that of the key, then each one's issuer. One that does not belong there is an
// error, because it is a mistake: a file of another site, or an intermediate of the year before.
func chainFrom(all []*x509.Certificate, key crypto.Signer) ([]*x509.Certificate, error) {
	left := append([]*x509.Certificate(nil), all...)
	take := func(fits func(*x509.Certificate) bool) *x509.Certificate {
		for i, c := range left {
			if fits(c) {
				left = append(left[:i], left[i+1:]...)
				return c
			}
		}
		return nil
	}
	last := take(func(c *x509.Certificate) bool { return samePublic(c, key) })
	if last == nil {
		return nil, fmt.Errorf("the private key is not that of %s, nor of any other certificate that is given", nameOf(all[0]))
	}
	chain := []*x509.Certificate{last}
	for len(left) > 0 {
		issuer := take(func(c *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if issuer == nil {
			return nil, fmt.Errorf("%s did not sign %s, so it is no part of the chain: remove it, or add what is between", nameOf(left[0]), nameOf(last))
		}
		chain, last = append(chain, issuer), issuer
	}
	return chain, nil
}

// nameOf names a certificate for people.
func nameOf(c *x509.Certificate) string {
	if name := c.Subject.CommonName; name != "" {
		return fmt.Sprintf("certificate %q", clip(name))
	}
	if len(c.DNSNames) > 0 {
		return fmt.Sprintf("certificate %q", clip(c.DNSNames[0]))
	}
	return fmt.Sprintf("the certificate with serial number %x", c.SerialNumber)
}
