package proxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Owners tells which process has a socket. It asks the kernel for the socket's number (sock_diag(7)) and looks for that among the descriptors of the processes, which must be this user's; no right beyond that is
// needed. The zero value is ready, and all methods may be called at once.
//
// Reading all descriptors for each connection would cost the square of their number: a process that has stood still for a minute takes hundreds at once when it goes on. So those who ask while somebody reads are
// answered together by the next reading, and readings take half of one processor's time.
type Owners struct {
	mu      sync.Mutex
	waiting *reading   // has not begun; nil: nobody waits
	one     sync.Mutex // held by the reading that is under way, and for the fields below
	ended   time.Time
	took    time.Duration
	count   int
}

// reading is one look at the descriptors of processes, for all who wait for it.
type reading struct {
	want map[uint32]bool // numbers of sockets
	pids []int
	done chan struct{} // closed when owner is there
	// owner is the process that has a socket, by its number.
	owner map[uint32]int
}

// Of gives the process, of those named, that has the IPv4 socket with this local and remote address; 0 when it is none of them, or has closed it.
func (o *Owners) Of(local, remote net.Addr, pids []int) int {
	inode := inodeOf(local, remote)
	if inode == 0 {
		return 0
	}
	o.mu.Lock()
	r := o.waiting
	first := r == nil
	if first {
		r = &reading{want: map[uint32]bool{}, done: make(chan struct{}), owner: map[uint32]int{}}
		o.waiting = r
	}
	r.want[inode] = true
	for _, pid := range pids {
		if !slices.Contains(r.pids, pid) {
			r.pids = append(r.pids, pid)
		}
	}
	o.mu.Unlock()
	if first {
		o.read(r)
	}
	<-r.done
	if owner := r.owner[inode]; slices.Contains(pids, owner) {
		return owner
	}
	return 0
}

// mostRest bounds how long a reading rests for the one before, which may have taken long because the machine is busy.
const mostRest = 50 * time.Millisecond

// read does a reading when the one before has ended, and has rested as long as that took. Until it begins, others may still join it: their sockets are there by then.
func (o *Owners) read(r *reading) {
	o.one.Lock()
	defer o.one.Unlock()
	time.Sleep(time.Until(o.ended.Add(min(o.took, mostRest))))
	o.mu.Lock()
	o.waiting = nil
	o.mu.Unlock()
	began := time.Now()
	for _, pid := range r.pids {
		if len(r.owner) < len(r.want) {
			r.look(pid)
		}
	}
	o.ended = time.Now()
	o.took = o.ended.Sub(began)
	o.count++
	close(r.done)
}

// look goes through the descriptors of one process; one that has ended has none.
func (r *reading) look(pid int) {
	dir, err := os.Open(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return
	}
	target := make([]byte, 64) // longer ones are cut, and are no sockets
	for _, name := range names {
		n, err := unix.Readlinkat(int(dir.Fd()), name, target)
		if err != nil {
			continue // it is closed by now
		}
		digits, socket := bytes.CutPrefix(target[:n], []byte("socket:["))
		if !socket {
			continue
		}
		inode, err := strconv.ParseUint(string(bytes.TrimSuffix(digits, []byte("]"))), 10, 32)
		if err == nil && r.want[uint32(inode)] {
			r.owner[uint32(inode)] = pid
		}
	}
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
