package server

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPortRanges: TC-34. What is a range, and what is wrong with one.
func TestPortRanges(t *testing.T) {
	for addr, want := range map[string]portRange{
		":4000-4100": {"", 4000, 4100}, "127.0.0.1:4000-4000": {"127.0.0.1", 4000, 4000}, "[::1]:1-1000": {"::1", 1, 1000}, "n-1.example:65000-65535": {"n-1.example", 65000, 65535},
	} {
		if got, err := parsePortRange(addr); !isPortRange(addr) || err != nil || got != want {
			t.Errorf("%s: %+v, %v", addr, got, err)
		}
	}
	for _, addr := range []string{":7701", "n-1:7701", ":http-alt", "", "4000-4100", ":", "[::1]:80", ":0"} {
		if isPortRange(addr) {
			t.Errorf("%s is taken for a range", addr)
		}
	}
	for addr, says := range map[string]string{
		":4100-4000": "runs backwards", ":0-10": "is not a port", ":4000-": "is not a port", ":4000-70000": "is not a port", ":1-1001": "at most 1000 ports", ":4000-4100-4200": "is not a port",
		":04000-4100": "is not a port", ":4000-+4100": "is not a port", ":4000- 4100": "is not a port", "::1:4000-4100": "is not HOST:LOW-HIGH", ":4000-4100x": "is not a port", ":99999999999999999999-1": "is not a port",
	} {
		c := Defaults()
		c.Name, c.PeerAddr = "n1", addr
		if err := c.Validate(); !isPortRange(addr) || err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "--peer-addr") {
			t.Errorf("%s: %v, want %q", addr, err, says)
		}
	}
	c := Defaults()
	c.Name, c.PeerAddr, c.Advertise = "n1", ":4000-4100", "10.0.0.1:4000"
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), `write "10.0.0.1:0"`) {
		t.Error(err)
	}
	c.Advertise = "10.0.0.1:0"
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	if got := c.with(portRange{"", 4000, 4100}, 4007); got.PeerAddr != ":4007" || got.Advertise != "10.0.0.1:4007" {
		t.Errorf("%s %s", got.PeerAddr, got.Advertise)
	}
	if got := fmt.Sprint(portRange{"", 5, 8}.order(7), portRange{"", 5, 8}.order(9), portRange{"", 5, 8}.order(0)); got != "[7 5 6 8] [5 6 7 8] [5 6 7 8]" {
		t.Error(got)
	}
}

// TestEarlierPort: what is in the file is a port, or nothing.
func TestEarlierPort(t *testing.T) {
	dir := t.TempDir()
	if got := earlierPort(dir); got != 0 {
		t.Error(got)
	}
	for text, want := range map[string]int{"4001\n": 4001, "4001": 4001, "": 0, "x": 0, "0": 0, "70000": 0, "-1": 0, "4001\n4002": 0} {
		if err := os.WriteFile(filepath.Join(dir, peerPortFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := earlierPort(dir); got != want {
			t.Errorf("%q: %d", text, got)
		}
	}
	if err := writePeerPort(dir, 4007); err != nil || earlierPort(dir) != 4007 {
		t.Error(err, earlierPort(dir))
	}
}

// TestNodesShareARangeOfPorts: TC-34. Nodes on one machine take one port after the other; what they advertise is what they took; one whose port is another process's after a restart
// is found again at another one, and keeps that.
func TestNodesShareARangeOfPorts(t *testing.T) {
	low := freePort(t)
	ports := fmt.Sprintf("127.0.0.1:%d-%d", low, low+200)
	g := startGroup(t, 3, func(c *Config) { c.PeerAddr, c.Join = ports, []string{fmt.Sprintf("127.0.0.1:%d", low)} })
	portOf := func(i int) int {
		_, text, err := net.SplitHostPort(g.servers[i].node.Addr())
		if err != nil {
			t.Fatal(err)
		}
		port, err := portNumber(text)
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	seen := map[int]bool{}
	for i, s := range g.servers {
		seen[portOf(i)] = true
		if p := portOf(i); p < low || p > low+200 || s.config.PeerAddr != ports {
			t.Errorf("node %d has port %d, its setting is %s", i, p, s.config.PeerAddr)
		}
	}
	if len(seen) != 3 || portOf(0) != low {
		t.Errorf("ports %v from %d on", seen, low)
	}
	found := func(i int) {
		t.Helper()
		want := fmt.Sprintf("127.0.0.1:%d", portOf(i))
		for _, s := range g.servers {
			eventually(t, "every node knows where it is", func() error {
				for _, m := range s.node.Members(t.Context()) {
					if m.Name == g.servers[i].config.Name && m.Addr == want && m.Reachable {
						return nil
					}
				}
				return fmt.Errorf("%s does not know that %s is at %s", s.config.Name, g.servers[i].config.Name, want)
			})
		}
	}
	was := portOf(2)
	g.restart(t, 2)
	if portOf(2) != was {
		t.Errorf("it had %d and has %d", was, portOf(2))
	}
	g.halt(t, 2)
	other, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", was))
	if err != nil {
		t.Fatal(err)
	}
	g.again(t, 2)
	found(2)
	moved := portOf(2)
	if moved == was {
		t.Fatal("it has a port that is another process's")
	}
	other.Close()
	g.restart(t, 2)
	if portOf(2) != moved {
		t.Errorf("it had %d and has %d", moved, portOf(2))
	}
	found(2)
	g.configure(t, newApp(t, "i1"))
}

// TestNoPortIsFree says so, and leaves nothing open.
func TestNoPortIsFree(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	port := ln.Addr().(*net.TCPAddr).Port
	c := Defaults()
	c.Name, c.DataDir, c.AdminAddr, c.Bootstrap = "n1", t.TempDir(), "127.0.0.1:0", true
	c.PeerAddr = fmt.Sprintf("127.0.0.1:%d-%d", port, port)
	if _, err := New(c, new(logBuffer)); err == nil || !strings.Contains(err.Error(), "other processes have all 1 ports") {
		t.Fatal(err)
	}
	if got := c.WithPeerPort(); got.PeerAddr != ln.Addr().String() {
		t.Error(got.PeerAddr)
	}
	if got := Defaults().WithPeerPort(); got.PeerAddr != ":7701" {
		t.Error(got.PeerAddr)
	}
}
