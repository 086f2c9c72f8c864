package config

import "strings"

// A cluster serves requests (http) or streams (tcp connections, udp flows), which is what its instances' listeners say. One of streams has no modules: a listener leads to
// it as a whole.

// StreamProtocol is http, or tcp or udp for a cluster whose instances have such listeners; empty while it has no instances.
func (c *Cluster) StreamProtocol() string {
	for i := range c.Instances {
		for _, text := range c.Instances[i].Listeners {
			if kind := protocolOf(text); kind != "" {
				return kind
			}
		}
	}
	return ""
}

// Streams reports whether listeners lead to the cluster as a whole, without a look at what comes.
func (c *Cluster) Streams() bool {
	kind := c.StreamProtocol()
	return kind != "" && kind != "http"
}

// protocolOf is what the listener URL of an instance speaks: http, tcp, udp, or empty for what is no such URL.
func protocolOf(url string) string {
	scheme, _, _ := strings.Cut(url, "://")
	switch scheme = strings.ToLower(scheme); scheme {
	case "http", "https":
		return "http"
	case "tcp", "udp":
		return scheme
	}
	return ""
}

// defaultAffinity and defaultCheck are those of the cluster's protocol.
func (c *Cluster) defaultAffinity() string {
	if c.Streams() {
		return "source"
	}
	return "insert"
}

func (c *Cluster) defaultCheck() string {
	switch c.StreamProtocol() {
	case "tcp":
		return "tcp"
	case "udp": // there is no question that every server answers
		return "none"
	}
	return "http"
}

// normaliseOff gives the setting that is off its one spelling.
func normaliseOff(value *string) {
	if *value == "off" {
		*value = ""
	}
}
