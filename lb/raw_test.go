package lb

import (
	"bufio"
	"net"
	"net/http"
	"testing"
	"time"
)

// rawConn is a client that speaks the bytes it is told to.
type rawConn struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
}

func dialRaw(t testing.TB, r *rig) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", r.addr())
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	t.Cleanup(func() { conn.Close() })
	return &rawConn{conn, t, bufio.NewReader(conn)}
}

func (c *rawConn) write(s string) {
	c.t.Helper()
	if _, err := c.Conn.Write([]byte(s)); err != nil {
		c.t.Fatal(err)
	}
}

// response reads the next response's head; its body is not read.
func (c *rawConn) response() *http.Response {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return resp
}
