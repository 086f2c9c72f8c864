//go:build linux

package h1_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// TestLargeBodiesAreSpliced: a large body with a length goes through the kernel in both directions but for what comes with its head and for its end; one that
// is small, and one in chunks, is copied.
func TestLargeBodiesAreSpliced(t *testing.T) {
	const size, copied = 8 << 20, 512 << 10 // the first read takes a buffer with the head, the last piece is too small
	body := string(pattern(size))
	for name, c := range map[string]struct {
		request, response string
		most, least       int64 // spliced bytes
	}{
		"large request":      {withLength(body), withLength("ok"), size, size - copied},
		"large response":     {withLength(""), withLength(body), size, size - copied},
		"both large":         {withLength(body), withLength(body), 2 * size, 2 * (size - copied)},
		"both small":         {withLength(body[:60_000]), withLength(body[:60_000]), 0, 0},
		"chunks in requests": {"Transfer-Encoding: chunked\r\n\r\n" + chunked([]byte(body), ""), withLength("ok"), 0, 0},
		"and in responses":   {withLength(""), "Transfer-Encoding: chunked\r\n\r\n" + chunked([]byte(body), ""), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var spliced atomic.Int64
			t.Cleanup(h1.CountSplices(&spliced)) // behind the engine's end
			r := newRig(t, func(o *originConn) {
				for {
					req, err := http.ReadRequest(o.r)
					if err != nil {
						return
					}
					if _, err := io.Copy(io.Discard, req.Body); err != nil {
						return
					}
					o.say("HTTP/1.1 200 OK\r\n" + c.response)
				}
			})
			const rounds = 3
			cl := r.dial()
			for range rounds {
				go io.WriteString(cl.TCPConn, "POST / HTTP/1.1\r\nHost: a\r\n"+c.request)
				if resp, _ := cl.answer("POST"); resp.StatusCode != 200 {
					t.Fatal(resp.Status)
				}
			}
			if n := spliced.Load(); n < rounds*c.least || n > rounds*c.most {
				t.Errorf("%d bytes were spliced, want %d to %d", n, rounds*c.least, rounds*c.most)
			}
		})
	}
}

// TestWhatTheClientWasNotGivenIsNotCounted: of a spliced response that is ended on its way, what had only got as far as the pipe does not count as sent.
func TestWhatTheClientWasNotGivenIsNotCounted(t *testing.T) {
	var spliced atomic.Int64
	t.Cleanup(h1.CountSplices(&spliced))
	response := "HTTP/1.1 200 OK\r\n" + withLength(strings.Repeat("x", 16<<20))
	r := newRig(t, func(o *originConn) {
		if o.request() != nil {
			o.say(response)
		}
	})
	c := r.dial()
	c.say(get("/")) // and reads nothing
	last, same := int64(0), 0
	eventually(t, "nothing moves any more", func() bool {
		if n := spliced.Load(); n == 0 || n != last {
			last, same = n, 0
		}
		same++
		return same > 100
	})
	if n, err := r.e.End(func(*h1.Trip) bool { return true }); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	resp, err := http.ReadResponse(c.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := io.Copy(io.Discard, resp.Body)
	r.wait("it is over", func() bool { return len(r.d.done) == 1 })
	if sent := r.d.done[0].sent; sent != got {
		t.Errorf("%d bytes count as sent, the client has got %d", sent, got)
	}
}

func withLength(body string) string {
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}
