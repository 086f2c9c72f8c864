package hook

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestMain: the test binary is also what runs the programs, and a node that is killed.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && processes[os.Args[1]] != nil {
		status, err := processes[os.Args[1]](os.Args[2:])
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
		os.Exit(status)
	}
	goleak.VerifyTestMain(m)
}

// processes are what the test binary is when its first argument is this.
var processes = map[string]func(args []string) (int, error){Command: Main, "hook-node": nodeProcess}

// nodeProcess is a node that runs a program, as long as that may take.
func nodeProcess(args []string) (int, error) {
	limit, err := time.ParseDuration(args[1])
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	return 0, of(args[0]).run(ctx, taken)
}

const ms = time.Millisecond

// runs is a program in a bubble of synctest: it notes when it was run with what, takes as long as it is told to, and fails when told to.
type runs struct {
	mu    sync.Mutex
	begin time.Time
	notes []string
	takes time.Duration
	fails error
}

func (r *runs) exec(ctx context.Context, word string) error {
	r.mu.Lock()
	takes, fails := r.takes, r.fails
	r.mu.Unlock()
	r.note(word)
	select {
	case <-time.After(takes):
		return fails
	case <-ctx.Done():
		r.note(word + " killed")
		return context.Cause(ctx)
	}
}

func (r *runs) note(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes = append(r.notes, fmt.Sprintf("%d %s", time.Since(r.begin).Milliseconds(), text))
}

func (r *runs) set(takes time.Duration, fails error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes, r.fails = takes, fails
}

func (r *runs) want(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.notes, want) {
		t.Errorf("got  %q\nwant %q", r.notes, want)
	}
}

func inBubble(t *testing.T, f func(t *testing.T, h *runner, r *runs)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &runs{begin: time.Now()}
		h := newRunner("/hook", slog.New(slog.DiscardHandler), r.exec)
		go h.loop()
		f(t, h, r)
		_ = h.close()
	})
}

// TestTheLastWishWins: runs do not overlap, and what was wished for in between is left out.
func TestTheLastWishWins(t *testing.T) {
	inBubble(t, func(t *testing.T, h *runner, r *runs) {
		r.set(100*ms, nil)
		h.notify(false)
		time.Sleep(ms)
		for range 10 {
			h.notify(true)
			h.notify(false)
		}
		h.notify(true)
		time.Sleep(time.Second)
		r.want(t, "0 dropped", "100 taken")
		h.notify(true) // it is
		time.Sleep(time.Second)
		r.want(t, "0 dropped", "100 taken")
	})
}

// TestTakenThatIsOvertakenIsKilled: it could take the address back from the next holder. It has to be undone although dropped was the last that had run.
func TestTakenThatIsOvertakenIsKilled(t *testing.T) {
	inBubble(t, func(t *testing.T, h *runner, r *runs) {
		h.notify(false)
		r.want(t, "0 dropped")
		r.set(10*time.Second, nil)
		h.notify(true)
		time.Sleep(time.Second)
		h.notify(false)
		time.Sleep(time.Minute)
		r.want(t, "0 dropped", "0 taken", "1000 taken killed", "1000 dropped")
	})
}

// TestAFailureIsTriedAgain: less and less often, while the wish stands.
func TestAFailureIsTriedAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, h *runner, r *runs) {
		broken := errors.New("the API is down")
		r.set(0, broken)
		h.notify(true)
		if err := h.await(t.Context()); !errors.Is(err, broken) {
			t.Error(err)
		}
		time.Sleep(7500 * ms)
		r.want(t, "0 taken", "1000 taken", "3000 taken", "7000 taken")
		h.notify(false)
		synctest.Wait()
		r.set(0, nil)
		time.Sleep(10 * time.Second)
		r.want(t, "0 taken", "1000 taken", "3000 taken", "7000 taken", "7500 dropped", "8500 dropped")
		if err := errors.Join(h.err(), h.await(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

// TestARunThatTakesTooLong: it is killed, and counts as failed.
func TestARunThatTakesTooLong(t *testing.T) {
	inBubble(t, func(t *testing.T, h *runner, r *runs) {
		r.set(time.Hour, nil)
		h.notify(true)
		if err := h.await(t.Context()); err == nil || err.Error() != "the hook /hook taken took longer than 30s and was killed" {
			t.Error(err)
		}
		r.want(t, "0 taken", "30000 taken killed")
		r.set(0, nil)
	})
}

// TestCloseHasTheLastWishRun: once more when it has failed; and nothing runs after it.
func TestCloseHasTheLastWishRun(t *testing.T) {
	inBubble(t, func(t *testing.T, h *runner, r *runs) {
		r.set(100*ms, nil)
		h.notify(true)
		h.notify(false)
		if err := h.close(); err != nil {
			t.Error(err)
		}
		h.notify(true)
		time.Sleep(time.Minute)
		r.want(t, "0 dropped")
	})
	inBubble(t, func(t *testing.T, h *runner, r *runs) {
		broken := errors.New("the API is down")
		r.set(0, broken)
		h.notify(false)
		time.Sleep(500 * ms)
		if err := h.close(); !errors.Is(err, broken) {
			t.Error(err)
		}
		r.want(t, "0 dropped", "500 dropped")
	})
	inBubble(t, func(t *testing.T, h *runner, r *runs) { // nothing was wished for
		if err := h.close(); err != nil {
			t.Error(err)
		}
		r.want(t)
	})
}

// TestAwaitEnds: with its context, and when the wish is another one.
func TestAwaitEnds(t *testing.T) {
	inBubble(t, func(t *testing.T, h *runner, r *runs) {
		r.set(time.Second, nil)
		h.notify(true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*ms)
		defer cancel()
		if err := h.await(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.AfterFunc(10*ms, func() { h.notify(false) })
		if err := h.await(t.Context()); !errors.Is(err, errOvertaken) {
			t.Error(err)
		}
	})
}
