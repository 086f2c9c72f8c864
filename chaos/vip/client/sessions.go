package client

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// workers is how many clients make sessions, or come back with them, at once.
const workers = 24

// Sessions are many sessions that have been assigned, each with the instance that its client was told.
type Sessions struct {
	Path string
	all  []session
}

type session struct{ id, instance string }

// MakeSessions makes n sessions at the address. The path is one under which only the balancer's table knows the instance of a session.
func MakeSessions(ctx context.Context, dial Dial, address, path string, n int) (*Sessions, error) {
	s := &Sessions{Path: path, all: make([]session, n)}
	err := each(ctx, n, func(ctx context.Context, w *worker, i int) error {
		answer, err := w.patient(ctx, dial, address, Ask{Path: path})
		if err != nil {
			return fmt.Errorf("make session %d: %w", i, err)
		}
		if answer.Set == "" || answer.Instance == "" {
			return fmt.Errorf("make session %d: the answer has no session: %+v", i, answer)
		}
		s.all[i] = session{answer.Set, answer.Instance}
		return nil
	})
	return s, err
}

// Len is how many there are.
func (s *Sessions) Len() int { return len(s.all) }

// Ask is a request of the i-th session, counted in a circle.
func (s *Sessions) Ask(i int) Ask {
	of := s.all[i%len(s.all)]
	return Ask{Path: s.Path, Session: of.id, Instance: of.instance}
}

// Check sends one request of every session. Who gets no answer tries again until ctx ends; an answer of another instance than the session's is an error.
// It returns how many sessions went to their instances.
func (s *Sessions) Check(ctx context.Context, dial Dial, address string) (right int, err error) {
	var n atomic.Int64
	err = each(ctx, len(s.all), func(ctx context.Context, w *worker, i int) error {
		answer, err := w.patient(ctx, dial, address, s.Ask(i))
		switch {
		case err != nil:
			return fmt.Errorf("session %d: %w", i, err)
		case answer.New:
			return fmt.Errorf("session %d: %s does not know it", i, answer.Instance)
		}
		n.Add(1)
		return nil
	})
	return int(n.Load()), err
}

// Relearn takes the instances that the sessions are at now for right, so that what one round broke is not found again in the next. Nobody may use the sessions meanwhile.
func (s *Sessions) Relearn(ctx context.Context, dial Dial, address string) error {
	return each(ctx, len(s.all), func(ctx context.Context, w *worker, i int) error {
		answer, err := w.patient(ctx, dial, address, Ask{Path: s.Path, Session: s.all[i].id})
		if err != nil {
			return fmt.Errorf("session %d: %w", i, err)
		}
		s.all[i].instance = answer.Instance
		if answer.Set != "" { // an instance that did not know it has begun another
			s.all[i].id = answer.Set
		}
		return nil
	})
}

// each does n pieces of work, several at once, and stops at the first error of each worker.
func each(ctx context.Context, n int, do func(context.Context, *worker, int) error) error {
	var next atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, workers)
	for k := range workers {
		all.Go(func() {
			w := &worker{}
			defer w.close()
			for errs[k] == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				errs[k] = do(ctx, w, i)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// worker keeps a connection.
type worker struct {
	c net.Conn
	r *bufio.Reader
}

func (w *worker) close() {
	if w.c != nil {
		_ = w.c.Close()
		w.c = nil
	}
}

// patient asks until there is an answer, or one of a wrong instance.
func (w *worker) patient(ctx context.Context, dial Dial, address string, ask Ask) (Answer, error) {
	for {
		answer, err := w.try(ctx, dial, address, ask)
		if err == nil || errors.Is(err, errWrong) {
			return answer, err
		}
		if ctx.Err() != nil {
			return answer, errors.Join(ctx.Err(), err)
		}
		pause(ctx, 5*time.Millisecond)
	}
}

func (w *worker) try(ctx context.Context, dial Dial, address string, ask Ask) (a Answer, err error) {
	if w.c == nil {
		limited, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		w.c, err = dial(limited, address)
		cancel()
		if err != nil {
			w.c = nil
			return a, fmt.Errorf("connect: %w", err)
		}
		w.r = bufio.NewReaderSize(w.c, 1024)
	}
	_ = w.c.SetDeadline(time.Now().Add(time.Second))
	a, err = over(w.c, w.r, address, ask, false)
	if err != nil || a.Last {
		w.close()
	}
	return a, err
}
