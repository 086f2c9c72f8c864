package watch

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// Space is a place whose sockets see one machine's network: a network namespace.
type Space interface {
	Do(f func())
	Has(ip string) bool
}

// Kernels notes each change of the kernels' addresses. One thread listens to all of them and runs before others do, so that the order of two nodes' changes is the order in
// which they happened.
type Kernels struct {
	address netip.Addr
	sockets []int
	wake    [2]int // closes the loop
	done    chan struct{}

	mu      sync.Mutex
	changes measure.Changes
}

// WatchKernels watches an address; the first changes say who has it now.
func WatchKernels(nodes []Space, address string) (*Kernels, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	k := &Kernels{address: ip, done: make(chan struct{})}
	for _, node := range nodes {
		fd, err := subscribe(node)
		if err != nil {
			k.closeSockets()
			return nil, fmt.Errorf("watch addresses: %w", err)
		}
		k.sockets = append(k.sockets, fd)
	}
	if err := unix.Pipe2(k.wake[:], unix.O_CLOEXEC); err != nil {
		k.closeSockets()
		return nil, os.NewSyscallError("pipe2", err)
	}
	for i, node := range nodes {
		k.changes = append(k.changes, measure.Change{At: time.Now(), Node: i, Held: node.Has(address)})
	}
	go k.run()
	return k, nil
}

func subscribe(node Space) (fd int, err error) {
	node.Do(func() {
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE); err != nil {
			return
		}
		if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR}); err != nil {
			_ = unix.Close(fd)
		}
	})
	return fd, err
}

func (k *Kernels) run() {
	defer close(k.done)
	runtime.LockOSThread() // never unlocked: the thread's priority dies with it
	_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	polled := []unix.PollFd{{Fd: int32(k.wake[0]), Events: unix.POLLIN}}
	for _, fd := range k.sockets {
		polled = append(polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	buffer := make([]byte, 1<<16)
	for {
		if _, err := unix.Poll(polled, -1); err != nil && err != unix.EINTR {
			panic("BUG: poll of our own sockets: " + err.Error())
		}
		at := time.Now()
		if polled[0].Revents != 0 {
			return
		}
		for i, fd := range k.sockets {
			for {
				n, _, err := unix.Recvfrom(fd, buffer, 0)
				if err != nil {
					break // nothing more
				}
				k.note(at, i, buffer[:n])
			}
		}
	}
}

// note reads what one kernel said.
func (k *Kernels) note(at time.Time, node int, data []byte) {
	messages, err := syscall.ParseNetlinkMessage(data)
	if err != nil {
		return
	}
	for i := range messages {
		m := &messages[i]
		if m.Header.Type != unix.RTM_NEWADDR && m.Header.Type != unix.RTM_DELADDR {
			continue
		}
		attributes, err := syscall.ParseNetlinkRouteAttr(m)
		if err != nil {
			continue
		}
		for _, a := range attributes {
			// A local address is IFA_LOCAL with IPv4, and IFA_ADDRESS with IPv6.
			if a.Attr.Type != unix.IFA_LOCAL && a.Attr.Type != unix.IFA_ADDRESS {
				continue
			}
			if ip, ok := netip.AddrFromSlice(a.Value); ok && ip == k.address {
				k.mu.Lock()
				k.changes = append(k.changes, measure.Change{At: at, Node: node, Held: m.Header.Type == unix.RTM_NEWADDR})
				k.mu.Unlock()
				break
			}
		}
	}
}

// SoFar gives the changes seen until now.
func (k *Kernels) SoFar() measure.Changes {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changes[:len(k.changes):len(k.changes)]
}

// Close ends the watch.
func (k *Kernels) Close() {
	_, _ = unix.Write(k.wake[1], []byte{0})
	<-k.done
	_, _ = unix.Close(k.wake[0]), unix.Close(k.wake[1])
	k.closeSockets()
}

func (k *Kernels) closeSockets() {
	for _, fd := range k.sockets {
		_ = unix.Close(fd)
	}
}
