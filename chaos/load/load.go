package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/chaos/ledger"
)

// Target is one node that takes traffic.
type Target struct {
	Node string
	Addr string // host:port
}

// Kind is one way in which sessions are recognised.
type Kind struct {
	Name string // the name of its cluster
	// ContextRoot is that of its module.
	ContextRoot string
	// Path is what is asked for. The application there answers as internal/sampleapp does.
	Path string
	// Cookie is the cookie of the load balancer that forgers forge; empty: nobody forges this kind.
	Cookie string
	// Upload is how many bytes a request brings at most, in a POST: 0 for a GET. The application tells what has arrived.
	Upload int
	// Socket is where a WebSocket of the session is opened now and then in the place of a request; empty: never.
	Socket string
}

// Options of a load.
type Options struct {
	Targets []Target
	Seed    uint64
	// Attempt bounds one attempt, Patience a whole request with its retries. Defaults: 5 s and 30 s.
	Attempt, Patience time.Duration
	// Dial connects to a target; nil: as usual.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Seen is told of each request when it has ended, by the worker that made it and before that goes on; it may be nil.
	Seen func(Request)
}

// Load is a set of users against a group.
type Load struct {
	Ledger *ledger.Ledger
	Record Record

	options  Options
	mu       sync.Mutex
	workers  int
	sessions []*Session
}

// New makes a load that has not begun.
func New(o Options) *Load {
	if o.Attempt == 0 {
		o.Attempt = 5 * time.Second
	}
	if o.Patience == 0 {
		o.Patience = 30 * time.Second
	}
	return &Load{Ledger: ledger.New(), options: o}
}

// dial connects to a target, at most until the deadline.
func (l *Load) dial(addr string, deadline time.Time) (net.Conn, error) {
	if l.options.Dial == nil {
		dialer := net.Dialer{Deadline: deadline}
		return dialer.Dial("tcp", addr)
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	return l.options.Dial(ctx, "tcp", addr)
}

// Session is one user. One worker at a time may use it.
type Session struct {
	Kind  Kind
	Jar   Jar
	Entry *ledger.Entry // nil before the first answer

	sent int // POSTs that the application may have executed since it knows the session
	old  old // the cookie from before its last move
}

// Sessions gives every user so far that got an answer, those of probes and attackers included.
func (l *Load) Sessions() []*Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Session(nil), l.sessions...)
}

// told opens the entry of a new user with the first answer.
func (l *Load) told(s *Session, answer ledger.Answer) {
	s.Entry = l.Ledger.Told(s.Kind.Name, answer)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sessions = append(l.sessions, s)
}

// Worker is one client: its own connections, its own random numbers.
type Worker struct {
	load   *Load
	random *rand.Rand
	conns  []*conn // by target, nil when there is none
	prefix string
	number int
	sent   uint64
	due    time.Time // of the next request; zero: when it is sent
}

// Worker makes the next worker; the n-th worker of a seed always draws the same numbers.
func (l *Load) Worker() *Worker {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.workers++
	return &Worker{
		load: l, random: rand.New(rand.NewPCG(l.options.Seed, uint64(l.workers))),
		conns: make([]*conn, len(l.options.Targets)), prefix: fmt.Sprintf("%d-", l.workers), number: l.workers,
	}
}

// Close closes the worker's connections.
func (w *Worker) Close() {
	for i, c := range w.conns {
		if c != nil {
			c.close()
			w.conns[i] = nil
		}
	}
}

// Random is the worker's own source of random numbers.
func (w *Worker) Random() *rand.Rand { return w.random }
