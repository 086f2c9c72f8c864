package lb

import (
	"io"
	"net"
	"net/http"
	"testing"
)

// TestInvitationAndInterimResponses: an instance that says 100 and at once 103 has both reach the client whole, the invitation once.
func TestInvitationAndInterimResponses(t *testing.T) {
	o := newOrigin(t, func(c *net.TCPConn, q *http.Request, _ int64) bool {
		io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n")
		body, _ := io.ReadAll(q.Body)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n"+string(body))
		return true
	})
	r := newRig(t, bare(inst("i1", o.url)))
	for range 100 {
		c := dialRaw(t, r)
		c.write("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n")
		invited, links := 0, ""
		for {
			got := c.response()
			switch got.StatusCode {
			case 100:
				invited++
				c.write("body")
				continue
			case 103:
				links += got.Header.Get("Link")
				continue
			}
			if body, err := io.ReadAll(got.Body); got.StatusCode != 200 || err != nil || string(body) != "body" || invited != 1 || links != "</a></b>" {
				t.Fatalf("%d %q %v; invited %d times, %q", got.StatusCode, body, err, invited, links)
			}
			break
		}
		c.Close()
	}
}
