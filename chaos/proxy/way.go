package proxy

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

const (
	// lookEvery is how often a way looks whether the process behind it listens again.
	lookEvery = 10 * time.Millisecond
	// dialTime bounds a connection attempt to the process behind: a full backlog of a frozen one answers nothing.
	dialTime = 30 * time.Second
)

// way is one address that others dial, and the process behind it.
type way struct {
	fabric      *Fabric
	to          string
	front, back string

	mu       sync.Mutex
	listener net.Listener // nil while nobody listens behind
	closed   bool
}

// Open makes a way to a party: who dials front reaches back. It listens as long as somebody listens at back. The port of front must be free, and stay so.
func (f *Fabric) Open(to, front, back string) error {
	l, err := net.Listen("tcp", front) // an error now is better than one in the middle of a scenario
	if err != nil {
		return fmt.Errorf("way to %s: %w", to, err)
	}
	_ = l.Close()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return fmt.Errorf("way to %s: the fabric is closed", to)
	}
	w := &way{fabric: f, to: to, front: front, back: back}
	f.ways = append(f.ways, w)
	f.all.Go(w.run)
	return nil
}

// run listens whenever there is somebody behind.
func (w *way) run() {
	for w.somebody() && w.listen() {
		gone := make(chan struct{})
		w.fabric.all.Go(func() { w.look(gone) })
		w.accept()
		close(gone)
	}
}

// look asks now and then whether there is still somebody behind a way that nobody uses, until gone is closed: who dials a dead process is to be refused the first time, too. As long as there
// are connections, there is somebody.
func (w *way) look(gone <-chan struct{}) {
	tick := time.NewTicker(10 * lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-gone:
			return
		}
		if w.fabric.Connections(Any, w.to) > 0 {
			continue
		}
		c, err := net.DialTimeout("tcp", w.back, 10*lookEvery)
		switch {
		case err == nil:
			_ = c.Close()
		case errors.Is(err, syscall.ECONNREFUSED):
			w.absent()
			return
		}
	}
}

// somebody waits until the process behind takes connections; false: the fabric is closed.
func (w *way) somebody() bool {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		c, err := net.DialTimeout("tcp", w.back, dialTime)
		if err == nil {
			_ = c.Close()
			return true
		}
		select {
		case <-tick.C:
		case <-w.fabric.done:
			return false
		}
	}
}

// listen opens the front; false: the fabric is closed.
func (w *way) listen() bool {
	for {
		l, err := net.Listen("tcp", w.front)
		w.mu.Lock()
		closed := w.closed
		if err == nil && !closed {
			w.listener = l
		}
		w.mu.Unlock()
		switch {
		case err == nil && closed:
			_ = l.Close()
			return false
		case closed:
			return false
		case err == nil:
			return true
		}
		select { // somebody has the port for a moment: it was a free one
		case <-time.After(lookEvery):
		case <-w.fabric.done:
			return false
		}
	}
}

// accept takes connections until the listener is closed: by shut, or because nobody is behind any more.
func (w *way) accept() {
	w.mu.Lock()
	l := w.listener
	w.mu.Unlock()
	if l == nil {
		return
	}
	for {
		c, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor is free: later
			select {
			case <-time.After(lookEvery):
			case <-w.fabric.done:
				return
			}
			continue
		}
		w.fabric.all.Go(func() { w.relay(c.(*net.TCPConn)) })
	}
}

// absent closes the front, so that a dial there is refused as one to the process itself would be.
func (w *way) absent() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil {
		_ = w.listener.Close()
		w.listener = nil
	}
}

// shut is absent for good.
func (w *way) shut() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.absent()
}

// relay serves one connection to its end.
func (w *way) relay(client *net.TCPConn) {
	c := &connection{
		fabric: w.fabric, number: w.fabric.relayed.Add(1), from: w.fabric.who(client.RemoteAddr(), client.LocalAddr()), to: w.to,
		client: client, done: make(chan struct{}),
	}
	c.last.Store(time.Now().UnixNano())
	if !w.fabric.enter(c) {
		c.reset()
		return
	}
	defer w.fabric.leave(c)
	if w.fabric.rules.Load().effect(c.from, c.to).Refuse {
		c.reset()
		return
	}
	server, err := net.DialTimeout("tcp", w.back, dialTime)
	if err != nil {
		if errors.Is(err, syscall.ECONNREFUSED) {
			w.absent()
		}
		c.reset()
		return
	}
	if !c.meet(server.(*net.TCPConn)) {
		return
	}
	c.run()
}
