package lan

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/holdfast-lb/holdfast/chaos/group"
	"github.com/holdfast-lb/holdfast/chaos/proc"
	"github.com/holdfast-lb/holdfast/chaos/vip/client"
	"github.com/holdfast-lb/holdfast/chaos/vip/watch"
	"github.com/holdfast-lb/holdfast/internal/netlab"
)

// Address is the virtual one; it is nobody's at first.
const Address = "10.78.0.100"

const (
	subnet       = "10.78.0."
	bits         = "/24"
	firstNode    = 1
	firstOther   = 21
	clientsHost  = 150
	observerHost = 160
	maxMachines  = 20 // of a kind
)

// Clients is the machine that clients and operators are on.
const Clients = group.Clients

// LAN is one network. It ends with Close.
type LAN struct {
	scope    netlab.Scope
	lab      *netlab.Lab
	machines map[string]*netlab.NS
	ips      map[string]string
	nodes    []string
	kernels  *watch.Kernels
	link     *watch.Link
}

// Missing says why there can be no such network here; nil: there can.
func Missing() error {
	if os.Geteuid() != 0 {
		return errors.New("network namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("network namespaces need the program ip (iproute2): %w", err)
	}
	return nil
}

// New makes a network of these nodes and instances, whose names are short, and begins to watch who has the Address. After an error nothing is left.
func New(nodes, instances []string) (*LAN, error) {
	if err := Missing(); err != nil {
		return nil, err
	}
	if len(nodes) > maxMachines || len(instances) > maxMachines {
		return nil, fmt.Errorf("a network of %d nodes and %d instances: %d of a kind are the most", len(nodes), len(instances), maxMachines)
	}
	l := &LAN{machines: map[string]*netlab.NS{}, ips: map[string]string{}, nodes: nodes}
	err := l.scope.Try(func() {
		l.lab = netlab.New(&l.scope)
		add := func(name string, host int) {
			m := l.lab.Node(name)
			l.machines[name], l.ips[name] = m, fmt.Sprint(subnet, host)
			l.lab.Connect(m, l.ips[name]+bits)
		}
		for i, name := range nodes {
			add(name, firstNode+i)
		}
		for i, name := range instances {
			add(name, firstOther+i)
		}
		add(Clients, clientsHost)
		add("observer", observerHost)
	})
	if err == nil {
		err = l.watch()
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// watch begins to watch the Address.
func (l *LAN) watch() (err error) {
	var spaces []watch.Space
	var macs []net.HardwareAddr
	for _, name := range l.nodes {
		spaces = append(spaces, l.machines[name])
		macs = append(macs, l.machines[name].MAC())
	}
	if l.kernels, err = watch.WatchKernels(spaces, Address); err != nil {
		return err
	}
	observer := l.machines["observer"]
	l.link, err = watch.WatchLink(observer, netlab.Interface, observer.MAC(), netip.MustParseAddr(l.ips["observer"]), netip.MustParseAddr(Address), macs)
	return err
}

// Close ends the network, and every process that is left in it.
func (l *LAN) Close() error {
	if l.link != nil {
		l.link.Close()
	}
	if l.kernels != nil {
		l.kernels.Close()
	}
	return l.scope.Close()
}

// IP is a machine's own address.
func (l *LAN) IP(machine string) string { return l.ips[machine] }

// Dial connects from a machine to an address without a name.
func (l *LAN) Dial(machine string) func(ctx context.Context, network, address string) (net.Conn, error) {
	dial := client.DialFrom(func(f func()) { l.machines[machine].Do(f) })
	return func(ctx context.Context, _, address string) (c net.Conn, err error) {
		if tried := l.scope.Try(func() { c, err = dial(ctx, address) }); tried != nil {
			return nil, tried
		}
		return c, err
	}
}

// Arguments are those that a node needs to take part in the virtual address.
func (l *LAN) Arguments() []string { return []string{"--vip", Address + bits + "@" + netlab.Interface} }

// Spec is that of a process on a machine. 'ip netns exec' becomes the program, so that the process id is the program's.
func (l *LAN) Spec(machine string, s proc.Spec) proc.Spec {
	s.Args = append([]string{"netns", "exec", filepath.Base(l.machines[machine].Path), s.Path}, s.Args...)
	s.Path = "ip"
	return s
}
