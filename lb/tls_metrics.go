package lb

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
)

// How handshakes end.
const (
	resultFull    = "full"
	resultResumed = "resumed"
	resultTimeout = "timeout"
	resultGone    = "gone"      // the client went away
	resultGarbage = "not-tls"   // what came is no TLS
	resultClient  = "client"    // its certificate is not accepted, or missing
	resultRefused = "refused"   // by the client's alert: mostly it does not trust the certificate
	resultFlood   = "flood"     // too many at once
	resultLimited = "limited"   // a bound on connections
	resultOther   = "mismatch"  // nothing in common: version, cipher, protocol
	resultOurs    = "unusable"  // no certificate that can be used
	resultEnd     = "listening" // the listener ended
)

// tlsMetrics count handshakes.
type tlsMetrics struct {
	handshakes *prometheus.CounterVec
}

func newTLSMetrics(b *Balancer, r prometheus.Registerer) (tlsMetrics, error) {
	m := tlsMetrics{handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "holdfast_tls_handshakes_total",
		Help: "TLS handshakes of clients by listener, version, and how they ended: full, resumed, timeout, gone, not-tls, client, refused, flood, limited, mismatch, unusable, listening."},
		[]string{"listener", "version", "result"})}
	return m, errors.Join(r.Register(m.handshakes), r.Register(&tlsCollector{b}))
}

// handshake counts one; state is nil unless it succeeded.
func (m *tlsMetrics) handshake(listener, result string, state *tls.ConnectionState) {
	version := ""
	if state != nil {
		version = tls.VersionName(state.Version)
	}
	m.handshakes.WithLabelValues(listener, version, result).Inc()
}

func resultOf(state *tls.ConnectionState) string {
	if state.DidResume {
		return resultResumed
	}
	return resultFull
}

// failureResult says in one word why a handshake failed; ctx is that of the listener.
func failureResult(ctx context.Context, err error) string {
	_, garbage := errors.AsType[tls.RecordHeaderError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	_, unverified := errors.AsType[*tls.CertificateVerificationError](err)
	_, invalid := errors.AsType[x509.CertificateInvalidError](err)
	_, unknown := errors.AsType[x509.UnknownAuthorityError](err)
	var remote *net.OpError
	switch {
	case ctx.Err() != nil:
		return resultEnd
	case errors.Is(err, os.ErrDeadlineExceeded):
		return resultTimeout
	case garbage:
		return resultGarbage
	case errors.Is(err, errNoCertificate):
		return resultOurs
	case unverified || invalid || unknown || err.Error() == "tls: client didn't provide a certificate":
		return resultClient
	case alert || errors.As(err, &remote) && remote.Op == "remote error":
		return resultRefused
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, net.ErrClosed):
		return resultGone
	}
	return resultOther
}

// tlsCollector reads certificates and handshakes off what is in force when it is asked.
type tlsCollector struct{ b *Balancer }

var (
	expiryDesc = prometheus.NewDesc("holdfast_certificate_expiry_timestamp_seconds", "When the certificate expires, in Unix seconds.", []string{"certificate"}, nil)
	shakesDesc = prometheus.NewDesc("holdfast_tls_handshakes_in_progress", "TLS handshakes of clients that are under way, by listener.", []string{"listener"}, nil)
)

// Describe implements prometheus.Collector.
func (c *tlsCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- expiryDesc
	ch <- shakesDesc
	ch <- presentedDesc
	ch <- presentedEndDesc
}

// Collect implements prometheus.Collector.
func (c *tlsCollector) Collect(ch chan<- prometheus.Metric) {
	c.collectInstances(ch)
	c.b.mu.Lock()
	defer c.b.mu.Unlock()
	for name, e := range c.b.vault.expiries {
		ch <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(e.at.Unix()), name)
	}
	for _, f := range c.b.fronts {
		if f.secure.Load() != nil {
			ch <- prometheus.MustNewConstMetric(shakesDesc, prometheus.GaugeValue, float64(f.shakes.all.Load()+f.http3.shaking()), f.name())
		}
	}
}
