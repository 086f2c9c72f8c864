//go:build !linux

package h1

import (
	"context"
	"errors"
	"net"
)

// Errors of Engine.
var (
	ErrNoEngine = errors.New("h1: the event loop engine needs Linux")
	ErrClosed   = errors.New("h1: the engine is closed")
)

type (
	core        struct{}
	listening   struct{}
	loopConn    struct{}
	originPools struct{}
	order       uint8
)

const (
	orderClose order = iota
	orderLetGo
	orderResume
)

func newEngine(Options) (*Engine, error)               { return nil, ErrNoEngine }
func (*Engine) listen(net.Listener) (*Listener, error) { return nil, ErrNoEngine }
func (*Engine) adopt(Adoption) error                   { return ErrNoEngine }
func (*Engine) end(func(*Trip) bool) (int, error)      { return 0, ErrNoEngine }
func (*Engine) close(context.Context) error            { return nil }
func (*Listener) stop()                                {}
func (*Conn) TLS() *Secured                            { return nil }
func (*Conn) use(*Limits)                              {}
func (*Conn) wake()                                    {}
func (*Conn) order(order)                              {}
func (*Origin) closeIdle()                             {}
