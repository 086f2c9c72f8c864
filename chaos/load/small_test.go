package load

import (
	"bufio"
	"strings"
	"testing"
	"time"
)

func TestJar(t *testing.T) {
	var j Jar
	for _, header := range []string{
		"JSESSIONID=A.i1; Path=/learn; HttpOnly", "HOLDFAST=x=y", "JSESSIONID=B.i2; Path=/", "broken", "=none", "GONE=1", "GONE=; Max-Age=0",
		"NEVER=; max-age=-1", "KEPT=1; Max-Age=60",
	} {
		j.Take(header)
	}
	if got, want := j.Header(), "JSESSIONID=B.i2; HOLDFAST=x=y; KEPT=1"; got != want {
		t.Errorf("header %q, want %q", got, want)
	}
	if j.Get("JSESSIONID") != "B.i2" || j.Get("GONE") != "" {
		t.Errorf("values %q %q", j.Get("JSESSIONID"), j.Get("GONE"))
	}
}

func TestLatencies(t *testing.T) {
	var l Latencies
	for i := range 1000 {
		l.Add(time.Duration(i+1) * time.Millisecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 500 * time.Millisecond, 0.99: 990 * time.Millisecond, 1: time.Second} {
		if got := l.Quantile(q); got < want || got > want*9/8 {
			t.Errorf("quantile %v is %v", q, got)
		}
	}
	if l.Longest() != time.Second || l.Count() != 1000 {
		t.Errorf("longest %v of %d", l.Longest(), l.Count())
	}
	l.Add(0)
	l.Add(100 * time.Hour)
	if (&Latencies{}).Quantile(0.5) != 0 {
		t.Error("an empty histogram has a median")
	}
}

// FuzzResponse: whatever a node sends, the client reads it or refuses it; it never hangs or panics.
func FuzzResponse(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: A=B\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\r\ngone", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1", "\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "HTTP/1.1 2x0 OK\r\n\r\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c := &conn{reader: bufio.NewReader(strings.NewReader(text))}
		r, err := c.read()
		if err == nil && len(r.body) > maxBody {
			t.Errorf("a body of %d bytes", len(r.body))
		}
	})
}

func TestResponses(t *testing.T) {
	for text, want := range map[string]string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}":                            "{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n": "{}",
		"HTTP/1.1 503 No\r\nConnection: close\r\n\r\ngone":                          "gone",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}":                            "error",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n":                             "error",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n":          "error",
		"garbage\r\n\r\n": "error",
	} {
		c := &conn{reader: bufio.NewReader(strings.NewReader(text))}
		r, err := c.read()
		got := string(r.body)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: got %q, %v", text, got, err)
		}
	}
}
