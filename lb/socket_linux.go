package lb

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tcpInfo asks the kernel about a socket (TCP_INFO of tcp(7)); nil when it does not say.
func tcpInfo(socket any) (info *unix.TCPInfo) {
	c, ok := socket.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	err = raw.Control(func(fd uintptr) {
		if info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err != nil {
			info = nil
		}
	})
	if err != nil {
		return nil
	}
	return info
}

// silence is how long nothing has come on a connection, from its first moment on; 0 when the kernel does not say.
func silence(conn net.Conn) time.Duration {
	if info := tcpInfo(conn); info != nil {
		return time.Duration(info.Last_data_recv) * time.Millisecond
	}
	return 0
}

// listenQueue is the number of connections that the kernel has ready to be accepted; of a listening socket, Unacked means that.
func listenQueue(ln net.Listener) int {
	if info := tcpInfo(ln); info != nil {
		return int(info.Unacked)
	}
	return 0
}

// bindAbsent has a socket bind to an address that the machine does not have (IP_FREEBIND of ip(7), IPV6_FREEBIND).
func bindAbsent(network, _ string, raw syscall.RawConn) error {
	level, option, name := unix.IPPROTO_IP, unix.IP_FREEBIND, "IP_FREEBIND"
	if network == "tcp6" || network == "udp6" {
		level, option, name = unix.IPPROTO_IPV6, unix.IPV6_FREEBIND, "IPV6_FREEBIND"
	}
	var err error
	if failed := raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), level, option, 1) }); failed != nil {
		return failed
	}
	return os.NewSyscallError("setsockopt "+name, err)
}

// withoutSYN is a filter (bpf(4)) for a listening socket: it drops what begins a connection and passes all else. The kernel shows it the TCP header.
var withoutSYN = [...]unix.SockFilter{
	{Code: unix.BPF_LD | unix.BPF_B | unix.BPF_ABS, K: 13},               // the flags
	{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: 0x12},            // SYN and ACK
	{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: 2}, // SYN alone
	{Code: unix.BPF_RET | unix.BPF_K, K: 0},
	{Code: unix.BPF_RET | unix.BPF_K, K: 1 << 18},
}

// ignoreNew has the kernel ignore clients that begin a connection; handshakes that have begun are completed.
func ignoreNew(ln net.Listener) error {
	c, ok := ln.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	filter := withoutSYN
	failed := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
	})
	return errors.Join(failed, os.NewSyscallError("setsockopt SO_ATTACH_FILTER", err))
}

// sourceMessage6 has a socket of IPv6 send from an address (IPV6_PKTINFO of ipv6(7)), which may be one of IPv4.
func sourceMessage6(from netip.Addr) []byte {
	return unix.PktInfo6(&unix.Inet6Pktinfo{Addr: from.As16()})
}

// wayBuffer holds as many datagrams as may wait to be looked at: the kernel takes 2.3 KB for one, and doubles this.
const wayBuffer = waiting * 2304 / 2

// wayPair makes a pair of sockets of kind SOCK_SEQPACKET.
func wayPair() (ours, theirs *net.UnixConn, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, wayBuffer) // the machine's bound holds
		file := os.NewFile(uintptr(fd), "way")
		conn, failed := net.FileConn(file)
		err = errors.Join(err, failed, file.Close())
		if failed == nil {
			ends[i] = conn.(*net.UnixConn)
		}
	}
	if err != nil {
		for _, end := range ends {
			if end != nil {
				end.Close()
			}
		}
		return nil, nil, err
	}
	return ends[0], ends[1], nil
}
