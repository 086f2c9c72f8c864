package wire_test

import (
	"io"
	"net"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// TestDetach takes a connection away between two requests, with what has been read of the next one.
func TestDetach(t *testing.T) {
	const next = "GET /next HTTP/1.1\r\nHo"
	_, server := guarded(t)
	c := server.(*wire.Conn)
	p := make([]byte, 4096)
	if _, ok := c.Detach(); !ok {
		t.Error("not from a connection on which nothing has come")
	}

	var client net.Conn
	client, server = guarded(t)
	c = server.(*wire.Conn)
	go write(client, inner+next)
	if n, err := server.Read(p); err != nil || string(p[:n]) != inner {
		t.Fatalf("Read gives %q, %v", p[:n], err)
	}
	rest, ok := c.Detach()
	if !ok || string(rest) != next {
		t.Errorf("Detach gives %q, %v", rest, ok)
	}
	if n, err := server.Read(p); n != 0 || err != io.EOF {
		t.Errorf("Read gives %d, %v afterwards", n, err)
	}
}

// TestDetachNotInTheMiddle leaves a connection with a message under way, a refused one and one whose upgrade is not decided as they are.
func TestDetachNotInTheMiddle(t *testing.T) {
	for name, request := range map[string]string{
		"body":    "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12",
		"chunks":  "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12",
		"upgrade": "GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		client, server := guarded(t)
		go write(client, request)
		p := make([]byte, 4096)
		if _, err := server.Read(p); err != nil {
			t.Fatal(name, err)
		}
		if rest, ok := server.(*wire.Conn).Detach(); ok {
			t.Errorf("%s: taken away, with %q", name, rest)
		}
	}
}
