package hostile

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
)

// Seen is one request as it arrived at an Origin.
type Seen struct {
	Method, Target, Version string
	Fields                  []string // "name: value", names in lower case
	Framing                 Framing
	Body                    string
	// Whole says that the body came to its end.
	Whole bool
	// Ambiguous lists what a second reader could read in another way; empty is what everybody wants.
	Ambiguous []string
}

// Origin is an instance that reads with no leniency at all, writes down what arrives, and answers every whole request with 200 and "METHOD TARGET LENGTH".
// Connections persist, so what one request leaves behind would be taken for the next one.
type Origin struct {
	Addr string // host:port

	listener net.Listener
	all      sync.WaitGroup

	mu   sync.Mutex
	open map[net.Conn]bool
	seen []Seen
}

// NewOrigin starts one on loopback; Close ends it.
func NewOrigin() (*Origin, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start an origin: %w", err)
	}
	o := &Origin{Addr: listener.Addr().String(), listener: listener, open: map[net.Conn]bool{}}
	o.all.Go(func() { acceptAll(listener, &o.mu, o.open, &o.all, o.serve) })
	return o, nil
}

// acceptAll serves connections until the listener is closed; open has those that are.
func acceptAll(listener net.Listener, mu *sync.Mutex, open map[net.Conn]bool, all *sync.WaitGroup, serve func(net.Conn)) {
	for {
		c, err := listener.Accept()
		if err != nil {
			return
		}
		mu.Lock()
		open[c] = true
		mu.Unlock()
		all.Go(func() {
			serve(c)
			_ = c.Close() // the peer may have closed it
			mu.Lock()
			delete(open, c)
			mu.Unlock()
		})
	}
}

// Close ends the origin with its connections.
func (o *Origin) Close() {
	_ = o.listener.Close() // closed once
	o.mu.Lock()
	for c := range o.open {
		_ = c.Close() // it may be closed already
	}
	o.mu.Unlock()
	o.all.Wait()
}

// Take gives what has arrived since the last call, in the order of the ends.
func (o *Origin) Take() []Seen {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := o.seen
	o.seen = nil
	return all
}

func (o *Origin) note(s Seen) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seen = append(o.seen, s)
}

func (o *Origin) serve(c net.Conn) {
	in := bufio.NewReader(c)
	for {
		h, err := readHead(in)
		if err == io.EOF {
			return
		}
		if err != nil {
			o.note(Seen{Ambiguous: []string{err.Error()}})
			return
		}
		s := h.request()
		if expects := h.values("expect"); len(expects) > 0 && strings.EqualFold(expects[0], "100-continue") {
			_, _ = io.WriteString(c, "HTTP/1.1 100 Continue\r\n\r\n") // a failure comes again
		}
		body, err := h.body(in)
		s.Body, s.Whole, s.Ambiguous = body, err == nil, h.ambiguous
		o.note(s)
		if err != nil || len(s.Ambiguous) > 0 {
			return
		}
		text := fmt.Sprintf("%s %s %d", s.Method, s.Target, len(s.Body))
		answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(text))
		if s.Method != "HEAD" {
			answer += text
		}
		if _, err := io.WriteString(c, answer); err != nil {
			return
		}
	}
}

// request reads the first line.
func (h *head) request() Seen {
	parts := strings.Split(h.first, " ")
	if len(parts) != 3 {
		h.suspect("request line %.80q", h.first)
		parts = append(parts, "", "", "")
	}
	s := Seen{Method: parts[0], Target: parts[1], Version: parts[2], Fields: h.fields, Framing: h.framing}
	if s.Version != "HTTP/1.1" && s.Version != "HTTP/1.0" || strings.ContainsAny(s.Target, "#\t\x00") || s.Target == "" {
		h.suspect("request line %.80q", h.first)
	}
	if hosts := h.values("host"); len(hosts) != 1 {
		h.suspect("Host %q", hosts)
	}
	return s
}
