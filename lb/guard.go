package lb

import (
	"net"

	"github.com/holdfast-lb/holdfast/lb/wire"
)

// guard puts the strict parser in front of net/http, which takes more than RFC 9112 allows.
func (b *Balancer) guard(ln net.Listener) net.Listener {
	return wire.NewListener(ln, wire.Limits{}, b.metrics)
}
