package kernel

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/mdlayher/socket"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// port is an interface that has virtual addresses. It is found by name: it may go, and come back with another index and another link-layer address.
type port struct {
	name  string
	index int // 0: it is not there
	mac   net.HardwareAddr
	up    bool // it can carry traffic
	quiet bool // it has no ARP or no Ethernet addresses: nothing to announce, ask or watch there

	raw map[uint16]*socket.Conn // by Ethernet type
}

// fits finds an interface at the start and says what would keep a virtual address on it from working.
func (k *Kernel) fits(p *port) error {
	link, err := k.nl.LinkByName(p.name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return fmt.Errorf("there is no interface %s here; there are %s", p.name, k.names())
	}
	if err != nil {
		return fmt.Errorf("look for interface %s: %w", p.name, err)
	}
	p.set(link)
	if p.quiet {
		k.logf("interface %s has no link-layer addresses: nobody is told, or asked, who has the virtual addresses there", p.name)
	}
	if m := link.Attrs().MasterIndex; m != 0 {
		master, err := k.nl.LinkByIndex(m)
		if err == nil && (master.Type() == "bridge" || master.Type() == "bond" || master.Type() == "team") {
			return fmt.Errorf("interface %s is a port of the %s %s and gets no packets of its own: put the virtual address on %s",
				p.name, master.Type(), master.Attrs().Name, master.Attrs().Name)
		}
	}
	for _, a := range k.addrs {
		if a.port == p && a.IP().Is6() {
			off, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + p.name + "/disable_ipv6")
			if errors.Is(err, os.ErrNotExist) || strings.TrimSpace(string(off)) == "1" {
				return fmt.Errorf("%s: IPv6 is off on this interface (sysctl net.ipv6.conf.%s.disable_ipv6)", a.Address, p.name)
			}
		}
	}
	return nil
}

// names is for people who misspelt one. A machine may have thousands.
func (k *Kernel) names() string {
	links, err := k.nl.LinkList()
	if err != nil {
		return "none that can be listed"
	}
	var names []string
	for i, l := range links {
		if i == 20 {
			names = append(names, "others")
			break
		}
		names = append(names, l.Attrs().Name)
	}
	return strings.Join(names, ", ")
}

// find looks for the interface again.
func (k *Kernel) find(p *port) error {
	link, err := k.nl.LinkByName(p.name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		p.index, p.up = 0, false
		return fmt.Errorf("interface %s is gone", p.name)
	}
	if err != nil {
		return fmt.Errorf("look for interface %s: %w", p.name, err)
	}
	was := p.index
	p.set(link)
	if p.index != was {
		return k.attach(p)
	}
	return nil
}

func (p *port) set(link netlink.Link) {
	a := link.Attrs()
	p.index, p.mac = a.Index, a.HardwareAddr
	p.up = running(a.RawFlags)
	p.quiet = a.RawFlags&(unix.IFF_NOARP|unix.IFF_LOOPBACK) != 0 || a.EncapType != "ether" || len(a.HardwareAddr) != macLen
}

// running: it is set up, and has a carrier. Where the kernel cannot know of a carrier it says that there is one.
func running(flags uint32) bool {
	return flags&unix.IFF_UP != 0 && flags&unix.IFF_RUNNING != 0
}

func (p *port) close() {
	for _, c := range p.raw {
		_ = c.Close()
	}
}
