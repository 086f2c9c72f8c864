package config

import (
	"net/netip"
	"slices"
	"strings"
)

// Bounds of what handshakes may take.
const (
	leastHandshake = second
	mostHandshake  = 60 * second
	maxHandshakes  = 100_000
	// mostHSTS is two years, what the lists of browsers ask for.
	mostHSTS = 2 * year
	// leastPreload is what those lists take at least.
	leastPreload = year
)

// validateTLS checks what a listener says of TLS against its protocol. Whether the certificates exist only the group can tell.
func validateTLS(p *problems, at *path, l *Listener) {
	secure := l.Protocol == "https"
	switch {
	case secure && len(l.Certificates) == 0:
		p.add(at.child("certificates"), "write certificates: [NAME], and add it with 'holdfast cert add NAME'", "a listener of protocol https needs a certificate")
	case !secure && len(l.Certificates) > 0:
		p.add(at.child("certificates"), "remove it, or write protocol: https", "only a listener of protocol https has certificates")
	}
	if !secure && l.TLS != nil {
		p.add(at.child("tls"), "remove it, or write protocol: https", "only a listener of protocol https has settings of TLS")
	}
	if l.Protocol != "http" && l.HTTPSRedirect != nil {
		p.add(at.child("httpsRedirect"), "remove it", "only a listener of protocol http leads to https")
	}
	p.nameList(at.child("certificates"), "certificate", l.Certificates)
	if r, at := l.HTTPSRedirect, at.child("httpsRedirect"); r != nil {
		p.between(at.child("port"), r.Port, 1, 65535)
		if !slices.Contains([]int{301, 302, 307, 308}, r.Status) {
			p.add(at.child("status"), "write 301, 302, 307 or 308", "%d is no redirect", r.Status)
		}
	}
	if l.TLS != nil && secure {
		validateTLSSettings(p, at.child("tls"), l.TLS)
	}
}

func validateTLSSettings(p *problems, at *path, t *TLS) {
	p.oneOf(at.child("minVersion"), t.MinVersion, []string{"1.2", "1.3"}, nil)
	p.within(at.child("handshakeTimeout"), t.HandshakeTimeout, leastHandshake, mostHandshake)
	p.between(at.child("handshakes"), t.Handshakes, 1, maxHandshakes)
	c, clients := &t.ClientCertificates, at.child("clientCertificates")
	p.oneOf(clients.child("mode"), c.Mode, []string{"off", "request", "require"}, nil)
	p.nameList(clients.child("authorities"), "bundle of authorities", c.Authorities)
	switch {
	case c.Mode == "off" && len(c.Authorities) > 0:
		p.add(clients.child("authorities"), "write mode: request or require, or remove them", "nobody is asked for a certificate")
	case (c.Mode == "request" || c.Mode == "require") && len(c.Authorities) == 0:
		p.add(clients.child("authorities"), "write authorities: [NAME], and add it with 'holdfast cert add NAME --authorities FILE'", "nobody vouches for clients")
	}
	h, hsts := &t.HSTS, at.child("hsts")
	p.within(hsts.child("maxAge"), h.MaxAge, 0, mostHSTS)
	switch {
	case h.MaxAge%second != 0:
		p.add(hsts.child("maxAge"), "write whole seconds", "%v has parts of a second", h.MaxAge)
	case h.MaxAge == 0 && (h.IncludeSubDomains || h.Preload):
		p.add(hsts.child("maxAge"), "write maxAge: 8760h", "without it nothing is said of sub-domains or lists")
	case h.Preload && (h.MaxAge < leastPreload || !h.IncludeSubDomains):
		p.add(hsts.child("preload"), "write maxAge: 8760h and includeSubDomains: true", "the lists of browsers take a year or more, with all sub-domains")
	}
}

// validateInstanceTLS checks how instances are verified.
func validateInstanceTLS(p *problems, at *path, t *InstanceTLS) {
	if t == nil {
		return
	}
	at = at.child("instanceTLS")
	p.nameList(at.child("authorities"), "bundle of authorities", t.Authorities)
	if t.ServerName != "" && !validServerName(t.ServerName) {
		p.add(at.child("serverName"), "write a host name, as in shop.example", "%q is no name that a certificate can have", clip(t.ServerName))
	}
}

// validServerName: labels of letters, digits and hyphens, or an IP address (RFC 6066 section 3, RFC 5280 section 4.2.1.6).
func validServerName(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return !strings.Contains(name, "%")
	}
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if c := label[i] | 0x20; (c < 'a' || c > 'z') && (label[i] < '0' || label[i] > '9') && label[i] != '-' && label[i] != '_' {
				return false
			}
		}
	}
	return true
}
