package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/holdfast-lb/holdfast/vip"
)

// Hops gives the machine's own addresses on the interfaces and of the families of the virtual ones, for each interface and family the best first: for
// IPv4 one in the prefix of a virtual address, for IPv6 one that is not link-local.
func (k *Kernel) Hops() ([]vip.Hop, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.hops()
}

func (k *Kernel) hops() ([]vip.Hop, error) {
	all, err := list(k.nl)
	if err != nil {
		return nil, err
	}
	var hops []vip.Hop
	for _, p := range k.ports {
		for _, is4 := range []bool{true, false} {
			var want []netip.Prefix
			for _, a := range k.addrs {
				if a.port == p && a.IP().Is4() == is4 {
					want = append(want, a.Prefix)
				}
			}
			if len(want) > 0 {
				hops = append(hops, k.best(p, is4, want, all)...)
			}
		}
	}
	return hops, nil
}

// best gives the own addresses of an interface and family that others can send to, the ones first that are in the prefix of a virtual address.
func (k *Kernel) best(p *port, is4 bool, want []netip.Prefix, all []netlink.Addr) []vip.Hop {
	const unusable = unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED | unix.IFA_F_DEPRECATED
	var hops []vip.Hop
	for _, o := range all {
		ip, _ := addrOf(o)
		if o.LinkIndex == p.index && ip.IsValid() && ip.Is4() == is4 && o.Flags&unusable == 0 && !k.virtual(ip) && !ip.IsLoopback() {
			hops = append(hops, vip.Hop{Interface: p.name, Addr: ip})
		}
	}
	rank := func(h vip.Hop) int {
		switch {
		case h.Addr.IsLinkLocalUnicast():
			return 2
		case slices.ContainsFunc(want, func(p netip.Prefix) bool { return p.Masked().Contains(h.Addr) }):
			return 0
		}
		return 1
	}
	slices.SortStableFunc(hops, func(a, b vip.Hop) int { return cmp.Compare(rank(a), rank(b)) })
	return hops
}

// route chooses the hop for one virtual address: on the interface of the same name, else one that is on the link by this machine's own prefixes, else,
// when all there is one interface there and one here, that one.
func (k *Kernel) route(a *held, to []vip.Hop, all []netlink.Addr) (netip.Addr, error) {
	var usable []vip.Hop
	for _, h := range to {
		if !h.Addr.IsValid() || h.Addr.Zone() != "" || h.Addr.IsUnspecified() || h.Addr.IsMulticast() || h.Addr.IsLoopback() {
			return netip.Addr{}, fmt.Errorf("%s on %q is no address to relay to", h.Addr, h.Interface)
		}
		if h.Addr.Is4() == a.IP().Is4() && !h.Addr.Is4In6() {
			usable = append(usable, h)
		}
	}
	for _, h := range usable {
		if k.virtual(h.Addr) || slices.ContainsFunc(all, func(o netlink.Addr) bool { ip, _ := addrOf(o); return ip == h.Addr && !ip.IsLinkLocalUnicast() }) {
			return netip.Addr{}, fmt.Errorf("%s is an address of this machine: connections would be relayed to where they are", h.Addr)
		}
	}
	if len(usable) == 0 {
		return netip.Addr{}, errors.New("the other machine has no address of its own of this kind on the link")
	}
	onLink := func(h vip.Hop) bool {
		return slices.ContainsFunc(all, func(o netlink.Addr) bool {
			_, p := addrOf(o)
			return o.LinkIndex == a.port.index && !h.Addr.IsLinkLocalUnicast() && p.Masked().Contains(h.Addr)
		})
	}
	sameName := func(h vip.Hop) bool { return h.Interface == a.Interface }
	for _, good := range []func(vip.Hop) bool{func(h vip.Hop) bool { return sameName(h) && onLink(h) }, sameName, onLink} {
		if i := slices.IndexFunc(usable, good); i >= 0 {
			return usable[i].Addr, nil
		}
	}
	if len(k.ports) == 1 && !slices.ContainsFunc(usable, func(h vip.Hop) bool { return h.Interface != usable[0].Interface }) {
		return usable[0].Addr, nil
	}
	return netip.Addr{}, errors.New("none of the other machine's addresses is known to be on this link: name the interfaces alike")
}
