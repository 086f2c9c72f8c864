package kernel

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// MaxLifetime is the longest lifetime that Add takes. An address that has no more than that left, and is no source for connections, is taken for what a
// predecessor left: nothing else is configured so.
const MaxLifetime = 10 * time.Second

// nobody is an address that no machine can have: the kernel does not add it.
var nobody = netip.MustParsePrefix("0.0.0.0/32")

// Add puts the addresses onto the machine, or renews those that are there: the kernel takes them off when the lifetime, in whole seconds from 1 s to
// MaxLifetime, is over without another Add (IPv4: at most 0.3 s later; IPv6: at most 1.3 s later when other addresses of the machine change meanwhile,
// which makes the kernel put its check off). Once they are there it costs one exchange with the kernel for each address.
//
// IPv6 addresses can be used at once: no duplicate address detection by the kernel, which takes a second (Probe is for that). The addresses are marked
// deprecated (preferred lifetime 0), so that connections from this machine, to other nodes above all, have its own address as their source, and do not
// break when the virtual address goes. A prefix that one of the machine's own addresses has gets no second route.
//
// All addresses are tried; the error tells of each that could not be added. One that somebody else configured on this machine meanwhile is not touched.
func (k *Kernel) Add(lifetime time.Duration) error {
	if lifetime < time.Second || lifetime > MaxLifetime || lifetime%time.Second != 0 {
		return fmt.Errorf("a lifetime of %v: the kernel counts whole seconds, and more than %v is no lease", lifetime, MaxLifetime)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return errClosed
	}
	k.wanted = true
	var errs []error
	var fresh []*held
	if !k.complete() {
		if err := k.before(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, a := range k.addrs {
		if a.port.index == 0 {
			continue // before has said so
		}
		had := a.have
		if err := k.add(a, int(lifetime/time.Second)); err != nil {
			errs = append(errs, fmt.Errorf("add %s: %w", a.Address, err))
		} else if !had && a.IP().Is6() && a.port.up {
			fresh = append(fresh, a)
		}
	}
	k.settle(fresh)
	return errors.Join(errs...)
}

// settle waits until the machine takes packets for IPv6 addresses that were just added. The kernel adds the route for that behind the caller's back
// (addrconf_dad_work), when it can have its lock, and drops what comes before: a client that hears an announcement too early waits a second for the answer.
func (k *Kernel) settle(fresh []*held) {
	const most, pause = 100 * time.Millisecond, 100 * time.Microsecond
	begin := time.Now()
	for _, a := range fresh {
		for {
			routes, err := k.nl.RouteGetWithOptions(a.IP().AsSlice(), &netlink.RouteGetOptions{})
			if err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL {
				break
			}
			if time.Since(begin) > most {
				k.logf("%s: the kernel has not made it reachable within %v", a.Address, most)
				return
			}
			time.Sleep(pause)
		}
	}
}

// complete says whether nothing but a renewal is to do.
func (k *Kernel) complete() bool {
	for _, a := range k.addrs {
		if !a.have {
			return false
		}
	}
	return true
}

// before finds the interfaces, and chooses how the addresses that are not there are to be added.
func (k *Kernel) before() error {
	var errs []error
	for _, p := range k.ports {
		if err := k.find(p); err != nil {
			errs = append(errs, err)
		}
	}
	all, err := list(k.nl)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, a := range k.addrs {
		if a.have || a.port.index == 0 {
			continue
		}
		a.flag = 0
		if a.IP().Is6() {
			a.flag |= unix.IFA_F_NODAD
		}
		switch own := k.own(a, all); {
		case own:
			a.flag |= unix.IFA_F_NOPREFIXROUTE
		case a.IP().Is4() && !a.Prefix.IsSingleIP():
			k.protectSecondaries(a)
		}
	}
	return errors.Join(errs...)
}

// own says whether the machine has an address of its own with the same prefix on the same interface.
func (k *Kernel) own(a *held, all []netlink.Addr) bool {
	for _, o := range all {
		ip, p := addrOf(o)
		if o.LinkIndex == a.port.index && p.Masked() == a.Prefix.Masked() && !k.virtual(ip) {
			return true
		}
	}
	return false
}

// protectSecondaries: in a prefix where the machine has no address of its own the virtual address is IPv4's primary one. When that goes, the kernel takes
// all that were added to the prefix after it, unless it is told to make the next one primary.
func (k *Kernel) protectSecondaries(a *held) {
	for _, conf := range []string{"all", a.Interface} {
		v, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + conf + "/promote_secondaries")
		if err == nil && strings.TrimSpace(string(v)) == "1" {
			return
		}
	}
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+a.Interface+"/promote_secondaries", []byte("1"), 0); err != nil {
		k.logf("%s: addresses that are added to %s later would go with it: set net.ipv4.conf.%s.promote_secondaries=1 (%v)",
			a.Address, a.Prefix.Masked(), a.Interface, err)
	}
}

func (k *Kernel) add(a *held, seconds int) error {
	index := a.port.index
	wire := a.wire(index, seconds)
	var err error
	if a.have {
		err = k.nl.AddrReplace(nil, wire)
	} else {
		err = k.nl.AddrAdd(nil, wire)
	}
	switch {
	case err == nil:
		a.have, a.at = true, index
		return nil
	case errors.Is(err, unix.EEXIST):
		return k.exists(a, wire)
	case errors.Is(err, unix.ENODEV):
		a.have = false // the next Add looks for the interface again
		return fmt.Errorf("interface %s is gone", a.Interface)
	case a.IP().Is6() && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)):
		a.have = false
		return fmt.Errorf("IPv6 is off on %s (sysctl net.ipv6.conf.%s.disable_ipv6): %w", a.Interface, a.Interface, err)
	}
	a.have = false
	return err
}

// exists handles an address that is there though this process does not know of it: its own, or somebody else's.
func (k *Kernel) exists(a *held, wire *netlink.Addr) error {
	all, err := list(k.nl)
	if err != nil {
		return err
	}
	for _, o := range all {
		if ip, _ := addrOf(o); ip == a.IP() && !leftover(o) {
			return k.foreign(a, o)
		}
	}
	if err := k.nl.AddrReplace(nil, wire); err != nil {
		return err
	}
	a.have, a.at = true, wire.LinkIndex
	return nil
}

// Remove takes the addresses off; those that are not there are none the less fine. What others configured on the machine stays.
func (k *Kernel) Remove() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.remove()
}

func (k *Kernel) remove() error {
	k.wanted = false
	var errs []error
	for _, a := range k.addrs {
		if !a.have {
			continue
		}
		if err := del(k.nl, a.wire(a.at, 0)); err != nil {
			errs = append(errs, fmt.Errorf("remove %s: %w", a.Address, err))
			continue
		}
		a.have = false
	}
	// What this process does not know of, since the kernel may have done what it did not answer for.
	return errors.Join(append(errs, k.removeLeftovers())...)
}

// removeLeftovers takes off the addresses that have a short lifetime, wherever they are. Others are somebody else's, and an error.
func (k *Kernel) removeLeftovers() error {
	all, err := list(k.nl)
	if err != nil {
		return err
	}
	var errs []error
	for _, o := range all {
		ip, _ := addrOf(o)
		for _, a := range k.addrs {
			if a.IP() != ip {
				continue
			}
			if !leftover(o) {
				errs = append(errs, k.foreign(a, o))
			} else if err := del(k.nl, &o); err != nil {
				errs = append(errs, fmt.Errorf("remove what was left of %s: %w", a.Address, err))
			}
		}
	}
	return errors.Join(errs...)
}

// Held says whether the machine has any of the addresses, whoever configured them.
func (k *Kernel) Held() (bool, error) {
	all, err := list(k.nl)
	if err != nil {
		return false, err
	}
	for _, o := range all {
		if ip, _ := addrOf(o); k.virtual(ip) {
			return true, nil
		}
	}
	return false, nil
}

func (k *Kernel) virtual(ip netip.Addr) bool {
	for _, a := range k.addrs {
		if a.IP() == ip {
			return true
		}
	}
	return false
}

// foreign says that an address is somebody else's, and how to take it off.
func (k *Kernel) foreign(a *held, o netlink.Addr) error {
	name := fmt.Sprintf("interface %d", o.LinkIndex)
	if link, err := k.nl.LinkByIndex(o.LinkIndex); err == nil {
		name = link.Attrs().Name
	}
	_, p := addrOf(o)
	return fmt.Errorf("%w: %s is configured on %s, and not by Holdfast, which adds it when this node holds it: take it out of the network configuration of"+
		" this machine, and off with `ip addr del %s dev %s`; or, when it is this machine's own address, give --vip another one", ErrForeign, a.IP(), name, p, name)
}

// ErrForeign is in errors that say that somebody else has configured a virtual address on this machine.
var ErrForeign = errors.New("not ours")

// leftover says whether an address is one that Add made: deprecated from the start, and with a short lifetime.
func leftover(o netlink.Addr) bool {
	return o.Flags&unix.IFA_F_PERMANENT == 0 && o.PreferedLft == 0 && o.ValidLft <= int(MaxLifetime/time.Second)
}

// wire is the address as netlink has it.
func (a *held) wire(index, seconds int) *netlink.Addr {
	return &netlink.Addr{
		IPNet:     &net.IPNet{IP: a.IP().AsSlice(), Mask: net.CIDRMask(a.Prefix.Bits(), a.IP().BitLen())},
		LinkIndex: index,
		Flags:     a.flag,
		ValidLft:  seconds,
		Broadcast: net.IPv4zero, // none: that of the machine's own address does
	}
}

func addrOf(o netlink.Addr) (netip.Addr, netip.Prefix) {
	if o.IPNet == nil {
		return netip.Addr{}, netip.Prefix{}
	}
	ip, _ := netip.AddrFromSlice(o.IP)
	bits, _ := o.Mask.Size()
	return ip, netip.PrefixFrom(ip, bits)
}

// del takes an address off. It may be gone, and so may its interface.
func del(h *netlink.Handle, o *netlink.Addr) error {
	err := h.AddrDel(nil, o)
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// list gives all addresses of the machine. The kernel says when they changed while it listed them; then it is asked again.
func list(h *netlink.Handle) ([]netlink.Addr, error) {
	for range 10 {
		all, err := h.AddrList(nil, netlink.FAMILY_ALL)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the machine's addresses: %w", err)
		}
		return all, nil
	}
	return nil, errors.New("list the machine's addresses: they change all the time")
}
