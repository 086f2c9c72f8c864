package load

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// Storm is a rush of new sessions.
type Storm struct {
	Kinds    []Kind // drawn with equal chances
	Sessions int    // how many to make
	Workers  int    // how many clients at once
	// Rate is how many sessions begin in a second at most; 0: as fast as the clients get answers.
	Rate float64
	// Repeats is the largest number of requests that a worker sends for sessions of its own after each new one; from 0 on,
	// drawn.
	Repeats int
	// ForgeEvery lets every so many-th session with a forgeable cookie be attacked; 0: none.
	ForgeEvery int
	// Made is called with the number of sessions so far after each new one, from any worker; it may be nil.
	Made func(sessions int)
}

// Storm makes the sessions through all nodes. The error joins the requests that never got an answer, the first of each
// worker; the storm goes on after them.
func (l *Load) Storm(ctx context.Context, storm Storm) error {
	var left, made atomic.Int64
	left.Store(int64(storm.Sessions))
	began := time.Now()
	errs := make([]error, storm.Workers)
	var all sync.WaitGroup
	for i := range storm.Workers {
		w := l.Worker()
		all.Go(func() {
			defer w.Close()
			var own []*Session
			for ctx.Err() == nil {
				n := left.Add(-1)
				if n < 0 {
					return
				}
				if storm.Rate > 0 {
					due := time.Duration(float64(int64(storm.Sessions)-n-1) / storm.Rate * float64(time.Second))
					pause(ctx, due-time.Since(began))
					w.Due(began.Add(due))
				}
				s, err := w.Start(ctx, storm.Kinds[w.random.IntN(len(storm.Kinds))], Any)
				if err != nil {
					errs[i] = first(errs[i], err)
					continue
				}
				own = append(own, s)
				if n := int(made.Add(1)); storm.Made != nil {
					storm.Made(n)
				}
				errs[i] = first(errs[i], w.stir(ctx, storm, own))
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// stir sends what follows a new session: requests of known ones, and now and then a forgery.
func (w *Worker) stir(ctx context.Context, storm Storm, own []*Session) error {
	newest := own[len(own)-1]
	if storm.ForgeEvery > 0 && newest.Kind.Cookie != "" && len(own)%storm.ForgeEvery == 0 {
		if err := w.Forge(ctx, newest); err != nil {
			return err
		}
	}
	if storm.Repeats == 0 {
		return nil
	}
	for range w.random.IntN(storm.Repeats + 1) {
		if err := w.Visit(ctx, own[w.random.IntN(len(own))], Any); err != nil {
			return err
		}
	}
	return nil
}

func first(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// Revisit sends one request of every session through a node, one node after the other, and of every so many-th session
// (1: all) through all nodes. The error joins the first request of each worker that got no answer.
func (l *Load) Revisit(ctx context.Context, sessions []*Session, workers, everywhere int) error {
	var next atomic.Int64
	errs := make([]error, workers)
	nodes := len(l.options.Targets)
	var all sync.WaitGroup
	for i := range workers {
		w := l.Worker()
		all.Go(func() {
			defer w.Close()
			for ctx.Err() == nil {
				n := int(next.Add(1)) - 1
				if n >= len(sessions) {
					return
				}
				visits := 1
				if n%everywhere == 0 {
					visits = nodes
				}
				for at := range visits {
					errs[i] = first(errs[i], w.Visit(ctx, sessions[n], (n+at)%nodes))
				}
			}
		})
	}
	all.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}
