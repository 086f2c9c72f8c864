package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

const (
	// overdue is how long after the deadline the parent gives the child to say that the addresses are gone, before it kills it and removes them itself.
	// On a busy machine the kernel itself may take tens of milliseconds, and would take them for us as well.
	overdue = 100 * time.Millisecond
	// dropTime is how long Drop waits for the child before it does the same.
	dropTime = 250 * time.Millisecond
	// The first restart of a child comes at once; the pause before the next ones doubles.
	restartFirst, restartMost = 20 * time.Millisecond, 2 * time.Second
	maxEvents                 = 64
)

// Guard is the parent's end: a vip.Keeper. Unlike others, its methods may be called by any number of goroutines at once, so that the lease can be renewed
// while a relay is being set up.
type Guard struct {
	options Options
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	over    chan struct{} // supervise has returned

	mu      sync.Mutex
	child   *process      // nil: there is none now
	changed chan struct{} // closed when child or closed changes
	closed  bool
	failed  error // why the last child could not be started; nil when it was
	// due is when the child must have dropped the addresses, unless it is told otherwise before; 0: they are not there. order counts the requests that
	// set it, so that an answer to an older one does not clear it.
	due      vip.Deadline
	order    uint64
	watching bool
	excused  bool // watch has waited once more, because this process had not run
	lingerTo time.Time

	cleaning sync.Mutex

	eventsMu sync.Mutex
	events   chan vip.Event
	noEvents bool
}

var _ vip.Keeper = (*Guard)(nil)

// Start starts the child and gives the parent's end. It fails when the addresses cannot be held on this machine.
func Start(o Options) (*Guard, error) {
	listener, err := duplicate(o.Listener)
	o.Listener = listener
	o, oerr := o.settled()
	if err = errors.Join(err, oerr); err != nil {
		return nil, errors.Join(err, closeListener(o))
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := &Guard{options: o, ctx: ctx, cancel: cancel, over: make(chan struct{}), changed: make(chan struct{}), events: make(chan vip.Event, maxEvents)}
	child, err := startProcess(ctx, o, g.noted)
	if err != nil {
		cancel()
		return nil, errors.Join(err, closeListener(o))
	}
	g.child = child
	go g.supervise(child)
	return g, nil
}

// duplicate gives a duplicate of a listener's file, or nil of none, that can be handed to a child as it is: what net gives makes the socket a blocking one
// when it is handed over, which would be the node's own socket too.
func duplicate(f *os.File) (*os.File, error) {
	if f == nil {
		return nil, nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	if cerr := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil || err != nil {
		return nil, fmt.Errorf("duplicate the peer listener: %w", errors.Join(cerr, err))
	}
	return os.NewFile(uintptr(fd), "peer listener"), nil
}

func closeListener(o Options) error {
	if o.Listener == nil {
		return nil
	}
	return o.Listener.Close()
}

// supervise replaces children that end.
func (g *Guard) supervise(child *process) {
	defer close(g.over)
	for child != nil {
		<-child.ended
		g.mu.Lock()
		closed := g.closed
		g.setChild(nil)
		g.mu.Unlock()
		if closed { // it may take its time to end
			select {
			case <-child.gone:
			case <-time.After(goodbyeTime):
			}
		}
		child.kill()
		<-child.gone
		if closed {
			return
		}
		err := g.clean()
		g.options.Logger.Error("the guard process has ended; the addresses were taken off, and a new one is started", "how", child.cmd.ProcessState.String(), "error", err)
		g.emit(vip.Event{Kind: vip.EventLost, Text: "the guard process has ended: " + child.cmd.ProcessState.String()})
		child = g.restart()
	}
}

// restart starts a child, however often that takes; nil: the guard was closed.
func (g *Guard) restart() *process {
	for pause := time.Duration(0); ; pause = min(max(2*pause, restartFirst), restartMost) {
		select {
		case <-time.After(pause):
		case <-g.ctx.Done():
			return nil
		}
		child, err := startProcess(g.ctx, g.options, g.noted)
		if err != nil {
			g.mu.Lock()
			g.failed = err // before the log says so: who reads it there may ask
			g.mu.Unlock()
			if g.ctx.Err() == nil {
				g.options.Logger.Error("no new guard process", "error", err)
			}
			continue
		}
		g.mu.Lock()
		closed := g.closed
		if !closed {
			g.setChild(child)
		}
		g.mu.Unlock()
		if closed {
			child.kill()
			<-child.gone
			return nil
		}
		return child
	}
}

// setChild is called with g.mu.
func (g *Guard) setChild(child *process) {
	g.child, g.due, g.failed = child, 0, nil // a new one holds nothing; what the old one held is taken off by clean
	close(g.changed)
	g.changed = make(chan struct{})
}

// clean takes off, in this process, what a child that has ended left.
func (g *Guard) clean() error {
	g.cleaning.Lock()
	defer g.cleaning.Unlock()
	logf := func(format string, args ...any) { g.options.Logger.Info(fmt.Sprintf(format, args...)) }
	machine, err := g.options.Open(g.options.Addresses, logf)
	if err != nil {
		return fmt.Errorf("remove what the guard process left (the kernel does it within %v): %w", g.options.KernelLease, err)
	}
	return errors.Join(machine.Remove(), machine.Close())
}

// running gives the child, and waits for a new one when there is none, at most until the deadline.
func (g *Guard) running(ctx context.Context, until vip.Deadline) (*process, error) {
	var late <-chan time.Time
	for {
		g.mu.Lock()
		child, changed, closed, failed := g.child, g.changed, g.closed, g.failed
		g.mu.Unlock()
		switch {
		case closed:
			return nil, ErrClosed
		case child != nil:
			return child, nil
		case until == 0:
			return nil, ErrLost
		}
		if late == nil {
			timer := time.NewTimer(until.Sub(vip.Now()))
			defer timer.Stop()
			late = timer.C
		}
		select {
		case <-changed:
		case <-late:
			if failed != nil {
				return nil, fmt.Errorf("%w while there was no guard process: %w", vip.ErrTooLate, failed)
			}
			return nil, fmt.Errorf("%w while there was no guard process", vip.ErrTooLate)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// Hold implements vip.Keeper. After an error the addresses may be there, until the deadline at most; Drop makes sure that they are not. While the guard
// process is being restarted it waits for the new one, until the deadline.
func (g *Guard) Hold(ctx context.Context, until vip.Deadline) error {
	_, err := g.until(ctx, kindHold, until)
	return err
}

// Prepare implements vip.Keeper.
func (g *Guard) Prepare(ctx context.Context, until vip.Deadline) ([]vip.Hop, error) {
	a, err := g.until(ctx, kindPrepare, until)
	return a.hops, err
}

func (g *Guard) until(ctx context.Context, k kind, until vip.Deadline) (answer, error) {
	if until <= 0 {
		return answer{}, vip.ErrTooLate
	}
	child, err := g.running(ctx, until)
	if err != nil {
		return answer{}, err
	}
	order := g.expect(child, until, 0)
	a, err := g.call(ctx, child, k, encodeTime(until), answerTime)
	switch {
	case a.free:
		g.expectNothing(order)
	case err == nil:
		g.expect(child, until, order) // a word of an older deadline may have crossed the request
	}
	return a, err
}

// expect has the child watched: by the deadline it must have dropped the addresses. It gives the order of the request; one that is not 0 is that of an
// earlier call, which is forgotten when there was a later one.
func (g *Guard) expect(child *process, until vip.Deadline, order uint64) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.child != child || order != 0 && order != g.order {
		return order
	}
	if order == 0 {
		g.order++
	}
	g.due = until
	if !g.watching {
		g.watching = true
		time.AfterFunc(until.Sub(vip.Now())+overdue, g.watch)
	}
	return g.order
}

func (g *Guard) expectNothing(order uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if order == g.order {
		g.due = 0
	}
}

// watch kills a child that has not dropped the addresses when it had to: it is frozen, or its machine does not obey.
func (g *Guard) watch() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.due == 0 || g.child == nil {
		g.watching, g.excused = false, false
		return
	}
	left := g.due.After(overdue).Sub(vip.Now())
	switch {
	case left > 0:
		g.excused = false
	case left < -overdue/4 && !g.excused: // this process was frozen, or starved: what the child has said meanwhile is still to be read
		g.excused, left = true, overdue
	}
	if left > 0 {
		time.AfterFunc(left, g.watch)
		return
	}
	g.watching, g.excused = false, false
	g.options.Logger.Error("the guard process has not dropped the addresses in time: it is killed", "late", vip.Now().Sub(g.due))
	g.due = 0
	g.child.kill()
}

// call is child.call; a child that does not answer at all is killed.
func (g *Guard) call(ctx context.Context, child *process, k kind, body []byte, limit time.Duration) (answer, error) {
	a, err := child.call(ctx, k, body, limit)
	if errors.Is(err, errStuck) {
		g.options.Logger.Error("the guard process does not answer: it is killed", "after", limit)
		child.kill()
	}
	return a, err
}

// Relay implements vip.Keeper.
func (g *Guard) Relay(ctx context.Context, to []vip.Hop) error {
	if len(to) > maxHops {
		return fmt.Errorf("%d hops are more than %d", len(to), maxHops)
	}
	child, err := g.running(ctx, 0)
	if err != nil {
		if to == nil && errors.Is(err, ErrLost) {
			return nil
		}
		return err
	}
	_, err = g.call(ctx, child, kindRelay, appendHops(nil, to), answerTime)
	return err
}

// Drop implements vip.Keeper. It goes on after ctx has ended: at most 250 ms until the guard process has obeyed. When the guard process does not obey it is killed, and the addresses are taken off by this one.
func (g *Guard) Drop(_ context.Context, linger time.Duration) error {
	if linger < 0 || linger > maxWait {
		return fmt.Errorf("a relay cannot linger for %v, only for 0 to %v", linger, maxWait)
	}
	child, err := g.running(context.Background(), 0) // does not wait
	if errors.Is(err, ErrLost) {
		return g.clean()
	}
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.order++
	order := g.order
	g.lingerTo = time.Now().Add(linger)
	g.mu.Unlock()
	a, err := child.call(context.Background(), kindDrop, encodeTime(linger), dropTime)
	if a.free {
		g.expectNothing(order)
		return nil
	}
	g.options.Logger.Error("the guard process has not dropped the addresses: it is killed", "error", err)
	child.kill()
	<-child.gone
	return g.clean()
}

// Announce implements vip.Keeper.
func (g *Guard) Announce(ctx context.Context) error {
	child, err := g.running(ctx, 0)
	if err != nil {
		return err
	}
	_, err = g.call(ctx, child, kindAnnounce, nil, answerTime)
	return err
}

// Probe implements vip.Keeper. It ends with an error when the addresses are taken meanwhile, or a preparation begins or ends.
func (g *Guard) Probe(ctx context.Context, wait time.Duration) ([]vip.Claim, error) {
	if wait < 0 || wait > maxWait {
		return nil, fmt.Errorf("a probe cannot wait for %v, only for 0 to %v", wait, maxWait)
	}
	child, err := g.running(ctx, 0)
	if err != nil {
		return nil, err
	}
	a, err := g.call(ctx, child, kindProbe, encodeTime(wait), wait+answerTime)
	return a.claims, err
}

// Events implements vip.Keeper.
func (g *Guard) Events() <-chan vip.Event { return g.events }

// noted passes on what a child tells.
func (g *Guard) noted(n note) {
	if n.gone {
		g.mu.Lock()
		g.due = 0
		g.mu.Unlock()
	}
	g.emit(n.Event)
}

// emit never waits: a reader that is slow loses the oldest events.
func (g *Guard) emit(ev vip.Event) {
	g.eventsMu.Lock()
	defer g.eventsMu.Unlock()
	for !g.noEvents {
		select {
		case g.events <- ev:
			return
		default:
		}
		select {
		case <-g.events:
		default:
		}
	}
}

// Close implements vip.Keeper: it drops the addresses at once, and returns when everything is given back, which a relay that lingers delays.
func (g *Guard) Close() error {
	g.mu.Lock()
	child, first := g.child, !g.closed
	g.closed = true
	linger := max(time.Until(g.lingerTo), 0)
	g.mu.Unlock()
	if !first {
		<-g.over
		return nil
	}
	g.cancel()
	var err error
	if child != nil {
		if _, err = child.call(context.Background(), kindBye, nil, linger+goodbyeTime); err != nil {
			child.kill()
		}
	}
	<-g.over
	if child == nil || err != nil {
		err = g.clean()
	}
	g.mu.Lock()
	g.setChild(nil) // whoever waits for one hears that there is none
	g.mu.Unlock()
	g.eventsMu.Lock()
	g.noEvents = true
	close(g.events)
	g.eventsMu.Unlock()
	return errors.Join(err, closeListener(g.options))
}
