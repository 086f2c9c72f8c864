//go:build servers

package acme

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
)

// long is a life of certificates of which no test sees the end, in seconds.
const long = 90 * 24 * 3600

// short is one that ends within a test; it is renewed after two thirds of it.
const short = 90

// TestRealAuthority: one node obtains a certificate, each of three answers for a host of its own, all present it; it is renewed by an operator and by itself, when the
// leader is killed in the middle of the order, and when the authority was away; and while it is, everything else goes on.
func TestRealAuthority(t *testing.T) {
	r := newRig(t)
	p := newPebble(r, r.Port, r.https)
	for i, n := range r.Nodes {
		p.names.lead(fmt.Sprintf("n%d.shop.example", i+1), host(t, n.Traffic))
	}
	p.start(long)
	if _, err := r.alive().AddCertificate(r.ctx, client.NewCertificateRequest{Name: "pebble", CertificateRequest: client.CertificateRequest{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.ca.Cert.Raw})), Kind: "authorities"}}); err != nil {
		t.Fatal(err)
	}

	// Without the key of the account it comes to nothing, and says why; the nodes are ready all the same.
	r.configure(p.directory(), "tls-alpn-01")
	r.poll("the missing key is told", func() error {
		if s := r.said(); !strings.Contains(s.Error, "the key of the external account kid-1 is missing") {
			return fmt.Errorf("%+v", s)
		}
		return nil
	})
	if err := r.Ready(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.poll("the key of the account", func() error {
		return r.alive().SetExternalAccount(r.ctx, client.ExternalAccount{KeyID: accountID, Key: accountKey})
	})
	r.renew()
	first := r.all("obtained by tls-alpn-01", nil)

	r.configure(p.directory(), "http-01")
	r.renew()
	second := r.all("renewed by http-01", first)
	for _, n := range r.Nodes { // what is nobody's challenge is the application's
		resp, err := plain.Get("http://" + n.Traffic + "/.well-known/acme-challenge/other")
		if err != nil || resp.StatusCode != http.StatusPermanentRedirect {
			t.Fatalf("node %s: %v %v", n.Name, resp, err)
		}
		resp.Body.Close()
	}

	third := r.leaderDies(p, second)
	fourth := r.authorityDies(p, third)

	// A short-lived one is renewed by itself, before its end.
	p.process.Kill()
	p.start(short)
	r.renew()
	last := r.all("short-lived", fourth)
	if next := r.all("renewed by itself", last); !next.NotBefore.Before(last.NotAfter) || !next.NotAfter.After(last.NotAfter) {
		t.Errorf("from %v to %v, then from %v to %v", last.NotBefore, last.NotAfter, next.NotBefore, next.NotAfter)
	}
	if list := r.said(); list.Failures != 0 || list.Error != "" || !list.Requested.IsZero() {
		t.Errorf("%+v", list)
	}
}

// plain follows no redirects.
var plain = &http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// anyone believes every certificate: which one it is, is looked at elsewhere.
var anyone = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "n1.shop.example"}}}

func host(t *testing.T, addr string) string {
	t.Helper()
	h, _, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// leaderDies: while the authority looks where the hosts are, the leader that has asked for them is killed. The next one makes one more order.
func (r *rig) leaderDies(p *pebble, before *x509.Certificate) *x509.Certificate {
	r.t.Helper()
	leader, err := r.Leader(r.ctx)
	if err != nil {
		r.t.Fatal(err)
	}
	orders := p.orders()
	asked := p.names.hold()
	r.renew()
	select {
	case <-asked:
	case <-r.ctx.Done():
		r.t.Fatalf("the authority never asked for a challenge: %+v", r.said())
	}
	leader.Kill()
	rest := r.Other(leader)
	for i, n := range r.Nodes {
		if n == leader {
			p.names.lead(fmt.Sprintf("n%d.shop.example", i+1), host(r.t, rest.Traffic))
		}
	}
	p.names.release()
	next := r.all("renewed by the next leader", before)
	if n := p.orders() - orders; n < 1 || n > 2 {
		r.t.Errorf("%d orders for one certificate", n)
	}
	if err := leader.Restart(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	if again := r.all("the node that comes back", before); !again.Equal(next) {
		r.t.Error("another certificate")
	}
	if _, err := r.Equal(r.ctx); err != nil {
		r.t.Fatal(err)
	}
	return next
}

// authorityDies: requests go on with the certificate that is there, the failure is told, and an authority that has forgotten everybody is asked anew.
func (r *rig) authorityDies(p *pebble, before *x509.Certificate) *x509.Certificate {
	r.t.Helper()
	p.process.Kill()
	r.renew()
	r.poll("the failure is told", func() error {
		s := r.said()
		status, err := r.alive().Status(r.ctx)
		if err != nil {
			return err
		}
		if s.Failures == 0 || s.Next.IsZero() || !strings.Contains(strings.Join(status.Problems, "\n"), "certificate site could not be obtained") {
			return fmt.Errorf("%+v %q", s, status.Problems)
		}
		return nil
	})
	for _, n := range r.Nodes {
		is, err := r.shown(n)
		if err != nil || !is.Equal(before) {
			r.t.Errorf("node %s without the authority: %v", n.Name, err)
		}
		body := r.get(n.Name, fmt.Sprintf("https://%s:%d/hello", host(r.t, n.Traffic), r.https))
		if body != "the application: /hello" {
			r.t.Errorf("node %s without the authority: %q", n.Name, body)
		}
	}
	p.start(long)
	r.renew()
	return r.all("obtained from an authority that has forgotten the account", before)
}

func (r *rig) get(node, url string) string {
	r.t.Helper()
	resp, err := anyone.Get(url)
	if err != nil {
		r.t.Errorf("node %s: %v", node, err)
		return ""
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Errorf("node %s: %v", node, err)
	}
	return string(b)
}
