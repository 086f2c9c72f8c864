package lb

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/holdfast-lb/holdfast/fsm"
)

// Who takes the place of a failed instance runs on another host if it can be helped: what ended the one may end its neighbours as well. The preference
// is the weakest of all. It chooses among equals only: of one rank, near ones before far ones, and those that have a free connection.

// hostOf is the host of an instance, that of its first listener URL; "" if there is none. An address is written one way, a name in lower case; names are
// not resolved.
func hostOf(listeners []string) string {
	if len(listeners) == 0 {
		return ""
	}
	u, err := url.Parse(listeners[0])
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ip.Unmap().String()
	}
	return strings.ToLower(u.Hostname())
}

// besides adds to skip the instances of list that are on one of the hosts; nil when nobody would be left, or nobody is there to be avoided.
func besides(list []*instance, skip []*instanceState, hosts []string) []*instanceState {
	if len(hosts) == 0 {
		return nil
	}
	wider, left := slices.Clip(skip), false
	for _, in := range list {
		if slices.Contains(hosts, in.host) {
			wider = append(wider, in.state)
		} else if !skipped(in, skip) {
			left = true
		}
	}
	if !left {
		return nil
	}
	return wider
}

// failed notes the host of an instance that has failed.
func (x *exchange) failed(in *instance) {
	if in.host != "" && !slices.Contains(x.away, in.host) {
		x.away = append(x.away, in.host)
	}
}

// hasFailed reports whether the instance is out of service by itself: nobody has stopped it.
func (in *instance) hasFailed(quorum bool) bool {
	return in.phase != fsm.PhaseStopped && !in.available(quorum)
}
