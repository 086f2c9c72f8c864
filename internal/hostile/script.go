package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// Script is an instance that answers one target with the bytes it is told to, and all others with 200 and the target.
type Script struct {
	Addr string // host:port

	listener net.Listener
	all      sync.WaitGroup
	now      atomic.Pointer[Response]

	mu   sync.Mutex
	open map[net.Conn]bool
}

// scripted is the target that gets the bytes.
const scripted = "/scripted"

// NewScript starts one on loopback; Close ends it.
func NewScript() (*Script, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a scripted instance: %w", err)
	}
	s := &Script{Addr: listener.Addr().String(), listener: listener, open: map[net.Conn]bool{}}
	s.all.Go(func() { acceptAll(listener, &s.mu, s.open, &s.all, s.serve) })
	return s, nil
}

// Close ends it with its connections.
func (s *Script) Close() {
	_ = s.listener.Close() // closed once
	s.mu.Lock()
	for c := range s.open {
		_ = c.Close() // it may be closed already
	}
	s.mu.Unlock()
	s.all.Wait()
}

func (s *Script) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		h, err := readHead(in)
		if err != nil {
			return
		}
		if _, err := h.body(in); err != nil {
			return
		}
		request := h.request()
		if r := s.now.Load(); r != nil && request.Target == scripted {
			if _, err := io.WriteString(c, r.Raw); err != nil || r.Close {
				return
			}
			continue
		}
		if _, err := fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(request.Target), request.Target); err != nil {
			return
		}
	}
}

// TryResponse has the instance behind addr answer one client with the response, while its next requests are those of others, and says what was wrong.
// One goroutine at a time.
func (s *Script) TryResponse(addr string, r Response) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	s.now.Store(&r)
	if r.Method == "" {
		r.Method = "GET"
	}
	a, rest, err := ask(addr, r.Method, scripted)
	switch {
	case err != nil:
		if !r.Short {
			say("no answer: %v", err)
		}
	default:
		r.judge(a, rest, say)
	}
	for i := range 4 { // of other clients; what is left of the answer would be the answer to the first of them
		target := fmt.Sprintf("/other-%d", i)
		got, rest, err := ask(addr, "GET", target)
		if err != nil || got.Status != 200 || got.Body != target || rest != "" {
			say("another client asked for %s and got %d %.80q, then %.80q, %v", target, got.Status, got.Body, rest, err)
		}
	}
	return wrong
}

// Ask sends an ordinary GET on a connection of its own.
func Ask(addr, target string) (Answer, error) {
	a, _, err := ask(addr, "GET", target)
	return a, err
}

// ask sends one request on a connection of its own and gives the answer and what came behind it.
func ask(addr, method, target string) (Answer, string, error) {
	c, err := Dial(addr, timeout)
	if err != nil {
		return Answer{}, "", err
	}
	defer c.Close()
	c.Send(method+" "+target+" HTTP/1.1\r\nHost: a.example\r\n\r\n", nil, 0)
	a, err := c.Answer(method)
	if err != nil {
		return a, "", err
	}
	c.End()
	rest, err := c.Rest()
	return a, rest, err
}

func (r *Response) judge(a Answer, rest string, say func(string, ...any)) {
	for _, what := range a.Ambiguous {
		say("the client's answer is ambiguous: %s", what)
	}
	if rest != "" || strings.Contains(a.Body+strings.Join(a.Fields, " "), Stolen) {
		say("the client got more than its answer: %.80q, then %.80q", a.Body, rest)
	}
	refused := a.Status == 502 || a.Status == 504
	switch {
	case refused && (len(r.Bodies) == 0 || r.Short):
	case len(r.Bodies) == 0:
		say("it passed: %d %.80q", a.Status, a.Body)
	case a.Status != r.Status || !a.Whole && !r.Short || !within(a.Body, r.Bodies):
		say("%d %.80q (whole %v), want %d %q", a.Status, a.Body, a.Whole, r.Status, r.Bodies)
	}
}

func within(body string, bodies []string) bool {
	for _, b := range bodies {
		if b == body {
			return true
		}
	}
	return false
}
