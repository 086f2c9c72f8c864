package lb

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// trustTheirTLS makes the https listeners of an instance trust the test server's certificate, as SSL_CERT_FILE would.
func (r *rig) trustTheirTLS(instance string, s *httptest.Server) {
	for _, e := range *r.b.routing.Load().clusters["c1"].byName[instance].state.endpoints.Load() {
		if e.scheme == "https" {
			e.roots = x509.NewCertPool()
			e.roots.AddCert(s.Certificate())
		}
	}
}

// secureApp answers like an app, over TLS.
func secureApp(t *testing.T, name string) *httptest.Server {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil {
			t.Error("clear text at the https port")
		}
		w.Write([]byte(name + " " + r.Header.Get("X-Forwarded-Proto")))
	}))
	t.Cleanup(s.Close)
	return s
}

// TestBothSchemesOfAnInstance: the HTTP and the HTTPS port of an instance get requests; those of the client's scheme come first, the other one stands in.
func TestBothSchemesOfAnInstance(t *testing.T) { // UCD-18
	plain := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("plain " + r.Header.Get("X-Forwarded-Proto")))
	})
	secure := secureApp(t, "secure")
	cc := conf(inst("i1", plain.URL, secure.URL))
	cc.Clusters[0].Health = config.Health{Type: "none", RetryInterval: config.Duration(time.Hour)}
	r := newRig(t, cc)
	r.trustTheirTLS("i1", secure)
	overTLS := httptest.NewTLSServer(r.b) // this version's own listeners speak clear text only
	t.Cleanup(overTLS.Close)
	cl := newClient(t)
	cl.Transport = overTLS.Client().Transport
	for range 6 {
		if got := newClient(t).get(r.url("/")); got.body != "plain http" {
			t.Errorf("http: %d %q", got.StatusCode, got.body)
		}
		if got := cl.get(overTLS.URL); got.body != "secure https" {
			t.Errorf("https: %d %q", got.StatusCode, got.body)
		}
	}
	plain.Close()
	for range 3 {
		if got := newClient(t).get(r.url("/")); got.body != "secure http" {
			t.Errorf("http without the HTTP port: %d %q", got.StatusCode, got.body)
		}
	}
	if s := r.status("c1", "i1"); s.Health != "partial" {
		t.Errorf("%+v", s)
	}
}

// A certificate that nobody vouches for makes the https listener unavailable, with the reason; the http one goes on.
func TestUnknownCertificateOfAnInstance(t *testing.T) {
	plain, secure := newApp(t, "plain", nil), secureApp(t, "secure")
	cc := conf(inst("i1", secure.URL, plain.URL))
	r := newRig(t, cc)
	r.wait("check of the https listener", func() bool { return r.status("c1", "i1").Health == "partial" })
	if s := r.status("c1", "i1"); !strings.Contains(s.Reason, secure.URL) || !strings.Contains(s.Reason, "certificate") {
		t.Errorf("%+v", s)
	}
	if got := newClient(t).get(r.url("/")); got.body != "plain" {
		t.Errorf("%d %q", got.StatusCode, got.body)
	}
}
