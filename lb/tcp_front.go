package lb

import (
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// acceptPauseFirst and acceptPauseMost bound the pause after an accept that failed for want of something on this machine, such as descriptors.
	acceptPauseFirst = 5 * time.Millisecond
	acceptPauseMost  = time.Second
)

// acceptStreams takes connections in until the front stops, or the listener breaks.
func (f *front) acceptStreams(ln net.Listener) error {
	pause := acceptPauseFirst
	for {
		conn, err := ln.Accept()
		if err == nil {
			pause = acceptPauseFirst
			f.takeStream(conn)
			continue
		}
		f.mu.Lock()
		over := f.over
		f.mu.Unlock()
		switch {
		case over:
			return http.ErrServerClosed
		case lackOf(err) == "" && !isAborted(err):
			ln.Close()
			return err
		}
		wait := time.NewTimer(pause)
		pause = min(2*pause, acceptPauseMost)
		select {
		case <-wait.C:
		case <-f.stopped:
			wait.Stop()
		}
	}
}

// isAborted reports whether a client was gone before its connection was accepted, which is no matter.
func isAborted(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout() || isReset(err) && !errors.Is(err, net.ErrClosed)
}

// takeStream counts a connection in before it returns, so that whatever has been accepted is known.
func (f *front) takeStream(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		conn.Close()
		return
	}
	held, err := f.admit(remoteAddr(conn))
	if err != nil {
		conn.Close()
		return
	}
	s := &streamSocket{TCPConn: tcp, who: &caller{front: f, local: localAddr(conn), held: held}}
	f.b.conns.add(s.who, s)
	f.accepted.Add(1)
	if !f.b.tasks.start(func() { f.b.stream(f, s) }) {
		s.Close()
	}
}

// streamSocket is the client's connection of a stream.
type streamSocket struct {
	*net.TCPConn
	who *caller

	source, destination netip.AddrPort // the ends of the client's connection
	before              []byte         // what has been read behind a header
	suspect             bool           // the client may not send a header

	closed atomic.Bool
}

// retire and stay do nothing: nobody but the two who speak can say where a stream may end.
func (s *streamSocket) retire() {}
func (s *streamSocket) stay()   {}

// Close implements net.Conn. Only the first call counts.
func (s *streamSocket) Close() error {
	if s.closed.Swap(true) {
		return net.ErrClosed
	}
	err := s.TCPConn.Close()
	s.who.front.b.conns.remove(s.who)
	return err
}
