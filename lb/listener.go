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

	"github.com/holdfast-lb/holdfast/lb/wire"
)

const (
	bindRetryFirst = 100 * time.Millisecond
	bindRetryMost  = 2 * time.Second
	keepAliveIdle  = 75 * time.Second
)

// front is one address that takes traffic. It tries to bind until it has the address or is closed.
type front struct {
	b       *Balancer
	address string // as bound
	server  *http.Server
	cancel  context.CancelFunc // stops listening
	kill    context.CancelFunc // ends the requests: net/http does not notice the end of a connection whose body nobody reads
	done    chan struct{}      // closed when run has returned

	mu   sync.Mutex
	name string
	ln   net.Listener // nil until bound
	err  error        // why it is not bound
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

func (b *Balancer) newFront(name, address string) *front {
	ctx, cancel := context.WithCancel(b.ctx)
	requests, kill := context.WithCancel(b.ctx)
	f := &front{b: b, name: name, address: address, cancel: cancel, kill: kill, done: make(chan struct{}), err: errors.New("not bound yet")}
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	f.server = &http.Server{
		Handler:                      b,
		IdleTimeout:                  keepAliveIdle,
		MaxHeaderBytes:               64 << 10, // the guard in front allows less
		DisableGeneralOptionsHandler: true,
		BaseContext:                  func(net.Listener) context.Context { return requests },
		ConnContext:                  withClientConn,
		ErrorLog:                     slog.NewLogLogger(b.log.Handler(), slog.LevelWarn),
		Protocols:                    &protocols,
	}
	go f.run(ctx)
	return f
}

// run binds and serves until the front is closed.
func (f *front) run(ctx context.Context) {
	defer close(f.done)
	wait := bindRetryFirst
	for {
		ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.address)
		if err == nil {
			f.bound(ln)
			err = f.server.Serve(&clientListener{f.b.guard(ln)})
			if errors.Is(err, http.ErrServerClosed) {
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

func (f *front) bound(ln net.Listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ln, f.err = ln, nil
	f.b.log.Info("listening", "listener", f.name, "address", ln.Addr().String())
}

func (f *front) failed(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil || f.err.Error() != err.Error() {
		f.b.log.Warn("listener is not bound", "listener", f.name, "error", err)
	}
	f.ln, f.err = nil, err
}

func (f *front) state() (name string, addr net.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.name, nil, fmt.Errorf("listener %s: %w", f.name, f.err)
	}
	return f.name, f.ln.Addr(), nil
}

// stopListening gives the address up at once.
func (f *front) stopListening() {
	f.cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ln != nil {
		f.ln.Close() // the server closes it again and ignores the error
	}
}

func (f *front) rename(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.name = name
}

// close stops listening at once; requests that are being served finish until ctx ends, then their connections are closed.
func (f *front) close(ctx context.Context) error {
	f.cancel()
	err := f.server.Shutdown(ctx)
	if err != nil {
		f.server.Close()
	}
	f.kill()
	<-f.done
	return err
}

// clientListener gives the connections the ability to be ended.
type clientListener struct{ net.Listener }

func (l *clientListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &clientConn{Conn: conn}, nil
}

// clientConn is a client's connection that can be ended: whatever was not read by then is never read.
type clientConn struct {
	net.Conn
	ended atomic.Bool
}

// longAgo is a deadline that makes a blocked read return.
var longAgo = time.Unix(1, 0)

func (c *clientConn) end() {
	if c == nil {
		return
	}
	c.ended.Store(true)
	c.Conn.SetReadDeadline(longAgo) // an error means that it is closed already
}

func (c *clientConn) Read(p []byte) (int, error) {
	if c.ended.Load() {
		return 0, net.ErrClosed
	}
	n, err := c.Conn.Read(p)
	if c.ended.Load() {
		return 0, net.ErrClosed
	}
	return n, err
}

// NetConn gives the guarded connection below.
func (c *clientConn) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the stream to the client, for net/http's orderly close and for upgraded connections.
func (c *clientConn) CloseWrite() error { return closeWrite(c.Conn) }

type clientConnKey struct{}

func withClientConn(ctx context.Context, conn net.Conn) context.Context {
	c, _ := conn.(*clientConn)
	return wire.ConnContext(context.WithValue(ctx, clientConnKey{}, c), conn)
}

func clientConnOf(ctx context.Context) *clientConn {
	c, _ := ctx.Value(clientConnKey{}).(*clientConn)
	return c
}
