package h3

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// serveOne has a handler serve one client, which has this window for a stream, and gives the client's end.
func serveOne(t *testing.T, window uint64, handler http.Handler) *http3.ClientConn {
	t.Helper()
	return (&http3.Transport{}).NewClientConn(serveRaw(t, window, Options{Handler: handler}))
}

// serveRaw does so for one that does as it likes.
func serveRaw(t *testing.T, window uint64, o Options) *quic.Conn {
	t.Helper()
	ca := certtest.NewCA(t, "root")
	ours := &tls.Config{Certificates: []tls.Certificate{ca.Server("a.example").TLS()}, NextProtos: []string{http3.NextProtoH3}}
	ln, err := quic.ListenAddr("127.0.0.1:0", ours, &quic.Config{RequireStreamCreditRelease: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	theirs := &tls.Config{RootCAs: ca.Pool(), ServerName: "a.example", NextProtos: []string{http3.NextProtoH3}}
	client, err := quic.DialAddr(t.Context(), ln.Addr().(*net.UDPAddr).String(), theirs, &quic.Config{InitialStreamReceiveWindow: window, MaxStreamReceiveWindow: window})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		NewConn(conn, o).Serve()
	}()
	t.Cleanup(func() {
		client.CloseWithError(codeNone, "")
		<-served
	})
	return client
}

// TestStalledResponse: a response that its client does not read keeps no other one waiting, whatever their priorities are.
func TestStalledResponse(t *testing.T) {
	const window = 8 << 10
	for _, p := range []struct{ name, stalled, other string }{
		{"no priorities", "", ""},
		{"one after the other", "u=3, i=?0", "u=3, i=?0"},
		{"the stalled one is urgent", "u=0", "u=7"},
		{"the stalled one is incremental", "i", ""},
		{"the other one is incremental", "", "i"},
	} {
		t.Run(p.name, func(t *testing.T) {
			full, more, waits := make(chan struct{}), make(chan struct{}), make(chan struct{})
			c := serveOne(t, window, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/stalled" {
					return
				}
				defer close(waits)
				w.Write(make([]byte, window+100)) // QUIC keeps what the window has no room for, when it is so little
				close(full)
				select {
				case <-more:
					w.Write(make([]byte, 100))
					w.(http.Flusher).Flush()
				case <-r.Context().Done():
				}
			}))
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			ask := func(path, priority string) *http.Response {
				t.Helper()
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://a.example"+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if priority != "" {
					r.Header.Set("Priority", priority)
				}
				resp, err := c.RoundTrip(r)
				if err != nil {
					t.Fatalf("%s: %v", path, err)
				}
				return resp
			}
			defer ask("/stalled", p.stalled).Body.Close()
			reach := func(done <-chan struct{}) {
				t.Helper()
				select {
				case <-done:
				case <-ctx.Done():
					t.Fatal("the stalled response takes no more")
				}
			}
			reach(full)
			ask("/other", p.other).Body.Close() // by then the window is full
			close(more)
			reach(waits)
			for range 3 {
				ask("/other", p.other).Body.Close()
			}
		})
	}
}
