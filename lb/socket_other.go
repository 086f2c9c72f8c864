//go:build !linux

package lb

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/net/ipv6"
)

func silence(net.Conn) time.Duration { return 0 }

func listenQueue(net.Listener) int { return 0 }

func bindAbsent(string, string, syscall.RawConn) error {
	return errors.New("a virtual address that the machine does not have can be bound on Linux only")
}

func ignoreNew(net.Listener) error { return errors.ErrUnsupported }

func wayPair() (ours, theirs *net.UnixConn, err error) { return nil, nil, errors.ErrUnsupported }

func sourceMessage6(from netip.Addr) []byte {
	return (&ipv6.ControlMessage{Src: from.AsSlice()}).Marshal()
}
