package handoff

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// conn is one end of the socket between two processes. A message is a datagram, and may have a descriptor with it.
type conn struct{ *net.UnixConn }

// pair makes a socket pair; the second end is for a child process. network is "unixpacket" or "unix".
func pair(network string) (net.Conn, *os.File, error) {
	kind := unix.SOCK_SEQPACKET
	if network == "unix" {
		kind = unix.SOCK_STREAM
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "handoff")
	ours, err := connOf(fds[0])
	if err != nil {
		_ = theirs.Close()
		return nil, nil, err
	}
	return ours, theirs, nil
}

// connOf makes a descriptor a connection; the descriptor is gone afterwards.
func connOf(fd int) (net.Conn, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "handoff")
	defer file.Close()
	return net.FileConn(file)
}

// send sends a message; fd, unless negative, goes with it and stays the caller's.
func (c conn) send(m message, fd int) error {
	b, err := m.encode()
	if err != nil {
		return err
	}
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	if _, _, err := c.WriteMsgUnix(b, rights, nil); err != nil {
		return fmt.Errorf("tell %s: %w", m.Kind, err)
	}
	return nil
}

// receive waits for a message. fd is negative without a descriptor; it is the caller's. io.EOF: the other end is closed.
func (c conn) receive() (m message, fd int, err error) {
	b, rights := make([]byte, maxMessage+1), make([]byte, unix.CmsgSpace(4*16))
	n, nrights, flags, _, err := c.ReadMsgUnix(b, rights)
	if err != nil {
		return m, -1, err
	}
	fds := descriptors(rights[:nrights])
	if n == 0 && len(fds) == 0 {
		return m, -1, io.EOF
	}
	m, err = decode(b[:n])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = fmt.Errorf("%w: it is cut off", errMessage)
	}
	if want := m.Kind == kindSocket || m.Kind == kindReports; err == nil && (len(fds) > 1 || want != (len(fds) == 1)) {
		err = fmt.Errorf("%w: %s with %d descriptors", errMessage, m.Kind, len(fds))
	}
	if err != nil || len(fds) == 0 {
		for _, fd := range fds {
			_ = unix.Close(fd)
		}
		return m, -1, err
	}
	return m, fds[0], nil
}

// descriptors takes what the kernel has put beside a datagram; each is closed on exec.
func descriptors(rights []byte) (fds []int) {
	list, err := unix.ParseSocketControlMessage(rights)
	if err != nil {
		return nil
	}
	for i := range list {
		if got, err := unix.ParseUnixRights(&list[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	for _, fd := range fds {
		unix.CloseOnExec(fd)
	}
	return fds
}

// gone tells that the other process has closed its end, or has ended.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
}

// sendFile sends a message with the descriptor of a file.
func (c conn) sendFile(m message, f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = c.send(m, int(fd)) }); err != nil {
		return err
	}
	return sent
}

func closeDescriptor(fd int) { _ = unix.Close(fd) }
