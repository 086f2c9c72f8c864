package hook

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// dropWait bounds how long Drop waits for the program.
const dropWait = 5 * time.Second

// Hook is a vip.Keeper that has a program do everything; Beside makes it the companion of another one. What it promises, and what not, is in the package's
// description. Its methods may be called by any goroutine.
type Hook struct {
	runner *runner
	now    func() vip.Deadline
	events chan vip.Event

	mu     sync.Mutex
	held   bool
	failed bool // the program has failed since it was asked to take them, and that was told
	until  vip.Deadline
	timer  *time.Timer // runs while held; nil before the first Hold
	closed bool
}

var _ vip.Keeper = (*Hook)(nil)

// New checks the program, and runs it with dropped: what a node that was killed had taken is no more ours. path is absolute, executable, and written to by
// nobody but root and the node's own user, as its directory. The program gets addrs as HOLDFAST_VIP (CIDR@IFACE, spaces between them; none: empty) and node
// as HOLDFAST_NODE. log gets its output and what fails.
func New(path, node string, addrs []vip.Address, log *slog.Logger) (*Hook, error) {
	if err := checkProgram(path); err != nil {
		return nil, err
	}
	p := &program{path: path, node: node, addrs: slices.Clone(addrs), log: log}
	return newHook(newRunner(path, log, p.run)), nil
}

// newHook starts the runner.
func newHook(r *runner) *Hook {
	r.notify(false)
	go r.loop()
	return &Hook{runner: r, now: vip.Now, events: make(chan vip.Event, 16)}
}

// Hold implements vip.Keeper. It returns when the program has been asked for; an error, beside vip.ErrTooLate, is that of the last run of taken, which is
// tried again.
func (h *Hook) Hold(_ context.Context, until vip.Deadline) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return errClosed
	}
	left := until.Sub(h.now())
	if left <= 0 {
		h.expire()
		return vip.ErrTooLate
	}
	h.until = until
	h.held = true
	if h.timer == nil {
		h.timer = time.AfterFunc(left, h.check)
	} else {
		h.timer.Reset(left)
	}
	h.runner.notify(true)
	err := h.runner.err()
	if err != nil && !h.failed { // the manager takes them for held since it has asked
		h.tell("the hook has failed: " + err.Error())
	}
	h.failed = err != nil
	return err
}

// tell says that the addresses are not held any more. h.mu is held.
func (h *Hook) tell(why string) {
	select {
	case h.events <- vip.Event{Kind: vip.EventDropped, Text: why}:
	default: // the reader has events to read that say the same
	}
}

// check looks at the deadline when it may have passed.
func (h *Hook) check() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.held {
		return
	}
	if left := h.until.Sub(h.now()); left > 0 {
		h.timer.Reset(left)
		return
	}
	h.expire()
}

// expire is called with h.mu.
func (h *Hook) expire() {
	if !h.held {
		return
	}
	h.drop()
	h.tell("the lease ran out; the hook is run with dropped")
}

// drop is called with h.mu.
func (h *Hook) drop() {
	h.held, h.failed = false, false
	if h.timer != nil {
		h.timer.Stop()
	}
	h.runner.notify(false)
}

// Prepare implements vip.Keeper: a program cannot.
func (h *Hook) Prepare(context.Context, vip.Deadline) ([]vip.Hop, error) {
	return nil, fmt.Errorf("%w: a hook alone prepares nothing", vip.ErrNoRelay)
}

// Relay implements vip.Keeper: a program cannot.
func (h *Hook) Relay(_ context.Context, to []vip.Hop) error {
	if to == nil {
		return nil
	}
	return fmt.Errorf("%w: a hook alone relays nothing", vip.ErrNoRelay)
}

// Drop implements vip.Keeper. It returns when the program has run, or has not ended after 5 s; an error is that of its first run, which is tried again.
func (h *Hook) Drop(ctx context.Context, _ time.Duration) error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return errClosed
	}
	h.drop()
	h.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, dropWait, fmt.Errorf("the hook has not ended after %v; it goes on", dropWait))
	defer cancel()
	return h.runner.await(ctx)
}

// Announce implements vip.Keeper: there is nothing to announce.
func (h *Hook) Announce(context.Context) error { return nil }

// Probe implements vip.Keeper: nobody can be asked.
func (h *Hook) Probe(context.Context, time.Duration) ([]vip.Claim, error) { return nil, nil }

// Events implements vip.Keeper.
func (h *Hook) Events() <-chan vip.Event { return h.events }

// Close implements vip.Keeper. It has the program run with dropped, once more when that has failed before, and gives its error.
func (h *Hook) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		<-h.runner.over
		return nil
	}
	h.closed = true
	h.drop()
	close(h.events)
	h.mu.Unlock()
	return h.runner.close()
}
