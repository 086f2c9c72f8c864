package server

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// unfitFor is how long what was found about the interfaces counts: addresses of an interface come and go, and are no hurry.
const unfitFor = 5 * time.Second

// link is what matters of an interface.
type link struct {
	loopback bool
	nets     []netip.Prefix // its addresses with the lengths of their networks, not masked
}

// linkOf looks at an interface of this machine.
func linkOf(name string) (link, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return link{}, err
	}
	l := link{loopback: i.Flags&net.FlagLoopback != 0}
	addrs, err := i.Addrs()
	if err != nil {
		return l, err
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			l.nets = append(l.nets, p)
		}
	}
	return l, nil
}

// UnfitAddress says why clients may not find a virtual address on the interface where it is to be held on this machine; empty when they probably do.
func UnfitAddress(a vip.Address) string {
	return (&unfit{addrs: []vip.Address{a}, link: linkOf}).why(a)
}

// unfit finds virtual addresses that clients will probably not find where they are to be held. They may all the same, by a route that nobody here knows of, so they are held.
type unfit struct {
	addrs []vip.Address
	link  func(name string) (link, error)

	mu   sync.Mutex
	at   time.Time
	last []string
}

// get gives a sentence for each of them, as of a few seconds ago at most. It never blocks for long.
func (u *unfit) get(now time.Time) []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.at.IsZero() || now.Sub(u.at) >= unfitFor {
		u.at, u.last = now, nil
		for _, a := range u.addrs {
			if text := u.why(a); text != "" {
				u.last = append(u.last, text)
			}
		}
	}
	return u.last
}

// why says it of one address; empty when it fits, or when the interface cannot be looked at: then it is down, and that is said elsewhere.
func (u *unfit) why(a vip.Address) string {
	l, err := u.link(a.Interface)
	if err != nil {
		return ""
	}
	if l.loopback {
		return fmt.Sprintf("%s is to be held on a loopback interface, where nobody on a link is told who has it: clients reach it only where something else brings packets for it to the holder, as a BGP daemon that announces it. "+
			"To be found on a link it must be on the interface of that link (--vip %s@INTERFACE)", a, a.Prefix)
	}
	var own []string
	for _, n := range l.nets {
		virtual := slices.ContainsFunc(u.addrs, func(v vip.Address) bool { return v.IP() == n.Addr() })
		if virtual || n.Addr().Is4() != a.IP().Is4() || n.Addr().IsLinkLocalUnicast() {
			continue
		}
		if n.Contains(a.IP()) {
			return ""
		}
		own = append(own, n.String())
	}
	if len(own) == 0 {
		return fmt.Sprintf("%s: the interface has no address of its own of that family, so it is not known whether the network of the address is there: give it one, or name another interface", a)
	}
	return fmt.Sprintf("%s lies in none of the networks of the interface (%s): machines on that link do not look for it there, unless they have a route; name the interface of its network, or correct the address", a, strings.Join(own, ", "))
}
