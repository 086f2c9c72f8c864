package lb

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// clientInfo is who sent a request and how that one reached the first of the proxies that are believed, or Holdfast itself.
type clientInfo struct {
	addr    netip.Addr   // of the client; invalid when the connection has no address
	name    string       // the same as text
	peer    netip.Addr   // who is connected
	trusted bool         // the peer is a proxy that is believed
	via     []netip.Addr // further proxies that are believed, the one next to the client first, without the peer
	scheme  string       // http or https
	host    string
}

// identify finds out who the client is. The chain of proxies is followed from the connection outwards for as long as each is trusted: who is not, is the client,
// and what that one says about others does not count. h may be nil when the peer is not trusted.
func (e *edge) identify(remote string, tls bool, host string, h http.Header) clientInfo {
	c := clientInfo{name: remote, scheme: "http", host: host}
	if tls {
		c.scheme = "https"
	}
	if at, err := netip.ParseAddrPort(remote); err == nil {
		c.peer = plainAddr(at.Addr())
		c.addr = c.peer
		if c.name = strings.Trim(remote[:strings.LastIndexByte(remote, ':')], "[]"); at.Addr() != c.peer {
			c.name = c.peer.String()
		}
	}
	if c.trusted = e.trusted.contains(c.peer); !c.trusted {
		return c
	}
	if e.settings.readForwarded {
		c.followForwarded(e, h["Forwarded"])
	} else {
		c.followList(e, h)
	}
	if c.addr != c.peer {
		c.name = c.addr.String()
	}
	return c
}

// follow walks along the hops to the client. It gives the index of the farthest one that a proxy which is believed has written; hops must not be empty.
func (c *clientInfo) follow(e *edge, hops []hop) (farthest int) {
	for i := range hops {
		farthest = i
		if !hops[i].addr.IsValid() {
			break
		}
		if i > 0 {
			c.via = append(c.via, c.addr)
		}
		if c.addr = hops[i].addr; !e.trusted.contains(c.addr) {
			break
		}
	}
	slices.Reverse(c.via)
	return farthest
}

// followList goes by X-Forwarded-For, -Proto and -Host. Of several values of the latter two the last counts, which the peer has vouched for.
func (c *clientInfo) followList(e *edge, h http.Header) {
	c.follow(e, hopsOfList(h["X-Forwarded-For"]))
	if proto := lastValue(h["X-Forwarded-Proto"]); strings.EqualFold(proto, "https") {
		c.scheme = "https"
	} else if strings.EqualFold(proto, "http") {
		c.scheme = "http"
	}
	c.askedFor(lastValue(h["X-Forwarded-Host"]))
}

// followForwarded goes by Forwarded. Protocol and host are what the proxy next to the client says.
func (c *clientInfo) followForwarded(e *edge, lines []string) {
	hops, ok := hopsOfForwarded(lines)
	if !ok || len(hops) == 0 {
		return
	}
	last := hops[c.follow(e, hops)]
	if last.proto != "" {
		c.scheme = last.proto
	}
	c.askedFor(last.host)
}

// askedFor takes the host that a proxy names, if it can be one.
func (c *clientInfo) askedFor(host string) {
	if host != "" && len(host) <= 261 && wire.ValidHost(host) {
		c.host = host
	}
}

func lastValue(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	last := lines[len(lines)-1]
	return strings.Trim(last[strings.LastIndexByte(last, ',')+1:], " \t")
}
