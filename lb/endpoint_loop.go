package lb

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// oddTime is for how long the loops leave a listener alone whose responses they cannot read.
const oddTime = 10 * time.Minute

// locate notes the address of the listener, and tells it the loops. That of a name is the one at which it was reached last.
func (e *endpoint) locate(ip netip.Addr) {
	if plain, old := plainAddr(ip), e.at.Load(); old == nil || *old != plain {
		e.at.Store(&plain)
	}
	_, port, err := net.SplitHostPort(e.hostPort)
	number, bad := strconv.ParseUint(port, 10, 16)
	if e.scheme != "http" || e.h2 || err != nil || bad != nil || ip.Zone() != "" {
		return
	}
	at := netip.AddrPortFrom(ip.Unmap(), uint16(number))
	old := e.origin.Load()
	if old != nil && old.Addr() == at {
		return
	}
	if e.origin.CompareAndSwap(old, h1.NewOrigin(at)) && old != nil {
		old.Close()
	}
}

// forLoops gives the listener as the loops know it; nil when its requests are net/http's: TLS, an address that is not known yet, or responses that the loops do not
// read.
func (e *endpoint) forLoops() *h1.Origin {
	if until := e.oddUntil.Load(); until != 0 && time.Now().Unix() < until {
		return nil
	}
	return e.origin.Load()
}

// odd notes that the loops could not read a response of the listener: their parser is stricter than net/http's, and takes shorter heads. It reports whether that is
// news.
func (e *endpoint) odd() bool {
	now := time.Now()
	return e.oddUntil.Swap(now.Add(oddTime).Unix()) < now.Unix()
}

// goesBy reports whether the host is what the listener is called, or the address at which it was reached.
func (e *endpoint) goesBy(host string) bool {
	name, _, err := net.SplitHostPort(e.hostPort)
	if err != nil || host == "" {
		return false
	}
	if strings.EqualFold(name, host) {
		return true
	}
	ip, err := netip.ParseAddr(host)
	at := e.at.Load()
	return err == nil && at != nil && *at == plainAddr(ip)
}

// hasPort reports whether it listens at that port.
func (e *endpoint) hasPort(port string) bool {
	_, own, err := net.SplitHostPort(e.hostPort)
	return err == nil && own == port
}
