package config

import (
	"errors"
	"net/netip"
	"strings"
)

// maxNetworks is enough for the published lists of the large content delivery networks.
const maxNetworks = 1000

// ParseNetworks reads networks as they are configured: "10.0.0.0/8", or an address, which is a network of one. The first that is not one ends it.
func ParseNetworks(list []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(list))
	for _, text := range list {
		p, err := parseNetwork(text)
		if err != nil {
			return nil, err
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if len(text) > maxName {
		return netip.Prefix{}, errors.New("is no network")
	}
	if !strings.Contains(text, "/") {
		a, err := netip.ParseAddr(text)
		if err != nil || a.Zone() != "" || a.Is4In6() {
			return netip.Prefix{}, errors.New("is no address")
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, errors.New("is no network")
	}
	return p, nil
}

func validateNetworks(p *problems, at *path, list []string) {
	if len(list) > maxNetworks {
		p.add(at, "name larger networks", "%d networks, at most %d are taken", len(list), maxNetworks)
		return
	}
	seen := make(map[netip.Prefix]int, len(list))
	for i, text := range list {
		at := at.item(i)
		n, err := parseNetwork(text)
		switch {
		case err != nil:
			p.add(at, `write it as "10.0.0.0/8", "192.0.2.7" or "2001:db8::/32"`, "%q %v", clip(text), err)
			continue
		case n != n.Masked():
			p.add(at, "write "+n.Masked().String()+" for the network, or the address without /", "%q has bits behind its mask", clip(text))
			continue
		case text != n.String():
			p.add(at, "write "+n.String(), "%q has another spelling", clip(text))
			continue
		}
		if other, dup := seen[n]; dup {
			p.add(at, "remove one of them", "%s is there twice, also as item %d", n, other)
		}
		seen[n] = i
	}
}
