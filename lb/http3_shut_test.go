package lb

import (
	"io"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// TestHTTP3ShutWindows: who takes nothing more of a response, and opens no window, loses it after some time, and its connection goes on.
func TestHTTP3ShutWindows(t *testing.T) {
	a := newApp(t, "i1", bodies)
	ca, g := certtest.NewCA(t, "root"), newFakeGroup(http3Conf(of(a)...))
	g.certify(t, "site", ca.Intermediate("mid").Server("site.example", "127.0.0.1"))
	g.ticketKey(t)
	r := newRigOn(t, g, Options{shut: 300 * time.Millisecond})
	r.wait("HTTP/3", func() bool { return metric(t, r, "holdfast_http3_listening", "listener=web") == 1 })
	c := http3Client(t, ca)
	resp, err := c.Get(r.secureURL("/n/33554432"))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close()
	r.wait("the instance is free", func() bool { return r.status("c1", "i1").InFlight == 0 })
	if n, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Errorf("%d bytes as if they were all", n)
	}
	if n := metric(t, r, "holdfast_protocol_violations_total", "reason=HTTP/3: window shut for too long"); n != 1 {
		t.Errorf("%v are counted", n)
	}
	if got := c.get(r.secureURL("/n/5")); got.StatusCode != 200 || len(got.body) != 5 {
		t.Errorf("the next one: %s", got.Status)
	}
}
