package h1

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// Errors of Engine.
var (
	ErrNoEngine = errors.New("h1: the event loop engine needs Linux")
	ErrClosed   = errors.New("h1: the engine is closed")
)

// core is the engine.
type core struct {
	director Director
	limits   *Limits
	latest   func(*Conn) *Limits // may be nil
	stats    wire.Stats
	log      *slog.Logger
	own      []string
	files    func() int
	short    func(error)
	loops    []*loop

	shut, shutMany time.Duration // see Options

	mu     sync.Mutex
	closed bool
}

type noStats struct{}

func (noStats) Violation(*wire.Error) {}

func newEngine(o Options) (*Engine, error) {
	if o.Director == nil {
		return nil, errors.New("h1: Options.Director is missing")
	}
	e := &Engine{core{director: o.Director, limits: o.Limits.Complete(), stats: o.Stats, log: o.Log, files: o.Files, short: o.Short, latest: o.Latest}}
	if e.stats == nil {
		e.stats = noStats{}
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.shut = o.Shut; e.shut <= 0 {
		e.shut = windowShut
	}
	if e.shutMany = o.ShutMany; e.shutMany <= 0 {
		e.shutMany = windowsShut
	}
	for _, name := range o.Own {
		e.own = append(e.own, strings.ToLower(name))
	}
	if o.Loops <= 0 {
		o.Loops = min(processors(), maxLoops)
	}
	for range o.Loops {
		l, err := newLoop(&e.core)
		if err != nil {
			for _, l := range e.loops {
				rawClose(l.wakeup)
				rawClose(l.ep)
			}
			return nil, err
		}
		e.loops = append(e.loops, l)
	}
	for _, l := range e.loops {
		go l.run()
	}
	return e, nil
}

func (e *core) isOwn(name []byte) bool {
	for _, own := range e.own {
		if wire.Fold(name, own) {
			return true
		}
	}
	return false
}

// least gives the loop with the fewest connections; the asking one when no other has clearly fewer.
func (e *core) least(asking *loop) *loop {
	best := asking
	if best == nil {
		best = e.loops[0]
	}
	for _, l := range e.loops {
		if l.conns.Load() < best.conns.Load() {
			best = l
		}
	}
	return best
}

// everyLoop has each loop carry out a command and waits for it.
func (e *core) everyLoop(c command) error {
	c.answer = make(chan error, len(e.loops))
	var all error
	asked := 0
	for _, l := range e.loops {
		if !l.post(c) {
			all = ErrClosed
			continue
		}
		asked++
	}
	for range asked {
		if err := <-c.answer; err != nil {
			all = errors.Join(all, err)
		}
	}
	return all
}

func (e *Engine) adopt(a Adoption) error {
	l := e.least(nil)
	l.conns.Add(1)
	if !l.post(command{kind: cmdAdopt, fd: a.FD, rest: a.Rest, tls: a.TLS, served: !a.Fresh, http2: a.HTTP2, tag: a.Tag, setup: a.Setup}) {
		rawClose(a.FD)
		return ErrClosed
	}
	return nil
}

func (e *Engine) close(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	for _, l := range e.loops {
		l.post(command{kind: cmdClosing})
	}
	var err error
	for _, l := range e.loops {
		select {
		case <-l.done:
		case <-ctx.Done():
			err = context.Cause(ctx)
			l.post(command{kind: cmdQuit})
			<-l.done
		}
	}
	return err
}
