package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"fmt"
	"slices"
	"time"
)

// Info is what people want to know of a certificate. It has no secrets.
type Info struct {
	Subject, Issuer string
	// Names are the DNS names and IP addresses for which it is good.
	Names               []string
	NotBefore, NotAfter time.Time
	// Serial and Fingerprint (SHA-256 of the DER) are hexadecimal.
	Serial, Fingerprint string
	// Key is the kind of key, as in "ECDSA P-256".
	Key string
	// Server tells whether it may be a server's, by its extended key usage.
	Server bool
}

// Describe reads a certificate in DER.
func Describe(der []byte) (*Info, error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	sum := sha256.Sum256(der)
	i := &Info{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(), Names: slices.Clone(c.DNSNames), NotBefore: c.NotBefore, NotAfter: c.NotAfter,
		Serial: hex.EncodeToString(c.SerialNumber.Bytes()), Fingerprint: hex.EncodeToString(sum[:]), Key: keyName(c.PublicKey),
		Server: len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) == 0 || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) || slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny),
	}
	for _, ip := range c.IPAddresses {
		i.Names = append(i.Names, ip.String())
	}
	return i, nil
}

// Soon is how long before its end a certificate is warned of.
const Soon = 14 * 24 * time.Hour

// Problem says what is wrong with a server's certificate at a time, in words that go on after its name; "" for nothing.
func (i *Info) Problem(now time.Time) string {
	switch {
	case now.After(i.NotAfter):
		return fmt.Sprintf("has expired on %s: clients refuse it", i.NotAfter.UTC().Format(time.DateOnly))
	case now.Before(i.NotBefore):
		return fmt.Sprintf("is not valid before %s: clients refuse it until then", i.NotBefore.UTC().Format(time.RFC3339))
	case i.NotAfter.Sub(now) < Soon:
		return fmt.Sprintf("expires on %s", i.NotAfter.UTC().Format(time.RFC3339))
	}
	return ""
}

// Warnings says what else is unwise about a server's certificate, in the same form as Problem.
func (i *Info) Warnings() (list []string) {
	if len(i.Names) == 0 {
		list = append(list, "names no host: clients ask for subjectAltName, and refuse it")
	}
	if !i.Server {
		list = append(list, "is not for servers by its extended key usage: clients refuse it")
	}
	return list
}

func keyName(public any) string {
	switch k := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return "unknown"
}

// RenewAt is when a certificate that is obtained automatically is renewed: when a third of its life is left, as authorities recommend.
func (i *Info) RenewAt() time.Time { return i.NotAfter.Add(-i.NotAfter.Sub(i.NotBefore) / 3) }
