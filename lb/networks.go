package lb

import (
	"maps"
	"net/netip"
	"slices"
)

// networks is a set of networks. It is immutable; looking up costs one access to a map for each length of mask in use. nil is the empty set.
type networks struct {
	bits4, bits6 []int // lengths of masks
	all          map[netip.Prefix]struct{}
}

// with gives the set with further masked prefixes; nil when it is empty.
func (n *networks) with(list []netip.Prefix) *networks {
	if len(list) == 0 {
		return n
	}
	next := &networks{all: make(map[netip.Prefix]struct{}, len(list))}
	if n != nil {
		next.bits4, next.bits6 = slices.Clone(n.bits4), slices.Clone(n.bits6)
		maps.Copy(next.all, n.all)
	}
	for _, p := range list {
		bits := &next.bits6
		if p.Addr().Is4() {
			bits = &next.bits4
		}
		if !slices.Contains(*bits, p.Bits()) {
			*bits = append(*bits, p.Bits())
		}
		next.all[p] = struct{}{}
	}
	return next
}

// contains reports whether the address, which has no zone and is not IPv4 in the form of IPv6, is in one of the networks.
func (n *networks) contains(a netip.Addr) bool {
	if n == nil || !a.IsValid() {
		return false
	}
	bits := n.bits6
	if a.Is4() {
		bits = n.bits4
	}
	for _, b := range bits {
		p, err := a.Prefix(b)
		if err != nil {
			return false
		}
		if _, ok := n.all[p]; ok {
			return true
		}
	}
	return false
}
