package lb

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/holdfast-lb/holdfast/fsm/config"
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

// TestHTTP3ShutFromTheBeginning: neither a head that a client has no room for, nor an interim response, nor what is compressed keeps the instance's connection for ever.
func TestHTTP3ShutFromTheBeginning(t *testing.T) {
	large := strings.Repeat("x", 4000)
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		switch w.Header().Set("Content-Type", "text/html"); r.URL.Path {
		case "/interim":
			w.Header().Set("Link", large)
			w.WriteHeader(http.StatusEarlyHints)
			panic(http.ErrAbortHandler)
		case "/breaks":
			w.Header().Set("X", large)
			io.WriteString(w, "some")
			w.(http.Flusher).Flush()
			<-time.After(100 * time.Millisecond)
			panic(http.ErrAbortHandler)
		case "/page":
			w.Header().Set("X", large)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}
	})
	c := http3Conf(of(a)...)
	c.Clusters[0].Modules[0].Compression = new(config.DefaultCompression())
	ca, g := certtest.NewCA(t, "root"), newFakeGroup(c)
	g.certify(t, "site", ca.Intermediate("mid").Server("site.example", "127.0.0.1"))
	g.ticketKey(t)
	r := newRigOn(t, g, Options{shut: 300 * time.Millisecond})
	r.wait("HTTP/3", func() bool { return metric(t, r, "holdfast_http3_listening", "listener=web") == 1 })
	conf := clientOf(ca)
	conf.NextProtos = []string{"h3"}
	for i, ask := range [][]string{{"/page"}, {"/interim"}, {"/breaks", "accept-encoding", "gzip"}, {"/breaks"}} {
		conn, err := quic.DialAddr(t.Context(), r.addr(), conf, &quic.Config{InitialStreamReceiveWindow: 1, MaxStreamReceiveWindow: 1})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseWithError(0, "")
		s, err := conn.OpenStreamSync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.Write(framedH3(1, blockH3(append([]string{":method", "GET", ":scheme", "https", ":authority", "h", ":path"}, ask...)...)))
		s.Close()
		r.wait(ask[0]+" is asked for", func() bool { return a.count() > i })
		r.wait(ask[0]+" is over", func() bool { return r.status("c1", "i1").InFlight == 0 })
		r.wait(ask[0]+" is logged", func() bool { return strings.Count(r.accessLog(), "\n") > i })
	}
}
