//go:build linux

package h1_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// seen is what somebody has read of a request or a response.
type seen struct {
	what    string // method and target, or status
	body    string
	trailer string
}

// fuzzRig is an engine whose origin is scripted anew for each input.
type fuzzRig struct {
	plain
	addr   string // of the engine
	origin *origin
	serve  atomic.Pointer[func(*originConn)]
	served chan struct{}
	to     atomic.Pointer[h1.Origin]
}

// Direct sends every request to the origin of the present input.
func (r *fuzzRig) Direct(t *h1.Trip) h1.Verdict {
	t.To, t.Timeout = r.to.Load(), patience
	return h1.Forward
}

func newFuzzRig(f *testing.F) *fuzzRig {
	f.Helper()
	r := &fuzzRig{served: make(chan struct{}, 1000)}
	r.origin = newOrigin(f, func(c *originConn) {
		(*r.serve.Load())(c)
		c.Close()
		r.served <- struct{}{}
	})
	e, err := h1.New(h1.Options{Director: r, Loops: 1, Limits: h1.Limits{Interim: 5}})
	if err != nil {
		f.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	on, err := e.Listen(ln)
	if err != nil {
		f.Fatal(err)
	}
	r.addr = ln.Addr().String()
	f.Cleanup(func() {
		on.Stop()
		ln.Close()
		_ = e.Close(f.Context()) // nobody waits for what an input left open
	})
	return r
}

// run sends text as a client and gives what comes back, when every connection to the origin has ended.
func (r *fuzzRig) run(t *testing.T, text []byte, serve func(*originConn)) []byte {
	t.Helper()
	r.serve.Store(&serve)
	to := h1.NewOrigin(r.origin.addr)
	r.to.Store(to)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(patience))
	c.Write(text) // a reset shows when reading
	c.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(c)
	if err != nil && !isReset(err) {
		t.Fatalf("after %q: %v", got, err)
	}
	to.Close()
	for dialled, _ := to.Used(); dialled > 0; dialled-- {
		<-r.served
	}
	return got
}

func isReset(err error) bool { return strings.Contains(err.Error(), syscall.ECONNRESET.Error()) }

// readRequests has net/http read requests up to the first that is none.
func readRequests(b []byte) (all []seen) {
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		if end, err := r.Peek(2); err == nil && string(end) == "\r\n" {
			r.Discard(2) // RFC 9112 section 2.2 has servers ignore it
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			return all
		}
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return all
		}
		all = append(all, seen{req.Method + " " + req.RequestURI + " " + req.Host, string(body), fmt.Sprint(req.Trailer)})
	}
}

// FuzzForwardedRequests: what reaches an instance is, byte for byte of the content, what net/http reads of the client's bytes, request for request. What the engine refuses may be
// missing at the end.
func FuzzForwardedRequests(f *testing.F) {
	for _, s := range []string{
		get("/a") + get("/b"), "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\nHost: b\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;q=\"z\"\r\nabc\r\n0\r\nX: y\r\n\r\n" + get("/n"),
		"GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive, x\r\nX: y\r\n\r\n" + get("/b"), "\r\n" + get("/"), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get("/"),
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: Transfer-Encoding, Content-Length, Host\r\n\r\n1\r\na\r\n0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	r := newFuzzRig(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		var got bytes.Buffer // of one connection: the engine has one loop, and requests come one after the other
		r.run(t, b, func(c *originConn) {
			tee := bufio.NewReader(io.TeeReader(c.Conn, &got))
			for {
				req, err := http.ReadRequest(tee)
				if err != nil {
					break
				}
				if _, err := io.Copy(io.Discard, req.Body); err != nil {
					break
				}
				c.say("HTTP/1.1 204 No Content\r\n\r\n")
			}
		})
		want := readRequests(b)
		for i, g := range readRequests(got.Bytes()) {
			if i >= len(want) || g != want[i] {
				t.Fatalf("request %d at the instance is %q, net/http reads %q", i, g, want)
			}
		}
	})
}

// FuzzForwardedResponses: what a client reads of a response is what net/http reads of the instance's bytes; else it is the engine's own refusal, or visibly cut off.
func FuzzForwardedResponses(f *testing.F) {
	for _, s := range []string{
		hello, hello + "more", "HTTP/1.0 102\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.0 200 OK\r\n\r\nx", "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + hello,
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3;a\r\nabc\r\n00\r\nX: y\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n" + hello, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\nContent-Length: 1\n\nx", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
	} {
		f.Add([]byte(s))
	}
	r := newFuzzRig(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 4096 {
			return
		}
		text := r.run(t, []byte(get("/", "Connection: close\r\n")), func(c *originConn) {
			if c.request() != nil {
				c.Write(b)
				c.Conn.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, c.r)
			}
		})
		got, whole := readResponse(t, text)
		if !whole || got.what == "502" {
			return
		}
		if want, ok := readResponse(nil, b); !ok || got != want {
			t.Fatalf("the client reads %q, net/http %q (%v)", got, want, ok)
		}
	})
}

// readResponse has net/http read the first final response. t, if not nil, wants it to be readable.
func readResponse(t *testing.T, b []byte) (seen, bool) {
	r := bufio.NewReader(bytes.NewReader(b))
	for {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			if t != nil && len(b) > 0 {
				t.Fatalf("the client gets %q: %v", b, err)
			}
			return seen{}, false
		}
		if resp.StatusCode < 200 {
			if _, err := r.Peek(1); err != nil {
				return seen{}, false // cut off behind it
			}
			continue
		}
		body, err := io.ReadAll(resp.Body)
		return seen{fmt.Sprint(resp.StatusCode), string(body), fmt.Sprint(resp.Trailer)}, err == nil
	}
}
