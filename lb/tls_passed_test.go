package lb

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// passedApp is an instance that ends TLS that is passed on to it, and notes the name that it was asked for last.
func passedApp(t *testing.T, name string, leaf *certtest.Leaf, asked *atomic.Value, clients tls.ClientAuthType) *streamApp {
	pair := leaf.TLS()
	c := &tls.Config{ClientAuth: clients, GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked.Store(h.ServerName)
		return &pair, nil
	}}
	return newStreamApp(t, name, func(conn net.Conn) { tls.Server(conn, c).Handshake() })
}

// TestInstancesOfPassedOnTLSPresentTheSame: UCD-20. Where TLS is passed on, checks look at what instances present; who presents something else is warned of and counted, and nobody is down for his TLS.
func TestInstancesOfPassedOnTLSPresentTheSame(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*config.Config)
		asks   string
	}{
		"a name leads there": {func(c *config.Config) {
			c.Listeners[0].Cluster, c.Clusters = "c2", append(c.Clusters, clone(c).Clusters[0])
			c.Clusters[1].Name, c.Clusters[1].Instances = "c2", nil
			c.Listeners[0].ServerNames = []config.ServerName{{Name: "*.example.com", Cluster: "c1"}, {Name: "b.example.com", Cluster: "c1"}}
		}, "www.example.com"},
		"affinity of the name": {func(c *config.Config) { c.Clusters[0].Affinity.Type = "sni" }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ca := certtest.NewCA(t, "nobody knows it")
			shared, odd := ca.Server("www.example.com"), ca.Server("www.example.com")
			var asked atomic.Value
			first, second, strict, other := passedApp(t, "i1", shared, &asked, 0), passedApp(t, "i2", shared, &asked, 0), passedApp(t, "i3", shared, &asked, tls.RequireAnyClientCert), passedApp(t, "i4", odd, &asked, 0)
			clear, silent := newStreamApp(t, "clear", nil), newStreamApp(t, "silent", func(c net.Conn) { io.Copy(io.Discard, c) })
			cc := streamConf(first, second, strict, clear, silent)
			cc.Clusters[0].Health.Interval, cc.Clusters[0].Health.Timeout = config.Duration(20*time.Millisecond), config.Duration(500*time.Millisecond)
			cc.Clusters[0].Health.Fall = 1
			c.change(cc)
			r := newRig(t, cc)
			shows := func(name string) bool { return r.status("c1", name).Certificate != nil }
			r.wait("all were seen", func() bool {
				return shows("i1") && shows("i2") && shows("i3") && clear.accepted() > 3 && silent.accepted() > 1
			})
			const warning = "present different certificates"
			if n := metric(t, r, "holdfast_cluster_certificates", "cluster=c1"); n != 1 || strings.Contains(r.logs.String(), warning) {
				t.Errorf("%v certificates: %s", n, r.logs.String())
			}
			if got := asked.Load(); got != c.asks {
				t.Errorf("asked for %q", got)
			}
			if end := r.status("c1", "i1").Certificate.Ends; !end.Equal(shared.Cert.NotAfter) {
				t.Errorf("it ends %v", end)
			}
			next := clone(cc)
			next.Clusters[0].Instances = append(next.Clusters[0].Instances, inst("i4", other.url()))
			r.apply(next)
			r.wait("it is said", func() bool { return strings.Contains(r.logs.String(), warning) })
			if n := metric(t, r, "holdfast_cluster_certificates", "cluster=c1"); n != 2 || !strings.Contains(r.logs.String(), "on i1, i2, i3") || !strings.Contains(r.logs.String(), "on i4") {
				t.Errorf("%v certificates: %s", n, r.logs.String())
			}
			for _, name := range []string{"i1", "i2", "i3", "i4", "clear", "silent"} {
				if s := r.status("c1", name); s.Health != "up" || (s.Certificate != nil) != strings.HasPrefix(name, "i") {
					t.Errorf("%s: %s %s, %v", name, s.Health, s.Reason, s.Certificate)
				}
			}
		})
	}
}

// TestChecksOfOtherStreamsMakeNoHandshake: nothing is said to an instance that may speak anything.
func TestChecksOfOtherStreamsMakeNoHandshake(t *testing.T) {
	var said atomic.Bool
	a := newStreamApp(t, "i1", func(c net.Conn) {
		text, _ := io.ReadAll(c)
		said.Store(said.Load() || !bytes.Equal(text, nil))
	})
	cc := streamConf(a)
	cc.Clusters[0].Health.Interval = config.Duration(10 * time.Millisecond)
	r := newRig(t, cc)
	r.wait("checks", func() bool { return a.accepted() > 3 })
	if said.Load() {
		t.Error("the instance was told something")
	}
}
