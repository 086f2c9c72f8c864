package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// conn is one end of the socket pair. It keeps packets apart (SOCK_SEQPACKET), so a frame is whole or not there. One goroutine may receive; any may send.
type conn struct {
	sock *net.UnixConn
	raw  syscall.RawConn
	in   []byte
}

// errFull: the other end does not read, and what the kernel keeps for it is full.
var errFull = errors.New("the other end does not read")

// socketBuffer is what the kernel keeps of sent frames for a reader that is slow, in bytes.
const socketBuffer = 256 << 10

// socketPair makes the parent's end and the file of the child's end.
func socketPair() (*conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "guard's parent"), os.NewFile(uintptr(fds[1]), "guard's child")
	c, err := newConn(ours)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	return c, theirs, nil
}

// newConn takes over f, which is closed in any case.
func newConn(f *os.File) (*conn, error) {
	nc, err := net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	sock, ok := nc.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("it is a %T, not a Unix socket", nc), nc.Close())
	}
	raw, err := sock.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, sock.Close())
	}
	var kind int
	if cerr := raw.Control(func(fd uintptr) {
		if kind, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TYPE); err == nil && kind == unix.SOCK_SEQPACKET {
			err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, socketBuffer)
		}
	}); errors.Join(cerr, err) != nil || kind != unix.SOCK_SEQPACKET {
		return nil, errors.Join(fmt.Errorf("it is a socket of type %d, not one that keeps packets apart", kind), cerr, err, sock.Close())
	}
	return &conn{sock: sock, raw: raw, in: make([]byte, maxFrame+1)}, nil
}

// receive waits for a frame. io.EOF: the other end is closed, or its process has ended.
func (c *conn) receive() (frame, error) {
	n, err := c.sock.Read(c.in)
	if errors.Is(err, syscall.ECONNRESET) { // the other end was closed before it had read everything
		err = io.EOF
	}
	if err != nil {
		return frame{}, err
	}
	return decodeFrame(bytes.Clone(c.in[:n]))
}

// send never waits: errFull when there is no room.
func (c *conn) send(f frame) error { return c.sendRoom(f, 0) }

// sendSpare is send for what may be lost: it leaves half of the room for what may not.
func (c *conn) sendSpare(f frame) error { return c.sendRoom(f, socketBuffer/2) }

func (c *conn) sendRoom(f frame, used int) error {
	data := f.encode()
	if len(data) > maxFrame {
		return fmt.Errorf("a frame of %d bytes is longer than %d", len(data), maxFrame)
	}
	var err error
	cerr := c.raw.Write(func(fd uintptr) bool {
		if used > 0 {
			var waiting int
			if waiting, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ); err == nil && waiting > used {
				err = errFull
			}
			if err != nil {
				return true
			}
		}
		for {
			_, err = unix.SendmsgN(int(fd), data, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
			if err != unix.EINTR {
				return true
			}
		}
	})
	if errors.Is(err, unix.EAGAIN) {
		err = errFull
	}
	return errors.Join(cerr, err)
}

func (c *conn) close() error { return c.sock.Close() }
