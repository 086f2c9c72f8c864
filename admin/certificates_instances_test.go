package admin_test

import (
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// bundleBody is a request that brings authorities.
func bundleBody(name string, list ...*x509.Certificate) string {
	var text []byte
	for _, c := range list {
		text = append(text, certtest.CertPEM(c)...)
	}
	b, _ := json.Marshal(struct {
		Name string `json:"name,omitempty"`
		wire.CertificateRequest
	}{name, wire.CertificateRequest{Certificate: string(text), Kind: wire.CertificateAuthorities}})
	return string(b)
}

// TestInstanceCertificatesThatEndAreProblems: what instances present that end TLS themselves is shown, and told of 14 days before its end, once for all that present it; so is the last of the
// authorities that vouch for them.
func TestInstanceCertificatesThatEndAreProblems(t *testing.T) {
	r := newRig(t)
	now := time.Now()
	ca := certtest.NewCA(t, "root")
	decode[wire.Certificate](t, post(r.api, "POST", "/v1/certificates", bundleBody("inside", ca.Cert)))
	decode[wire.ConfigResult](t, put(r.api, "/v1/config", `"0"`, "", `
clusters:
  - name: shop
    instanceTLS: {authorities: [inside]}
    modules: [{contextRoot: /}]
    instances:
      - {name: i1, listeners: ["https://127.0.0.1:9001"]}
      - {name: i2, listeners: ["https://127.0.0.1:9002"]}
      - {name: i3, listeners: ["https://127.0.0.1:9003"]}
`))
	list := decode[wire.CertificateList](t, read(r.api, "/v1/certificates"))
	if got := list.Certificates[0]; len(got.Clusters) != 1 || got.Clusters[0] != "shop" || got.Authority {
		t.Errorf("%+v", got)
	}
	in := func(name string, left time.Duration) admin.InstanceStatus {
		return admin.InstanceStatus{Cluster: "shop", Instance: name, Up: true, Certificate: &admin.InstanceCertificate{URL: "https://" + name, Subject: "CN=" + left.String(), Ends: now.Add(left)}}
	}
	const day = 24 * time.Hour
	r.node.health = []admin.InstanceStatus{in("i1", 13*day), in("i2", 13*day), in("i3", 15*day)}
	if p := r.problems(); strings.Count(p, "certificate") != 1 || !strings.Contains(p, "instances i1, i2 of cluster shop present a certificate (CN=312h0m0s) that expires on ") {
		t.Errorf("%s", p)
	}
	list = decode[wire.CertificateList](t, read(r.api, "/v1/certificates"))
	if len(list.Presented) != 3 || list.Presented[1].Instance != "i2" || list.Presented[1].URL != "https://i2" || !list.Presented[1].Ends.Equal(now.Add(13*day)) {
		t.Errorf("%+v", list.Presented)
	}
	// Another node has seen an earlier one, and one that has expired.
	r.node.members = append(r.node.members, admin.Member{Name: "other", Reachable: true, Instances: []admin.InstanceStatus{in("i1", 14*day), in("i3", -day)}})
	if p := r.problems(); !strings.Contains(p, "instance i3 of cluster shop presents a certificate (CN=-24h0m0s) that has expired on ") || !strings.Contains(p, "instances i1, i2 of cluster shop present") {
		t.Errorf("%s", p)
	}
	authority := func(left time.Duration) *x509.Certificate {
		return ca.Leaf(func(c *x509.Certificate) {
			c.IsCA, c.BasicConstraintsValid, c.ExtKeyUsage, c.NotBefore, c.NotAfter = true, true, nil, now.Add(-100*day), now.Add(left)
			c.KeyUsage = x509.KeyUsageCertSign
		}).Cert
	}
	for _, c := range []struct {
		bundle []*x509.Certificate
		says   string
	}{
		{[]*x509.Certificate{authority(-day), authority(13 * day)}, "the last of the authorities inside expires on "},
		{[]*x509.Certificate{authority(-day), authority(-2 * day)}, "the authorities inside have all expired, the last on "},
		{[]*x509.Certificate{authority(-day), authority(15 * day)}, ""}, // renewed: the old one may stay
	} {
		decode[wire.Certificate](t, post(r.api, "PUT", "/v1/certificates/inside", bundleBody("", c.bundle...)))
		p := r.problems()
		if c.says == "" && strings.Contains(p, "authorities inside") || !strings.Contains(p, c.says) || c.says != "" && !strings.Contains(p, "no https listener of cluster shop is believed by them; 'holdfast cert rotate inside") {
			t.Errorf("%q is missing: %s", c.says, p)
		}
	}
}
