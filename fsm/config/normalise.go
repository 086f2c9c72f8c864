package config

import (
	"net/textproto"
	"strings"
)

// normalise gives values that may be written in several ways one spelling. Values that are not valid stay as they are,
// so that messages quote what was written.
func normalise(c *Config) {
	for i := range c.Clusters {
		k := &c.Clusters[i]
		if k.Affinity.Type == "header" {
			k.Affinity.Name = textproto.CanonicalMIMEHeaderKey(k.Affinity.Name)
		}
		for j := range k.Modules {
			m := &k.Modules[j]
			m.Host = strings.ToLower(m.Host)
			m.ContextRoot = trimRoot(m.ContextRoot)
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
