package wire_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// guarded gives the client's end and the guarded server's end of a pipe.
func guarded(t *testing.T) (client, server net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	server, err := wire.NewListener(pipeListener{far}, wire.Limits{}, nil).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close(); server.Close() })
	return near, server
}

// TestServerDeadline lets a deadline of the server pass in the middle of a
// head, as net/http does to stop looking ahead. It beats the guard's own, and
// no byte is lost.
func TestServerDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := guarded(t)
		go write(client, inner[:10])
		p := make([]byte, 4096)
		for range 3 {
			begin := time.Now()
			if err := server.SetReadDeadline(begin.Add(time.Second)); err != nil {
				t.Fatal(err)
			}
			if n, err := server.Read(p); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
				t.Fatalf("Read gives %d, %v after %v", n, err, time.Since(begin))
			}
		}
		if err := server.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		go write(client, inner[10:])
		if n, err := server.Read(p); err != nil || string(p[:n]) != inner {
			t.Errorf("Read gives %q, %v", p[:n], err)
		}
		client.Close()
	})
}

// TestSealed checks that nothing follows the guard's answer.
func TestSealed(t *testing.T) {
	client, server := guarded(t)
	answer := make(chan string, 1)
	go func() {
		write(client, "x\r\n")
		p := make([]byte, 4096)
		n, _ := client.Read(p)
		answer <- string(p[:n])
	}()
	p := make([]byte, 4096)
	for range 2 {
		if n, err := server.Read(p); n != 0 || !errors.Is(err, io.EOF) {
			t.Fatalf("Read gives %d, %v", n, err)
		}
	}
	if got := <-answer; got[:12] != "HTTP/1.1 400" {
		t.Errorf("answer %q", got)
	}
	if n, err := server.Write([]byte("more")); n != 0 || !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write gives %d, %v, want %v", n, err, net.ErrClosed)
	}
}

// TestOneMessagePerRead is what the order of answers rests on.
func TestOneMessagePerRead(t *testing.T) {
	client, server := guarded(t)
	const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n"
	go write(client, post+"hi"+inner+inner)
	p := make([]byte, 4096)
	for _, want := range []string{post, "hi", inner, inner} {
		if n, err := server.Read(p); err != nil || string(p[:n]) != want {
			t.Fatalf("Read gives %q, %v; want %q", p[:n], err, want)
		}
	}
}
