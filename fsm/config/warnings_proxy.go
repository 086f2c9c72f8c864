package config

import "fmt"

// proxyWarnings names what makes claims of clients count.
func proxyWarnings(c *Config, add warn) {
	everybody := func(where string, list []string) {
		networks, err := ParseNetworks(list)
		if err != nil {
			return
		}
		for _, n := range networks {
			if n.Bits() == 0 {
				add("trustedProxies of %s has %s: any client can claim to be another one", where, n)
			}
		}
	}
	everybody("the group", c.Proxy.TrustedProxies)
	for i := range c.Listeners {
		everybody(fmt.Sprintf("listener %q", c.Listeners[i].Name), c.Listeners[i].TrustedProxies)
	}
	identityWarnings(c, add)
}

// identityWarnings: where instances hear of certificates from one listener, they believe what another one passes on from its trusted proxies. A group that asks nobody for certificates is not
// warned, for any behind a proxy would be.
func identityWarnings(c *Config, add warn) {
	var asking string
	var inClear []string
	for i := range c.Listeners {
		switch l := &c.Listeners[i]; {
		case l.TLS != nil && l.TLS.ClientCertificates.Mode != "off" && l.TLS.ClientCertificates.Mode != "" && asking == "":
			asking = clip(l.Name)
		case l.Protocol == "http" && len(l.TrustedProxies)+len(c.Proxy.TrustedProxies) > 0:
			inClear = append(inClear, l.Name)
		}
	}
	if asking != "" && len(inClear) > 0 {
		add("instances believe Client-Cert and X-Client-Cert-Subject, since listener %q asks for certificates, and get them by %s as trusted proxies send them: "+
			"a proxy that does not remove them from what its clients send lets these be anybody", asking, listNames(inClear))
	}
}
