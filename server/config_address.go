package server

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/holdfast-lb/holdfast/vip"
)

// maxVIPs bounds the virtual addresses: each is renewed and announced for itself.
const maxVIPs = 64

// virtualAddresses reads VIPs.
func (c Config) virtualAddresses() ([]vip.Address, error) {
	var list []vip.Address
	var errs []error
	seen := map[netip.Addr]bool{}
	for _, text := range c.VIPs {
		a, err := vip.ParseAddress(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("--vip: %w", err))
		case seen[a.IP()]:
			errs = append(errs, fmt.Errorf("--vip: %s is there twice", a.IP()))
		default:
			seen[a.IP()] = true
			list = append(list, a)
		}
	}
	if len(c.VIPs) > maxVIPs {
		errs = append(errs, fmt.Errorf("--vip: %d addresses, at most %d can be held", len(c.VIPs), maxVIPs))
	}
	return list, errors.Join(errs...)
}

// validateAddresses checks how clients find the group.
func (c Config) validateAddresses() (errs []error) {
	if _, err := c.virtualAddresses(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.clientAddresses(); err != nil {
		errs = append(errs, err)
	}
	if len(c.DNSAddresses) > 0 && c.DNSZone == "" {
		errs = append(errs, errors.New("--dns-address says under which addresses the node is in the answers for --dns-zone, which is missing: there are no answers without a zone"))
	}
	switch {
	case (c.DNSAddr == "") != (c.DNSZone == ""):
		errs = append(errs, errors.New("--dns-addr and --dns-zone belong together: where to answer, and for which names"))
	case c.DNSAddr != "":
		if _, port, err := net.SplitHostPort(c.DNSAddr); err != nil {
			errs = append(errs, fmt.Errorf("--dns-addr: %q is not HOST:PORT: %w", c.DNSAddr, err))
		} else if _, err := net.LookupPort("udp", port); err != nil || port == "" {
			errs = append(errs, fmt.Errorf("--dns-addr: %q: %q is not a port", c.DNSAddr, port))
		}
	}
	if c.DNSTTL < time.Second || c.DNSTTL > 5*time.Second || c.DNSTTL%time.Second != 0 {
		errs = append(errs, fmt.Errorf("--dns-ttl: %v is not 1s, 2s, 3s, 4s or 5s: clients keep a dead node's address for so long", c.DNSTTL))
	}
	return errs
}

// clientAddresses are those by which clients reach this node, as far as its settings say.
func (c Config) clientAddresses() ([]netip.Addr, error) {
	texts, flag := c.DNSAddresses, "dns-address"
	if len(texts) == 0 && c.BindAddress != "" {
		texts, flag = []string{c.BindAddress}, "bind-address"
	}
	var list []netip.Addr
	var errs []error
	for _, text := range texts {
		ip, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("--%s: %q is not an IP address", flag, text))
		case flag == "bind-address" && ip.IsUnspecified():
		case ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "":
			errs = append(errs, fmt.Errorf("--%s: %s is no address that clients can reach", flag, text))
		default:
			list = append(list, ip.Unmap())
		}
	}
	return list, errors.Join(errs...)
}
