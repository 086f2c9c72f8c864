package dns

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	wire "github.com/miekg/dns"
)

// zone is a view made into records. It is not changed once it is made.
type zone struct {
	view    View // a copy: tells whether the next view is another one
	apex    string
	ttl     uint32
	names   map[string]*entry // in lower case; without any set: an empty non-terminal
	skipped []string          // what has no name in DNS, and why; for the log
}

// entry is what is at one name.
type entry struct{ sets []set }

// set is one RRset.
type set struct {
	kind  uint16
	rrs   []wire.RR
	first int       // so many come first, and are rotated among themselves
	extra []wire.RR // the addresses of what the records name
}

func (e *entry) find(kind uint16) *set {
	for i := range e.sets {
		if e.sets[i].kind == kind {
			return &e.sets[i]
		}
	}
	return nil
}

// member is a node as the zone has it.
type member struct {
	name  string // in the group
	owner string // NODE.ZONE; empty when its name cannot be one
	addrs []netip.Addr
	live  bool
}

// compile makes the records. Whatever the order in which the view lists things, the result is the same.
func compile(v View, apex string, ttl time.Duration) *zone {
	z := &zone{view: v.clone(), apex: apex, ttl: uint32(ttl / time.Second), names: map[string]*entry{apex: {}}}
	members := z.members()
	if len(members) == 0 {
		return z
	}
	z.addAddresses(apex, addresses(preferLive(members)))
	for _, m := range members {
		if m.owner != "" {
			z.addAddresses(m.owner, m.addrs)
		}
	}
	z.addAddresses(vipLabel+"."+apex, usable(v.Virtual))
	z.addServices(members)
	z.addAuthority(members)
	return z
}

// members gives the nodes in the order of their names, with the name in DNS that each gets. When two would have the same, the one whose own name it is
// has it, else the first.
func (z *zone) members() []member {
	nodes := slices.Clone(z.view.Nodes)
	slices.SortFunc(nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	members := make([]member, len(nodes))
	holder := map[string]int{}
	for i, n := range nodes {
		members[i] = member{name: n.Name, addrs: usable(n.Addrs), live: n.Live}
		owner, err := nodeName(n.Name, z.apex)
		if err != nil {
			z.skip("node", n.Name, err.Error())
			continue
		}
		if other, taken := holder[owner]; taken {
			if n.Name+"."+z.apex != owner {
				z.skip("node", n.Name, fmt.Sprintf("node %q has %s already", nodes[other].Name, owner))
				continue
			}
			z.skip("node", nodes[other].Name, fmt.Sprintf("node %q has %s already", n.Name, owner))
			members[other].owner = ""
		}
		holder[owner], members[i].owner = i, owner
	}
	return members
}

func (z *zone) skip(what, name, why string) {
	z.skipped = append(z.skipped, fmt.Sprintf("%s %q has no name of its own in %s: %s", what, clip(name), z.apex, why))
}

// preferLive gives the live ones, or all when none is: a client that gets no address at all is certain to fail, and remembers so; with an address it may
// still succeed, since what looks dead from here (a node that is cut off) may be well.
func preferLive(members []member) []member {
	var live []member
	for _, m := range members {
		if m.live && len(m.addrs) > 0 {
			live = append(live, m)
		}
	}
	if len(live) == 0 {
		return members
	}
	return live
}

func addresses(members []member) []netip.Addr {
	var all []netip.Addr
	for _, m := range members {
		all = append(all, m.addrs...)
	}
	return usable(all)
}

// usable gives the addresses that a client could use, each once and in order.
func usable(addrs []netip.Addr) []netip.Addr {
	var good []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		if a.IsValid() && a.Zone() == "" && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLinkLocalUnicast() {
			good = append(good, a)
		}
	}
	slices.SortFunc(good, netip.Addr.Compare)
	return slices.Compact(good)
}

func (z *zone) header(owner string, kind uint16) wire.RR_Header {
	return wire.RR_Header{Name: owner, Rrtype: kind, Class: wire.ClassINET, Ttl: z.ttl}
}

// at gives the entry of a name, and makes it and those between it and the apex (RFC 4592 2.2.2: a name with something below it exists).
func (z *zone) at(name string) *entry {
	for up := name; len(up) > len(z.apex); _, up, _ = strings.Cut(up, ".") {
		if z.names[up] == nil {
			z.names[up] = &entry{}
		}
	}
	return z.names[name]
}

func (z *zone) addSet(owner string, s set) {
	if len(s.rrs) > 0 {
		e := z.at(owner)
		e.sets = append(e.sets, s)
	}
}

func (z *zone) addAddresses(owner string, addrs []netip.Addr) {
	a, aaaa := set{kind: wire.TypeA}, set{kind: wire.TypeAAAA}
	for _, rr := range z.addressRecords(owner, addrs) {
		if rr.Header().Rrtype == wire.TypeA {
			a.rrs = append(a.rrs, rr)
		} else {
			aaaa.rrs = append(aaaa.rrs, rr)
		}
	}
	a.first, aaaa.first = len(a.rrs), len(aaaa.rrs)
	z.addSet(owner, a)
	z.addSet(owner, aaaa)
}

func (z *zone) addressRecords(owner string, addrs []netip.Addr) []wire.RR {
	var rrs []wire.RR
	for _, ip := range addrs {
		if ip.Is4() {
			rrs = append(rrs, &wire.A{Hdr: z.header(owner, wire.TypeA), A: ip.AsSlice()})
		} else {
			rrs = append(rrs, &wire.AAAA{Hdr: z.header(owner, wire.TypeAAAA), AAAA: ip.AsSlice()})
		}
	}
	return rrs
}

// addServices adds _NAME._tcp of each service, and _PROTOCOL._tcp for those protocols that are no service's name.
func (z *zone) addServices(members []member) {
	services := slices.Clone(z.view.Services)
	slices.SortStableFunc(services, func(a, b Service) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Port, b.Port), a.Host.Compare(b.Host), slices.Compare(a.Nodes, b.Nodes))
	})
	byName, byProtocol := map[string][]Service{}, map[string][]Service{}
	for _, s := range services {
		owner, err := serviceName(s.Name, z.apex)
		if err != nil {
			z.skip("service", s.Name, err.Error())
		} else {
			byName[owner] = append(byName[owner], s)
		}
		if owner, err := serviceName(s.Protocol, z.apex); err == nil {
			byProtocol[owner] = append(byProtocol[owner], s)
		}
	}
	for owner, list := range byProtocol {
		if byName[owner] == nil {
			byName[owner] = list
		}
	}
	for owner, list := range byName {
		z.at(owner) // it exists, also when no node has it
		z.addSet(owner, z.serviceSet(owner, list, members))
	}
}

// serviceSet gives one SRV record (RFC 2782) for each node and port. All have the same priority and weight: any node serves any client. What is at a virtual
// address alone has one record. What is at one address has a name that leads to nothing else.
func (z *zone) serviceSet(owner string, services []Service, members []member) set {
	s := set{kind: wire.TypeSRV}
	type target struct {
		owner string
		port  uint16
	}
	seen, glued := map[target]bool{}, map[string]bool{}
	add := func(at target, addrs []netip.Addr) {
		if seen[at] {
			return
		}
		seen[at] = true
		s.rrs = append(s.rrs, &wire.SRV{Hdr: z.header(owner, wire.TypeSRV), Weight: 1, Port: at.port, Target: at.owner})
		if !glued[at.owner] {
			glued[at.owner] = true
			s.extra = append(s.extra, z.addressRecords(at.owner, addrs)...)
		}
	}
	virtual := usable(z.view.Virtual)
	for _, service := range services {
		host := service.Host.Unmap()
		if slices.Contains(virtual, host) {
			owner, addrs := z.only(host, vipLabel+"."+z.apex, virtual)
			add(target{owner, service.Port}, addrs)
			continue
		}
		known := slices.ContainsFunc(members, func(m member) bool { return slices.Contains(m.addrs, host) }) // else clients may know the node by another, behind NAT
		var with []member
		for _, m := range members {
			if m.owner != "" && len(m.addrs) > 0 && (service.Nodes == nil || slices.Contains(service.Nodes, m.name)) && (!known || slices.Contains(m.addrs, host)) {
				with = append(with, m)
			}
		}
		for _, m := range preferLive(with) {
			owner, addrs := m.owner, m.addrs
			if known {
				owner, addrs = z.only(host, owner, addrs)
			}
			add(target{owner, service.Port}, addrs)
		}
	}
	s.first = len(s.rrs)
	return s
}

// only gives a name, and makes it, that has the one address of those of owner: owner itself when it has no other. It stays with owner where a node has that name
// already for other addresses, and where it would be too long.
func (z *zone) only(ip netip.Addr, owner string, addrs []netip.Addr) (string, []netip.Addr) {
	one := []netip.Addr{ip}
	if slices.Equal(addrs, one) {
		return owner, addrs
	}
	name := strings.NewReplacer(":", "-", ".", "-").Replace(ip.StringExpanded()) + "." + owner
	if len(name)+1 > maxWireName {
		return owner, addrs
	}
	if e := z.names[name]; e == nil || len(e.sets) == 0 {
		z.addAddresses(name, one)
	} else if rrs := z.addressRecords(name, one); len(e.sets) != 1 || len(e.sets[0].rrs) != 1 || !wire.IsDuplicate(e.sets[0].rrs[0], rrs[0]) {
		return owner, addrs
	}
	return name, one
}

// addAuthority adds SOA and NS at the apex. All nodes are name servers, live ones first; the primary of the SOA is the first by name, so that it does not
// change with who is live. Without a node whose name is one in DNS, the apex is its own name server.
func (z *zone) addAuthority(members []member) {
	s := set{kind: wire.TypeNS}
	primary := ""
	for _, live := range []bool{true, false} {
		for _, m := range members {
			if m.owner == "" || len(m.addrs) == 0 {
				continue
			}
			if primary == "" || m.owner < primary {
				primary = m.owner
			}
			if m.live == live {
				s.rrs = append(s.rrs, &wire.NS{Hdr: z.header(z.apex, wire.TypeNS), Ns: m.owner})
				s.extra = append(s.extra, z.addressRecords(m.owner, m.addrs)...)
			}
		}
		if live {
			s.first = len(s.rrs)
		}
	}
	if primary == "" {
		primary = z.apex
		s.rrs = append(s.rrs, &wire.NS{Hdr: z.header(z.apex, wire.TypeNS), Ns: z.apex})
		s.extra = z.addressRecords(z.apex, addresses(preferLive(members)))
	}
	z.addSet(z.apex, s)
	z.addSet(z.apex, set{kind: wire.TypeSOA, first: 1, rrs: []wire.RR{&wire.SOA{
		Hdr: z.header(z.apex, wire.TypeSOA), Ns: primary, Mbox: "hostmaster." + z.apex, Serial: z.view.Serial,
		// Refresh, retry and expire are for secondaries, of which there are none; the minimum is the TTL of negative answers (RFC 2308 4).
		Refresh: 3600, Retry: 600, Expire: 86400, Minttl: z.ttl,
	}}})
}
