package netlab

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// Interface is the name of the interface by which a connected node is on the bridge.
	Interface = "eth0"

	prefix   = "hflab-" // then the test process's id, a number, and the node
	folder   = "/run/netns"
	bridge   = "br0"
	switches = "switch" // the name of the namespace with the bridge
)

var labs, losses atomic.Int64 // how many there have been

// Lab is one network: a bridge, in a namespace of its own, and the nodes on it.
type Lab struct {
	t      T
	prefix string
	sw     *NS
	nodes  []*NS
}

// New gives a network without nodes, which ends with the test, or with the Scope.
func New(t T) *Lab {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("network namespaces need root")
	}
	prune()
	l := &Lab{t: t, prefix: fmt.Sprintf("%s%d-%d-", prefix, os.Getpid(), labs.Add(1))}
	l.sw = l.make(switches)
	// A bridge that learns who listens to which group drops neighbour discovery when nobody on it asks.
	snoop := false
	l.must("add the bridge", l.sw.nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridge, MTU: 1500}, MulticastSnooping: &snoop}))
	l.must("set the bridge up", l.sw.nl.LinkSetUp(l.sw.link(bridge)))
	return l
}

// Node adds a namespace with a loopback interface and nothing else. The name is short: at most 11 letters.
func (l *Lab) Node(name string) *NS {
	l.t.Helper()
	if len(name) > 11 || name == switches || strings.ContainsAny(name, "/ .") {
		l.t.Fatalf("%q cannot be the name of a node of a lab", name)
	}
	n := l.make(name)
	l.nodes = append(l.nodes, n)
	return n
}

func (l *Lab) make(name string) *NS {
	l.t.Helper()
	n := &NS{Name: name, Path: filepath.Join(folder, l.prefix+name), lab: l}
	onThread(l.t, netns.None(), func() {
		var err error
		n.handle, err = netns.NewNamed(l.prefix + name) // leaves the thread in the new namespace
		l.must("make a namespace", err)
	})
	l.t.Cleanup(n.remove)
	var err error
	n.nl, err = netlink.NewHandleAt(n.handle)
	l.must("open netlink in "+name, err)
	n.Do(func() {
		// What matters is what Holdfast does, not how long the kernel takes to find the nodes' own addresses unique.
		for _, key := range []string{"all", "default"} {
			l.sysctl("/proc/sys/net/ipv6/conf/"+key+"/accept_dad", "0")
			l.sysctl("/proc/sys/net/ipv6/conf/"+key+"/accept_ra", "0")
		}
	})
	l.must("set lo up", n.nl.LinkSetUp(n.link("lo")))
	return n
}

// Connect puts a node on the bridge with addresses like 10.9.0.1/24 and fd00::1/64, on an interface named Interface.
func (l *Lab) Connect(n *NS, cidrs ...string) {
	l.t.Helper()
	port := n.port()
	veth := &netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: port, MTU: 1500, TxQLen: 1000},
		PeerName:      Interface,
		PeerNamespace: netlink.NsFd(n.handle),
	}
	l.must("add a cable to "+n.Name, l.sw.nl.LinkAdd(veth))
	l.must("plug it in", l.sw.nl.LinkSetMaster(l.sw.link(port), l.sw.link(bridge)))
	l.must("set the port up", l.sw.nl.LinkSetUp(l.sw.link(port)))
	l.must("set the interface up", n.nl.LinkSetUp(n.link(Interface)))
	l.linked(n)
	for _, cidr := range cidrs {
		n.AddAddr(cidr)
	}
	for _, cidr := range cidrs {
		l.reachable(n, cidr)
	}
}

// linked waits until the bridge has learnt of the node's carrier, which takes the kernel up to a second (linkwatch in net/core).
func (l *Lab) linked(n *NS) {
	l.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		if l.sw.link(n.port()).Attrs().OperState == netlink.OperUp && n.link(Interface).Attrs().OperState == netlink.OperUp {
			return
		}
		<-tick.C
	}
	l.t.Fatalf("network for the test: the cable of %s has no carrier", n.Name)
}

// reachable waits until the node takes packets for an address: for IPv6 the kernel adds the route later than the address.
func (l *Lab) reachable(n *NS, cidr string) {
	l.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 5000 {
		routes, err := n.nl.RouteGet(n.addr(cidr).IP)
		if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
			return
		}
		<-tick.C
	}
	l.t.Fatalf("network for the test: %s does not get %s", n.Name, cidr)
}

// Cut takes the node off the bridge, at the switch: its interface stays up and has a carrier, but nobody hears it any more. Mend ends that.
func (l *Lab) Cut(n *NS) {
	l.t.Helper()
	l.must("cut "+n.Name, l.sw.nl.LinkSetNoMaster(l.sw.link(n.port())))
}

// Mend puts the node back onto the bridge.
func (l *Lab) Mend(n *NS) {
	l.t.Helper()
	l.must("mend "+n.Name, l.sw.nl.LinkSetMaster(l.sw.link(n.port()), l.sw.link(bridge)))
}

// Unplug pulls the cable out: the node's interface loses its carrier. Plug ends that.
func (l *Lab) Unplug(n *NS) {
	l.t.Helper()
	l.must("unplug "+n.Name, l.sw.nl.LinkSetDown(l.sw.link(n.port())))
}

// Plug puts the cable back in. The kernel may need up to a second to tell the node and the bridge.
func (l *Lab) Plug(n *NS) {
	l.t.Helper()
	l.must("plug "+n.Name, l.sw.nl.LinkSetUp(l.sw.link(n.port())))
}

func (l *Lab) must(what string, err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatalf("network for the test: %s: %v", what, err)
	}
}

// sysctl writes a setting of the namespace that the calling thread is in.
func (l *Lab) sysctl(path, value string) {
	l.t.Helper()
	l.must("set "+path, os.WriteFile(path, []byte(value), 0o644))
}

// prune removes the namespaces of test processes that are gone.
func prune() {
	paths, _ := filepath.Glob(folder + "/" + prefix + "*")
	for _, path := range paths {
		var pid int
		if _, err := fmt.Sscanf(filepath.Base(path), prefix+"%d-", &pid); err != nil || syscall.Kill(pid, 0) != syscall.ESRCH {
			continue
		}
		killIn(path)
		_ = netns.DeleteNamed(filepath.Base(path))
	}
}
