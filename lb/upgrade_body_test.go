package lb

import (
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
)

// switches answers every request with 101 and echoes what follows, whether it reads the body before or leaves that unread.
func switches(reads bool) serveFunc {
	return func(c *net.TCPConn, q *http.Request, _ int64) bool {
		if reads {
			io.Copy(io.Discard, q.Body)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
		io.Copy(c, c)
		return false
	}
}

// TestTunnelHoldsNoBody: what was kept of the body of a request with Upgrade is given back when its tunnel begins, in whichever framing it came, and the tunnel goes on.
func TestTunnelHoldsNoBody(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, switches(true)).url)))
	for _, head := range []string{
		"Content-Length: 3\r\n\r\nabc", "Idempotency-Key: a\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000), "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
	} {
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n" + head)
		if got := c.response(); got.StatusCode != 101 {
			t.Fatal(got.StatusCode)
		}
		r.wait("the tunnel holds nothing", func() bool { return r.b.keeping.held.Load() == 0 })
		for range 2 {
			c.write("ping")
			got := make([]byte, 4)
			if _, err := io.ReadFull(c.in, got); err != nil || string(got) != "ping" {
				t.Fatalf("%q %v", got, err)
			}
		}
		c.Close()
		r.wait("the tunnel has ended", func() bool { return r.status("c1", "i1").InFlight == 0 })
		if n := r.b.keeping.held.Load(); n != 0 {
			t.Errorf("%d bytes are held", n)
		}
	}
}

// TestTunnelBeforeTheBody: an instance that switches before it has got the body leaves nobody behind who waits for that, whether its client waits to be invited or
// not. What the client sends later goes through the tunnel.
func TestTunnelBeforeTheBody(t *testing.T) {
	r := newRig(t, bare(inst("i1", newOrigin(t, switches(false)).url)))
	for _, head := range []string{"Expect: 100-continue\r\nContent-Length: 4\r\n\r\n", "Content-Length: 4\r\n\r\n", "Idempotency-Key: a\r\nContent-Length: 4\r\n\r\n"} {
		for range 20 {
			c := dialRaw(t, r)
			c.write("POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n" + head)
			got := c.response()
			for got.StatusCode == 100 { // the invitation may be a moment faster
				got = c.response()
			}
			if got.StatusCode != 101 {
				t.Fatal(got.StatusCode)
			}
			c.write("ping")
			echoed := make([]byte, 4)
			if _, err := io.ReadFull(c.in, echoed); err != nil || string(echoed) != "ping" {
				t.Fatalf("%q: %q %v", head, echoed, err)
			}
			c.Close()
		}
	}
	r.wait("the tunnels have ended", func() bool { return r.status("c1", "i1").InFlight == 0 })
	r.wait("nobody waits for a body", func() bool { return !runs("lb.(*bodyAttempt).Read") })
	if n := r.b.keeping.held.Load(); n != 0 {
		t.Errorf("%d bytes are held", n)
	}
}

// runs reports whether a goroutine is in that function.
func runs(name string) bool {
	stacks := make([]byte, 1<<20)
	return strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), name)
}
