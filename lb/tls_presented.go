package lb

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync/atomic"
	"time"

	"github.com/holdfast-lb/holdfast/fsm/certs"
)

// presentation is what a listener of an instance presents that ends TLS.
type presentation struct {
	sum     [32]byte // SHA-256 of its certificate
	subject string
	ends    time.Time    // when the listener is believed no more: the first end in the chain that lasts longest
	told    atomic.Int64 // when the log said last that this is soon, Unix ns
}

// InstanceCertificate is what a node has seen an instance present, in requests and checks.
type InstanceCertificate struct {
	// URL is that of the listener, Subject the name in its certificate.
	URL     string `json:"url"`
	Subject string `json:"subject"`
	// Ends is when the certificate, or an issuer of it, expires: from then on no request reaches the listener.
	Ends time.Time `json:"ends"`
}

// showed notes which certificate the listener presents. It is called when the certificate has been verified.
func (e *endpoint) showed(s tls.ConnectionState) error {
	if len(s.PeerCertificates) == 0 {
		return nil
	}
	var end time.Time
	for _, chain := range s.VerifiedChains {
		if of := firstEnd(chain); of.After(end) {
			end = of
		}
	}
	e.shown(s.PeerCertificates[0], end)
	return nil
}

// showedInvalid notes one that was not believed because it has expired: people ask what has, and when.
func (e *endpoint) showedInvalid(err error) {
	if bad, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(bad.UnverifiedCertificates) > 0 {
		if why, ok := errors.AsType[x509.CertificateInvalidError](err); ok && why.Reason == x509.Expired && why.Cert != nil && time.Now().After(why.Cert.NotAfter) {
			e.shown(bad.UnverifiedCertificates[0], why.Cert.NotAfter)
		}
	}
}

func (e *endpoint) shown(leaf *x509.Certificate, end time.Time) {
	sum := sha256.Sum256(leaf.Raw)
	c := e.shows.Load()
	if c == nil || c.sum != sum || !c.ends.Equal(end) {
		other := c == nil || c.sum != sum
		c = &presentation{sum: sum, subject: visible(leaf.Subject.String()), ends: end}
		e.shows.Store(c)
		if other && e.compare != nil {
			e.compare()
		}
	}
	if now := time.Now(); e.expires != nil && end.Sub(now) < certs.Soon && c.due(now) {
		e.expires(c)
	}
}

// soonAgain is how often the log repeats that a certificate of an instance expires.
const soonAgain = 24 * time.Hour

// due reports whether it is time to say so, and takes note that it is said.
func (c *presentation) due(now time.Time) bool {
	last := c.told.Load()
	return now.UnixNano()-last >= int64(soonAgain) && c.told.CompareAndSwap(last, now.UnixNano())
}

// firstEnd is when a chain is good no more.
func firstEnd(chain []*x509.Certificate) (end time.Time) {
	for i, c := range chain {
		if i == 0 || c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// shown gives the certificate of the instance that ends first, nil when none was seen.
func (s *instanceState) shown() (first *InstanceCertificate) {
	for _, e := range *s.endpoints.Load() {
		if c := e.shows.Load(); c != nil && (first == nil || c.ends.Before(first.Ends)) {
			first = &InstanceCertificate{URL: e.url, Subject: c.subject, Ends: c.ends}
		}
	}
	return first
}

// warnOfEnd says in the log that a listener of an instance will soon be believed no more, or is not any more.
func (b *Balancer) warnOfEnd(s *instanceState, url string, c *presentation) {
	b.log.Warn("the certificate of an instance expires", "cluster", s.cluster, "instance", s.name, "listener", url, "subject", c.subject, "expires", c.ends.UTC().Format(time.RFC3339))
}
