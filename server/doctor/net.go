package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/server/discovery"
)

// net looks at the ports that the node takes, and at the way to the others.
func (v *visit) net(ctx context.Context) {
	for _, p := range v.ports() {
		if v.report.Running {
			v.taken(ctx, p)
		} else {
			v.free(ctx, p)
		}
	}
	v.files()
	v.advertised()
	v.multicast()
	v.reachable()
}

// port is an address that the node listens on.
type port struct{ network, addr, what, flag string }

// ports lists them: those of the settings, and the listeners of the configuration that the node has on its disk or serves.
func (v *visit) ports() []port {
	c := &v.Config
	list := []port{{"tcp", c.PeerAddr, "the peer port", "--peer-addr"}, {"tcp", c.AdminAddr, "the admin port", "--admin-addr"}}
	if self := v.self(); self != nil { // it knows better than these settings, and has answered at its admin port
		list = []port{{"tcp", self.PeerAddr, "the peer port", "--peer-addr"}}
	}
	if c.DNSAddr != "" {
		list = append(list, port{"udp", c.DNSAddr, "the DNS port", "--dns-addr"}, port{"tcp", c.DNSAddr, "the DNS port", "--dns-addr"})
	}
	add := func(name, address, protocol string) {
		if host, num, err := net.SplitHostPort(address); err == nil {
			if host == "" {
				host = c.BindAddress
			}
			network := "tcp"
			if protocol == "udp" {
				network = "udp"
			}
			list = append(list, port{network, net.JoinHostPort(host, num), "listener " + name, ""})
		}
	}
	switch {
	case v.status != nil:
		for _, l := range v.status.Listeners {
			add(l.Name, l.Address, l.Protocol)
		}
	case v.inspection != nil && v.inspection.State != nil:
		for _, l := range v.inspection.State.Revision().Config.Listeners {
			everywhere := len(l.Zones) == 0 && len(l.Nodes) == 0
			if everywhere || slices.Contains(l.Zones, c.Zone) || slices.Contains(l.Nodes, v.report.Node) {
				add(l.Name, l.Address, l.Protocol)
			}
		}
	}
	return list
}

// self is what the node that runs says of itself, nil when it does not.
func (v *visit) self() *wire.Node {
	if v.status == nil {
		return nil
	}
	for i := range v.status.Nodes {
		if n := &v.status.Nodes[i]; n.Self && n.Reachable {
			return n
		}
	}
	return nil
}

// free tries to listen where the node will.
func (v *visit) free(ctx context.Context, p port) {
	err := tryListen(ctx, p)
	if err == nil {
		v.find("net", "ports", OK, "", "%s %s (%s) is free", p.what, p.addr, p.network)
		return
	}
	if v.virtual(p.addr) && errors.Is(err, syscall.EADDRNOTAVAIL) {
		v.find("net", "ports", OK, "", "%s is on the virtual address %s, which this machine has not got now", p.what, p.addr)
		return
	}
	other := "change its address in the group's configuration"
	if p.flag != "" {
		other = "name another one with " + p.flag
	}
	fix := other
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		_, num, _ := net.SplitHostPort(p.addr)
		fix = fmt.Sprintf("stop what has it ('ss -ln%sp sport = :%s' shows it), or %s", p.network[:1], num, other)
	case errors.Is(err, fs.ErrPermission):
		fix = "give the node CAP_NET_BIND_SERVICE (setcap, or AmbientCapabilities= in its systemd unit), or " + other
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		fix = "this machine has no such address: give it to an interface, or " + other
	}
	v.find("net", "ports", Fault, fix, "%s %s cannot be had: %v", p.what, p.addr, err)
}

func tryListen(ctx context.Context, p port) error {
	var lc net.ListenConfig
	if p.network == "udp" {
		c, err := lc.ListenPacket(ctx, p.network, p.addr)
		if err == nil {
			err = c.Close()
		}
		return err
	}
	l, err := lc.Listen(ctx, p.network, p.addr)
	if err == nil {
		err = l.Close()
	}
	return err
}

// virtual tells whether an address is one of the virtual ones.
func (v *visit) virtual(addr string) bool {
	host, _, _ := net.SplitHostPort(addr)
	return slices.ContainsFunc(v.Config.VIPs, func(vip string) bool { return host != "" && strings.HasPrefix(vip, host+"/") })
}

// taken tries whether the node that runs listens there.
func (v *visit) taken(ctx context.Context, p port) {
	if p.network == "udp" {
		return // nothing answers to a connection
	}
	host, num, err := net.SplitHostPort(p.addr)
	if err != nil {
		return
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	d := net.Dialer{Timeout: 2 * time.Second}
	c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(host, num))
	if self := v.self(); err != nil && p.flag == "" && self != nil { // it may have been started with --bind-address
		if bound, _, bad := net.SplitHostPort(self.PeerAddr); bad == nil {
			if again, failed := d.DialContext(ctx, "tcp", net.JoinHostPort(bound, num)); failed == nil {
				c, err = again, nil
			}
		}
	}
	switch {
	case err == nil:
		_ = c.Close()
		v.find("net", "ports", OK, "", "%s %s takes connections", p.what, p.addr)
	case v.virtual(p.addr):
		v.find("net", "ports", OK, "", "%s is on the virtual address %s, where this node does not answer now", p.what, p.addr)
	default:
		v.find("net", "ports", Fault, "look at the log of the node; was it started with other settings than these?", "a node runs, and %s %s takes no connection: %v", p.what, p.addr, err)
	}
}

// advertised looks at the address that the others are told to dial.
func (v *visit) advertised() {
	addr, err := v.Config.Advertised()
	if self := v.self(); self != nil {
		addr, err = self.PeerAddr, nil
	}
	if err != nil {
		v.find("net", "advertise", Fault, "name the address with --advertise HOST:PORT", "%v", err)
		return
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		v.find("net", "advertise", Fault, "name the address with --advertise HOST:PORT", "%v", err)
		return
	}
	ips, err := net.LookupIP(host)
	if err != nil {
		v.find("net", "advertise", Fault, "correct the name, or the DNS of this machine", "others are told to dial %s, and this machine does not find it: %v", addr, err)
		return
	}
	own, err := ownAddresses()
	if err != nil {
		v.find("net", "advertise", Skipped, "", "%v", err)
		return
	}
	if !slices.ContainsFunc(ips, func(ip net.IP) bool { return own[ip.String()] != "" || ip.IsLoopback() }) {
		v.find("net", "advertise", Warning, "right behind address translation or a port forward; otherwise correct --advertise", "others are told to dial %s, which is no address of this machine", addr)
		return
	}
	v.find("net", "advertise", OK, "", "others are told to dial %s", addr)
}

// ownAddresses gives the addresses of this machine with their interfaces.
func ownAddresses() (map[string]string, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	own := make(map[string]string)
	for i := range links {
		addrs, err := links[i].Addrs()
		if err != nil {
			continue // it is gone
		}
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok {
				own[n.IP.String()] = links[i].Name
			}
		}
	}
	return own, nil
}

// multicast looks whether --discover can work here.
func (v *visit) multicast() {
	if v.Config.Discover == "" {
		return
	}
	spec, err := discovery.ParseSpec(v.Config.Discover)
	if err != nil {
		return // said with the settings
	}
	links, err := net.Interfaces()
	if err != nil {
		v.find("net", "multicast", Skipped, "", "%v", err)
		return
	}
	var able []string
	for _, l := range links {
		if l.Flags&net.FlagUp != 0 && l.Flags&net.FlagMulticast != 0 && (spec.Interface == "" || l.Name == spec.Interface) {
			able = append(able, l.Name)
		}
	}
	if len(able) == 0 {
		v.find("net", "multicast", Fault, "set the interface up (ip link set IFACE up multicast on), or name the other nodes with --join", "no interface that is meant by --discover %s is up and takes multicast", v.Config.Discover)
		return
	}
	v.find("net", "multicast", OK, "", "looked for by multicast on %s; whether the switches let it through shows when a node is found", strings.Join(able, ", "))
}
