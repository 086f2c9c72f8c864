package lb

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// TestBrokenBodyIsNoEnd: what an instance breaks off, or announces as longer than it is, reaches the client broken: neither the framing nor the encoding has an end.
func TestBrokenBodyIsNoEnd(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		conn, rw, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		io.WriteString(rw, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n")
		switch r.URL.Path {
		case "/length":
			fmt.Fprintf(rw, "Content-Length: %d\r\n\r\n%s", len(longText)+1, longText)
		case "/chunked":
			fmt.Fprintf(rw, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(longText), longText)
		case "/garbage":
			fmt.Fprintf(rw, "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\nzz\r\n", len(longText), longText)
		}
		rw.Flush()
	})
	c := compressing(of(a)...)
	c.Listeners[0].HTTP2 = true
	r := newRig(t, c)
	for name, client := range map[string]*client{"HTTP/1.1": newClient(t), "HTTP/2": newHTTP2Client(t)} {
		for _, path := range []string{"/length", "/chunked", "/garbage"} {
			for _, encoding := range []string{"gzip", "zstd", ""} {
				resp, err := client.Do(ask(t, http.MethodGet, r.url(path), encoding))
				if err != nil {
					continue // nothing has reached the client
				}
				body, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err == nil {
					t.Errorf("%s, %s, %q: a whole body of %d bytes", name, path, encoding, len(body))
				}
				if whole(encoding, string(body)) {
					t.Errorf("%s, %s, %q: the encoding has an end", name, path, encoding)
				}
			}
		}
	}
	r.wait("all encoders are back", func() bool { return r.b.encoders.busy.Load() == 0 })
}

// whole reports whether an encoded body has its end.
func whole(encoding, body string) bool {
	switch encoding {
	case "gzip":
		z, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			return false
		}
		_, err = io.Copy(io.Discard, z)
		return err == nil
	case "zstd":
		z, err := zstd.NewReader(strings.NewReader(body))
		if err != nil {
			return false
		}
		defer z.Close()
		n, err := io.Copy(io.Discard, z)
		return err == nil && n > 0
	}
	return false
}

// TestCompressedPiecesLeaveAtOnce: what the instance has flushed reaches the client while the instance waits for the client to have seen it.
func TestCompressedPiecesLeaveAtOnce(t *testing.T) {
	seen := make(chan struct{})
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.(http.Flusher).Flush()
		select { // the head alone comes first
		case <-seen:
		case <-r.Context().Done():
			return
		}
		for i := range 5 {
			fmt.Fprintf(w, "piece %d\n", i)
			w.(http.Flusher).Flush()
			select {
			case <-seen:
			case <-r.Context().Done():
				return
			}
		}
	})
	c := compressing(of(a)...)
	c.Listeners[0].HTTP2 = true
	r := newRig(t, c)
	for name, client := range map[string]*client{"HTTP/1.1": newClient(t), "HTTP/2": newHTTP2Client(t)} {
		for _, encoding := range []string{"gzip", "zstd"} {
			resp, err := client.Do(ask(t, http.MethodGet, r.url("/"), encoding))
			if err != nil {
				t.Fatal(err)
			}
			if resp.Header.Get("Content-Encoding") != encoding {
				t.Fatalf("%s: %q", name, resp.Header)
			}
			seen <- struct{}{}
			var from io.Reader
			if encoding == "gzip" {
				from, err = gzip.NewReader(resp.Body)
			} else {
				from, err = zstd.NewReader(resp.Body, zstd.WithDecoderConcurrency(1))
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				want := fmt.Sprintf("piece %d\n", i)
				got := make([]byte, len(want))
				if _, err := io.ReadFull(from, got); err != nil || string(got) != want {
					t.Fatalf("%s, %s: %q, %v", name, encoding, got, err)
				}
				seen <- struct{}{}
			}
			if rest, err := io.ReadAll(from); err != nil || len(rest) > 0 {
				t.Errorf("%s, %s: %q, %v", name, encoding, rest, err)
			}
			resp.Body.Close()
		}
	}
}

// TestEncodersAreBounded: beyond the bound responses leave as they are, and clients that go away give theirs back.
func TestEncodersAreBounded(t *testing.T) {
	hold := make(chan struct{})
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, longText)
		if r.URL.Path == "/hold" {
			w.(http.Flusher).Flush()
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
	})
	r, c := newRig(t, compressing(of(a)...)), newClient(t)
	r.b.encoders.most = 2
	var held []*http.Response
	for range 2 {
		resp, err := c.Do(ask(t, http.MethodGet, r.url("/hold"), "gzip"))
		if err != nil || resp.Header.Get("Content-Encoding") != "gzip" {
			t.Fatal(err, resp)
		}
		held = append(held, resp)
	}
	if got := c.do(ask(t, http.MethodGet, r.url("/"), "gzip")); got.Header.Get("Content-Encoding") != "" || got.body != longText || !headerHasToken(got.Header["Vary"], "Accept-Encoding") {
		t.Errorf("a third one: %q", got.Header)
	}
	if n := metric(t, r, "holdfast_compression_skipped_total"); n != 1 {
		t.Errorf("%v were skipped", n)
	}
	held[0].Body.Close() // the client goes away
	r.wait("its encoder is back", func() bool { return r.b.encoders.busy.Load() == 1 })
	if got := c.do(ask(t, http.MethodGet, r.url("/"), "gzip")); got.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("with room: %q", got.Header)
	}
	close(hold)
	if _, err := io.Copy(io.Discard, held[1].Body); err != nil {
		t.Error(err)
	}
	held[1].Body.Close()
	r.wait("all encoders are back", func() bool { return r.b.encoders.busy.Load() == 0 })
}

// TestCompressedTrailers: trailers of the instance come behind the encoded body.
func TestCompressedTrailers(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, longText)
		w.Header().Set("X-Sum", strconv.Itoa(len(longText)))
	})
	r, c := newRig(t, compressing(of(a)...)), newClient(t)
	if got := c.do(ask(t, http.MethodGet, r.url("/"), "zstd")); decoded(t, "zstd", got.body) != longText || got.Trailer.Get("X-Sum") != strconv.Itoa(len(longText)) {
		t.Errorf("%q %q", got.Header, got.Trailer)
	}
}

// TestDigestInTrailers: a digest of the bytes may come behind them (RFC 9530 section 2), and must be true then: where it is announced the response stays as it is, where it was
// not it goes.
func TestDigestInTrailers(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		name := "Repr-Digest"
		if r.URL.Path == "/announced" {
			w.Header().Set("Trailer", name)
		} else {
			name = http.TrailerPrefix + name
		}
		io.WriteString(w, longText)
		w.(http.Flusher).Flush()
		w.Header().Set(name, "sha-256=:AAAA:")
		w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
	})
	conf := compressing(of(a)...)
	conf.Listeners[0].HTTP2 = true
	r := newRig(t, conf)
	for name, c := range map[string]*client{"HTTP/1.1": newClient(t), "HTTP/2": newHTTP2Client(t)} {
		got := c.do(ask(t, http.MethodGet, r.url("/announced"), "gzip"))
		if got.Header.Get("Content-Encoding") != "" || got.body != longText || got.Trailer.Get("Repr-Digest") != "sha-256=:AAAA:" {
			t.Errorf("%s, announced: %q %q", name, got.Header, got.Trailer)
		}
		got = c.do(ask(t, http.MethodGet, r.url("/late"), "gzip"))
		if decoded(t, "gzip", got.body) != longText || got.Trailer.Get("Repr-Digest") != "" || got.Trailer.Get("X-Sum") != "1" {
			t.Errorf("%s, not announced: %q %q", name, got.Header, got.Trailer)
		}
		if got = c.do(ask(t, http.MethodGet, r.url("/late"), "")); got.body != longText || got.Trailer.Get("Repr-Digest") != "sha-256=:AAAA:" {
			t.Errorf("%s, not compressed: %q %q", name, got.Header, got.Trailer)
		}
	}
}
