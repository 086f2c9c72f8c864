package lb

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
)

// byName chooses a certificate by the name that a client asks for: one that has the name itself, then one with a wildcard for it, then the first of the
// listener. Of several the first one counts that the client can use, so that a listener may have one with an ECDSA key and one with an RSA key for old clients.
type byName struct {
	all   []*tls.Certificate
	named map[string][]*tls.Certificate // by host, *.host or IP address
}

func newByName() *byName { return &byName{named: map[string][]*tls.Certificate{}} }

var errNoCertificate = errors.New("the listener has no certificate")

func (p *byName) add(c *tls.Certificate) {
	p.all = append(p.all, c)
	for _, name := range c.Leaf.DNSNames {
		name = strings.ToLower(strings.TrimSuffix(name, "."))
		p.named[name] = append(p.named[name], c)
	}
	for _, ip := range c.Leaf.IPAddresses {
		p.named[ip.String()] = append(p.named[ip.String()], c)
	}
	if cn := strings.ToLower(c.Leaf.Subject.CommonName); len(c.Leaf.DNSNames) == 0 && strings.Contains(cn, ".") {
		p.named[cn] = append(p.named[cn], c) // clients refuse it today; those that take it ask for this
	}
}

// choose is tls.Config.GetCertificate.
func (p *byName) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	for _, list := range [...][]*tls.Certificate{p.exact(hello), p.wildcard(hello.ServerName), p.all} {
		for _, c := range list {
			if hello.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
	}
	// SupportsCertificate also says no when the client asked for another name; then the handshake tells what else is wrong.
	for _, list := range [...][]*tls.Certificate{p.exact(hello), p.wildcard(hello.ServerName), p.all} {
		for _, c := range list {
			if usable(hello, c) {
				return c, nil
			}
		}
	}
	if len(p.all) == 0 {
		return nil, errNoCertificate
	}
	return p.all[0], nil
}

// usable is SupportsCertificate whatever name the client asks for.
func usable(hello *tls.ClientHelloInfo, c *tls.Certificate) bool {
	nameless := *hello
	nameless.ServerName = ""
	return nameless.SupportsCertificate(c) == nil
}

func (p *byName) exact(hello *tls.ClientHelloInfo) []*tls.Certificate {
	if hello.ServerName != "" {
		return p.named[strings.ToLower(hello.ServerName)]
	}
	// Clients that connect to an address name nothing (RFC 6066 section 3).
	if hello.Conn != nil {
		if at, ok := hello.Conn.LocalAddr().(interface{ AddrPort() netip.AddrPort }); ok {
			return p.named[plainAddr(at.AddrPort().Addr()).String()]
		}
	}
	return nil
}

// wildcard stands for one label (RFC 6125 section 6.4.3).
func (p *byName) wildcard(name string) []*tls.Certificate {
	_, parent, ok := strings.Cut(strings.ToLower(name), ".")
	if !ok || parent == "" {
		return nil
	}
	return p.named["*."+parent]
}
