package lb

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// noHTTP2 is what operators read when type grpc is set for a server of another kind.
const noHTTP2 = "does not speak gRPC (HTTP/2)"

// explainHTTP2 says so in front of an error that only a server without HTTP/2 causes: one that refuses h2 in the handshake (crypto/tls has no type
// for that alert), or whose first words in clear text are no SETTINGS frame.
func explainHTTP2(err error, first *firstWords) error {
	if strings.Contains(err.Error(), "tls: no application protocol") || first.foreign() {
		return fmt.Errorf("%s: %w", noHTTP2, err)
	}
	return err
}

// firstWords keeps what a server says first, at most the head of a frame.
type firstWords struct {
	mu  sync.Mutex
	got []byte
}

// frameHead is the length of the head of an HTTP/2 frame: 3 bytes of length, the type, flags, 4 bytes of stream.
const frameHead = 9

// foreign reports whether they cannot be the SETTINGS frame with which every HTTP/2 server begins; false while there is too little to tell.
func (f *firstWords) foreign() bool {
	const typeAt, settings = 3, 4
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.got) > typeAt && f.got[typeAt] != settings
}

func (f *firstWords) hear(b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got = append(f.got, b[:min(len(b), frameHead-len(f.got))]...)
}

// listenTo gives conn with what is read of it heard. ctx is the check's.
func (f *firstWords) listenTo(ctx context.Context, conn net.Conn) net.Conn {
	return &heardConn{Conn: conn, first: f, ctx: ctx, heard: make(chan struct{})}
}

// heardConn sends the client's preface and holds everything else back until the server has said something or hung up. Otherwise a server that
// answers the preface and closes may fail the request before its answer is read.
type heardConn struct {
	net.Conn
	first   *firstWords
	ctx     context.Context
	heard   chan struct{}
	once    sync.Once
	greeted atomic.Bool
}

func (c *heardConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.first.hear(b[:n])
	c.once.Do(func() { close(c.heard) })
	return n, err
}

func (c *heardConn) Write(b []byte) (int, error) {
	if c.greeted.Swap(true) {
		select {
		case <-c.heard:
		case <-c.ctx.Done():
			return 0, c.ctx.Err()
		}
	}
	return c.Conn.Write(b)
}
