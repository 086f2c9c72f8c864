package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"testing"
	"time"
)

func TestLoadCARefuses(t *testing.T) {
	ca, _ := newToken()
	other, _ := newToken()
	node := must(SelfIssue(ca, "n1", t0))
	ec := must(x509.MarshalPKCS8PrivateKey(must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))
	for name, c := range map[string][2][]byte{
		"no certificate":   {nil, ca.KeyDER},
		"cut certificate":  {ca.CertDER[:100], ca.KeyDER},
		"trailing bytes":   {append(bytes.Clone(ca.CertDER), 0), ca.KeyDER},
		"no key":           {ca.CertDER, nil},
		"cut key":          {ca.CertDER, ca.KeyDER[:20]},
		"other key":        {ca.CertDER, other.KeyDER},
		"other kind":       {ca.CertDER, ec},
		"node certificate": {node.CertDER, ca.KeyDER},
	} {
		if _, err := LoadCA(c[0], c[1]); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	got := must(LoadCA(ca.CertDER, ca.KeyDER))
	if got.GroupID != ca.GroupID || got.GroupName != "shop" {
		t.Errorf("group lost: %v", got)
	}
	if PinOf([]byte("junk")) != [32]byte{} {
		t.Error("junk has a pin")
	}
}

func TestIssueNode(t *testing.T) {
	ca, _ := newToken()
	key := must(NewKey())
	cert := must(x509.ParseCertificate(must(ca.IssueNode("n1", key.Public(), t0))))
	if got := cert.NotAfter.Sub(t0); got != nodeLife {
		t.Errorf("lives %v, want %v", got, nodeLife)
	}
	if cert.URIs[0].String() != "holdfast://"+ca.GroupID+"/node/n1" {
		t.Errorf("URI %s", cert.URIs[0])
	}
	late := must(x509.ParseCertificate(must(ca.IssueNode("n1", key.Public(), t0.Add(caLife-time.Hour)))))
	if !late.NotAfter.Equal(ca.cert.NotAfter) {
		t.Errorf("node certificate ends %v, after its authority (%v)", late.NotAfter, ca.cert.NotAfter)
	}
	for _, name := range []string{"", "a/b", "../x", "a b"} {
		if _, err := ca.IssueNode(name, key.Public(), t0); !errors.Is(err, ErrName) {
			t.Errorf("IssueNode(%q): %v", name, err)
		}
	}
	if _, err := ca.IssueNode("n1", must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)).Public(), t0); err == nil {
		t.Error("takes an ECDSA key")
	}
}

func TestCSR(t *testing.T) {
	key, gid := must(NewKey()), NewGroupID()
	der := must(CSR(key, "n1", gid))
	name, pub, err := ParseCSR(der)
	if err != nil || name != "n1" || !key.Public().(ed25519.PublicKey).Equal(pub) {
		t.Fatalf("got %q, %v", name, err)
	}
	if _, _, err := CheckCSR(der, gid); err != nil {
		t.Error(err)
	}
	if _, _, err := CheckCSR(der, NewGroupID()); !errors.Is(err, ErrOtherGroup) {
		t.Errorf("other group: %v", err)
	}
	if _, err := CSR(key, "a b", gid); !errors.Is(err, ErrName) {
		t.Errorf("bad name: %v", err)
	}
	if _, err := CSR(key, "n1", "x"); err == nil {
		t.Error("takes a bad group id")
	}
}

func TestParseCSRRefuses(t *testing.T) {
	key, gid := must(NewKey()), NewGroupID()
	good := must(CSR(key, "n1", gid))
	make := func(r x509.CertificateRequest, key any) []byte {
		return must(x509.CreateCertificateRequest(rand.Reader, &r, key))
	}
	uri := func(s string) []*url.URL { return []*url.URL{must(url.Parse(s))} }
	cn := pkix.Name{CommonName: "n1"}
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	for name, der := range map[string][]byte{
		"empty":           nil,
		"cut":             good[:len(good)-1],
		"trailing":        append(bytes.Clone(good), 0),
		"huge":            bytes.Repeat(good, 100),
		"bad signature":   flipped,
		"ecdsa":           make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast://" + gid + "/node/n1")}, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))),
		"no URI":          make(x509.CertificateRequest{Subject: cn}, key),
		"two URIs":        make(x509.CertificateRequest{Subject: cn, URIs: append(uri("holdfast://"+gid+"/node/n1"), uri("holdfast://"+gid+"/node/n2")...)}, key),
		"DNS too":         make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast://" + gid + "/node/n1"), DNSNames: []string{"x"}}, key),
		"other scheme":    make(x509.CertificateRequest{Subject: cn, URIs: uri("spiffe://" + gid + "/node/n1")}, key),
		"other role":      make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast://" + gid + "/admin/n1")}, key),
		"query":           make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast://" + gid + "/node/n1?x")}, key),
		"userinfo":        make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast://u@" + gid + "/node/n1")}, key),
		"escaped":         make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast://" + gid + "/node/n%31")}, key),
		"deeper":          make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast://" + gid + "/node/n1/x")}, key),
		"no group":        make(x509.CertificateRequest{Subject: cn, URIs: uri("holdfast:///node/n1")}, key),
		"subject differs": make(x509.CertificateRequest{Subject: pkix.Name{CommonName: "n2"}, URIs: uri("holdfast://" + gid + "/node/n1")}, key),
	} {
		if _, _, err := ParseCSR(der); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParseCSR(f *testing.F) {
	f.Add(must(CSR(must(NewKey()), "n1", NewGroupID())))
	f.Add([]byte{0x30, 0x80})
	f.Fuzz(func(t *testing.T, der []byte) {
		if name, pub, err := ParseCSR(der); err == nil && (!validName(name) || pub == nil) {
			t.Errorf("accepted with name %q, key %v", name, pub)
		}
	})
}
