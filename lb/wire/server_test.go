package wire_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// counter is the Stats of the tests.
type counter struct {
	mu  sync.Mutex
	all []*wire.Error
	hit chan *wire.Error // if not nil
}

func (c *counter) Violation(e *wire.Error) {
	c.mu.Lock()
	c.all = append(c.all, e)
	c.mu.Unlock()
	if c.hit != nil {
		c.hit <- e
	}
}

func (c *counter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// recorder is a handler that notes what reached it.
type recorder struct {
	mu   sync.Mutex
	seen []string // "METHOD target bytes-of-body"
}

func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	n, err := io.Copy(io.Discard, req.Body)
	r.mu.Lock()
	r.seen = append(r.seen, fmt.Sprintf("%s %s %d", req.Method, req.RequestURI, n))
	r.mu.Unlock()
	if err != nil {
		status := http.StatusInternalServerError
		if v := wire.Violation(req.Context(), errors.New("replaced by a transport")); v != nil {
			status = v.Status
		}
		http.Error(w, "violation", status)
		return
	}
	for name, value := range req.Trailer {
		w.Header().Set("Seen-"+name, strings.Join(value, ","))
	}
	fmt.Fprintf(w, "%s %s %d", req.Method, req.RequestURI, n)
}

func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	seen := r.seen
	r.seen = nil
	return seen
}

// serve starts net/http behind the guard on a loopback port.
func serve(t testing.TB, h http.Handler, l wire.Limits, s wire.Stats) string {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, wire.NewListener(inner, l, s), h)
	return inner.Addr().String()
}

func serveOn(t testing.TB, l net.Listener, h http.Handler) {
	t.Helper()
	server := &http.Server{Handler: h, ConnContext: wire.ConnContext, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("serve: %v", err)
		}
	})
}

// client is a raw connection that no test waits for longer than a minute.
type client struct {
	*net.TCPConn
	in *bufio.Reader
	t  testing.TB
}

func dial(t testing.TB, addr string) *client {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &client{TCPConn: c.(*net.TCPConn), in: bufio.NewReader(c), t: t}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.TCPConn, s); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// response reads one response to a request with the method, with its body.
func (c *client) response(method string) (*http.Response, string, error) {
	res, err := http.ReadResponse(c.in, &http.Request{Method: method})
	if err != nil {
		return nil, "", err
	}
	body, err := io.ReadAll(res.Body)
	return res, string(body), err
}

// want reads a response and checks status and body; "" is any body.
func (c *client) want(method string, status int, body string) *http.Response {
	c.t.Helper()
	res, got, err := c.response(method)
	if err != nil {
		c.t.Fatalf("response to %s: %v", method, err)
	}
	if res.StatusCode != status || body != "" && got != body {
		c.t.Fatalf("response to %s: %d %q, want %d %q", method, res.StatusCode, got, status, body)
	}
	return res
}

// ended checks that nothing more comes, and that the end is not a reset.
func (c *client) ended() {
	c.t.Helper()
	if rest, err := io.ReadAll(c.in); err != nil || len(rest) > 0 {
		c.t.Fatalf("after the last response: %q, %v; want the end of the stream", rest, err)
	}
}

// finish reads all responses until the server closes.
func (c *client) finish() (statuses []int, last *http.Response, body string) {
	c.t.Helper()
	for {
		res, text, err := c.response("GET")
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) && res == nil {
			return statuses, last, body
		}
		if err != nil {
			c.t.Fatalf("after %v: %v", statuses, err)
		}
		statuses, last, body = append(statuses, res.StatusCode), res, text
	}
}

func TestCorpus(t *testing.T) {
	if len(corpus) < 330 {
		t.Fatalf("the corpus has %d requests, want at least 330", len(corpus))
	}
	t.Logf("%d hostile requests", len(corpus))
	origin, stats := new(recorder), new(counter)
	addr := serve(t, origin, wire.Limits{}, stats)
	const good = "GET /good HTTP/1.1\r\nHost: a.example\r\n\r\n"
	ways := []struct {
		name  string
		first string
		step  int // bytes a write, 0: all at once
	}{{"at once", "", 0}, {"byte by byte", "", 1}, {"pipelined", good, 0}, {"pipelined in pieces", good, 7}}
	for _, h := range corpus {
		for _, way := range ways {
			t.Run(h.Name+"/"+way.name, func(t *testing.T) {
				before := stats.count()
				c := dial(t, addr)
				sendSplit(c, way.first+h.Raw, way.step)
				got, last, body := c.finish()
				want, seen := []int{h.Status}, 0
				if way.first != "" {
					want, seen = []int{200, h.Status}, 1
				}
				if h.Body {
					seen++
				}
				if !slices.Equal(got, want) {
					t.Fatalf("answers %v, want %v", got, want)
				}
				if reached := origin.take(); len(reached) != seen {
					t.Errorf("the server saw %q, want %d requests", reached, seen)
				}
				if n := stats.count() - before; n != 1 {
					t.Errorf("%d violations counted, want 1", n)
				}
				checkRefusal(t, last, body, h.Body)
			})
		}
	}
}

// sendSplit sends and closes for writing. The server may have hung up before
// the end, so errors mean nothing; what it answers is what counts.
func sendSplit(c *client, s string, step int) {
	if step == 0 {
		step = len(s)
	}
	for piece := range slices.Chunk([]byte(s), step) {
		if _, err := c.Write(piece); err != nil {
			break
		}
	}
	_ = c.CloseWrite()
}

func checkRefusal(t *testing.T, res *http.Response, body string, byHandler bool) {
	t.Helper()
	if !res.Close {
		t.Error("the refusal has no Connection: close")
	}
	if byHandler {
		return
	}
	if got := res.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/plain") {
		t.Errorf("Content-Type %q, want text/plain", got)
	}
	if !slices.Contains(wire.Reasons(), strings.TrimSuffix(body, "\n")) {
		t.Errorf("body %q, want one of the fixed reasons", body)
	}
	if res.Header.Get("Date") == "" {
		t.Error("the refusal has no Date (RFC 9110 section 6.6.1)")
	}
}
