package lb

import (
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/holdfast-lb/holdfast/lb/h1"
)

// oddTime is for how long the loops leave a listener alone whose responses they cannot read.
const oddTime = 10 * time.Minute

// locate tells the loops the address of the listener. That of a name is the one at which it was reached last.
func (e *endpoint) locate(ip netip.Addr) {
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
