package chaos

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/stage"
)

// steady is clients that never try anything again: whatever does not work for them is counted, by what it was. They are cheap, so that a machine that also has the nodes, the instances and other
// work keeps their pace; who is late sends the next request at once.
type steady struct {
	requests, dials atomic.Int64
	// secure gives the address of a node's listener with TLS, trust what is believed there; nil: all is in clear text. Else all kept connections are by TLS, and no others are made.
	secure func(*group.Node) string
	trust  *tls.Config

	mu     sync.Mutex
	faults map[string]int
}

func (s *steady) fault(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults == nil {
		s.faults = map[string]int{}
	}
	s.faults[fmt.Sprintf(format, args...)]++
}

// pace lets something happen so often: on the average, also after it was held up.
type pace struct {
	every time.Duration
	due   time.Time
	timer *time.Timer
}

func newPace(every time.Duration) *pace {
	p := &pace{every: every, due: time.Now(), timer: time.NewTimer(time.Hour)}
	p.timer.Stop()
	return p
}

// next waits for the time, or for the end of ctx.
func (p *pace) next(ctx context.Context) {
	p.due = p.due.Add(p.every)
	left := time.Until(p.due)
	if left <= 0 {
		return
	}
	p.timer.Reset(left)
	select {
	case <-p.timer.C:
	case <-ctx.Done():
		p.timer.Stop()
	}
}

// simpleAnswer is as much of an answer as matters here.
type simpleAnswer struct {
	status           int
	last             bool // Connection: close
	cookie, instance string
}

// readSimple reads one that has a length.
func readSimple(r *bufio.Reader) (a simpleAnswer, err error) {
	length := -1
	for first := true; ; first = false {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return a, err
		}
		line = bytes.TrimRight(line, "\r\n")
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case first && len(line) > 12:
			a.status, err = strconv.Atoi(string(line[9:12]))
		case len(line) == 0 && length < 0:
			return a, errors.New("an answer without a length")
		case len(line) == 0:
			body, err := r.Peek(length)
			_, rest, _ := bytes.Cut(body, []byte(`"instance":"`))
			is, _, _ := bytes.Cut(rest, []byte(`"`))
			a.instance = string(is)
			if err == nil {
				_, err = r.Discard(length)
			}
			return a, err
		case bytes.EqualFold(name, []byte("Content-Length")):
			length, err = strconv.Atoi(string(value))
		case bytes.EqualFold(name, []byte("Connection")):
			a.last = bytes.EqualFold(value, []byte("close"))
		case bytes.EqualFold(name, []byte("Set-Cookie")) && bytes.HasPrefix(value, []byte(stage.Insert.Cookie+"=")):
			cookie, _, _ := bytes.Cut(value, []byte(";"))
			a.cookie = string(cookie)
		}
		if err != nil {
			return a, err
		}
	}
}

// connect opens a connection to a node.
func (s *steady) connect(n *group.Node) (net.Conn, error) {
	if s.trust == nil {
		return net.Dial("tcp", n.Traffic)
	}
	return tls.Dial("tcp", s.secure(n), s.trust)
}

// keep sends requests of one session over one connection after the other, one each interval, until ctx ends. Only a connection whose last answer said so is replaced.
func (s *steady) keep(ctx context.Context, n *group.Node, every time.Duration) {
	p := newPace(every)
	request, instance := []byte("GET "+stage.Insert.Path+" HTTP/1.1\r\nHost: a.example\r\n\r\n"), ""
	var c net.Conn
	var r *bufio.Reader
	for ctx.Err() == nil {
		if c == nil {
			var err error
			if c, err = s.connect(n); err != nil {
				s.fault("refused: %v", err)
				return
			}
			s.dials.Add(1)
			r = bufio.NewReader(c)
		}
		_ = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, err := c.Write(request)
		var a simpleAnswer
		if err == nil {
			a, err = readSimple(r)
		}
		if err != nil {
			s.fault("no answer on a kept connection: %v", err)
			return
		}
		s.requests.Add(1)
		if a.status != 200 {
			s.fault("status %d", a.status)
		}
		if a.cookie != "" {
			request = []byte("GET " + stage.Insert.Path + " HTTP/1.1\r\nHost: a.example\r\nCookie: " + a.cookie + "\r\n\r\n")
		}
		if instance != "" && a.instance != instance {
			s.fault("a session of %s at %s", instance, a.instance)
		}
		instance = a.instance
		if a.last {
			_ = c.Close()
			c = nil
		}
		p.next(ctx)
	}
	if c != nil {
		_ = c.Close()
	}
}

// knock connects each interval, and sends one request over each connection.
func (s *steady) knock(ctx context.Context, addr string, every time.Duration) {
	p := newPace(every)
	var all sync.WaitGroup
	defer all.Wait()
	room := make(chan struct{}, 100)
	request := []byte("GET " + stage.Plain.Path + " HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n")
	for ctx.Err() == nil {
		room <- struct{}{}
		all.Go(func() {
			defer func() { <-room }()
			c, err := net.Dial("tcp", addr)
			if err != nil {
				s.fault("refused: %v", err)
				return
			}
			defer c.Close()
			s.dials.Add(1)
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			_, err = c.Write(request)
			var a simpleAnswer
			if err == nil {
				a, err = readSimple(bufio.NewReader(c))
			}
			switch {
			case err != nil:
				s.fault("no answer on a new connection: %v", err)
			case a.status != 200:
				s.fault("status %d on a new connection", a.status)
			}
		})
		p.next(ctx)
	}
}

// run sends 2,000 requests a second over kept connections to all nodes, and in clear text connects a thousand times a second, while do runs.
func (s *steady) run(t *testing.T, ctx context.Context, g *group.Group, do func()) {
	t.Helper()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all sync.WaitGroup
	const each = 20 // connections to each node
	for _, n := range g.Nodes {
		for range each {
			all.Go(func() { s.keep(ctx, n, time.Duration(each*len(g.Nodes))*time.Second/2000) })
		}
		if s.trust == nil {
			all.Go(func() { s.knock(ctx, n.Traffic, time.Duration(len(g.Nodes))*time.Millisecond) })
		}
	}
	began := time.Now()
	do()
	stop()
	all.Wait()
	took := time.Since(began).Seconds()
	s.mu.Lock()
	defer s.mu.Unlock()
	failed := 0
	for what, n := range s.faults {
		t.Errorf("%d times %s", n, what)
		failed += n
	}
	t.Logf("%d requests on kept connections (%.0f a second), %d new connections (%.0f a second), %d failed or refused", s.requests.Load(), float64(s.requests.Load())/took, s.dials.Load(),
		float64(s.dials.Load())/took, failed)
}

// TestReadSimple: what cannot be judged is an error, and nothing of the next answer is taken.
func TestReadSimple(t *testing.T) {
	good := "HTTP/1.1 200 OK\r\ncontent-length: 17\r\nset-cookie: HOLDFAST=x; Path=/\r\nConnection: close\r\n\r\n{\"instance\":\"i1\"}"
	r := bufio.NewReader(bytes.NewReader([]byte(good + good)))
	for range 2 {
		a, err := readSimple(r)
		if err != nil || a != (simpleAnswer{200, true, "HOLDFAST=x", "i1"}) {
			t.Fatalf("%+v %v", a, err)
		}
	}
	if _, err := readSimple(r); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	for _, bad := range []string{"HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", good[:len(good)-1], good[:40]} {
		if a, err := readSimple(bufio.NewReader(bytes.NewReader([]byte(bad)))); err == nil {
			t.Errorf("%q: %+v", bad, a)
		}
	}
}
