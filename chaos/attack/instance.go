package attack

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
)

// Good is an ordinary instance: /good/large has 1 MiB, all else two bytes, and bodies are read to their end.
func Good() *httptest.Server {
	large := bytes.Repeat([]byte("x"), 1<<20)
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return
		}
		if r.URL.Path == "/good/large" {
			_, _ = w.Write(large) // who does not take it needs no more
			return
		}
		_, _ = io.WriteString(w, "ok")
	}))
}

// Bad is an instance that does something wrong with each request, one trick after the other.
type Bad struct {
	Addr string // host:port

	tricks   []Trick
	listener net.Listener
	all      sync.WaitGroup
	requests atomic.Int64

	mu   sync.Mutex
	open map[net.Conn]bool
}

// Trick is one thing that an instance can do wrong with a request.
type Trick struct {
	Name string
	do   func(*net.TCPConn) bool // the connection ends after those that return false
}

// Tricks are what Bad does.
var Tricks = []Trick{
	{"closes early", func(*net.TCPConn) bool { return false }},
	{"answers twice", func(c *net.TCPConn) bool {
		return send(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nSTOLEN")
	}},
	{"sends garbage", func(c *net.TCPConn) bool { return send(c, "\x00\xff\x01garbage\r\n\r\n") }},
	{"resets in the middle of a body", func(c *net.TCPConn) bool {
		send(c, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nhalf")
		_ = c.SetLinger(0) // what follows is a reset either way
		return false
	}},
	{"stalls", func(c *net.TCPConn) bool { // until the other side gives up
		_, _ = io.Copy(io.Discard, c)
		return false
	}},
	{"ends in the middle of its head", func(c *net.TCPConn) bool {
		send(c, "HTTP/1.1 200 OK\r\nContent-Le")
		return false
	}},
	{"never ends its head", func(c *net.TCPConn) bool {
		for range 1 << 10 {
			if !send(c, "X: "+string(bytes.Repeat([]byte("x"), 16<<10))+"\r\n") {
				break
			}
		}
		return false
	}},
}

func send(c *net.TCPConn, text string) bool {
	_, err := io.WriteString(c, text)
	return err == nil
}

// NewBad starts one on loopback; Close ends it.
func NewBad(tricks ...Trick) (*Bad, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Bad{Addr: listener.Addr().String(), tricks: tricks, listener: listener, open: map[net.Conn]bool{}}
	b.all.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			b.mu.Lock()
			b.open[c] = true
			b.mu.Unlock()
			b.all.Go(func() { b.serve(c.(*net.TCPConn)) })
		}
	})
	return b, nil
}

func (b *Bad) serve(c *net.TCPConn) {
	defer func() {
		_ = c.Close() // the other side may have been faster
		b.mu.Lock()
		delete(b.open, c)
		b.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		if _, err := http.ReadRequest(in); err != nil {
			return
		}
		if !b.tricks[int(b.requests.Add(1))%len(b.tricks)].do(c) {
			return
		}
	}
}

// Requests is how many have come.
func (b *Bad) Requests() int { return int(b.requests.Load()) }

// Close ends it with its connections.
func (b *Bad) Close() {
	_ = b.listener.Close() // closed once
	b.mu.Lock()
	for c := range b.open {
		_ = c.Close() // it may be closed already
	}
	b.mu.Unlock()
	b.all.Wait()
}
