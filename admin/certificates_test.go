package admin_test

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// testAuthority is a certificate that is good for a hundred years; its key was thrown away.
const testAuthority = `-----BEGIN CERTIFICATE-----
MIIBmTCCAT+gAwIBAgIUHYhvpcdtvKTllfUcQEzAORYpEv8wCgYIKoZIzj0EAwIw
GTEXMBUGA1UEAwwOdGVzdCBhdXRob3JpdHkwIBcNMjYxMTI2MDEyNzM5WhgPMjEy
NjExMDIwMTI3MzlaMBkxFzAVBgNVBAMMDnRlc3QgYXV0aG9yaXR5MFkwEwYHKoZI
zj0CAQYIKoZIzj0DAQcDQgAEk+iv22fhMSogi+u78/MRtsK1x6MUyv12jgcnoF4o
0LmelKGZzOc9x+6ZthqB4KTySwmffiknmwq6ejE0K2VhP6NjMGEwHQYDVR0OBBYE
FPlPB630kYO0YnXL+ebQ4yinfbyUMB8GA1UdIwQYMBaAFPlPB630kYO0YnXL+ebQ
4yinfbyUMA8GA1UdEwEB/wQFMAMBAf8wDgYDVR0PAQH/BAQDAgIEMAoGCCqGSM49
BAMCA0gAMEUCIQDc3PSkoz+WgC0NL16yVLRJBPrOKz8zPv6dzoOPLJOHCgIgAsCz
UBpsSN7yrn9MB8mFqcwV8qUL93/Nuz7wGLte8CE=
-----END CERTIFICATE-----
`

// authorityBody is a request that brings it.
func authorityBody(name string) string {
	b, _ := json.Marshal(struct {
		Name string `json:"name,omitempty"`
		wire.CertificateRequest
	}{name, wire.CertificateRequest{Certificate: testAuthority, Kind: wire.CertificateAuthorities}})
	return string(b)
}

func certificateBody(name string, leaf *certtest.Leaf) string {
	b, _ := json.Marshal(wire.NewCertificateRequest{Name: name, CertificateRequest: wire.CertificateRequest{Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())}})
	return string(b)
}

func rotationBody(leaf *certtest.Leaf) string {
	b, _ := json.Marshal(wire.CertificateRequest{Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())})
	return string(b)
}

const secureConfig = `listeners: [{name: webs, address: ":8443", protocol: https, certificates: [site]}]
clusters: []
`

// TestPrivateKeysAreSealed: UCD-20. What is proposed, what the state holds, answers and the log have nothing of a private key; with the group's secret it opens again.
func TestPrivateKeysAreSealed(t *testing.T) {
	r := newRig(t)
	leaf := certtest.NewCA(t, "root").Server("shop.example")
	der, err := x509.MarshalPKCS8PrivateKey(leaf.Key)
	if err != nil {
		t.Fatal(err)
	}
	w := post(r.api, "POST", "/v1/certificates", certificateBody("site", leaf))
	if w.Code != http.StatusCreated {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	put := last[*fsm.CertificatePut](t, r.node)
	entry, err := fsm.Encode(time.Now(), put)
	if err != nil {
		t.Fatal(err)
	}
	var snapshot bytes.Buffer
	s := r.node.state.Snapshot()
	if _, err := s.WriteTo(&snapshot); err != nil {
		t.Fatal(err)
	}
	s.Release()
	for what, b := range map[string][]byte{
		"the answer": w.Body.Bytes(), "the entry": entry, "the sealed key": put.Key, "the snapshot": snapshot.Bytes(), "the log": []byte(r.log.String()),
		"the list": read(r.api, "/v1/certificates").Body.Bytes(), "the certificate": read(r.api, "/v1/certificates/site").Body.Bytes(),
	} {
		for i := 0; i+20 <= len(der); i++ {
			part := der[i : i+20]
			// The public key is in the certificate, and stands at the end of the private one.
			if bytes.Contains(leaf.Cert.Raw, part[:18]) {
				continue
			}
			if bytes.Contains(b, part) || bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(part[:18]))) {
				t.Fatalf("%s has a part of the private key", what)
			}
		}
		if bytes.Contains(b, []byte("PRIVATE")) {
			t.Errorf("%s has a private key in PEM", what)
		}
	}
	c := r.node.state.Operating().Certificate("site")
	if _, err := certs.OpenPair(r.node.state.Group().Secret, "site", c.Chain, c.Key); err != nil {
		t.Fatal(err)
	}
}

// TestCertificateCalls: add, rotate, list and remove, each with its refusals.
func TestCertificateCalls(t *testing.T) {
	r := newRig(t)
	ca := certtest.NewCA(t, "root")
	first, second := ca.Server("shop.example", "old.example"), ca.Server("shop.example")
	if p := wantProblem(t, put(r.api, "/v1/config", `"0"`, "", secureConfig), 422, wire.CodeConfigInvalid); len(p.Errors) != 1 || p.Errors[0].Location != "listeners[0].certificates[0]" {
		t.Errorf("%+v", p)
	}
	wantProblem(t, post(r.api, "PUT", "/v1/certificates/site", rotationBody(first)), 404, wire.CodeNotFound)
	body := certificateBody("site", first)
	added := decode[wire.Certificate](t, post(r.api, "POST", "/v1/certificates", body, "Idempotency-Key", "k1"))
	if added.Kind != wire.CertificateServer || len(added.Certificates) != 1 || added.Certificates[0].PEM != "" || len(added.Warnings) != 0 {
		t.Errorf("%+v", added)
	}
	if w := post(r.api, "POST", "/v1/certificates", body, "Idempotency-Key", "k1"); w.Code != http.StatusCreated {
		t.Errorf("the same request again: %d %s", w.Code, w.Body)
	}
	wantProblem(t, post(r.api, "POST", "/v1/certificates", body), 409, wire.CodeRefused)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", secureConfig))
	wantProblem(t, post(r.api, "DELETE", "/v1/certificates/site", ""), 409, wire.CodeRefused)
	rotated := decode[wire.Certificate](t, post(r.api, "PUT", "/v1/certificates/site", rotationBody(second)))
	if len(rotated.Warnings) != 1 || !strings.Contains(rotated.Warnings[0], "old.example") || len(rotated.Listeners) != 1 || rotated.Listeners[0] != "webs" {
		t.Errorf("%+v", rotated)
	}
	bundle, _ := json.Marshal(wire.NewCertificateRequest{Name: "clients", CertificateRequest: wire.CertificateRequest{Certificate: string(ca.PEM()), Kind: wire.CertificateAuthorities}})
	decode[wire.Certificate](t, post(r.api, "POST", "/v1/certificates", string(bundle)))
	wantProblem(t, post(r.api, "PUT", "/v1/certificates/clients", rotationBody(second)), 409, wire.CodeRefused)
	list := decode[wire.CertificateList](t, read(r.api, "/v1/certificates"))
	if len(list.Certificates) != 2 || list.Certificates[0].Name != "clients" || list.Certificates[1].Certificates[0].Names[0] != "shop.example" {
		t.Errorf("%+v", list)
	}
	if c := decode[wire.Certificate](t, read(r.api, "/v1/certificates/site")); c.Certificates[0].PEM != string(certtest.CertPEM(second.Cert)) {
		t.Errorf("%+v", c)
	}
	if w := post(r.api, "DELETE", "/v1/certificates/clients", ""); w.Code != http.StatusNoContent {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	wantProblem(t, post(r.api, "DELETE", "/v1/certificates/clients", ""), 404, wire.CodeNotFound)
	wantProblem(t, read(r.api, "/v1/certificates/clients"), 404, wire.CodeNotFound)
}

// TestHostileCertificateCalls: what is no certificate is refused with words, changes nothing, and no word of it is repeated.
func TestHostileCertificateCalls(t *testing.T) {
	r := newRig(t)
	ca := certtest.NewCA(t, "root")
	leaf, other := ca.Server("a.example"), ca.Server("b.example")
	body := func(name, cert, key, kind string) string {
		b, _ := json.Marshal(map[string]string{"name": name, "certificate": cert, "key": key, "kind": kind})
		return string(b)
	}
	chain, key := string(leaf.ChainPEM()), string(leaf.KeyPEM())
	for what, b := range map[string]string{
		"another key": body("a", chain, string(other.KeyPEM()), "server"), "no key": body("a", chain, "", "server"), "no certificate": body("a", key, key, "server"),
		"garbage": body("a", "hunter2-garbage", "hunter2-key", "server"), "name": body("../a", chain, key, "server"), "empty name": body("", chain, key, "server"),
		"kind": body("a", chain, key, "odd"), "a server as authority": body("a", chain, "", "authorities"), "authorities with a key": body("a", string(ca.PEM()), key, "authorities"),
		"large": body("a", strings.Repeat("hunter2", 60_000), key, "server"), "empty": body("a", "", "", "server"),
	} {
		w := post(r.api, "POST", "/v1/certificates", b)
		if w.Code != 422 {
			t.Errorf("%s: %d %s", what, w.Code, w.Body)
		}
		if text := w.Body.String() + r.log.String(); strings.Contains(text, "hunter2") || strings.Contains(text, "PRIVATE KEY-----\\nM") {
			t.Errorf("%s: it is repeated: %s", what, w.Body)
		}
	}
	if n := len(r.node.state.Operating().Certificates); n != 0 {
		t.Errorf("%d certificates", n)
	}
}

// TestWarningsAboutCertificates: a change that has a listener present what clients refuse says so.
func TestWarningsAboutCertificates(t *testing.T) {
	r := newRig(t)
	ca := certtest.NewCA(t, "root")
	over := ca.Leaf(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }, "a.example")
	added := decode[wire.Certificate](t, post(r.api, "POST", "/v1/certificates", certificateBody("site", over)))
	if len(added.Warnings) != 1 || !strings.Contains(added.Warnings[0], "has expired") {
		t.Errorf("%+v", added.Warnings)
	}
	plan := decode[wire.Plan](t, post(r.api, "POST", "/v1/config/plan", secureConfig, "Content-Type", "application/yaml"))
	if got := fmt.Sprint(plan.Warnings); !strings.Contains(got, `listener "webs": certificate site has expired`) {
		t.Errorf("%s", got)
	}
}
