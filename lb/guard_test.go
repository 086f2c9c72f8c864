package lb

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// The parser has its own tests; here it must be in the way of every listener.
func TestGuardIsInFrontOfNetHTTP(t *testing.T) {
	r, a := noAff(t, nil)
	for request, status := range map[string]int{
		"GET / HTTP/1.1\nHost: h\n\n":                    400,
		"GET / HTTP/1.1\r\n\r\n":                         400,
		"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n":   400,
		"GET / HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\n\r\n": 400,
		"GET / HTTP/1.1\r\nHost: h\r\n X: fold\r\n\r\n":  400,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": 400,
		"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx":                  400,
		"GET http://evil/ HTTP/1.1\r\nHost: h\r\n\r\n":                                                   400,
		"CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n":                                                    501,
		"GET / HTTP/3.0\r\nHost: h\r\n\r\n":                                                              505,
		"GET /" + strings.Repeat("a", 9000) + " HTTP/1.1\r\nHost: h\r\n\r\n":                             414,
		"GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 40_000) + "\r\n\r\n":                    431,
		"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X: 1\r\n", 200) + "\r\n":                       431,
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: b" + strings.Repeat(",b", 64) + "\r\n\r\n":             400,
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: " + strings.Repeat(",", 15_000) + "\r\n\r\n":           400,
		"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("Connection: b\r\n", 65) + "\r\n":               400,
	} {
		c := dialRaw(t, r)
		c.Conn.Write([]byte(request)) // may be cut short: the answer comes early
		if got := c.response(); got.StatusCode != status {
			t.Errorf("%.60q: %d, want %d", request, got.StatusCode, status)
		}
	}
	if a.count() != 0 {
		t.Errorf("%d of them reached the instance", a.count())
	}
	if metric(t, r, "holdfast_protocol_violations_total") < 12 {
		t.Error("violations are not counted")
	}
}

// TestOptionsOfConnection: each one may be compared with every field, so that they are few, in requests and in responses, on both engines.
func TestOptionsOfConnection(t *testing.T) {
	a := newApp(t, "i1", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.Header.Get("X-Options"))
		w.Header()["Connection"] = []string{"x-dropped" + strings.Repeat(", x-dropped", n-1)}
		w.Header().Set("X-Dropped", "1")
	})
	r := newRig(t, bare(of(a)...))
	for _, path := range []string{"/a", "/%61"} { // a loop's, and net/http's
		for _, end := range []struct{ request, answer, status int }{{64, 64, 200}, {65, 1, 400}, {1, 65, 502}, {1, 5000, 502}} {
			before := a.count()
			c := dialRaw(t, r)
			c.write(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: h\r\nConnection: b%s\r\nX-Options: %d\r\nB: 1\r\n\r\n", path, strings.Repeat(",b", end.request-1), end.answer))
			got := c.response()
			if got.StatusCode != end.status || got.Header.Get("X-Dropped") != "" {
				t.Errorf("%s, %+v: %d %v", path, end, got.StatusCode, got.Header)
			}
			if end.status == 400 && a.count() != before {
				t.Errorf("%s, %+v: it has reached the instance", path, end)
			} else if end.status == 200 && a.header().Get("B") != "" {
				t.Errorf("%s: the instance got %v", path, a.header())
			}
			c.Close()
		}
	}
}
