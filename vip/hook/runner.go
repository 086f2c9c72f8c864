package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// runTime is how long one run of the program may take.
const runTime = 30 * time.Second

// The pause before a run that failed is tried again doubles between these.
const retryFirst, retryMost = time.Second, 30 * time.Second

// runner runs the program, one run after the other. Its methods may be called by any goroutine.
type runner struct {
	path string
	log  *slog.Logger
	exec func(ctx context.Context, word string) error // one run
	over chan struct{}                                // closed when loop has ended

	mu      sync.Mutex
	wish    string
	done    string // what the last run has reached; empty: nobody knows
	failed  error  // of the last run for the wish, nil when it did well
	closed  bool
	changed chan struct{} // closed and made anew at each change of the above
	stop    context.CancelCauseFunc
	running string
}

// The arguments of the program.
const (
	taken   = "taken"
	dropped = "dropped"
)

var (
	errOvertaken = errors.New("the addresses are not wanted here any more")
	errClosed    = errors.New("the hook is closed")
)

// newRunner has run nothing yet. loop is to be started.
func newRunner(path string, log *slog.Logger, exec func(ctx context.Context, word string) error) *runner {
	return &runner{path: path, log: log, exec: exec, over: make(chan struct{}), changed: make(chan struct{})}
}

// notify has the program run with taken or dropped, if that is not what it was last run with. It does not wait.
func (r *runner) notify(isTaken bool) {
	word := dropped
	if isTaken {
		word = taken
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.wish == word {
		return
	}
	r.wish, r.failed = word, nil
	if r.running == taken && word == dropped { // it could finish after the next holder's
		r.stop(errOvertaken)
	}
	r.change()
}

// change is called with r.mu.
func (r *runner) change() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until the last wish has come true, and gives an error when a run for it has failed (it is tried again all the same), when the wish has
// changed, or when ctx ends.
func (r *runner) await(ctx context.Context) error {
	r.mu.Lock()
	wish := r.wish
	r.mu.Unlock()
	for {
		r.mu.Lock()
		now, done, failed, closed, changed := r.wish, r.done, r.failed, r.closed, r.changed
		r.mu.Unlock()
		switch {
		case done == wish:
			return nil
		case now != wish:
			return errOvertaken
		case failed != nil:
			return failed
		case closed:
			select {
			case <-r.over:
				return errClosed
			default:
			}
		}
		select {
		case <-changed:
		case <-r.over:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// err gives the error of the last run for the last wish; nil: there was none.
func (r *runner) err() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}

// close ends the runner when the last wish has come true, or when one more run for it has failed, which is its error. It may take as long as two runs.
func (r *runner) close() error {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		r.change()
	}
	r.mu.Unlock()
	<-r.over
	return r.err()
}

// loop runs what is wished for, one run after the other.
func (r *runner) loop() {
	defer close(r.over)
	var pause time.Duration
	for {
		r.mu.Lock()
		wish, done, closed, changed := r.wish, r.done, r.closed, r.changed
		r.mu.Unlock()
		if wish == done {
			if closed {
				return
			}
			<-changed
			continue
		}
		err := r.attempt(wish)
		r.mu.Lock()
		overtaken, closing, changed := r.wish != wish, r.closed, r.changed
		r.mu.Unlock()
		switch {
		case err == nil || overtaken:
			pause = 0
		case closed: // that was the last one
			return
		case !closing:
			pause = min(max(2*pause, retryFirst), retryMost)
			timer := time.NewTimer(pause)
			select {
			case <-timer.C:
			case <-changed: // another wish, or the end
				timer.Stop()
				pause = 0
			}
		}
	}
}

// attempt runs the program once.
func (r *runner) attempt(word string) error {
	ctx, cancel := context.WithTimeoutCause(context.Background(), runTime, fmt.Errorf("the hook %s %s took longer than %v and was killed", r.path, word, runTime))
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.mu.Lock()
	if r.wish != word {
		r.mu.Unlock()
		return errOvertaken
	}
	r.running, r.stop, r.done = word, stop, "" // from here on nobody knows
	r.mu.Unlock()
	err := r.exec(ctx, word)
	r.mu.Lock()
	r.running, r.stop = "", nil
	if err == nil {
		r.done = word
	}
	if r.wish == word {
		r.failed = err
	}
	r.change()
	r.mu.Unlock()
	if err != nil {
		r.log.Error("the virtual addresses' hook has failed", "argument", word, "error", err)
	} else {
		r.log.Info("the virtual addresses' hook has run", "argument", word)
	}
	return err
}
