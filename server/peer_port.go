package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/holdfast-lb/holdfast/raftnode"
)

// A peer address may name a range of ports, HOST:LOW-HIGH, for several nodes on one machine: each takes the first one that is free, and after a restart the one that it had
// if that is free still. Otherwise it has a new address, which it tells the group like any node whose address has changed.

const (
	// maxPortRange bounds how many ports are tried.
	maxPortRange = 1000
	// peerPortFile keeps the port that was taken, in the data directory.
	peerPortFile = "peer-port"
)

// portRange is HOST:LOW-HIGH.
type portRange struct {
	host      string
	low, high int
}

// isPortRange tells it from HOST:PORT. Names of services have dashes too, but begin with a letter.
func isPortRange(addr string) bool {
	i := strings.LastIndexByte(addr, ':')
	return i >= 0 && i+1 < len(addr) && addr[i+1] >= '0' && addr[i+1] <= '9' && strings.Contains(addr[i+1:], "-")
}

// parsePortRange reads one. The error says what is wrong with it.
func parsePortRange(addr string) (r portRange, err error) {
	host, ports, err := net.SplitHostPort(addr)
	if err != nil {
		return r, fmt.Errorf("%q is not HOST:LOW-HIGH: %w", addr, err)
	}
	low, high, _ := strings.Cut(ports, "-")
	r.host = host
	if r.low, err = portNumber(low); err == nil {
		r.high, err = portNumber(high)
	}
	switch {
	case err != nil:
		return r, fmt.Errorf("%q: %w: write a range of ports as in :4000-4100", addr, err)
	case r.high < r.low:
		return r, fmt.Errorf("%q: the range of ports runs backwards", addr)
	case r.high-r.low >= maxPortRange:
		return r, fmt.Errorf("%q: a range has at most %d ports", addr, maxPortRange)
	}
	return r, nil
}

func portNumber(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 || text[0] == '0' {
		return 0, fmt.Errorf("%q is not a port", text)
	}
	return int(n), nil
}

func (r portRange) at(port int) string { return net.JoinHostPort(r.host, strconv.Itoa(port)) }

// order lists the ports, the earlier one first when it is in the range.
func (r portRange) order(earlier int) []int {
	list := make([]int, 0, r.high-r.low+2)
	if earlier >= r.low && earlier <= r.high {
		list = append(list, earlier)
	}
	for port := r.low; port <= r.high; port++ {
		if port != earlier {
			list = append(list, port)
		}
	}
	return list
}

// earlierPort is what a data directory says; 0: nothing that can be read.
func earlierPort(dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, peerPortFile))
	if err != nil {
		return 0
	}
	port, err := portNumber(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return port
}

// validatePeerPort checks a range, and what goes with it.
func (c Config) validatePeerPort() error {
	if _, err := parsePortRange(c.PeerAddr); err != nil {
		return fmt.Errorf("--peer-addr: %w", err)
	}
	if _, port, err := net.SplitHostPort(c.Advertise); c.Advertise != "" && err == nil && port != "0" {
		return fmt.Errorf("--advertise: %q names a port, and which one of --peer-addr is taken is known only then: write %q, which stands for it", c.Advertise, strings.TrimSuffix(c.Advertise, port)+"0")
	}
	return nil
}

// WithPeerPort gives the settings with the port in the place of a range: the one that the node had, else the first one that nobody has now. What is no range stays. It
// binds nothing, and is for looking at a node.
func (c Config) WithPeerPort() Config {
	r, err := parsePortRange(c.PeerAddr)
	if !isPortRange(c.PeerAddr) || err != nil {
		return c
	}
	port := earlierPort(c.DataDir)
	if port < r.low || port > r.high {
		port = r.low
		for _, try := range r.order(0) {
			if ln, err := net.Listen("tcp", r.at(try)); err == nil {
				_ = ln.Close()
				port = try
				break
			}
		}
	}
	return c.with(r, port)
}

// with has a port of the range.
func (c Config) with(r portRange, port int) Config {
	c.PeerAddr = r.at(port)
	if host, zero, err := net.SplitHostPort(c.Advertise); err == nil && zero == "0" {
		c.Advertise = net.JoinHostPort(host, strconv.Itoa(port))
	}
	return c
}

// takePeerPort binds the peer port if the settings have a range for it, and gives the settings and the network with which the node binds no other.
func (s *Server) takePeerPort(network raftnode.Network) (Config, raftnode.Network, error) {
	c := s.config
	if !isPortRange(c.PeerAddr) {
		return c, network, nil
	}
	r, err := parsePortRange(c.PeerAddr)
	if err != nil {
		return c, nil, err
	}
	earlier := earlierPort(s.dir.Path())
	for _, port := range r.order(earlier) {
		ln, err := network.Listen(r.at(port))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return c, nil, fmt.Errorf("bind peer port: %w", err)
		}
		s.peerPort = &boundPort{Network: network, addr: r.at(port), ln: ln}
		if port != earlier {
			if err := writePeerPort(s.dir.Path(), port); err != nil {
				s.log.Warn("which peer port was taken was not noted: after a restart it may be another one", "port", port, "error", err)
			}
			if earlier != 0 {
				s.log.Info("the peer port of before is another process's: the group is told of the new one", "port", port, "was", earlier)
			}
		}
		return c.with(r, port), s.peerPort, nil
	}
	return c, nil, fmt.Errorf("bind peer port: --peer-addr %s: other processes have all %d ports: name more of them", c.PeerAddr, r.high-r.low+1)
}

func writePeerPort(dir string, port int) error {
	name := filepath.Join(dir, peerPortFile)
	err := os.WriteFile(name+".next", []byte(strconv.Itoa(port)+"\n"), 0o600)
	if err == nil {
		err = os.Rename(name+".next", name)
	}
	return err
}

// boundPort is a network on which the peer port is bound already: that is given out once.
type boundPort struct {
	raftnode.Network
	addr string

	mu sync.Mutex
	ln net.Listener // nil once it was given out, or closed
}

// Listen implements raftnode.Network.
func (b *boundPort) Listen(addr string) (net.Listener, error) {
	if addr == b.addr {
		if ln := b.take(); ln != nil {
			return ln, nil
		}
	}
	return b.Network.Listen(addr)
}

func (b *boundPort) take() net.Listener {
	b.mu.Lock()
	defer b.mu.Unlock()
	ln := b.ln
	b.ln = nil
	return ln
}

// close ends a listener that nobody has taken.
func (b *boundPort) close() error {
	if b == nil {
		return nil
	}
	if ln := b.take(); ln != nil {
		return ln.Close()
	}
	return nil
}
