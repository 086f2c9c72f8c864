package wire_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/internal/hostile"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

func TestGoodRequests(t *testing.T) {
	const ws = "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
	cases := []struct{ name, raw, want string }{
		{"origin form", "GET /a/b?c=%d&e=[1]|{}^ HTTP/1.1\r\n" + host + "\r\n", "GET /a/b?c=%d&e=[1]|{}^ 0"},
		{"two slashes", "GET //b.example/ HTTP/1.1\r\n" + host + "\r\n", "GET //b.example/ 0"},
		{"empty line before", "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", "GET / 0"},
		{"absolute form", "GET http://A.example/x HTTP/1.1\r\n" + host + "\r\n", "GET http://A.example/x 0"},
		{"absolute form without path", "GET HTTP://a.example?x HTTP/1.1\r\n" + host + "\r\n", "GET HTTP://a.example?x 0"},
		{"path parameter", "GET /s;jsessionid=A1.n1 HTTP/1.1\r\n" + host + "\r\n", "GET /s;jsessionid=A1.n1 0"},
		{"no white space in fields", "GET / HTTP/1.1\r\nHost:a.example\r\nX:\r\n\r\n", "GET / 0"},
		{"white space in fields", "GET / HTTP/1.1\r\nHost: \t a.example \t\r\nX: a\tb \r\n\r\n", "GET / 0"},
		{"underscore in name", "GET / HTTP/1.1\r\n" + host + "X_Y: 1\r\n\r\n", "GET / 0"},
		{"Latin-1 in value", "GET / HTTP/1.1\r\n" + host + "X: \xe4\xf6 and a long value\r\n\r\n", "GET / 0"},
		{"IPv6 host", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n", "GET / 0"},
		{"IPv6 host with IPv4", "GET / HTTP/1.1\r\nHost: [::ffff:127.0.0.1]\r\n\r\n", "GET / 0"},
		{"empty port", "GET / HTTP/1.1\r\nHost: a.example:\r\n\r\n", "GET / 0"},
		{"unknown method", "M-SEARCH / HTTP/1.1\r\n" + host + "\r\n", "M-SEARCH / 0"},
		{"GET with body", "GET / HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", "GET / 3"},
		{"empty body", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", "POST / 0"},
		{"coding in capitals", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "POST / 3"},
		{"chunk extensions", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" +
			"3;a;b=c;d=\"e \\\" f\"\r\nabc\r\nA\r\n0123456789\r\n000;last\r\n\r\n", "POST / 13"},
		{"one byte chunks", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" +
			strings.Repeat("1\r\nx\r\n", 30000) + "0\r\n\r\n", "POST / 30000"},
		{"100 fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("X: 1\r\n", 99) + "\r\n", "GET / 0"},
		{"longest target", "GET /" + strings.Repeat("a", 8191) + " HTTP/1.1\r\n" + host + "\r\n", "GET /" + strings.Repeat("a", 8191) + " 0"},
		{"longest head", hostile.ExactHead(32 << 10), "GET /big 0"},
		{"refused upgrade", "GET /u HTTP/1.1\r\n" + host + ws + "\r\n", "GET /u 0"},
		{"refused upgrade with body", "POST /u HTTP/1.1\r\n" + host + ws + "Content-Length: 3\r\n\r\nabc", "POST /u 3"},
	}
	addr := serve(t, new(recorder), wire.Limits{}, nil)
	for _, step := range []int{0, 1, 5} {
		all := dial(t, addr) // one connection for all of them
		for _, tc := range cases {
			t.Run(fmt.Sprintf("%s/%d", tc.name, step), func(t *testing.T) {
				one := dial(t, addr)
				sendSplit(one, tc.raw, step)
				one.want("GET", 200, tc.want)
				one.ended()
				all.send(tc.raw)
				all.want("GET", 200, tc.want)
			})
		}
	}
}

func TestPipelining(t *testing.T) {
	origin := new(recorder)
	addr := serve(t, origin, wire.Limits{}, nil)
	const round = "GET /1 HTTP/1.1\r\nHost: a.example\r\n\r\n" +
		"POST /2 HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello\r\n" + // an old client's CRLF
		"POST /3 HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n" +
		"HEAD /4 HTTP/1.1\r\nHost: a.example\r\n\r\n" +
		"OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n"
	for _, step := range []int{0, 1, 13} {
		const rounds = 20
		c := dial(t, addr)
		go sendSplit(c, strings.Repeat(round, rounds), step)
		for range rounds {
			c.want("GET", 200, "GET /1 0")
			c.want("POST", 200, "POST /2 5")
			c.want("POST", 200, "POST /3 4")
			c.want("HEAD", 200, "")
			c.want("OPTIONS", 200, "") // net/http answers this one by itself
		}
		c.ended()
	}
}

func TestContinue(t *testing.T) {
	c := dial(t, serve(t, new(recorder), wire.Limits{}, nil))
	for range 2 {
		c.send("PUT /e HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		c.want("PUT", 100, "")
		c.send("body")
		c.want("PUT", 200, "PUT /e 4")
	}
}

func TestTrailers(t *testing.T) {
	c := dial(t, serve(t, new(recorder), wire.Limits{}, nil))
	for range 2 {
		c.send("POST /t HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTrailer: X-Sum, X-More\r\n\r\n" +
			"5\r\nhello\r\n0\r\nX-Sum: 5d41\r\nX-More: \t yes\r\n\r\n")
		res := c.want("POST", 200, "POST /t 5")
		if sum, more := res.Header.Get("Seen-X-Sum"), res.Header.Get("Seen-X-More"); sum != "5d41" || more != "yes" {
			t.Errorf("trailers %q and %q, want 5d41 and yes", sum, more)
		}
	}
}

func TestLargeBodies(t *testing.T) {
	c := dial(t, serve(t, new(recorder), wire.Limits{}, nil))
	data := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB
	go sendSplit(c, "POST /1 HTTP/1.1\r\n"+host+"Content-Length: "+fmt.Sprint(len(data))+"\r\n\r\n"+data+
		"POST /2 HTTP/1.1\r\n"+host+"Transfer-Encoding: chunked\r\n\r\n"+chunked(data, 70001)+
		"GET /3 HTTP/1.1\r\n"+host+"\r\n", 0)
	c.want("POST", 200, fmt.Sprintf("POST /1 %d", len(data)))
	c.want("POST", 200, fmt.Sprintf("POST /2 %d", len(data)))
	c.want("GET", 200, "GET /3 0")
	c.ended()
}

func chunked(data string, size int) string {
	var b strings.Builder
	for piece := range slices.Chunk([]byte(data), size) {
		fmt.Fprintf(&b, "%x\r\n%s\r\n", len(piece), piece)
	}
	return b.String() + "0\r\n\r\n"
}

func TestOldVersion(t *testing.T) {
	addr := serve(t, new(recorder), wire.Limits{}, nil)
	t.Run("closes", func(t *testing.T) {
		c := dial(t, addr)
		c.send("GET /1 HTTP/1.0\r\n\r\n" + inner)
		c.want("GET", 200, "GET /1 0")
		c.ended()
	})
	t.Run("keep-alive", func(t *testing.T) {
		c := dial(t, addr)
		for range 3 {
			c.send("POST /2 HTTP/1.0\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nhi")
			c.want("POST", 200, "POST /2 2")
		}
		c.send("GET http://a.example/3 HTTP/1.0\r\n\r\n")
		c.want("GET", 200, "")
		c.ended()
	})
	t.Run("close in HTTP/1.1", func(t *testing.T) {
		c := dial(t, addr)
		c.send("GET /4 HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n" + "junk after the last request")
		c.want("GET", 200, "GET /4 0")
		// RFC 9112 section 9.6: no response after close, not even a refusal. The
		// server closes with unread data, so the end may be a reset.
		if rest, _ := io.ReadAll(c.in); len(rest) > 0 {
			t.Errorf("after the last response: %q", rest)
		}
	})
}

// TestProxy has the reverse proxy of the standard library behind the guard: a
// client's broken chunk is the client's fault (400), never the backend's (502),
// although the proxy sees only a cancelled request.
func TestProxy(t *testing.T) {
	origin := new(recorder)
	backend := httptest.NewServer(origin)
	defer backend.Close()
	to, err := url.Parse(backend.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if v := wire.Violation(r.Context(), err); v != nil {
				http.Error(w, v.Reason, v.Status)
				return
			}
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	}
	addr := serve(t, proxy, wire.Limits{}, nil)
	for _, h := range brokenBodies {
		c := dial(t, addr)
		c.send(h.Raw)
		if h.Status == 431 || len(h.Raw) < 4<<10 {
			c.want("POST", h.Status, "")
			c.ended()
		}
	}
	c := dial(t, addr)
	c.send("POST /p HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n" + chunked("hello", 2))
	c.want("POST", 200, "POST /p 5")
}
