//go:build netns

package kernel

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-lb/holdfast/internal/netlab"
	"github.com/holdfast-lb/holdfast/vip"
)

const (
	vip4, vip6 = "10.9.0.100", "fd09::100"
	lease      = 2 * time.Second
)

// both is the address of the lab in both families.
var both = []string{vip4 + "/24@eth0", vip6 + "/64@eth0"}

// lan is two nodes and a client on one bridge.
type lan struct {
	*netlab.Lab
	t            *testing.T
	a, b, client *netlab.NS
}

func newLAN(t *testing.T) *lan {
	l := &lan{Lab: netlab.New(t), t: t}
	l.a, l.b, l.client = l.Node("a"), l.Node("b"), l.Node("client")
	l.Connect(l.a, "10.9.0.1/24", "fd09::1/64")
	l.Connect(l.b, "10.9.0.2/24", "fd09::2/64")
	l.Connect(l.client, "10.9.0.50/24", "fd09::50/64")
	return l
}

func parse(t *testing.T, addrs ...string) []vip.Address {
	t.Helper()
	all := make([]vip.Address, len(addrs))
	for i, s := range addrs {
		var err error
		if all[i], err = vip.ParseAddress(s); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// kernel opens one in a node, and closes it with the test.
func kernel(t *testing.T, ns *netlab.NS, addrs ...string) *Kernel {
	t.Helper()
	k, err := tryOpen(t, ns, addrs...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in(t, ns, k.Close) })
	return k
}

func tryOpen(t *testing.T, ns *netlab.NS, addrs ...string) (k *Kernel, err error) {
	t.Helper()
	ns.Do(func() { k, err = Open(parse(t, addrs...), t.Logf) })
	return k, err
}

// in calls f in the namespace and wants it to work.
func in(t *testing.T, ns *netlab.NS, f func() error) {
	t.Helper()
	var err error
	ns.Do(func() { err = f() })
	if err != nil {
		t.Fatalf("%s: %v", ns.Name, err)
	}
}

// take is what a new holder does.
func take(t *testing.T, ns *netlab.NS, k *Kernel) {
	t.Helper()
	in(t, ns, func() error { return k.Add(lease) })
	in(t, ns, func() error { return k.Silence(false) })
	in(t, ns, k.Announce)
}

// eventually polls.
func eventually(t *testing.T, what string, most time.Duration, f func() bool) time.Duration {
	t.Helper()
	begin := time.Now()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		if time.Since(begin) > most {
			t.Fatalf("not within %v: %s", most, what)
		}
		<-tick.C
	}
	return time.Since(begin)
}

// neighbour is what the node thinks the link-layer address of ip is.
func neighbour(t *testing.T, ns *netlab.NS, ip string) string {
	t.Helper()
	all, err := ns.Netlink().NeighList(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range all {
		if n.IP.Equal(net.ParseIP(ip)) && n.HardwareAddr != nil && n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) == 0 {
			return n.HardwareAddr.String()
		}
	}
	return ""
}

// serve answers each line with the node's name, on port 80 of all addresses.
func serve(t *testing.T, ns *netlab.NS) {
	t.Helper()
	var l net.Listener
	in(t, ns, func() (err error) { l, err = net.Listen("tcp", ":80"); return err })
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = c.Close() }()
				for s := bufio.NewScanner(c); s.Scan(); {
					_, _ = fmt.Fprintln(c, ns.Name)
				}
			})
		}
	})
	t.Cleanup(func() { _ = l.Close() }) // the connections end with the namespaces, or with the client
}

// dial connects and fails the test when that does not work within a second: that is when a lost SYN would be repeated.
func dial(t *testing.T, ns *netlab.NS, ip string) net.Conn {
	t.Helper()
	c, err := tryDial(ns, ip, 900*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func tryDial(ns *netlab.NS, ip string, most time.Duration) (c net.Conn, err error) {
	ns.Do(func() { c, err = net.DialTimeout("tcp", net.JoinHostPort(ip, "80"), most) })
	return c, err
}

// ask gives the name of the node that answers on a connection.
func ask(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(900 * time.Millisecond))
	if _, err := fmt.Fprintln(c, "who"); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(c).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// events collects what Watch tells.
type events struct {
	mu  sync.Mutex
	all []vip.Event
}

func watching(t *testing.T, ns *netlab.NS, k *Kernel) *events {
	t.Helper()
	e, ready := &events{}, make(chan struct{})
	k.subscribed = sync.OnceFunc(func() { close(ready) })
	ctx, stop := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		ns.Do(func() {
			_ = k.Watch(ctx, func(ev vip.Event) {
				e.mu.Lock()
				defer e.mu.Unlock()
				e.all = append(e.all, ev)
			})
		})
	})
	t.Cleanup(func() { stop(); done.Wait() })
	select {
	case <-ready:
	case <-time.After(2 * time.Second):
		t.Fatal("Watch does not begin")
	}
	return e
}

func (e *events) list() []vip.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

func (e *events) count(kind vip.EventKind) int {
	n := 0
	for _, ev := range e.list() {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

func (e *events) want(t *testing.T, kind vip.EventKind, n int) {
	t.Helper()
	eventually(t, fmt.Sprintf("%d events of kind %d", n, kind), 3*time.Second, func() bool { return e.count(kind) >= n })
}

// hopsOf gives the own addresses of a node, as a kernel there would.
func hopsOf(t *testing.T, ns *netlab.NS, addrs []string) []vip.Hop {
	t.Helper()
	k := kernel(t, ns, addrs...)
	hops, err := k.Hops()
	if err != nil {
		t.Fatal(err)
	}
	return hops
}

// tables counts the tables of nftables in a node.
func tables(t *testing.T, ns *netlab.NS) int {
	t.Helper()
	out, err := ns.Exec("nft", "list", "tables").CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v", out, err)
	}
	return strings.Count(string(out), "holdfast-")
}
