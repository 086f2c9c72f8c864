package lb

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/config"
)

// origin is a scripted instance: for each request a connection and the head of the request are handed to serve, which answers, or does
// not. The connection goes on while serve says so.
type origin struct {
	url   string
	ln    net.Listener
	hits  atomic.Int64
	conns atomic.Int64

	mu   sync.Mutex
	open map[net.Conn]bool
	last *http.Request
}

type serveFunc func(c *net.TCPConn, r *http.Request, nth int64) (goOn bool)

func newOrigin(t testing.TB, serve serveFunc) *origin {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &origin{url: "http://" + ln.Addr().String(), ln: ln, open: map[net.Conn]bool{}}
	var all sync.WaitGroup
	t.Cleanup(func() {
		o.stop()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, syscall.EMFILE) { // a test has taken the process's descriptors
				<-time.After(time.Millisecond)
				continue
			}
			if err != nil {
				return
			}
			o.mu.Lock()
			o.open[c] = true
			o.mu.Unlock()
			all.Go(func() {
				defer func() {
					c.Close()
					o.mu.Lock()
					delete(o.open, c)
					o.mu.Unlock()
				}()
				in := bufio.NewReader(c)
				for first := true; ; first = false {
					r, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					if first {
						o.conns.Add(1)
					}
					o.mu.Lock()
					o.last = r
					o.mu.Unlock()
					if !serve(c.(*net.TCPConn), r, o.hits.Add(1)) {
						return
					}
				}
			})
		}
	})
	return o
}

// stop makes the instance vanish with all its connections.
func (o *origin) stop() {
	o.ln.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	for c := range o.open {
		c.Close()
	}
}

func (o *origin) header(name string) []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.last.Header[name]
}

// echo answers with a name and the body of the request.
func echo(name string) serveFunc {
	return func(c *net.TCPConn, r *http.Request, _ int64) bool {
		if r.Header.Get("Expect") != "" {
			io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n")
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return false
		}
		text := name + ":" + string(body)
		fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(text))
		if r.Method != http.MethodHead {
			io.WriteString(c, text)
		}
		return true
	}
}

// reset reads the whole request and breaks the connection.
func reset(c *net.TCPConn, r *http.Request, _ int64) bool {
	io.Copy(io.Discard, r.Body)
	c.SetLinger(0)
	return false
}

// hang reads the whole request and never answers.
func hang(c *net.TCPConn, r *http.Request, _ int64) bool {
	io.Copy(io.Discard, r.Body)
	io.Copy(io.Discard, c)
	return false
}

func answer(text string) serveFunc {
	return func(c *net.TCPConn, r *http.Request, _ int64) bool {
		io.Copy(io.Discard, r.Body)
		io.WriteString(c, text)
		return true
	}
}

// bare is a configuration without affinity and without active checks.
func bare(instances ...config.Instance) *config.Config {
	c := conf(instances...)
	cl := &c.Clusters[0]
	cl.Affinity.Type, cl.Health.Type, cl.BodyBuffer = "none", "none", 64<<10
	cl.ResponseTimeout = config.Duration(10 * time.Second)
	return c
}

// firstOn sends a request built by make until origin o is the first that gets it, and gives the reply to that one.
func firstOn(t testing.TB, o *origin, make func() *http.Request) reply {
	t.Helper()
	for range 4 {
		before := o.hits.Load()
		if got := newClient(t).do(make()); o.hits.Load() > before {
			return got
		}
	}
	t.Fatal("the instance never got a request")
	return reply{}
}

// request makes a request; fields are "Name: value".
func request(t testing.TB, method, url, body string, fields ...string) *http.Request {
	t.Helper()
	var src io.Reader
	if body != "" {
		src = io.MultiReader(strings.NewReader(body)) // hides the length: chunks
	}
	r, err := http.NewRequest(method, url, src)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		r.Header.Set(name, value)
	}
	return r
}
