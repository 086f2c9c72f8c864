package client

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Dial opens a TCP connection to host:port, an address without a name.
type Dial func(ctx context.Context, address string) (net.Conn, error)

// DialFrom gives a Dial whose connections belong to wherever do runs its argument: a network namespace. Only the socket is made there; who waits for a connection
// blocks no thread, so that many may wait at once.
func DialFrom(do func(func())) Dial {
	return func(ctx context.Context, address string) (net.Conn, error) {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, fmt.Errorf("connect: %w", err)
		}
		family, sockaddr := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
		if to.Addr().Is4() {
			family, sockaddr = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
		}
		fd := -1
		do(func() { fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0) })
		if err != nil {
			return nil, os.NewSyscallError("socket", err)
		}
		file := os.NewFile(uintptr(fd), address)
		defer func() { _ = file.Close() }() // the connection has a descriptor of its own
		if err := unix.Connect(fd, sockaddr); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			return nil, os.NewSyscallError("connect", err)
		}
		if err := connected(ctx, file); err != nil {
			return nil, err
		}
		return net.FileConn(file)
	}
}

// connected waits for the end of a connect that is under way.
func connected(ctx context.Context, file *os.File) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := file.SetWriteDeadline(deadline); err != nil {
			return err
		}
	}
	defer context.AfterFunc(ctx, func() { _ = file.SetWriteDeadline(time.Unix(1, 0)) })()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var state error
	err = raw.Write(func(fd uintptr) bool {
		code, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
		switch {
		case err != nil:
			state = os.NewSyscallError("getsockopt", err)
		case code != 0:
			state = os.NewSyscallError("connect", unix.Errno(code))
		default:
			_, err := unix.Getpeername(int(fd))
			return err == nil // not yet: wait until the socket can be written to
		}
		return true
	})
	return errors.Join(err, state)
}
