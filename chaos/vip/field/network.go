package field

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-lb/holdfast/chaos/vip/client"
	"github.com/holdfast-lb/holdfast/chaos/vip/warp"
	"github.com/holdfast-lb/holdfast/chaos/vip/watch"
	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/internal/sampleapp"
)

// The addresses of the network.
const (
	Address4 = "10.77.0.100" // the virtual ones
	Address6 = "fd77::100"

	subnet      = "10.77.0."
	subnet6     = "fd77::"
	appsHost    = 20
	clientHost  = 50
	watcherHost = 60
	bits4       = "/24"
	bits6       = "/64"

	port      = "80"
	instances = 3
	nodes     = 3
)

// Network is three nodes, a machine with the instances, a client and an observer, all on one bridge.
type Network struct {
	Lab      *netlab.Lab
	Nodes    []*netlab.NS
	apps     *netlab.NS
	client   *netlab.NS
	observer *netlab.NS
	clocks   map[int]*warp.Clock // of processes, by id
}

// NewNetwork makes one that ends with the test. The instances serve when it returns.
func NewNetwork(t testing.TB) *Network {
	t.Helper()
	n := &Network{Lab: netlab.New(t), clocks: map[int]*warp.Clock{}}
	t.Cleanup(func() {
		for _, c := range n.clocks {
			_ = c.Close()
		}
	})
	machine := func(name string, host int) *netlab.NS {
		m := n.Lab.Node(name)
		n.Lab.Connect(m, fmt.Sprint(subnet, host, bits4), fmt.Sprint(subnet6, host, bits6))
		return m
	}
	for i := range nodes {
		n.Nodes = append(n.Nodes, machine(NodeName(i), i+1))
	}
	n.apps, n.client, n.observer = machine("apps", appsHost), machine("client", clientHost), machine("observer", watcherHost)
	for i := range instances {
		n.serve(t, fmt.Sprintf("instance%d", i+1), instanceAddress(i))
	}
	return n
}

// NodeName is the name of the i-th node.
func NodeName(i int) string { return fmt.Sprintf("n%d", i+1) }

func nodeIP(i int) string { return fmt.Sprint(subnet, i+1) }

func instanceAddress(i int) string { return fmt.Sprintf("%s%d:%d", subnet, appsHost, 9001+i) }

// serve runs an instance in this process: it is not what is tested.
func (n *Network) serve(t testing.TB, name, address string) {
	t.Helper()
	var listener net.Listener
	var err error
	n.apps.Do(func() { listener, err = net.Listen("tcp", address) })
	if err != nil {
		t.Fatal(err)
	}
	app := sampleapp.Handler(name)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(client.NodeHeader, askedBy(r.RemoteAddr))
		app.ServeHTTP(w, r)
	})}
	go func() { _ = server.Serve(listener) }() // until Close
	t.Cleanup(func() { _ = server.Close() })
}

// askedBy is the name of the node that a request came from.
func askedBy(remote string) string {
	for i := range nodes {
		if host, _, _ := net.SplitHostPort(remote); host == nodeIP(i) {
			return NodeName(i)
		}
	}
	return remote
}

// Dial is how the client connects.
func (n *Network) Dial() client.Dial { return client.DialFrom(n.client.Do) }

// target is where clients ask.
func target(address string) string { return net.JoinHostPort(address, port) }

// spaces are the nodes for the watchers.
func (n *Network) spaces() (s []watch.Space) {
	for _, node := range n.Nodes {
		s = append(s, node)
	}
	return s
}

// holders are the nodes whose kernels have the address now.
func (n *Network) holders(address string) (have []int) {
	for i, node := range n.Nodes {
		if node.Has(address) {
			have = append(have, i)
		}
	}
	return have
}

// watchLink lets the observer look at the link.
func (n *Network) watchLink() (*watch.Link, error) {
	var macs []net.HardwareAddr
	for _, node := range n.Nodes {
		macs = append(macs, node.MAC())
	}
	own := netip.MustParseAddr(fmt.Sprint(subnet, watcherHost))
	return watch.WatchLink(n.observer, netlab.Interface, n.observer.MAC(), own, netip.MustParseAddr(Address4), macs)
}

// flush takes every address off a node's interface.
func (n *Network) flush(i int) {
	for _, address := range []string{Address4, Address6} {
		n.drop(i, address)
	}
	n.drop(i, nodeIP(i))
	n.drop(i, fmt.Sprint(subnet6, i+1))
}

func (n *Network) drop(i int, address string) {
	handle := n.Nodes[i].Netlink()
	list, err := handle.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		panic("BUG: the addresses of a namespace of ours cannot be read: " + err.Error())
	}
	for _, a := range list {
		if a.IP.Equal(net.ParseIP(address)) {
			// Whoever is being killed may be faster, and so may the end of a lifetime.
			_ = handle.AddrDel(nil, &a)
		}
	}
}

// giveAddresses gives a node its own ones that it does not have.
func (n *Network) giveAddresses(i int) {
	for _, cidr := range []string{nodeIP(i) + bits4, fmt.Sprint(subnet6, i+1) + bits6} {
		if address, _, _ := strings.Cut(cidr, "/"); !n.Nodes[i].Has(address) {
			n.Nodes[i].AddAddr(cidr)
		}
	}
}

// linkUp sets a node's interface up again, with the addresses that it had (the kernel forgets those of IPv6).
func (n *Network) linkUp(i int) {
	n.Nodes[i].LinkUp()
	n.giveAddresses(i)
}

// clockOf takes the clock of a process into hand, once.
func (n *Network) clockOf(pid int) (*warp.Clock, error) {
	if c := n.clocks[pid]; c != nil {
		return c, nil
	}
	c, err := warp.Take(pid)
	if err == nil {
		n.clocks[pid] = c
	}
	return c, err
}

// Watch notes from now on who has the IPv4 address.
func (n *Network) Watch() (*Watch, error) {
	k, err := watch.WatchKernels(n.spaces(), Address4)
	return &Watch{k}, err
}

// Watch is who has the address.
type Watch struct{ kernels *watch.Kernels }

// Taken is how often a node got it.
func (w *Watch) Taken(from, to time.Time) int { return w.kernels.SoFar().Taken(from, to) }

// Close ends the watch.
func (w *Watch) Close() { w.kernels.Close() }
