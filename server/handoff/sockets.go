package handoff

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
)

// Sockets are listening sockets, and ways between two processes, that were open before this process used them. A nil one has none. It may be used by several goroutines.
type Sockets struct {
	mu   sync.Mutex
	list []socket
}

// Listen gives a listener on the TCP socket that has the name, or else on one that is bound to the address (HOST:PORT, or :PORT for all addresses); nil when there is
// none. It is the caller's; closing it leaves the socket, for the next who asks.
func (s *Sockets) Listen(name, address string) net.Listener {
	var found net.Listener
	s.find("tcp", name, address, func(so *socket) (err error) {
		found, err = so.listener()
		return err
	})
	return found
}

// Packets gives a UDP socket in the same way.
func (s *Sockets) Packets(name, address string) *net.UDPConn {
	var found *net.UDPConn
	s.find("udp", name, address, func(so *socket) (err error) {
		found, err = so.packets()
		return err
	})
	return found
}

// Way gives the end of a pair of sockets that has the name; nil when there is none.
func (s *Sockets) Way(name string) *net.UnixConn {
	var found *net.UnixConn
	s.find("unix", name, "", func(so *socket) (err error) {
		found, err = so.way()
		return err
	})
	return found
}

// find calls use for the one that fits best. One that cannot be used is as good as none: the caller binds, and says why it cannot.
func (s *Sockets) find(network, name, address string, use func(*socket) error) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		if so := &s.list[i]; so.network == network && so.name == name && use(so) == nil {
			return
		}
	}
	host, port, err := resolve(network, address)
	if err != nil || port == 0 {
		return
	}
	for i := range s.list {
		if so := &s.list[i]; so.network == network && so.bound(host, port) && use(so) == nil {
			return
		}
	}
}

// AddManaged duplicates those of from that the service manager has opened: they stay open as long as that lives, so that a later configuration may ask for one.
func (s *Sockets) AddManaged(from *Sockets) error {
	if from == nil {
		return nil
	}
	from.mu.Lock()
	defer from.mu.Unlock()
	for i := range from.list {
		so := &from.list[i]
		if !strings.HasPrefix(so.name, managed) {
			continue
		}
		fd, err := so.duplicate()
		if err == nil {
			err = s.add(so.name, fd)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Managed tells whether the service manager has a socket that is bound to the address.
func (s *Sockets) Managed(network, address string) (found bool) {
	s.find(network, "", address, func(so *socket) error {
		if found = strings.HasPrefix(so.name, managed); !found {
			return errors.ErrUnsupported // look on
		}
		return nil
	})
	return found
}

// CloseOwn closes all but those of the service manager.
func (s *Sockets) CloseOwn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = slices.DeleteFunc(s.list, func(so socket) bool {
		if strings.HasPrefix(so.name, managed) {
			return false
		}
		so.close()
		return true
	})
}

// Close closes what is left of them in this process. Listeners that were given stay open.
func (s *Sockets) Close() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.list {
		s.list[i].close()
	}
	s.list = nil
}

// String lists them, for a log.
func (s *Sockets) String() string {
	if s == nil {
		return "none"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	text := ""
	for i, so := range s.list {
		if i > 0 {
			text += ", "
		}
		text += fmt.Sprintf("%s %s", so.network, so.address())
	}
	return text
}

// resolve gives the address in numbers; host is nil for all addresses.
func resolve(network, address string) (host net.IP, port int, err error) {
	if network == "udp" {
		a, err := net.ResolveUDPAddr(network, address)
		if err != nil {
			return nil, 0, err
		}
		return a.IP, a.Port, nil
	}
	a, err := net.ResolveTCPAddr(network, address)
	if err != nil {
		return nil, 0, err
	}
	return a.IP, a.Port, nil
}

// same tells whether a socket that is bound to one host is what somebody wants who names another; nil and the unspecified ones mean all addresses.
func same(bound, wanted net.IP) bool {
	all := func(ip net.IP) bool { return len(ip) == 0 || ip.IsUnspecified() }
	if all(bound) || all(wanted) {
		return all(bound) && all(wanted)
	}
	return bound.Equal(wanted)
}
