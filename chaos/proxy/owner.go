package proxy

import (
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Owner gives the process, of those named, that has the IPv4 socket with this local and remote address; 0 when it is none of them, or has closed it. It asks the kernel for the socket's
// number (sock_diag(7)) and looks for that among the descriptors of the processes, which must be this user's; no right beyond that is needed.
func Owner(local, remote net.Addr, pids []int) int {
	inode := inodeOf(local, remote)
	if inode == 0 {
		return 0
	}
	want := fmt.Sprintf("socket:[%d]", inode)
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d/fd", pid)
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // it has ended
		}
		for _, fd := range fds {
			if link, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && link == want {
				return pid
			}
		}
	}
	return 0
}

// inodeOf asks for one socket; 0: there is none. The library's own function has the kernel go through all sockets of the machine, thousands of times in a run.
func inodeOf(local, remote net.Addr) uint32 {
	l, ok := local.(*net.TCPAddr)
	r, also := remote.(*net.TCPAddr)
	if !ok || !also || l.IP.To4() == nil || r.IP.To4() == nil {
		return 0
	}
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	request.AddData(diagRequest{l, r})
	answers, err := request.Execute(unix.NETLINK_INET_DIAG, 0)
	const inodeAt, length = 68, 72 // struct inet_diag_msg, linux/inet_diag.h
	if err != nil || len(answers) == 0 || len(answers[0]) < length {
		return 0
	}
	return binary.NativeEndian.Uint32(answers[0][inodeAt:])
}

// diagRequest is struct inet_diag_req_v2 for one TCP socket over IPv4.
type diagRequest struct{ local, remote *net.TCPAddr }

func (diagRequest) Len() int { return 56 }

func (d diagRequest) Serialize() []byte {
	b := make([]byte, d.Len())
	b[0], b[1] = unix.AF_INET, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // in any state
	binary.BigEndian.PutUint16(b[8:], uint16(d.local.Port))
	binary.BigEndian.PutUint16(b[10:], uint16(d.remote.Port))
	copy(b[12:], d.local.IP.To4())
	copy(b[28:], d.remote.IP.To4())
	binary.NativeEndian.PutUint32(b[48:], ^uint32(0)) // no cookie
	binary.NativeEndian.PutUint32(b[52:], ^uint32(0))
	return b
}
