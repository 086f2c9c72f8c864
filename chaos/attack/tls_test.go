package attack

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/admin/client"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// slowHandshake says that it sends a ClientHello of 512 bytes, and sends it byte by byte.
var slowHandshake = Pace{First: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Drip: "x"}

// TestSlowHandshakes holds thousands of handshakes open that never end, where one client may have so many, then sends what is no TLS as fast as it is refused. Handshakes end after ten seconds; the
// neighbour goes on, and memory is bounded by the number.
func TestSlowHandshakes(t *testing.T) {
	const shakes, junk = 4_000, 10_000
	instance := good(t)
	r := start(t, 0, instance)
	host, _, err := net.SplitHostPort(r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := proc.Ports(1, host)
	if err != nil {
		t.Fatal(err)
	}
	leaf := certtest.NewCA(t, "root").Server("a.example")
	if _, err := r.node.Client.AddCertificate(t.Context(), client.NewCertificateRequest{Name: "site", CertificateRequest: client.CertificateRequest{
		Certificate: string(leaf.ChainPEM()), Key: string(leaf.KeyPEM())}}); err != nil {
		t.Fatal(err)
	}
	if err := r.all.Apply(t.Context(), fmt.Sprintf(`
listeners:
  - {name: web, address: %q, http2: false}
  - {name: webs, address: ":%d", protocol: https, certificates: [site], tls: {handshakes: 50000}}
clusters:
  - {name: good, affinity: {type: none}, health: {type: none}, modules: [{contextRoot: %s}], instances: [{name: i1, listeners: ["http://%s"]}]}
`, r.all.Listener(), ports[0], instance.ContextRoot, instance.Instance)); err != nil {
		t.Fatal(err)
	}
	addr := net.JoinHostPort(host, fmt.Sprint(ports[0]))
	eventually(t, "TLS is served", func() bool {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return false
		}
		return c.Close() == nil
	})
	n := neighbour(t, r)
	before := base(t, r)
	var slow Slow
	defer slow.Close()
	if err := slow.Open(t.Context(), addr, shakes, slowHandshake); err != nil {
		t.Fatal(err)
	}
	fares(t, n, "4,000 slow handshakes connecting", busy)
	memory(t, r, before, "under 4,000 slow handshakes", 200<<20)
	eventually(t, "the slow handshakes are ended", func() bool { return slow.Ended() >= shakes })
	fares(t, n, "4,000 slow handshakes, and their end", busy)
	for what, text := range map[string]string{
		"10,000 connections of junk": strings.Repeat("junk", 100), "10,000 records that are too long": "\x16\x03\x01\xff\xff" + strings.Repeat("x", 400),
		"10,000 hellos without sense": "\x16\x03\x01\x01\x90" + strings.Repeat("\x01", 400),
	} {
		var next atomic.Int64
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for next.Add(1) <= junk {
					if err := throw(addr, text); err != nil {
						t.Errorf("%s: %v", what, err)
						return
					}
				}
			})
		}
		all.Wait()
		fares(t, n, what, busy)
	}
	memory(t, r, before, "after all that is no TLS", 200<<20)
}

// throw sends something and waits for the end of the connection; nothing but an alert may come back.
func throw(addr, text string) error {
	c, err := net.DialTimeout("tcp", addr, 30*time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(c, text); err != nil {
		return nil // it was ended already
	}
	var back bytes.Buffer
	if _, err := back.ReadFrom(c); err != nil && strings.Contains(err.Error(), "timeout") {
		return err
	}
	if b := back.Bytes(); len(b) > 0 && b[0] != 21 {
		return fmt.Errorf("%q came back", b)
	}
	return nil
}
