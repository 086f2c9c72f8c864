package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// holds tells whether bytes hold a secret, as it is or in base64 at any place of it.
func holds(b, secret []byte) bool {
	for at := range 3 {
		part := secret[at : at+(len(secret)-at)/3*3]
		if bytes.Contains(b, part) || bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(part))) {
			return true
		}
	}
	return false
}

// TestGroupServesTLSOnEveryNode: UCD-20. A certificate that is added through one node is presented by all; a TLS session that one of them began is resumed by the others; no
// file of any node has the private key in clear.
func TestGroupServesTLSOnEveryNode(t *testing.T) {
	g := startGroup(t, 3)
	ca := certtest.NewCA(t, "root")
	leaf := ca.Server("shop.example")
	body, err := json.Marshal(wire.NewCertificateRequest{Name: "site", CertificateRequest: wire.CertificateRequest{Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())}})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp, err := client.Post("http://"+g.servers[1].config.AdminAddr+"/v1/certificates", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(resp.Body)
	if resp.Body.Close(); resp.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", resp.StatusCode, text)
	}
	c, err := config.Parse("test", fmt.Appendf(nil, `
listeners: [{name: web, address: ":%d", protocol: https, certificates: [site]}]
clusters:
  - name: cluster1
    modules: [{contextRoot: /}]
    instances: [{name: i1, listeners: [%q]}]
`, g.port, newApp(t, "i1")))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if result, err := g.servers[0].node.Propose(ctx, &fsm.ConfigSet{Actor: "test", Config: c}); err != nil || result.Code != fsm.CodeOK {
		t.Fatalf("configuration: %+v, %v", result, err)
	}
	var index uint64
	eventually(t, "there is a ticket key", func() error {
		o := g.servers[0].state.Operating()
		if index = o.Index; len(o.TicketKeys) == 0 {
			return fmt.Errorf("none")
		}
		return nil
	})
	sessions := tls.NewLRUClientSessionCache(4)
	for i, s := range g.servers {
		eventually(t, "the node serves it", func() error {
			if _, at, _ := s.balancer.InForce(); at < index {
				return fmt.Errorf("index %d", at)
			}
			return s.ready()
		})
		conn, err := tls.Dial("tcp", s.balancer.Addr("web").String(), &tls.Config{RootCAs: ca.Pool(), ServerName: "shop.example", ClientSessionCache: sessions})
		if err != nil {
			t.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n")
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.Contains(answer, []byte("HTTP/1.1 200 OK")) || !bytes.Contains(answer, []byte("; Secure")) {
			t.Errorf("node %s: %v %q", s.config.Name, err, answer)
		}
		if resumed := conn.ConnectionState().DidResume; resumed != (i > 0) {
			t.Errorf("node %s: resumed %v", s.config.Name, resumed)
		}
		conn.Close()
	}
	secret, err := leaf.Key.(*ecdsa.PrivateKey).Bytes()
	if err != nil {
		t.Fatal(err)
	}
	files, found := 0, false
	for _, s := range g.servers {
		err := filepath.WalkDir(s.config.DataDir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			files++
			found = found || holds(b, leaf.Cert.Raw[:60])
			if holds(b, secret) || bytes.Contains(b, []byte(base64.StdEncoding.EncodeToString(leaf.KeyPEM())[:60])) {
				t.Errorf("%s has the private key in clear", path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if files < 6 || !found {
		t.Errorf("%d files, the certificate found: %v: the search is broken", files, found)
	}
}
