package handoff

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// firstInherited is the number of the first descriptor that a process inherits on purpose (sd_listen_fds(3), and os/exec).
const firstInherited = 3

// Heir is this process as the next one of a node whose process still runs.
type Heir struct {
	// Sockets are there after Go.
	Sockets *Sockets
	// Reports is the stream from the process before, after Go. It ends with that process's last request.
	Reports net.Conn

	conn   conn
	once   sync.Once
	yields bool // the process before says when it has yielded
}

// ErrAbandoned: the process before has ended, or given the upgrade up, before this one was to take over.
var ErrAbandoned = errors.New("the process that runs the node has given the upgrade up")

// Inherit finds the socket to the process before; nil without an error when there is none: then this process is the node's first. It removes the variable that says so, so that
// no program started from here takes itself for an heir.
func Inherit() (*Heir, error) {
	text, ok := os.LookupEnv(variable)
	if !ok {
		return nil, nil
	}
	_ = os.Unsetenv(variable)
	fd, err := strconv.Atoi(text)
	if err != nil || fd < firstInherited {
		return nil, fmt.Errorf("%s=%q is no number of a descriptor: it is set by a running node for the program that takes over from it, and by nobody else", variable, plain(text))
	}
	c, err := connOf(fd)
	if err == nil {
		if u, ok := c.(*net.UnixConn); ok && u.LocalAddr().Network() == "unixpacket" {
			return &Heir{Sockets: &Sockets{}, conn: conn{u}}, nil
		}
		_ = c.Close()
		err = syscall.EPROTOTYPE
	}
	return nil, fmt.Errorf("%s=%d is no socket of a running node (%w): it is set by that for the program that takes over from it, and by nobody else", variable, fd, err)
}

// Await says who this process is, and returns when it is to go on: with the sockets, while the process before uses the data directory no more.
func (h *Heir) Await(hello Hello) error {
	hello.Protocol, hello.Pid, hello.Ways = Protocol, os.Getpid(), true
	if err := h.conn.send(message{Kind: kindHello, Hello: &hello}, -1); err != nil {
		return abandoned(err)
	}
	for {
		m, fd, err := h.conn.receive()
		switch {
		case err != nil:
			return abandoned(err)
		case m.Kind == kindSocket:
			if err := h.Sockets.add(m.Name, fd); err != nil {
				return err
			}
		case m.Kind == kindReports:
			if h.Reports, err = connOf(fd); err != nil {
				return err
			}
		case m.Kind == kindGo && h.Reports == nil:
			return fmt.Errorf("%w: go without the stream", errMessage)
		case m.Kind == kindGo:
			h.yields = m.Yields
			return nil
		default:
			return fmt.Errorf("%w: %s from the process before", errMessage, m.Kind)
		}
	}
}

func abandoned(err error) error {
	if gone(err) {
		return ErrAbandoned
	}
	return err
}

// Serving tells the process before that this one serves; it then takes no more clients. The sockets that nobody has asked for are closed: the configuration has changed.
func (h *Heir) Serving() {
	h.once.Do(func() {
		_ = h.conn.send(message{Kind: kindServing}, -1) // one that has ended needs to know nothing
		if !h.yields {
			_ = h.conn.Close()
		}
		h.Sockets.CloseOwn()
	})
}

// Yields tells that the process before says when it answers nothing on the admin listener any more. It is known after Await.
func (h *Heir) Yields() bool { return h.yields }

// Yielded waits until it has said so, or has ended, and is false when ctx ends before. Only for one that Yields.
func (h *Heir) Yielded(ctx context.Context) bool {
	defer context.AfterFunc(ctx, func() { _ = h.conn.SetReadDeadline(time.Unix(1, 0)) })()
	for {
		_, fd, err := h.conn.receive()
		if fd >= 0 {
			closeDescriptor(fd) // nothing is expected from it
		}
		switch {
		case ctx.Err() != nil:
			return false // the connection stays: Fail may need it
		case err != nil && !errors.Is(err, errMessage):
			_ = h.conn.Close()
			return true
		}
	}
}

// Fail tells it why this one cannot; the process has to end then.
func (h *Heir) Fail(why error) {
	h.once.Do(func() {
		_ = h.conn.send(message{Kind: kindFailed, Text: why.Error()}, -1)
		_ = h.conn.Close()
		h.Sockets.Close()
	})
}
