package lb

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// tlsApp is an instance that ends TLS itself.
func tlsApp(t *testing.T, name string, leaf *certtest.Leaf) *httptest.Server {
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, name+" "+q.TLS.ServerName+" "+q.Header.Get("X-Forwarded-Proto"))
	}))
	s.TLS = &tls.Config{Certificates: []tls.Certificate{leaf.TLS()}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// TestInstancesAreVerified: by the authorities and the name of their cluster; whoever has another certificate gets no request.
func TestInstancesAreVerified(t *testing.T) {
	inside, outside := certtest.NewCA(t, "inside"), certtest.NewCA(t, "outside")
	app := tlsApp(t, "i1", inside.Server("shop.example"))
	cc := overTLS(bare(inst("i1", app.URL)), "site")
	cc.Clusters[0].Health = config.Health{Type: "none", RetryInterval: config.Duration(time.Hour)}
	cc.Clusters[0].InstanceTLS = &config.InstanceTLS{Authorities: []string{"inside"}, ServerName: "shop.example"}
	r, ca := secureRig(t, cc, fsm.Certificate{Name: "inside", Chain: [][]byte{inside.Cert.Raw}}, fsm.Certificate{Name: "outside", Chain: [][]byte{outside.Cert.Raw}})
	cl := secureClient(t, clientOf(ca))
	if got := cl.get(r.secureURL("/")); got.StatusCode != 200 || got.body != "i1 shop.example https" {
		t.Fatalf("%d %q", got.StatusCode, got.body)
	}
	for name, other := range map[string]*config.InstanceTLS{
		"other authorities": {Authorities: []string{"outside"}, ServerName: "shop.example"}, "another name": {Authorities: []string{"inside"}, ServerName: "other.example"},
		"the address": {Authorities: []string{"inside"}}, "the system's": {ServerName: "shop.example"}, "nothing said": nil,
	} {
		next := clone(cc)
		next.Clusters[0].InstanceTLS = other
		next.Clusters[0].Instances = []config.Instance{inst("i-"+strings.ReplaceAll(name, " ", "-"), app.URL)} // without the connections and the health of the one before
		r.apply(next)
		if got := cl.get(r.secureURL("/")); got.StatusCode != 503 {
			t.Errorf("%s: %d %q", name, got.StatusCode, got.body)
		}
	}
	// A change of the authorities alone holds for the next connection.
	next := clone(cc)
	next.Clusters[0].Instances[0].Name, next.Clusters[0].InstanceTLS.Authorities = "i2", []string{"outside"}
	next.Clusters[0].Health.RetryInterval = config.Duration(20 * time.Millisecond)
	r.apply(next)
	r.g.putCert(fsm.Certificate{Name: "outside", Chain: [][]byte{inside.Cert.Raw}})
	r.wait("the instance is verified", func() bool { return cl.get(r.secureURL("/")).StatusCode == 200 })
}

// TestInstancesPresentTheSame: UCD-20. When instances that end TLS themselves present different certificates, the log says so once, and a metric counts them.
func TestInstancesPresentTheSame(t *testing.T) {
	inside := certtest.NewCA(t, "inside")
	shared, odd := inside.Server("shop.example"), inside.Server("shop.example")
	a, b, c := tlsApp(t, "i1", shared), tlsApp(t, "i2", shared), tlsApp(t, "i3", odd)
	cc := conf(inst("i1", a.URL), inst("i2", b.URL))
	cc.Clusters[0].InstanceTLS = &config.InstanceTLS{Authorities: []string{"inside"}, ServerName: "shop.example"}
	g := newFakeGroup(cc)
	g.putCert(fsm.Certificate{Name: "inside", Chain: [][]byte{inside.Cert.Raw}})
	r := newRigOn(t, g, Options{})
	presented := func() float64 { return metric(t, r, "holdfast_cluster_certificates", "cluster=c1") }
	both := func() bool {
		n := 0
		for _, in := range r.b.routing.Load().clusters["c1"].instances {
			for _, e := range *in.state.endpoints.Load() {
				if e.shows.Load() != nil {
					n++
				}
			}
		}
		return n == len(r.b.routing.Load().clusters["c1"].instances)
	}
	r.wait("both were checked", both)
	const warning = "present different certificates"
	if n := presented(); n != 1 || strings.Contains(r.logs.String(), warning) {
		t.Errorf("%v certificates", n)
	}
	cc = clone(cc)
	cc.Clusters[0].Instances = append(cc.Clusters[0].Instances, inst("i3", c.URL))
	r.apply(cc)
	r.wait("all were checked", both)
	r.wait("it is said", func() bool { return strings.Contains(r.logs.String(), warning) })
	if n := presented(); n != 2 || !strings.Contains(r.logs.String(), "on i1, i2") || !strings.Contains(r.logs.String(), "on i3") {
		t.Errorf("%v certificates: %s", n, r.logs.String())
	}
	for range 5 {
		newClient(t).get(r.url("/"))
	}
	if n := strings.Count(r.logs.String(), warning); n != 1 {
		t.Errorf("it is said %d times", n)
	}
}

// TestInstanceCertificatesEnd: what instances present is seen by checks, its end is told before it comes, and after it; once, not with each check. One that is renewed is seen at the next check.
func TestInstanceCertificatesEnd(t *testing.T) {
	inside := certtest.NewCA(t, "inside")
	ends := func(left time.Duration) *certtest.Leaf {
		return inside.Leaf(func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-100*24*time.Hour), time.Now().Add(left).Truncate(time.Second)
		}, "shop.example")
	}
	soon, over, next := ends(13*24*time.Hour), ends(-time.Hour), ends(60*24*time.Hour) // the authority has 90 days
	b := tlsApp(t, "i2", over)
	var now atomic.Pointer[tls.Certificate]
	show := func(leaf *certtest.Leaf) {
		pair := leaf.TLS()
		now.Store(&pair)
	}
	show(soon)
	a := httptest.NewUnstartedServer(http.NotFoundHandler())
	a.TLS = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return now.Load(), nil }}
	a.StartTLS()
	a.TLS.Certificates = nil // httptest's own; connections that are made from now on see the others
	t.Cleanup(a.Close)
	cc := conf(inst("i1", a.URL), inst("i2", b.URL), inst("plain", newApp(t, "plain", nil).URL))
	cc.Clusters[0].Health.Interval, cc.Clusters[0].Health.RetryInterval = config.Duration(10*time.Millisecond), config.Duration(10*time.Millisecond)
	cc.Clusters[0].InstanceTLS = &config.InstanceTLS{Authorities: []string{"inside"}, ServerName: "shop.example"}
	g := newFakeGroup(cc)
	g.putCert(fsm.Certificate{Name: "inside", Chain: [][]byte{inside.Cert.Raw}})
	r := newRigOn(t, g, Options{})
	end := func(name string) time.Time {
		if c := r.status("c1", name).Certificate; c != nil {
			return c.Ends
		}
		return time.Time{}
	}
	r.wait("both were checked", func() bool {
		return !end("i1").IsZero() && r.status("c1", "i2").Health == "down" && !end("i2").IsZero()
	})
	if got := end("i1"); !got.Equal(soon.Cert.NotAfter) {
		t.Errorf("i1 ends %v, not %v", got, soon.Cert.NotAfter)
	}
	if c := r.status("c1", "i2").Certificate; !c.Ends.Equal(over.Cert.NotAfter) || c.URL != b.URL || !strings.Contains(r.status("c1", "i2").Reason, "expired") {
		t.Errorf("i2 ends %+v, not %v: %s", c, over.Cert.NotAfter, r.status("c1", "i2").Reason)
	}
	if c := r.status("c1", "plain").Certificate; c != nil {
		t.Errorf("an instance without TLS: %+v", c)
	}
	if got := metric(t, r, "holdfast_instance_certificate_expiry_timestamp_seconds", "cluster=c1", "instance=i1"); got != float64(soon.Cert.NotAfter.Unix()) {
		t.Errorf("metric %v", got)
	}
	const warning = "the certificate of an instance expires"
	r.wait("it is said of both", func() bool { return strings.Count(r.logs.String(), warning) == 2 })
	show(next)
	r.wait("the other one is seen", func() bool { return end("i1").Equal(next.Cert.NotAfter) })
	if n := strings.Count(r.logs.String(), warning); n != 2 {
		t.Errorf("it is said %d times: %s", n, r.logs.String())
	}
}

// TestFirstEnd: a chain is good for as long as each certificate in it.
func TestFirstEnd(t *testing.T) {
	at := func(days ...int) (chain []*x509.Certificate) {
		for _, d := range days {
			chain = append(chain, &x509.Certificate{NotAfter: time.Unix(int64(d)*86400, 0)})
		}
		return chain
	}
	for want, chain := range map[int64][]*x509.Certificate{3: at(3), 2: at(9, 2, 5), 1: at(4, 8, 1)} {
		if got := firstEnd(chain).Unix() / 86400; got != want {
			t.Errorf("%d, not %d", got, want)
		}
	}
	if !firstEnd(nil).IsZero() {
		t.Error("an end of nothing")
	}
}
