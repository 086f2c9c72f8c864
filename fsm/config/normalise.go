package config

import (
	"net/textproto"
	"strings"
)

// normalise gives values that may be written in several ways one spelling. Values that are not valid stay as they are,
// so that messages quote what was written.
func normalise(c *Config) {
	c.Proxy.RequestID.Header = textproto.CanonicalMIMEHeaderKey(c.Proxy.RequestID.Header)
	normaliseNetworks(c.Proxy.TrustedProxies)
	normaliseACME(c)
	for i := range c.Listeners {
		normaliseNetworks(c.Listeners[i].TrustedProxies)
		normaliseOff(&c.Listeners[i].ProxyProtocol)
		for j := range c.Listeners[i].ServerNames {
			s := &c.Listeners[i].ServerNames[j]
			s.Name = strings.ToLower(s.Name)
		}
	}
	for i := range c.Clusters {
		k := &c.Clusters[i]
		normaliseOff(&k.SendProxy)
		if k.Affinity.Type == "header" {
			k.Affinity.Name = textproto.CanonicalMIMEHeaderKey(k.Affinity.Name)
		}
		for j := range k.Modules {
			m := &k.Modules[j]
			m.Host = strings.ToLower(m.Host)
			m.ContextRoot = trimRoot(m.ContextRoot)
			normaliseTypes(m.Compression)
		}
		for j := range k.Instances {
			urls := k.Instances[j].Listeners
			for l := range urls {
				if u, _, err := parseEndpoint(urls[l]); err == nil {
					urls[l] = u
				}
			}
		}
	}
}

// trimRoot takes one slash off the end: /fortune/ and /fortune are one context root.
func trimRoot(root string) string {
	if len(root) > 1 {
		return strings.TrimSuffix(root, "/")
	}
	return root
}

func normaliseNetworks(list []string) {
	for i, text := range list {
		if p, err := parseNetwork(text); err == nil && p == p.Masked() {
			list[i] = p.String()
		}
	}
}

// normaliseTypes: media types are compared without regard to case (RFC 9110 section 8.3.1).
func normaliseTypes(c *Compression) {
	if c == nil {
		return
	}
	for i := range c.Types {
		c.Types[i] = strings.ToLower(c.Types[i])
	}
}
