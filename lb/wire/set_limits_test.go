package wire_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// Limits change under a connection that is there.
func TestLimitsChangeBetweenRequests(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	guarded := wire.NewListener(inner, wire.Limits{Head: 8 << 10}, nil)
	serveOn(t, guarded, &recorder{})
	c := dial(t, inner.Addr().String())
	read := func(want int) {
		t.Helper()
		got, err := http.ReadResponse(c.in, nil)
		if err != nil || got.StatusCode != want {
			t.Fatalf("%v %v, want %d", got, err, want)
		}
		if _, err := io.Copy(io.Discard, got.Body); err != nil {
			t.Fatal(err)
		}
	}
	send := func(parts ...string) {
		t.Helper()
		if _, err := io.WriteString(c, strings.Join(parts, "")); err != nil {
			t.Fatal(err)
		}
	}
	field := func(n int) string { return "X: " + strings.Repeat("a", n) + "\r\n" }
	const start, end = "GET / HTTP/1.1\r\nHost: h\r\n", "\r\n"

	send(start, field(6000), end)
	read(200)
	guarded.SetLimits(wire.Limits{Head: 60 << 10})
	send(start, field(50_000), end)
	read(200)
	guarded.SetLimits(wire.Limits{Head: 2 << 10, Target: 100})
	send(start, field(1000), end, start, field(1500), end) // two at once
	read(200)
	read(200)
	guarded.SetLimits(wire.Limits{Head: 65535, Lines: 128})
	send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", start, field(30_000), end)
	read(200)
	read(200)
	guarded.SetLimits(wire.Limits{Head: 1 << 10})
	send(start, field(2000), end)
	read(431)
}

// A head in work keeps the limits that it began with; the next one has the new ones.
func TestLimitsChangeInsideOfAHead(t *testing.T) {
	client, far := net.Pipe()
	defer client.Close()
	guarded := wire.NewListener(pipeListener{far}, wire.Limits{Head: 60 << 10}, nil)
	conn, err := guarded.Accept()
	if err != nil {
		t.Fatal(err)
	}
	heads := make(chan int)
	go func() {
		defer close(heads)
		in := bufio.NewReader(conn)
		for {
			r, err := http.ReadRequest(in)
			if err != nil {
				return
			}
			n := 0
			for _, v := range r.Header["X"] {
				n += len(v)
			}
			heads <- n
		}
	}()
	write := func(s string) {
		t.Helper()
		if _, err := io.WriteString(client, s); err != nil { // returns when all of it has been read
			t.Fatal(err)
		}
	}
	write("GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 5000))
	guarded.SetLimits(wire.Limits{Head: 2 << 10})
	write(strings.Repeat("a", 40_000) + "\r\n\r\n")
	if n := <-heads; n != 45_000 {
		t.Errorf("%d bytes of the head arrived", n)
	}
	write("GET / HTTP/1.1\r\nHost: h\r\nX: " + strings.Repeat("a", 1000) + "\r\n\r\n")
	if n := <-heads; n != 1000 {
		t.Errorf("%d bytes of the head arrived", n)
	}
	go io.WriteString(client, "GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("a", 3000)+"\r\n\r\n")
	got, err := http.ReadResponse(bufio.NewReader(client), nil)
	if err != nil || got.StatusCode != 431 {
		t.Errorf("%v %v", got, err)
	}
	client.Close()
	if n, ok := <-heads; ok {
		t.Errorf("a head of %d bytes passed", n)
	}
}
