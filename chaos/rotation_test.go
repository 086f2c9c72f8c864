package chaos

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/stage"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// TestRotationUnderLoad: the certificate of a listener is rotated again and again, and the program of a node replaced, while clients send 2,000 requests a second over TLS. No request fails, no
// connection is refused, and none ends by a rotation.
func TestRotationUnderLoad(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := set(t, ctx, program, stage.Options{})
	h := adopt(t)
	ports := portOfNodes(t, s)
	ca := certtest.NewCA(t, "root")
	pair := func(names ...string) client.CertificateRequest {
		leaf := ca.Server(names...)
		return client.CertificateRequest{Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())}
	}
	if _, err := s.Group.Nodes[0].Client.AddCertificate(ctx, client.NewCertificateRequest{Name: "site", CertificateRequest: pair("a.example")}); err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(s.Configuration(), "clusters:\n", fmt.Sprintf("  - {name: webs, address: \":%d\", protocol: https, certificates: [site]}\nclusters:\n", ports[0]), 1)
	if err := s.Group.Apply(ctx, text); err != nil {
		t.Fatal(err)
	}
	clients := steady{trust: &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", NextProtos: []string{"http/1.1"}}}
	clients.secure = func(n *group.Node) string {
		host, _, _ := net.SplitHostPort(n.Traffic)
		return net.JoinHostPort(host, fmt.Sprint(ports[0]))
	}
	presents := func(n *group.Node, name string) error {
		c, err := tls.Dial("tcp", clients.secure(n), clients.trust)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.ConnectionState().PeerCertificates[0].VerifyHostname(name); err != nil {
			return fmt.Errorf("node %s: %w", n.Name, err)
		}
		return nil
	}
	for _, n := range s.Group.Nodes {
		poll(t, ctx, "TLS is served", func() error { return presents(n, "a.example") })
	}
	clients.run(t, ctx, s.Group, func() {
		for i := range 10 {
			name := fmt.Sprintf("rotation%d.example", i)
			if _, err := s.Group.Nodes[i%len(s.Group.Nodes)].Client.RotateCertificate(ctx, "site", pair("a.example", name)); err != nil {
				t.Error(err)
			}
			for _, n := range s.Group.Nodes {
				poll(t, ctx, "the other certificate is presented", func() error { return presents(n, name) })
			}
			sent := clients.requests.Load()
			poll(t, ctx, "requests go on", func() error {
				if got := clients.requests.Load(); got < sent+500 {
					return fmt.Errorf("%d requests", got-sent)
				}
				return nil
			})
		}
		if n := clients.dials.Load(); n != int64(20*len(s.Group.Nodes)) {
			t.Errorf("%d connections were needed: some were closed", n)
		}
		leader, err := s.Group.Leader(ctx)
		if err != nil {
			t.Fatal(err)
		}
		h.upgrade(ctx, s.Group.Other(leader))
	})
}

// portOfNodes gives a port that is free on the hosts of all nodes.
func portOfNodes(t *testing.T, s *stage.Stage) []int {
	t.Helper()
	var hosts []string
	for _, n := range s.Group.Nodes {
		host, _, err := net.SplitHostPort(n.Traffic)
		if err != nil {
			t.Fatal(err)
		}
		hosts = append(hosts, host)
	}
	ports, err := proc.Ports(1, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	return ports
}
