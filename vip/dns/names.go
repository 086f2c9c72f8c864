package dns

import (
	"errors"
	"fmt"
	"strings"

	wire "github.com/miekg/dns"
)

const (
	// maxWireName is the longest name in bytes on the wire, its last zero included (RFC 1035 3.1); in text without escapes it is one byte more than the text
	// with its last dot.
	maxWireName = 255
	// maxZone leaves room for the longest name of a node (63 bytes and its dot) or of a service below the zone.
	maxZone = maxWireName - 1 - 2*64
)

// ParseZone gives the zone in lower case with its last dot, or says why it cannot be one.
func ParseZone(s string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	if name == "" {
		return "", errors.New("a DNS zone needs a name below the root, as in lb.example.com")
	}
	if len(name)+1 > maxZone {
		return "", fmt.Errorf("dns zone %q has %d bytes: %d at most, so that the names of nodes fit below it", clip(s), len(name), maxZone-1)
	}
	for label := range strings.SplitSeq(name, ".") {
		if !hostLabel(label) {
			hint := ""
			if strings.ContainsFunc(label, func(r rune) bool { return r > '~' }) {
				hint = "; write an international name in its ASCII form (xn--...)"
			}
			return "", fmt.Errorf("dns zone %q: %q is no label of a host name: 1 to 63 letters, digits and dashes, no dash at an end%s", clip(s), clip(label), hint)
		}
	}
	return name + ".", nil
}

// nodeName gives the name below zone of the node, in lower case, or why it has none. Dots stay dots: a node that is called web1.example.net is
// web1.example.net.ZONE. An underscore, which no host name may have, becomes a dash.
func nodeName(node, zone string) (string, error) {
	name := strings.ReplaceAll(strings.ToLower(node), "_", "-")
	for label := range strings.SplitSeq(name, ".") {
		if !hostLabel(label) {
			return "", fmt.Errorf("%q is no label of a host name", clip(label))
		}
	}
	if len(name)+1+len(zone)+1 > maxWireName {
		return "", fmt.Errorf("with %s it is longer than a name in DNS may be", zone)
	}
	if name == vipLabel {
		return "", fmt.Errorf("%s.%s is the name of the virtual addresses", vipLabel, zone)
	}
	return name + "." + zone, nil
}

// vipLabel is the name of the virtual addresses below the zone.
const vipLabel = "vip"

// serviceName gives _LABEL._tcp.ZONE in lower case, or why there is no such name. What no service name may have (RFC 6335 5.1) becomes a dash.
func serviceName(service, zone string) (string, error) {
	label := strings.Map(func(r rune) rune {
		if r == '.' || r == '_' || r == ' ' {
			return '-'
		}
		return r
	}, strings.ToLower(service))
	if !hostLabel(label) || len(label) > 62 {
		return "", errors.New("a service in DNS has 1 to 62 letters, digits and dashes, no dash at an end")
	}
	return "_" + label + "." + tcpLabel + "." + zone, nil
}

// tcpLabel is the protocol in the name of a service (RFC 2782).
const tcpLabel = "_tcp"

// hostLabel: letters, digits and dashes, no dash at an end (RFC 1123 2.1), in lower case.
func hostLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// inZone: the name (lower case) is the zone or below it.
func inZone(name, zone string) bool {
	return wire.IsSubDomain(zone, name)
}

// clip shortens what came from outside for a message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
