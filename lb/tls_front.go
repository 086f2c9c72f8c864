package lb

import (
	"crypto/tls"
	"fmt"
	"net"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/lb/wire"
)

// takeTLS looks whether what the state says of certificates has changed, or the configuration has. It works under Balancer.mu, before anything is made of either.
func (b *Balancer) takeTLS(o *fsm.Operating, whole bool) (other bool) {
	group := b.view.Group()
	b.takeChallenges(o, group)
	other = b.vault.take(o, group) || whole
	if other {
		b.vault.trustInstances(o.Config)
	}
	return other
}

// reconcileTLS has listeners present, and instances verified by, what the state says now. It comes after the fronts and endpoints have been made.
func (b *Balancer) reconcileTLS() {
	for _, f := range b.fronts {
		if f.edge.Load().overTLS() {
			f.useTLS()
		}
	}
	b.useTrust()
}

// useTLS puts other settings of TLS into force for the handshakes that begin from now on.
func (f *front) useTLS() {
	s := f.b.vault.secure(f.edge.Load().config)
	s.config.GetConfigForClient = f.b.challengeConfig
	if old := f.secure.Swap(s); s.missing != nil && (old == nil || old.missing == nil || old.missing.Error() != s.missing.Error()) {
		f.b.log.Error("listener lacks a certificate", "listener", f.name(), "error", s.missing)
	}
}

// overTLS reports whether the listener speaks TLS.
func (e *edge) overTLS() bool { return e.config != nil && e.config.Protocol == "https" }

// tlsProblem says which certificates the front lacks.
func (f *front) tlsProblem() error {
	if s := f.secure.Load(); s != nil && s.missing != nil {
		return fmt.Errorf("listener %s: %w", f.name(), s.missing)
	}
	return nil
}

// guardTLS puts TLS and the parser in front of a listener for net/http.
func (f *front) guardTLS(ln net.Listener) *wire.Listener {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wire = wire.NewListener(newTLSListener(ln, f), f.edge.Load().guard, f.b.metrics)
	return f.wire
}

// overTLS reports whether the request came by TLS to this node.
func (x *exchange) overTLS() bool {
	return x.r.TLS != nil || x.tlsState() != nil
}

// tlsState is that of the connection by which the request came, nil without TLS.
func (x *exchange) tlsState() *tls.ConnectionState {
	if x.r.TLS != nil {
		return x.r.TLS
	}
	if c := clientConnOf(x.r.Context()); c != nil {
		return c.tls
	}
	return nil
}
