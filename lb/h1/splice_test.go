//go:build linux

package h1_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

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

// TestPipesAreBounded: when more clients than that take nothing of their large answers, the rest of the answers is copied. Each client gets its own exactly when it reads.
func TestPipesAreBounded(t *testing.T) {
	const clients, most, empty, size = 100, 64, 16, 1 << 20
	body := pattern(size + clients)
	var asked atomic.Int64
	var spliced atomic.Int64
	t.Cleanup(h1.CountSplices(&spliced))
	r := newRig(t, func(o *originConn) {
		for req := o.request(); req != nil; req = o.request() {
			n, _ := strconv.Atoi(req.URL.Path[1:])
			asked.Add(1)
			o.say("HTTP/1.1 200 OK\r\n" + withLength(string(body[n:n+size])))
		}
	}, func(o *h1.Options) { o.Loops = 1 })
	small := func(_, _ string, raw syscall.RawConn) (err error) { // sockets that take the first read, which is copied, and not much more
		if e := raw.Control(func(fd uintptr) {
			err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 8<<10), syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 64<<10))
		}); e != nil {
			return e
		}
		return err
	}
	ln, err := (&net.ListenConfig{Control: small}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	on, err := r.e.Listen(ln)
	if err != nil {
		t.Fatal(err)
	}
	defer on.Stop()
	before := pipes(t)
	var conns []net.Conn
	for i := range clients {
		c, err := (&net.Dialer{Control: small}).DialContext(t.Context(), "tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(3 * patience))
		io.WriteString(c, get("/"+strconv.Itoa(i)))
		conns = append(conns, c)
	}
	eventually(t, "all answers have begun", func() bool { return asked.Load() == clients && r.d.origin.Open() == clients })
	last, same := int64(-1), 0
	eventually(t, "nothing moves any more", func() bool {
		if n := spliced.Load(); n != last {
			last, same = n, 0
		}
		same++
		return same > 100
	})
	if n := pipes(t) - before; n < most || n > most+empty {
		t.Errorf("%d pipes, want %d, and at most %d empty ones", n, most, empty)
	}
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, body[i:i+size]) {
				t.Errorf("%d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	all.Wait()
	r.wait("all is over", func() bool { return len(r.d.done) == clients })
	if n := pipes(t) - before; n > empty {
		t.Errorf("%d empty pipes are kept, want at most %d", n, empty)
	}
	// The count of those that are in use has come down with them.
	spliced.Store(0)
	c := r.dial()
	c.say(get("/0"))
	if _, got := c.answer("GET"); got != string(body[:size]) || spliced.Load() == 0 {
		t.Errorf("%d bytes, %d of them spliced", len(got), spliced.Load())
	}
}

// pipes is how many this process has.
func pipes(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, f := range files {
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "pipe:") {
			all[to] = true
		}
	}
	return len(all)
}

func withLength(body string) string {
	return fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}
