//go:build servers

package acme

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
)

// rig is three real nodes.
type rig struct {
	t     *testing.T
	ctx   context.Context
	dir   string
	set   *proc.Set
	https int // port of the https listener on every node
	app   string
	*group.Group
}

func newRig(t *testing.T) *rig {
	t.Helper()
	for _, name := range []string{"HOLDFAST_BIN", "HOLDFAST_PEBBLE"} {
		if os.Getenv(name) == "" {
			t.Fatalf("%s is missing: run make test-acme", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	r := &rig{t: t, ctx: ctx, dir: t.TempDir(), set: &proc.Set{}}
	t.Cleanup(func() {
		if t.Failed() && r.Group != nil {
			t.Log(r.Tails(40))
		}
		r.set.Close()
		cancel()
	})
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "the application: ", r.URL.Path) }))
	t.Cleanup(app.Close)
	r.app = app.URL
	var err error
	if r.Group, err = group.New(ctx, group.Options{Binary: os.Getenv("HOLDFAST_BIN"), Dir: r.dir, Set: r.set}); err != nil {
		t.Fatal(err)
	}
	ports, err := proc.Ports(1, "127.0.0.1", "127.0.0.2", "127.0.0.3")
	if err != nil {
		t.Fatal(err)
	}
	r.https = ports[0]
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	return r
}

// poll waits until something is so.
func (r *rig) poll(what string, check func() error) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, 4*time.Minute)
	defer cancel()
	if err := proc.Poll(ctx, 50*time.Millisecond, check); err != nil {
		r.t.Fatalf("%s: %v", what, err)
	}
}

// configure has the group obtain a certificate by a kind of challenge.
func (r *rig) configure(directory, challenge string) {
	r.t.Helper()
	err := r.Apply(r.ctx, fmt.Sprintf(`
acme:
  directory: %s
  email: ops@shop.example
  acceptTerms: true
  challenges: [%s]
  authorities: [pebble]
  externalAccount: %s
  certificates: [{name: site, hosts: [n1.shop.example, n2.shop.example, n3.shop.example]}]
listeners:
  - {name: web, address: %q, httpsRedirect: {port: %d}}
  - {name: webs, address: ":%d", protocol: https, certificates: [site]}
clusters:
  - name: c1
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: [%q]}]
`, directory, challenge, accountID, r.Listener(), r.https, r.https, r.app))
	if err != nil {
		r.t.Fatal(err)
	}
}

// alive gives a client of a node that runs.
func (r *rig) alive() *client.Client {
	r.t.Helper()
	for _, n := range r.Nodes {
		if n.Alive() {
			return n.Client
		}
	}
	r.t.Fatal("no node runs")
	return nil
}

// shown is the certificate that a node presents; "" for none.
func (r *rig) shown(n *group.Node) (leaf *x509.Certificate, err error) {
	host, _, err := net.SplitHostPort(n.Traffic)
	if err != nil {
		return nil, err
	}
	d := tls.Dialer{NetDialer: &net.Dialer{Timeout: 5 * time.Second}, Config: &tls.Config{InsecureSkipVerify: true, ServerName: "n2.shop.example"}}
	c, err := d.DialContext(r.ctx, "tcp", fmt.Sprintf("%s:%d", host, r.https))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	return c.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// all waits until every node that runs presents one certificate, another than before, and gives it.
func (r *rig) all(what string, before *x509.Certificate) (leaf *x509.Certificate) {
	r.t.Helper()
	r.poll(what, func() error {
		leaf = nil
		for _, n := range r.Nodes {
			if !n.Alive() {
				continue
			}
			is, err := r.shown(n)
			switch {
			case err != nil:
				return fmt.Errorf("node %s: %w", n.Name, err)
			case before != nil && is.Equal(before):
				return fmt.Errorf("node %s has the one before: %+v", n.Name, r.said())
			case leaf != nil && !leaf.Equal(is):
				return fmt.Errorf("node %s has another one", n.Name)
			}
			leaf = is
		}
		return nil
	})
	if !strings.HasPrefix(leaf.Issuer.CommonName, "Pebble Intermediate CA") || len(leaf.DNSNames) != 3 {
		r.t.Fatalf("%s: it is of %s for %v", what, leaf.Issuer, leaf.DNSNames)
	}
	return leaf
}

// said is what the group says of the certificate.
func (r *rig) said() *client.CertificateACME {
	c, err := r.alive().Certificate(r.ctx, "site", client.Stale())
	if err != nil || c.ACME == nil {
		return &client.CertificateACME{Error: fmt.Sprint("unknown: ", err)}
	}
	return c.ACME
}

// renew asks for another one.
func (r *rig) renew() {
	r.t.Helper()
	r.poll("renew", func() error { _, err := r.alive().RenewCertificate(r.ctx, "site"); return err })
}
