package lb

import (
	"io"
	"net"
	"net/http"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// TestHalfClosedClientsFailOver: a client that has ended its stream behind its request has it sent to another instance like any other, once a loop has begun to send it; and an
// instance does not go out of service by connections on which it may have heard of the end.
func TestHalfClosedClientsFailOver(t *testing.T) {
	if netOnly {
		return // which takes the end of the stream for the client's
	}
	a := newApp(t, "i1", nil)
	r := newRig(t, bare(inst("dead", deadURL(t)), inst("i1", a.URL)))
	for range 20 {
		c := dialRaw(t, r)
		c.write("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		c.Conn.(*net.TCPConn).CloseWrite()
		got := c.response()
		if body, err := io.ReadAll(got.Body); got.StatusCode != 200 || err != nil || string(body) != "i1" {
			t.Fatalf("%d %q %v", got.StatusCode, body, err)
		}
		if rest, err := io.ReadAll(c.in); len(rest) > 0 || err != nil {
			t.Errorf("behind the response: %q %v", rest, err)
		}
		c.Close()
	}
	r.wait("nothing in flight", func() bool { return r.status("c1", "i1").InFlight == 0 })

	// One that gives up, with an end or a reset, is asked no more often than twice, and not blamed.
	for _, resets := range []bool{false, true} {
		o := newOrigin(t, func(c *net.TCPConn, q *http.Request, _ int64) bool {
			if q.URL.Path == "/ready" {
				io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
				return true
			}
			io.Copy(io.Discard, c) // to the end
			if resets {
				c.SetLinger(0)
			}
			return false
		})
		cc := bare(inst("i1", o.url))
		cc.Clusters[0].ResponseTimeout = config.Duration(2e9)
		r := newRig(t, cc)
		for range 5 {
			c := dialRaw(t, r)
			c.write("GET /gives-up HTTP/1.1\r\nHost: h\r\n\r\n")
			c.Close()
		}
		r.wait("nothing in flight", func() bool { return o.hits.Load() >= 5 && r.status("c1", "i1").InFlight == 0 })
		if s := r.status("c1", "i1"); s.Health != "up" && s.Health != "unknown" {
			t.Errorf("by resets %v: %+v", resets, s)
		}
	}
}
