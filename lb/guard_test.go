package lb

import (
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
