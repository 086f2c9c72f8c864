package admin_test

import (
	"crypto/x509"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

const acmeConfig = `acme: {acceptTerms: true, certificates: [{name: site, hosts: [shop.example]}]}
listeners: [{name: webs, address: ":8443", protocol: https, certificates: [site]}]
clusters: []
`

func (r *rig) problems() string {
	r.Helper()
	return strings.Join(decode[wire.Status](r.T, read(r.api, "/v1/status")).Problems, "\n")
}

// TestAutomaticCertificates: what is still to be obtained is listed, with why it was not; somebody can ask for it at once; and status has what people must see.
func TestAutomaticCertificates(t *testing.T) {
	r := newRig(t)
	wantProblem(t, post(r.api, "POST", "/v1/certificates/site/renew", ""), 404, wire.CodeNotFound)
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", acmeConfig))
	list := decode[wire.CertificateList](t, read(r.api, "/v1/certificates")).Certificates
	if len(list) != 1 || list[0].Name != "site" || list[0].Kind != wire.CertificateServer || list[0].ACME == nil || list[0].ACME.Hosts[0] != "shop.example" || len(list[0].Certificates) != 0 || !list[0].Changed.IsZero() || list[0].Listeners[0] != "webs" {
		t.Fatalf("%+v", list)
	}
	if p := r.problems(); !strings.Contains(p, "certificate site is still to be obtained") {
		t.Error(p)
	}
	if _, err := r.node.Propose(t.Context(), &fsm.ACMENote{Certificate: "site", Error: "rateLimited", Pause: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if a := decode[wire.Certificate](t, read(r.api, "/v1/certificates/site")).ACME; a.Failures != 1 || a.Error != "rateLimited" || a.Next.IsZero() {
		t.Errorf("%+v", a)
	}
	if p := r.problems(); !strings.Contains(p, "certificate site could not be obtained, once; the next attempt is at ") || !strings.HasSuffix(p, "'holdfast cert renew site': rateLimited") {
		t.Error(p)
	}
	w := post(r.api, "POST", "/v1/certificates/site/renew", "")
	if w.Code != http.StatusAccepted {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	if a := decode[wire.Certificate](t, w).ACME; a.Requested.IsZero() || !a.Next.IsZero() {
		t.Errorf("%+v", a)
	}
	wantProblem(t, post(r.api, "POST", "/v1/certificates/other/renew", ""), 404, wire.CodeNotFound)
	if _, err := r.node.Propose(t.Context(), &fsm.ACMENote{Certificate: "site"}); err != nil {
		t.Fatal(err)
	}
	short := certtest.NewCA(t, "root").Leaf(func(c *x509.Certificate) { c.NotAfter = time.Now().Add(24 * time.Hour) }, "shop.example")
	decode[wire.Certificate](t, post(r.api, "POST", "/v1/certificates", certificateBody("site", short)))
	c := decode[wire.Certificate](t, read(r.api, "/v1/certificates/site"))
	if left := time.Until(c.ACME.RenewAt); left > 24*time.Hour || left < 12*time.Hour || len(c.Warnings) != 0 {
		t.Errorf("renewed in %v, %q", left, c.Warnings)
	}
	if p := r.problems(); strings.Contains(p, "certificate site") {
		t.Errorf("a short-lived one that is renewed in time: %s", p)
	}
}

// TestCertificatesThatEndAreProblems: one that was added by hand is told of 14 days before its end.
func TestCertificatesThatEndAreProblems(t *testing.T) {
	r := newRig(t)
	ca := certtest.NewCA(t, "root")
	for i, c := range []struct {
		left time.Duration
		says string
	}{{15 * 24 * time.Hour, ""}, {13 * 24 * time.Hour, "certificate site of listener webs expires on "}, {-time.Hour, "certificate site of listener webs has expired on "}} {
		leaf := ca.Leaf(func(x *x509.Certificate) {
			x.NotBefore, x.NotAfter = time.Now().Add(-100*24*time.Hour), time.Now().Add(c.left)
		}, "shop.example")
		if i == 0 {
			decode[wire.Certificate](t, post(r.api, "POST", "/v1/certificates", certificateBody("site", leaf)))
			decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", secureConfig))
		} else {
			decode[wire.Certificate](t, post(r.api, "PUT", "/v1/certificates/site", rotationBody(leaf)))
		}
		p := r.problems()
		if c.says == "" && strings.Contains(p, "certificate") || !strings.Contains(p, c.says) || c.says != "" && !strings.Contains(p, "'holdfast cert rotate site'") {
			t.Errorf("%v left: %q", c.left, p)
		}
	}
}

// TestExternalAccount: its key is sealed before it is proposed, and shown nowhere.
func TestExternalAccount(t *testing.T) {
	r := newRig(t)
	const secret = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
	if w := post(r.api, "PUT", "/v1/acme/account", `{"keyId":"kid-1","key":"`+secret+`"}`); w.Code != http.StatusNoContent {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	c := last[*fsm.ACMEStore](t, r.node)
	if strings.Contains(string(c.Sealed), secret) || strings.Contains(r.log.String(), secret) {
		t.Error("the key is in clear")
	}
	if e := r.node.state.Events(0, 100); len(e) == 0 || e[len(e)-1].Kind != fsm.EventCertificate || e[len(e)-1].Actor != "local" { // who has replaced it, audit says
		t.Errorf("%+v", e)
	}
	got, err := certs.OpenValue(r.node.state.Group().Secret, certs.ExternalAccountKey("kid-1"), c.Sealed)
	if err != nil || string(got) != secret {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{`{"keyId":"","key":"` + secret + `"}`, `{"keyId":"a b","key":"` + secret + `"}`, `{"keyId":"a","key":"short"}`, `{"keyId":"a","key":"` + strings.Repeat("=", 20) + `"}`, `{"keyId":"a","key":"not base64url +/ not base64url"}`, `{}`} {
		w := post(r.api, "PUT", "/v1/acme/account", bad)
		if w.Code != 422 {
			t.Errorf("%s: %d %s", bad, w.Code, w.Body)
		}
	}
}
