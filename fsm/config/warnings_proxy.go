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
}
