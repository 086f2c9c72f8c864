package lb

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// pageApp answers with longText and with the fields that the query names.
func pageApp(t testing.TB) *app {
	return newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		for name, values := range r.URL.Query() {
			if name != "status" && name != "length" {
				w.Header()[name] = values
			}
		}
		body := longText
		if n, err := strconv.Atoi(r.URL.Query().Get("length")); err == nil {
			body = longText[:n]
		}
		if w.Header().Get("Content-Length") == "" && r.URL.Path != "/unknown" {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		}
		if s, err := strconv.Atoi(r.URL.Query().Get("status")); err == nil {
			if s == http.StatusNoContent || s == http.StatusNotModified {
				w.Header().Del("Content-Length")
			}
			w.WriteHeader(s)
		}
		if r.URL.Path == "/unknown" {
			w.(http.Flusher).Flush()
		}
		io.WriteString(w, body)
	})
}

// TestCompressed: by which encoding, what the head says of it, and that the body is the same, on every kind of listener.
func TestCompressed(t *testing.T) {
	a := pageApp(t)
	plain := newRig(t, compressing(of(a)...))
	h2 := compressing(of(a)...)
	h2.Listeners[0].HTTP2 = true
	second := newRig(t, h2)
	secure := overTLS(compressing(of(a)...), "site")
	overTLS, ca := secureRig(t, secure)
	for name, side := range map[string]struct {
		c   *client
		url string
	}{
		"HTTP/1.1": {newClient(t), plain.url("/")},
		"HTTP/2":   {newHTTP2Client(t), second.url("/")},
		"TLS":      {secureClient(t, clientOf(ca)), "https://" + overTLS.addr() + "/"},
	} {
		for _, path := range []string{"", "unknown"} {
			for accept, want := range map[string]string{"gzip, deflate, br, zstd": "zstd", "gzip": "gzip", "gzip;q=0.9, zstd;q=0.1": "gzip", "br": "", "": "", "gzip;q=x": ""} {
				got := side.c.do(ask(t, http.MethodGet, side.url+path+"?Etag=%22v1%22&Accept-Ranges=bytes&Vary=Cookie", accept))
				h := got.Header
				if got.StatusCode != 200 || h.Get("Content-Encoding") != want || decoded(t, want, got.body) != longText {
					t.Fatalf("%s, %s, %q: %s %q", name, path, accept, got.Status, h)
				}
				if !headerHasToken(h["Vary"], "accept-encoding") || !headerHasToken(h["Vary"], "cookie") {
					t.Errorf("%s, %q: Vary %q", name, accept, h["Vary"])
				}
				if want == "" {
					if h.Get("Etag") != `"v1"` || h.Get("Accept-Ranges") != "bytes" || path == "" && h.Get("Content-Length") != strconv.Itoa(len(longText)) {
						t.Errorf("%s, %q: %q", name, accept, h)
					}
					continue
				}
				if h.Get("Etag") != `W/"v1"` || h.Get("Accept-Ranges") != "none" || got.ContentLength >= 0 && got.ContentLength != int64(len(got.body)) || len(got.body) > len(longText)/10 {
					t.Errorf("%s, %q: %q, %d bytes", name, accept, h, len(got.body))
				}
			}
		}
	}
}

// TestNotCompressed: responses that must stay what they are.
func TestNotCompressed(t *testing.T) {
	a := pageApp(t)
	r, c := newRig(t, compressing(of(a)...)), newClient(t)
	for _, query := range []string{
		"Content-Encoding=br", "Content-Encoding=identity", "Content-Encoding=", "Cache-Control=public,%20No-Transform", "status=206&Content-Range=bytes%200-9/100", "status=206", "Content-Range=bytes%200-9/100",
		"status=204", "status=304", "status=205&length=0", "length=1023", "length=0", "Content-Type=image/png", "Content-Type=text/event-stream", "Content-Type=application/grpc%2bproto", "Content-Type=",
		"Content-Digest=sha-256=:x:", "Repr-Digest=x", "Digest=x", "Content-Md5=x", "Content-Type=multipart/byteranges%3b%20boundary=text/html",
	} {
		got := c.do(ask(t, http.MethodGet, r.url("/?Etag=%22v1%22&"+query), "gzip, zstd"))
		if coded := got.Header.Get("Content-Encoding"); coded == "gzip" || coded == "zstd" || got.Header.Get("Etag") != `"v1"` || !strings.HasPrefix(longText, got.body) {
			t.Errorf("%s: %s %q", query, got.Status, got.Header)
		}
	}
	for _, query := range []string{"length=1024", "status=404", "status=500", "Content-Type=TEXT/HTML", "Content-Type=application/json%20%3bcharset=x"} {
		if got := c.do(ask(t, http.MethodGet, r.url("/?"+query), "gzip")); got.Header.Get("Content-Encoding") != "gzip" || !strings.HasPrefix(longText, decoded(t, "gzip", got.body)) {
			t.Errorf("%s: %s %q", query, got.Status, got.Header)
		}
	}
	if got := c.do(ask(t, http.MethodGet, r.url("/"), "gzip", "Cache-Control", "no-transform")); got.Header.Get("Content-Encoding") != "" {
		t.Error("the client wants it as it is")
	}
	off := newRig(t, conf(of(a)...))
	if got := c.do(ask(t, http.MethodGet, off.url("/"), "gzip")); got.Header.Get("Content-Encoding") != "" || got.Header.Get("Vary") != "" || got.body != longText {
		t.Errorf("off: %q", got.Header)
	}
	if got := c.get(r.url("/?Vary=*")); !slices.Equal(got.Header["Vary"], []string{"*"}) {
		t.Errorf("Vary: %q", got.Header["Vary"])
	}
}

// TestCompressionOfHead: HEAD has the head of GET, and no body.
func TestCompressionOfHead(t *testing.T) {
	a := pageApp(t)
	r, c := newRig(t, compressing(of(a)...)), newClient(t)
	for _, accept := range []string{"gzip", "zstd", ""} {
		for _, query := range []string{"", "?length=10", "?Cache-Control=no-transform", "?Etag=%22a%22"} {
			get, head := c.do(ask(t, http.MethodGet, r.url("/"+query), accept)), c.do(ask(t, http.MethodHead, r.url("/"+query), accept))
			if head.body != "" {
				t.Errorf("%q: a body", query)
			}
			for _, name := range []string{"Content-Encoding", "Content-Length", "Vary", "Etag"} {
				if name == "Content-Length" && len(head.Header[name]) == 0 {
					continue // nobody knows it before the body has been compressed
				}
				if !slices.Equal(get.Header[name], head.Header[name]) {
					t.Errorf("%q, %q: %s %q of GET, %q of HEAD", accept, query, name, get.Header[name], head.Header[name])
				}
			}
		}
	}
	r.wait("all encoders are back", func() bool { return r.b.encoders.busy.Load() == 0 })
}

// TestWeakTagsConfirm: a client that has the compressed page finds it unchanged; the tag of 304 is the one that it has.
func TestWeakTagsConfirm(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Content-Type", "text/html")
		if strings.Contains(r.Header.Get("If-None-Match"), `"v1"`) { // weak comparison (RFC 9110 section 13.1.2)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, longText)
	})
	r, c := newRig(t, compressing(of(a)...)), newClient(t)
	tag := c.do(ask(t, http.MethodGet, r.url("/"), "gzip")).Header.Get("Etag")
	for asked, want := range map[string]string{tag: `W/"v1"`, `"v1"`: `"v1"`, `"x", W/"v1"`: `W/"v1"`, `W/"v1", "v1"`: `"v1"`} {
		got := c.do(ask(t, http.MethodGet, r.url("/"), "gzip", "If-None-Match", asked))
		if got.StatusCode != 304 || got.Header.Get("Etag") != want || got.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: %s %q", asked, got.Status, got.Header)
		}
	}
}

// TestRequestsAreNotTouched: a body that a client has compressed reaches the instance as it is, and so does what the client takes.
func TestRequestsAreNotTouched(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q %q", body, r.Header["Content-Encoding"], r.Header["Accept-Encoding"])
	})
	r := newRig(t, compressing(of(a)...))
	request := post(t, r.url("/"), "not even gzip")
	request.Header.Set("Content-Encoding", "gzip")
	request.Header.Set("Accept-Encoding", "gzip, br")
	if got := newClient(t).do(request); got.body != `not even gzip ["gzip"] ["gzip, br"]` && decoded(t, got.Header.Get("Content-Encoding"), got.body) != `not even gzip ["gzip"] ["gzip, br"]` {
		t.Error(got.body)
	}
}

// TestWhoTakesNoEncodingStaysOnTheLoop: it pays nothing for others, and a cache hears that others get something else.
func TestWhoTakesNoEncodingStaysOnTheLoop(t *testing.T) {
	a := pageApp(t)
	r, c := newRig(t, compressing(of(a)...)), newClient(t)
	for _, x := range []struct{ query, accept, vary string }{
		{"", "", "Accept-Encoding"}, {"", "br", "Accept-Encoding"}, {"", "identity", "Accept-Encoding"}, {"?Vary=Cookie", "", "Cookie, Accept-Encoding"}, {"?Vary=*", "", "*"}, {"?Vary=accept-encoding", "", "accept-encoding"},
		{"?Content-Type=image/png", "", ""}, {"?length=5", "", ""}, {"?Cache-Control=no-transform", "", ""}, {"?Content-Encoding=br", "", ""},
	} {
		got := c.do(ask(t, http.MethodGet, r.url("/"+x.query), x.accept))
		if vary := strings.Join(got.Header["Vary"], ", "); vary != x.vary || got.Header.Get("Etag") != "" {
			t.Errorf("%+v: Vary %q", x, vary)
		}
	}
	wantEngines(t, r, 10, 0)
	c.do(ask(t, http.MethodGet, r.url("/"), "gzip"))
	wantEngines(t, r, 10, 1)
}

// TestCompressionIsAccounted: metrics, and the access log with what really left.
func TestCompressionIsAccounted(t *testing.T) {
	a := pageApp(t)
	r, c := newRig(t, compressing(of(a)...)), newClient(t)
	body := c.do(ask(t, http.MethodGet, r.url("/"), "gzip")).body
	c.do(ask(t, http.MethodGet, r.url("/"), "zstd"))
	r.wait("both are logged", func() bool { return strings.Count(r.accessLog(), "\n") == 2 })
	if log := r.accessLog(); !strings.Contains(log, fmt.Sprintf(`"bytes":%d,`, len(body))) || !strings.Contains(log, `"encoding":"gzip"`) || !strings.Contains(log, `"encoding":"zstd"`) {
		t.Error(log)
	}
	in, out := metric(t, r, "holdfast_compression_bytes_total", "encoding=gzip", "side=in"), metric(t, r, "holdfast_compression_bytes_total", "encoding=gzip", "side=out")
	if in != float64(len(longText)) || out != float64(len(body)) || metric(t, r, "holdfast_compressed_responses_total") != 2 {
		t.Errorf("%v in, %v out", in, out)
	}
}

// TestCompressionFollowsTheConfiguration without a connection that ends.
func TestCompressionFollowsTheConfiguration(t *testing.T) {
	a := pageApp(t)
	on := compressing(of(a)...)
	on.Clusters[0].Modules[0].Compression = &config.Compression{Encodings: []string{"gzip"}, MinLength: 1, Types: []string{"text/*"}, Level: "best"}
	r, c := newRig(t, conf(of(a)...)), newClient(t)
	for _, step := range []struct {
		conf *config.Config
		want string
	}{{on, "gzip"}, {conf(of(a)...), ""}, {compressing(of(a)...), "zstd"}} {
		r.apply(step.conf)
		if got := c.do(ask(t, http.MethodGet, r.url("/"), "gzip, zstd")); got.Header.Get("Content-Encoding") != step.want || decoded(t, step.want, got.body) != longText {
			t.Errorf("%q: %q", step.want, got.Header)
		}
	}
}
