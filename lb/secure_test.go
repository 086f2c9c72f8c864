package lb

import (
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestListenersOfBothSchemes: a client that came over http is served by the instance's http listener, and by its https listener when that is all there is;
// its session stays on the instance. A certificate that nobody vouches for is a listener that cannot be reached.
func TestListenersOfBothSchemes(t *testing.T) { // UCD-18, SUN-21
	app := func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "i1 secure=%v", r.TLS != nil) }
	plain, secure := httptest.NewServer(http.HandlerFunc(app)), httptest.NewTLSServer(http.HandlerFunc(app))
	t.Cleanup(plain.Close)
	t.Cleanup(secure.Close)
	cc := conf(inst("i1", secure.URL, plain.URL))
	cc.Clusters[0].Health.Type = "none"
	r := newRig(t, cc)
	e := (*r.b.routing.Load().clusters["c1"].instances[0].state.endpoints.Load())[0]
	e.roots = x509.NewCertPool()
	e.roots.AddCert(secure.Certificate())
	cl := newClient(t)
	for range 4 {
		if got := cl.get(r.url("/")); got.body != "i1 secure=false" {
			t.Fatalf("%d %s: the listener of the client's scheme comes first", got.StatusCode, got.body)
		}
	}
	plain.Close()
	for range 4 {
		if got := cl.get(r.url("/")); got.body != "i1 secure=true" {
			t.Fatalf("%d %s: the other listener is there", got.StatusCode, got.body)
		}
	}
	if len(r.g.sessions()) != 1 || r.g.count(fsm.OpMove) != 0 {
		t.Errorf("%d sessions, %d moves", len(r.g.sessions()), r.g.count(fsm.OpMove))
	}
	stranger := clone(cc)
	stranger.Clusters[0].Instances = []config.Instance{inst("i2", secure.URL)} // with the system's roots
	r.apply(stranger)
	r.inForce()
	if got := newClient(t).get(r.url("/")); got.StatusCode != 503 {
		t.Errorf("%d %s: a certificate that nobody vouches for", got.StatusCode, got.body)
	}
}
