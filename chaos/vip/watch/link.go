package watch

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/chaos/vip/measure"
)

// Link asks on the link, from a machine of its own, who has an IPv4 address, every SampleEvery, and notes all who say so, asked or not.
type Link struct {
	file    *os.File
	request []byte
	nodes   map[[6]byte]int
	address [4]byte
	stop    chan struct{}
	running sync.WaitGroup

	mu        sync.Mutex
	claims    measure.Claims
	strangers int
}

// WatchLink begins. The observer has an interface with the given link-layer address and IPv4 address; nodes are the link-layer addresses of the nodes.
func WatchLink(observer Space, iface string, own net.HardwareAddr, ip, address netip.Addr, nodes []net.HardwareAddr) (*Link, error) {
	l := &Link{request: question(own, ip.As4(), address.As4()), nodes: map[[6]byte]int{}, address: address.As4(), stop: make(chan struct{})}
	for i, mac := range nodes {
		l.nodes[[6]byte(mac)] = i
	}
	var err error
	observer.Do(func() { l.file, err = packetSocket(iface) })
	if err != nil {
		return nil, fmt.Errorf("watch the link: %w", err)
	}
	l.running.Go(l.listen)
	l.running.Go(l.ask)
	return l, nil
}

// packetSocket takes and sends ARP frames on an interface of the namespace that the calling thread is in.
func packetSocket(iface string) (*os.File, error) {
	const arp = unix.ETH_P_ARP>>8 | unix.ETH_P_ARP&0xff<<8 // in network order
	link, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, arp)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arp, Ifindex: link.Index}); err != nil {
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "arp"), nil
}

// The parts of an ARP frame on Ethernet (RFC 826).
const (
	frameSize    = 14 + 28
	senderMAC    = 14 + 8
	senderIP     = 14 + 14
	opRequest    = 1
	hardwareType = 1 // Ethernet
)

// question is an ARP request for the address.
func question(own net.HardwareAddr, ip, address [4]byte) []byte {
	f := make([]byte, 0, frameSize)
	f = append(f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	f = append(f, own...)
	for _, v := range []uint16{unix.ETH_P_ARP, hardwareType, unix.ETH_P_IP, 6<<8 | 4, opRequest} {
		f = binary.BigEndian.AppendUint16(f, v)
	}
	f = append(append(f, own...), ip[:]...)
	f = append(append(f, 0, 0, 0, 0, 0, 0), address[:]...)
	return f
}

func (l *Link) ask() {
	tick := time.NewTicker(SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_, _ = l.file.Write(l.request) // the interface is up as long as the test runs; a lost question is one sample less
		case <-l.stop:
			return
		}
	}
}

func (l *Link) listen() {
	frame := make([]byte, 256)
	for {
		n, err := l.file.Read(frame)
		if err != nil {
			return // closed
		}
		if n < frameSize || [4]byte(frame[senderIP:]) != l.address {
			continue
		}
		l.note(time.Now(), [6]byte(frame[senderMAC:]))
	}
}

func (l *Link) note(at time.Time, mac [6]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	node, known := l.nodes[mac]
	if !known {
		l.strangers++
		return
	}
	l.claims = append(l.claims, measure.Claim{At: at, Node: node})
}

// SoFar gives the claims of the nodes until now, and how many there were of others, which must be none.
func (l *Link) SoFar() (claims measure.Claims, strangers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.claims[:len(l.claims):len(l.claims)], l.strangers
}

// Close ends it.
func (l *Link) Close() {
	close(l.stop)
	_ = l.file.Close()
	l.running.Wait()
}
