package lb

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"
)

const (
	// turnAwayTime is how long a connection that is one too many lives on, so that its client can read why.
	turnAwayTime = time.Second
	// mostTurnedAway bounds how many do so at once: those of a flood are closed at once.
	mostTurnedAway = 256
)

// admit counts a new connection against the bounds of its listener. A trusted proxy may have any number: its connections are those of many clients.
func (f *front) admit(peer netip.Addr) (hold, error) {
	e := f.edge.Load()
	return e.bounds.hold(peer, e.trusted.contains(peer))
}

// turnAway answers a connection that is one too many, without a look at what it wants, and ends it.
func (f *front) turnAway(conn net.Conn, why error) {
	b := f.b
	if b.turnedAway.Add(1) > mostTurnedAway {
		b.turnedAway.Add(-1)
		conn.Close()
		return
	}
	b.closing.Go(func() {
		defer b.turnedAway.Add(-1)
		defer conn.Close()
		if conn.SetDeadline(time.Now().Add(turnAwayTime)) != nil {
			return
		}
		if _, err := conn.Write(turnAwayAnswer(why)); err != nil || closeWrite(conn) != nil {
			return
		}
		io.CopyN(io.Discard, conn, 64<<10) // a close with unread bytes would reset the connection, and the answer with it
	})
}

func turnAwayAnswer(why error) []byte {
	status, after := http.StatusServiceUnavailable, 1
	var limit *limitError
	if errors.As(why, &limit) {
		after = limit.after
		if limit.mine {
			status = http.StatusTooManyRequests
		}
	}
	const text = "Too many connections. Please try again.\n"
	return fmt.Appendf(nil, "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\nRetry-After: %d\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		status, http.StatusText(status), after, len(text), text)
}

func remoteAddr(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return plainAddr(a.AddrPort().Addr())
	}
	return netip.Addr{}
}
