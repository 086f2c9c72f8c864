package lb

import (
	"net/http"
	"net/netip"
	"strings"
)

// forwardedMode is what instances are told about the client.
type forwardedMode string

const (
	forwardedSet    forwardedMode = "set"    // the client alone
	forwardedAppend forwardedMode = "append" // the client and the proxies that are believed
	forwardedOff    forwardedMode = "off"    // nothing
)

// forwardedFields are never passed on as they came: Holdfast writes them, or nobody does.
var forwardedFields = []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Server"}

// setForwarded tells the instance about the client.
func (x *exchange) setForwarded(h http.Header) {
	for _, name := range forwardedFields {
		delete(h, name)
	}
	e, c, v := x.edge, &x.client, &x.forwarded
	if e.mode == forwardedOff {
		return
	}
	if e.writeX {
		v[0], v[1], v[2] = c.name, c.scheme, c.host
		if e.mode == forwardedAppend && c.addr != c.peer {
			v[0] = c.chain()
		}
		h["X-Forwarded-For"], h["X-Forwarded-Proto"], h["X-Forwarded-Host"] = v[0:1:1], v[1:2:2], v[2:3:3]
	}
	if e.writeRF {
		h["Forwarded"] = []string{c.forwarded(e.mode)}
	}
}

// chain is the client and the proxies as X-Forwarded-For has them; Holdfast itself is the next one, which the instance sees.
func (c *clientInfo) chain() string {
	var b strings.Builder
	b.WriteString(c.name)
	for _, a := range c.via {
		b.WriteString(", " + a.String())
	}
	b.WriteString(", " + c.peer.String())
	return b.String()
}

// forwarded is the same as RFC 7239 has it. It is made anew, never copied: what a proxy has written may be read in another way by the instance.
func (c *clientInfo) forwarded(mode forwardedMode) string {
	var b strings.Builder
	b.WriteString("for=" + forwardedNode(c.addr))
	if c.host != "" {
		b.WriteString(";host=" + quotedUnlessToken(c.host))
	}
	b.WriteString(";proto=" + c.scheme)
	if mode == forwardedAppend && c.addr != c.peer {
		for _, a := range append(c.via[:len(c.via):len(c.via)], c.peer) {
			b.WriteString(", for=" + forwardedNode(a))
		}
	}
	return b.String()
}

func forwardedNode(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "unknown"
	case a.Is6():
		return `"[` + a.String() + `]"`
	}
	return a.String()
}

// quotedUnlessToken writes a host: it has neither quotes nor backslashes.
func quotedUnlessToken(host string) string {
	for i := range len(host) {
		if !isTokenByte(host[i]) {
			return `"` + host + `"`
		}
	}
	return host
}
