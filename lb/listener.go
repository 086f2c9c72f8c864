package lb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

const (
	bindRetryFirst = 100 * time.Millisecond
	bindRetryMost  = 2 * time.Second
	keepAliveIdle  = 75 * time.Second
	headTimeout    = 10 * time.Second
)

// front is one address that takes traffic. It tries to bind until it has the address or is closed.
type front struct {
	b       *Balancer
	address string             // as bound
	server  *http.Server       // nil for streams
	streams bool               // connections lead to a cluster as a whole; what comes on them is no matter
	relay   *relay             // by which net/http gets connections that the loops let go of, and those that begin with a header
	cancel  context.CancelFunc // stops listening
	kill    context.CancelFunc // ends the requests: net/http does not notice the end of a connection whose body nobody reads
	// requests is the context of those that are being decided; it ends with kill.
	requests context.Context
	done     chan struct{} // closed when run has returned: whatever has been accepted is known
	stopped  chan struct{} // closed when the address has been given up

	edge       atomic.Pointer[edge]   // what is in force for it
	secure     atomic.Pointer[secure] // the same of TLS; nil without
	shakes     shakes
	headerTold seldom // said that a connection was refused because of its header

	handed atomic.Bool // another process accepts from the same socket: see HandOn

	http3  *http3Front            // its other half, on UDP; nil without. Guarded by Balancer.mu until the front closes
	altSvc atomic.Pointer[string] // what clients are told of that; nil while it does not serve

	answered       atomic.Uint64 // requests
	answeredBefore uint64        // by other halves that are gone, guarded by Balancer.mu
	accepted       atomic.Uint64 // connections taken in so far
	awaited        atomic.Uint64 // how many that were in the listen queue when somebody asked last, see OpenConnections

	// Guarded by b.conns.mu.
	open    int           // connections, without upgraded ones
	coming  int           // stands for those that may come yet while it closes, see drainBehind
	closing bool          // they are to end
	empty   chan struct{} // made when closing begins, closed when open is 0

	stop sync.Once // closes stopped

	mu    sync.Mutex
	ln    net.Listener    // nil until bound
	taken *h1.Listener    // what the loops accept from; nil while they do not
	wire  *wire.Listener  // that with the parser for net/http in front; nil before there is one
	away  *wire.Listener  // the same of the relay
	err   error           // why it is not bound
	over  bool            // it never listens again
	until context.Context // as long as it lives, handshakes may go on that were under way when the front stopped; nil: for lastShakes
}

// frontAddress is the address that a listener binds to on this node.
func frontAddress(address, bindAddress string) (string, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("listener address %q: %w", address, err)
	}
	if host == "" {
		host = bindAddress
	}
	return net.JoinHostPort(host, port), nil
}

func (b *Balancer) newFront(e *edge, address string) *front {
	ctx, cancel := context.WithCancel(b.ctx)
	requests, kill := context.WithCancel(b.ctx)
	f := &front{b: b, address: address, requests: requests, cancel: cancel, kill: kill, done: make(chan struct{}), stopped: make(chan struct{}), err: errors.New("not bound yet")}
	f.edge.Store(e)
	if e.streams != "" {
		f.streams = true
		go f.run(ctx)
		return f
	}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	f.server = &http.Server{
		Handler:                      b,
		MaxHeaderBytes:               64 << 10, // the guard in front allows less, and bounds the time of heads and of idle connections
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return requests },
		ConnContext:                  withClientConn,
		ConnState:                    f.stateChanged,
		ErrorLog:                     slog.NewLogLogger(b.log.Handler(), slog.LevelWarn),
		Protocols:                    &protocols,
	}
	if e.overTLS() {
		f.useTLS()
	}
	f.relay = newRelay(address)
	f.away = wire.NewListener(f.relay, e.guard, b.metrics)
	b.relays.Go(func() { f.server.Serve(&clientListener{Listener: f.away, front: f}) })
	go f.run(ctx)
	return f
}

// run binds and serves until the front is closed.
func (f *front) run(ctx context.Context) {
	defer close(f.done)
	wait := bindRetryFirst
	for {
		ln, err := f.b.listen(ctx, f.address)
		if err == nil {
			if !f.bound(ln) {
				return
			}
			if err = f.serve(ln); errors.Is(err, http.ErrServerClosed) {
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		f.failed(bindError(f.address, err))
		retry := time.NewTimer(wait)
		wait = min(2*wait, bindRetryMost)
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return
		}
	}
}

// serve accepts from the listener until the front stops, or the listener breaks.
func (f *front) serve(ln net.Listener) error {
	if f.streams {
		return f.acceptStreams(ln)
	}
	if f.secure.Load() != nil {
		return f.server.Serve(&clientListener{Listener: f.guardTLS(ln), front: f})
	}
	loops := f.b.loops()
	if loops == nil {
		return f.server.Serve(&clientListener{Listener: f.guard(ln), front: f})
	}
	if err := f.take(loops, ln); err != nil {
		ln.Close()
		return err
	}
	<-f.stopped
	return http.ErrServerClosed
}

// guard puts the parser in front of a listener for net/http.
func (f *front) guard(ln net.Listener) *wire.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wire = wire.NewListener(&socketListener{ln, f}, f.edge.Load().guard, f.b.metrics)
	return f.wire
}

// take has the loops accept from the listener.
func (f *front) take(loops *h1.Engine, ln net.Listener) (err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return http.ErrServerClosed
	}
	f.taken, err = loops.Listen(&loopListener{ln, f})
	return err
}

// bound notes the listener; false, and it is closed, when the front has been closed meanwhile.
func (f *front) bound(ln net.Listener) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		ln.Close()
		return false
	}
	f.ln, f.err = ln, nil
	f.awaited.Store(0) // what waited in another listener's queue is gone with it
	f.b.log.Info("listening", "listener", f.name(), "address", ln.Addr().String())
	return true
}

func (f *front) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || f.err.Error() != err.Error() {
		f.b.log.Warn("listener is not bound", "listener", f.name(), "error", err)
	}
	f.ln, f.err = nil, err
}

func (f *front) state() (name string, addr net.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.name(), nil, fmt.Errorf("listener %s: %w", f.name(), f.err)
	}
	return f.name(), f.ln.Addr(), nil
}

// stopListening gives the address up at once.
func (f *front) stopListening() {
	f.cancel()
	f.mu.Lock()
	f.over = true
	ln, taken := f.ln, f.taken
	f.mu.Unlock()
	if taken != nil {
		taken.Stop()
	}
	if ln != nil {
		ln.Close() // the server closes it again and ignores the error
	}
	f.stop.Do(func() { close(f.stopped) })
}

// use puts other settings into force, for the connections that are there too.
func (f *front) use(e *edge) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.edge.Store(e)
	for _, guarded := range []*wire.Listener{f.wire, f.away} {
		if guarded != nil {
			guarded.SetLimits(e.guard)
		}
	}
}

// fits reports whether the front can go on with other settings: requests, those over TLS, and streams have different ones.
func (f *front) fits(e *edge) bool {
	return f.streams == (e.streams != "") && e.overTLS() == f.edge.Load().overTLS()
}

func (f *front) name() string { return f.edge.Load().listener }

// end is close for a front whose clients are to lose nothing: handshakes that are under way have as long as they have anyway, if that is no longer than ctx. Then they are served once.
func (f *front) end(ctx context.Context) {
	f.mu.Lock()
	f.until = ctx
	f.mu.Unlock()
	f.close(ctx)
}

// close stops listening as soon as nobody is in the middle of connecting. The connections end in an orderly way (see Balancer.DrainAddresses) until ctx ends,
// then they are closed; upgraded ones go on.
func (f *front) close(ctx context.Context) error {
	other := f.http3.closes(ctx)
	f.finishListening(ctx)
	err := errors.Join(f.b.conns.drainBehind(ctx, f, f.done), <-other) // whatever has been accepted is known now
	if err != nil {
		f.b.conns.cutAll(func(s *caller) bool { return s.front == f && !s.upgraded })
	}
	if f.streams {
		f.kill()
		return err
	}
	f.server.Close() // net/http's Shutdown would close connections on which a request is just arriving
	f.kill()
	return err
}
