package handoff

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// socket is one listening socket: a descriptor of our own.
type socket struct {
	network, name string
	fd            int
	addr          net.Addr
}

// Add duplicates the socket of a listener or a packet connection into the set, under a name by which the next process asks for it. from stays its owner's.
func (s *Sockets) Add(name string, from syscall.Conn) error {
	raw, err := from.SyscallConn()
	if err != nil {
		return fmt.Errorf("socket %s: %w", name, err)
	}
	fd := -1
	if cerr := raw.Control(func(theirs uintptr) { fd, err = unix.FcntlInt(theirs, unix.F_DUPFD_CLOEXEC, 0) }); cerr != nil || err != nil {
		return fmt.Errorf("socket %s: %w", name, errors.Join(cerr, err))
	}
	return s.add(name, fd)
}

// add takes a descriptor over, also when it is none of a listening socket: then it is closed.
func (s *Sockets) add(name string, fd int) error {
	so, err := socketOf(name, fd)
	if err != nil {
		_ = unix.Close(fd)
		return fmt.Errorf("socket %s: %w", name, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, so)
	return nil
}

// socketOf finds out what a descriptor is. Only what can be used is taken: a TCP socket that listens, a UDP socket that is bound, one end of a pair of SOCK_SEQPACKET.
func socketOf(name string, fd int) (socket, error) {
	so := socket{name: name, fd: fd}
	kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return so, os.NewSyscallError("getsockopt SO_TYPE", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return so, os.NewSyscallError("fcntl", err)
	}
	switch kind {
	case unix.SOCK_STREAM:
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens == 0 {
			return so, errors.Join(errors.New("it does not listen"), err)
		}
		so.network = "tcp"
		l, err := so.listener()
		if err != nil {
			return so, err
		}
		defer l.Close()
		if so.addr = l.Addr(); so.addr.Network() != "tcp" {
			return so, fmt.Errorf("a socket of %s", so.addr.Network())
		}
	case unix.SOCK_DGRAM:
		so.network = "udp"
		p, err := so.packets()
		if err != nil {
			return so, err
		}
		defer p.Close()
		so.addr = p.LocalAddr()
	case unix.SOCK_SEQPACKET:
		so.network = "unix"
		if listens, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listens != 0 {
			return so, errors.Join(errors.New("it is no end of a pair"), err)
		}
		w, err := so.way()
		if err != nil {
			return so, err
		}
		defer w.Close()
		so.addr = w.LocalAddr()
	default:
		return so, fmt.Errorf("a socket of kind %d", kind)
	}
	return so, nil
}

// duplicate gives another descriptor of the socket.
func (so *socket) duplicate() (int, error) {
	fd, err := unix.FcntlInt(uintptr(so.fd), unix.F_DUPFD_CLOEXEC, 0)
	return fd, os.NewSyscallError("fcntl", err)
}

func (so *socket) file() (*os.File, error) {
	fd, err := so.duplicate()
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), so.name), nil
}

func (so *socket) listener() (net.Listener, error) {
	f, err := so.file()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return net.FileListener(f)
}

func (so *socket) packets() (*net.UDPConn, error) {
	f, err := so.file()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := net.FilePacketConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := p.(*net.UDPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a socket of %s", p.LocalAddr().Network()), p.Close())
	}
	return u, nil
}

func (so *socket) way() (*net.UnixConn, error) {
	f, err := so.file()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a socket of %s", c.LocalAddr().Network()), c.Close())
	}
	return u, nil
}

func (so *socket) bound(host net.IP, port int) bool {
	switch a := so.addr.(type) {
	case *net.TCPAddr:
		return a.Port == port && same(a.IP, host)
	case *net.UDPAddr:
		return a.Port == port && same(a.IP, host)
	}
	return false
}

func (so *socket) descriptor() int { return so.fd }

func (so *socket) address() string { return so.addr.String() }

func (so *socket) close() { _ = unix.Close(so.fd) }
