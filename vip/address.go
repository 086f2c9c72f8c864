package vip

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Address is one virtual address: an IPv4 or IPv6 address with the prefix length that it is configured with, on an interface by name.
type Address struct {
	Prefix    netip.Prefix // not masked: 10.0.0.100/24
	Interface string
}

// String is the form that ParseAddress reads: CIDR@IFACE.
func (a Address) String() string { return a.Prefix.String() + "@" + a.Interface }

// IP is the address without its prefix length.
func (a Address) IP() netip.Addr { return a.Prefix.Addr() }

// maxInterface is the longest name of a Linux interface in bytes (IFNAMSIZ without its zero).
const maxInterface = 15

// ParseAddress reads CIDR@IFACE, as in 10.0.0.100/24@eth0 or 2001:db8::100/64@eth0. An address without a prefix length gets /32 or /128.
func ParseAddress(s string) (Address, error) {
	cidr, iface, ok := strings.Cut(s, "@")
	if !ok {
		return Address{}, fmt.Errorf("%q is not CIDR@IFACE, as in 10.0.0.100/24@eth0", s)
	}
	if iface == "" || len(iface) > maxInterface || iface == "." || iface == ".." || strings.ContainsFunc(iface, func(r rune) bool { return r <= ' ' || r > '~' || r == '/' || r == ':' }) {
		return Address{}, fmt.Errorf("%q: %q is not the name of an interface", s, iface)
	}
	if strings.Contains(cidr, "%") {
		return Address{}, fmt.Errorf("%q: an address has no zone here; the interface follows behind the @", s)
	}
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil && !strings.Contains(cidr, "/") {
		var ip netip.Addr
		if ip, err = netip.ParseAddr(cidr); err == nil {
			prefix = netip.PrefixFrom(ip, ip.BitLen())
		}
	}
	if err != nil {
		return Address{}, fmt.Errorf("%q: %q is not an address with a prefix length: %w", s, cidr, err)
	}
	if err := usable(prefix); err != nil {
		return Address{}, fmt.Errorf("%q: %w", s, err)
	}
	return Address{Prefix: prefix, Interface: iface}, nil
}

// usable refuses what no host may have, or what a client could not reach.
func usable(p netip.Prefix) error {
	switch ip := p.Addr(); {
	case ip.Is4In6():
		return fmt.Errorf("write %s as the IPv4 address %s", ip, ip.Unmap())
	case ip.IsUnspecified(), ip.IsLoopback(), ip.IsMulticast(), ip.IsLinkLocalUnicast():
		return fmt.Errorf("%s cannot be a virtual address: it is unspecified, loopback, multicast or link-local", ip)
	case ip.Is4() && (ip.As4()[0] >= 240 || ip.As4()[0] == 0):
		return fmt.Errorf("%s is reserved", ip)
	case p.Bits() == 0:
		return errors.New("a prefix length of 0 would make every address local")
	case p.Bits() < ip.BitLen()-1 && ip == p.Masked().Addr():
		return fmt.Errorf("%s is the address of the network %s, not of a host in it", ip, p)
	case ip.Is4() && p.Bits() < 31 && !p.Contains(ip.Next()):
		return fmt.Errorf("%s is the broadcast address of the network %s", ip, p.Masked())
	}
	return nil
}
