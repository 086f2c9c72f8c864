package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/certtest"
)

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func block(kind string, b []byte, headers map[string]string) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b, Headers: headers})
}

// TestPairsInEveryForm: chain and key come in one text or in several, in any order, and with what openssl writes beside them; UCD-20.
func TestPairsInEveryForm(t *testing.T) {
	root := certtest.NewCA(t, "root")
	mid := root.Intermediate("mid")
	leaf := mid.Server("a.example")
	sec1, err := x509.MarshalECPrivateKey(leaf.Key.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	cert, issuer, key := certtest.CertPEM(leaf.Cert), certtest.CertPEM(mid.Cert), leaf.KeyPEM()
	want := [][]byte{leaf.Cert.Raw, mid.Cert.Raw}
	for name, texts := range map[string][][]byte{
		"two files":             {joined(cert, issuer), key},
		"one file, key first":   {joined(key, cert, issuer)},
		"issuer first":          {joined(issuer, cert), key},
		"twice the same":        {joined(cert, issuer, cert), key},
		"text around":           {joined([]byte("subject=a\n"), cert, []byte("\n\nissuer\n"), issuer), key},
		"SEC 1 with parameters": {joined(cert, issuer), joined(block("EC PARAMETERS", []byte{6, 1, 2}, nil), block("EC PRIVATE KEY", sec1, nil))},
		"CRLF":                  {bytes.ReplaceAll(joined(cert, issuer), []byte("\n"), []byte("\r\n")), bytes.ReplaceAll(key, []byte("\n"), []byte("\r\n"))},
	} {
		p, err := ReadPair(texts...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.EqualFunc(p.Chain, want, bytes.Equal) {
			t.Errorf("%s: another chain, of %d", name, len(p.Chain))
		}
		parsed, err := x509.ParsePKCS8PrivateKey(p.Key)
		if err != nil || !leaf.Key.(*ecdsa.PrivateKey).Equal(parsed.(crypto.PrivateKey)) {
			t.Errorf("%s: another key, %v", name, err)
		}
	}
	p, err := ReadPair(joined(cert, issuer, certtest.CertPEM(root.Cert)), key)
	if err != nil || len(p.Chain) != 3 {
		t.Errorf("with the root: %v", err)
	}
}

// TestHostilePairs: whatever cannot be served is refused with the reason, and no message has anything of a key.
func TestHostilePairs(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	leaf, other := ca.Server("a.example"), ca.Server("b.example")
	cert, key := leaf.ChainPEM(), leaf.KeyPEM()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var long, wide []byte
	top := ca
	for range MaxChain + 1 {
		top = top.Intermediate("deeper")
		wide = append(wide, certtest.CertPEM(top.Cert)...)
	}
	deep := top.Server("deep.example")
	for range MaxFile/len(cert) + 1 {
		long = append(long, cert...)
	}
	garbage := bytes.Repeat([]byte{0, 0xff, '-', '\n'}, 1000)
	for name, c := range map[string]struct {
		texts [][]byte
		says  string
	}{
		"nothing":              {nil, "no PEM"},
		"empty":                {[][]byte{{}, {}}, "no PEM"},
		"garbage":              {[][]byte{garbage}, "no PEM"},
		"DER":                  {[][]byte{leaf.Cert.Raw}, "openssl x509 -inform der"},
		"cut off":              {[][]byte{cert[:len(cert)-10], key}, "damaged or cut off"},
		"no key":               {[][]byte{cert}, "no private key"},
		"no certificate":       {[][]byte{key}, "no certificate"},
		"two keys":             {[][]byte{cert, key, other.KeyPEM()}, "2 private keys"},
		"another key":          {[][]byte{cert, other.KeyPEM()}, `not that of certificate "a.example"`},
		"no part of the chain": {[][]byte{joined(cert, other.ChainPEM()), key}, `"b.example" did not sign certificate "a.example"`},
		"too long a chain":     {[][]byte{joined(deep.ChainPEM()), deep.KeyPEM()}, "the chain has 12"},
		"only issuers":         {[][]byte{wide, key}, "not that of"},
		"too much":             {[][]byte{long, key}, "KiB of PEM"},
		"encrypted, PKCS#8":    {[][]byte{cert, block("ENCRYPTED PRIVATE KEY", []byte{1, 2, 3}, nil)}, "openssl pkey"},
		"encrypted, old":       {[][]byte{cert, block("RSA PRIVATE KEY", []byte{1}, map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"})}, "is encrypted"},
		"damaged key":          {[][]byte{cert, block("PRIVATE KEY", []byte("secret-of-the-key"), nil)}, "no private key that can be read"},
		"a giant key":          {[][]byte{cert, block("RSA PRIVATE KEY", make([]byte, 3*MaxKey), nil)}, "no key that is taken is so large"},
		"another key's form":   {[][]byte{cert, block("DSA PRIVATE KEY", []byte{1}, nil)}, "PKCS#8"},
		"damaged certificate":  {[][]byte{block("CERTIFICATE", []byte{1, 2}, nil), key}, "block 1 of PEM (CERTIFICATE)"},
		"a request":            {[][]byte{cert, block("CERTIFICATE REQUEST", leaf.Cert.Raw, nil), key}, "neither a certificate nor a private key"},
		"odd type":             {[][]byte{block("X\x1b[31mY", []byte{1}, nil), key}, "neither a certificate"},
		"RSA of 1024 bits":     {[][]byte{cert, certtest.KeyPEM(t, small)}, "RSA of 1024 bits"},
		"P-224":                {[][]byte{cert, certtest.KeyPEM(t, weak)}, "curve P-224"},
	} {
		_, err := ReadPair(c.texts...)
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
			continue
		}
		if strings.Contains(err.Error(), "secret-of-the-key") || strings.ContainsRune(err.Error(), 0x1b) || len(err.Error()) > 400 {
			t.Errorf("%s: %q", name, err)
		}
	}
}

// TestKeysOfAllKindsAreTaken, and an absurdly large one is not: its handshakes would cost more than those of a flood may. The public key alone decides, so that
// nobody waits for one to be made here.
func TestKeysOfAllKindsAreTaken(t *testing.T) {
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	proper, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ca := certtest.NewCA(t, "root")
	for _, key := range []crypto.Signer{edwards, proper} {
		leaf := ca.LeafOf(key, nil, "a.example")
		if _, err := ReadPair(leaf.ChainPEM(), leaf.KeyPEM()); err != nil {
			t.Errorf("%T: %v", key, err)
		}
	}
	huge := *proper.N
	huge.Lsh(&huge, 14<<10)
	if err := checkKey(&rsa.PublicKey{N: &huge, E: 65537}); err == nil || !strings.Contains(err.Error(), "RSA of 16384 bits") {
		t.Errorf("RSA 16384: %v", err)
	}
}

func TestAuthorities(t *testing.T) {
	a, b := certtest.NewCA(t, "a"), certtest.NewCA(t, "b")
	list, err := ReadAuthorities(joined(a.PEM(), b.PEM(), a.PEM()))
	if err != nil || len(list) != 2 {
		t.Fatalf("%d, %v", len(list), err)
	}
	leaf := a.Server("x.example")
	noSign := certtest.NewCA(t, "c").Leaf(func(c *x509.Certificate) {
		c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageDigitalSignature
	}, "no-sign")
	var many []byte
	for range MaxAuthorities + 1 {
		many = append(many, certtest.NewCA(t, "m").PEM()...)
	}
	for name, c := range map[string]struct {
		text []byte
		says string
	}{
		"a server": {joined(a.PEM(), leaf.ChainPEM()), `"x.example" is no authority`}, "a key": {joined(a.PEM(), leaf.KeyPEM()), "private key among"},
		"no signer": {noSign.ChainPEM(), "may not sign certificates"}, "empty": {nil, "no PEM"}, "many": {many, "authorities, at most"},
	} {
		if _, err := ReadAuthorities(c.text); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", name, err, c.says)
		}
	}
}

// TestWarnings: what is unwise is said, and only that.
func TestWarnings(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	now := time.Now()
	for name, c := range map[string]struct {
		leaf *certtest.Leaf
		says string
	}{
		"sound":       {ca.Server("a.example"), ""},
		"expired":     {ca.Leaf(func(c *x509.Certificate) { c.NotAfter = now.Add(-time.Minute) }, "a"), "has expired on"},
		"to come":     {ca.Leaf(func(c *x509.Certificate) { c.NotBefore = now.Add(time.Hour) }, "a"), "is not valid before"},
		"soon":        {ca.Leaf(func(c *x509.Certificate) { c.NotAfter = now.Add(24 * time.Hour) }, "a"), "expires on"},
		"no names":    {ca.Server(), "names no host"},
		"of a client": {ca.Client("joe"), "is not for servers"},
	} {
		i, err := Describe(c.leaf.Cert.Raw)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(append(i.Warnings(), i.Problem(now)), "; ")
		if c.says == "" && got != "" || !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", name, got, c.says)
		}
	}
	if i, err := Describe(ca.Server("a.example", "10.0.0.1").Cert.Raw); err != nil || !slices.Equal(i.Names, []string{"a.example", "10.0.0.1"}) || i.Key != "ECDSA P-256" {
		t.Errorf("%+v, %v", i, err)
	}
	if _, err := Describe([]byte("x")); err == nil {
		t.Error("no certificate is described")
	}
}

// TestSeal: what is sealed shows nothing of the key, opens under its name and with its certificate alone, and with the group's secret alone.
func TestSeal(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	leaf, other := ca.Server("a.example"), ca.Server("b.example")
	p, err := ReadPair(leaf.ChainPEM(), leaf.KeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	secret := bytes.Repeat([]byte{7}, 32)
	sealed, err := p.SealKey(secret, "site", [32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+16 <= len(p.Key); i++ {
		if bytes.Contains(sealed, p.Key[i:i+16]) {
			t.Fatal("the sealed key shows the key")
		}
	}
	if again, _ := p.SealKey(secret, "site", [32]byte{2}); bytes.Equal(again[saltSize+1:], sealed[saltSize+1:]) {
		t.Error("two seals are equal")
	}
	if c, err := OpenPair(secret, "site", p.Chain, sealed); err != nil || c.Leaf.Subject.CommonName != "a.example" {
		t.Fatalf("%v", err)
	}
	if _, err := OpenPair(secret, "other", p.Chain, sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("another name: %v", err)
	}
	if _, err := OpenPair(secret, "site", [][]byte{other.Cert.Raw}, sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("another certificate: %v", err)
	}
	if _, err := OpenPair(bytes.Repeat([]byte{8}, 32), "site", p.Chain, sealed); !errors.Is(err, ErrSealed) {
		t.Errorf("another secret: %v", err)
	}
	if _, err := OpenPair(secret, "site", nil, sealed); err == nil {
		t.Error("no certificate")
	}
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := OpenPair(secret, "site", p.Chain, bad); !errors.Is(err, ErrSealed) {
			t.Fatalf("byte %d changed: %v", i, err)
		}
		if _, err := OpenPair(secret, "site", p.Chain, sealed[:i]); !errors.Is(err, ErrSealed) {
			t.Fatalf("cut off after %d bytes: %v", i, err)
		}
	}
}

// FuzzReadPair: whatever comes is refused or gives a pair that can be sealed, opened and used.
func FuzzReadPair(f *testing.F) {
	ca := certtest.NewCA(f, "root")
	leaf := ca.Intermediate("mid").Server("a.example")
	f.Add(leaf.ChainPEM(), leaf.KeyPEM())
	f.Add(joined(leaf.KeyPEM(), leaf.ChainPEM(), ca.PEM()), []byte{})
	f.Add(block("ENCRYPTED PRIVATE KEY", []byte{1}, nil), []byte("-----BEGIN "))
	secret := bytes.Repeat([]byte{7}, 32)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if list, err := ReadAuthorities(a); err == nil && len(list) == 0 {
			t.Fatal("a bundle of none")
		}
		p, err := ReadPair(a, b)
		if err != nil {
			return
		}
		sealed, err := p.SealKey(secret, "n", [32]byte{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenPair(secret, "n", p.Chain, sealed); err != nil {
			t.Fatal(err)
		}
		if _, err := Describe(p.Chain[0]); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzOpen: hostile bytes do not open.
func FuzzOpen(f *testing.F) {
	secret := bytes.Repeat([]byte{7}, 32)
	good, err := Seal(secret, "p", [32]byte{1}, []byte("text"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, b []byte) {
		if text, err := Open(secret, "p", b); err == nil && !bytes.Equal(b, good) {
			t.Fatalf("%q opens", text)
		}
	})
}
