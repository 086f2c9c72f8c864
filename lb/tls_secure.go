package lb

import (
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// secure is how a listener of protocol https speaks TLS. It is immutable: a change of the listener, of its certificates or of the ticket keys makes another one,
// which holds for the handshakes that begin from then on. Connections that are there keep what they have, so that nothing ends.
type secure struct {
	config    *tls.Config
	quic      *tls.Config   // for HTTP/3; nil without
	timeout   time.Duration // of one handshake
	most      int64         // handshakes at once
	mostOfOne int           // of them of one client
	missing   error         // certificates that it is to have and has not; nil: none
}

// vault has the certificates of the state, opened as far as listeners use them. It belongs to Balancer.mu.
type vault struct {
	group    *fsm.Group
	o        *fsm.Operating
	pairs    map[string]openPair
	expiries map[string]expiry
	trusts   map[string]*trust // by cluster
	acme     []fsm.ACMEValue   // as of which challenges are answered
}

// openPair is a certificate that was opened, or why it could not be.
type openPair struct {
	version uint64
	cert    *tls.Certificate
	err     error
}

// expiry is until when the certificate of a name is valid; the zero time: it cannot be read.
type expiry struct {
	version uint64
	at      time.Time
}

// take looks whether anything has changed that concerns TLS; the caller makes all secures anew then.
func (v *vault) take(o *fsm.Operating, g *fsm.Group) bool {
	sameGroup := v.group == g || v.group != nil && g != nil && string(v.group.Secret) == string(g.Secret)
	same := sameGroup && v.o != nil && sameSlice(v.o.Certificates, o.Certificates) && sameSlice(v.o.TicketKeys, o.TicketKeys)
	if !sameGroup {
		v.pairs = nil
	}
	v.group, v.o = g, o
	if same {
		return false
	}
	pairs, expiries := make(map[string]openPair, len(v.pairs)), make(map[string]expiry, len(o.Certificates))
	for i := range o.Certificates {
		c := &o.Certificates[i]
		if p, ok := v.pairs[c.Name]; ok && p.version == c.Version {
			pairs[c.Name] = p
		}
		if e, ok := v.expiries[c.Name]; ok && e.version == c.Version {
			expiries[c.Name] = e
		} else if parsed, err := x509.ParseCertificate(c.Chain[0]); err == nil {
			expiries[c.Name] = expiry{c.Version, parsed.NotAfter}
		}
	}
	v.pairs, v.expiries = pairs, expiries
	return true
}

// sameSlice reports whether two values of a part of the state are one: a part that changes is another slice.
func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// pair opens a certificate of servers.
func (v *vault) pair(name string) (*tls.Certificate, error) {
	c := v.o.Certificate(name)
	switch {
	case v.group == nil:
		return nil, errNoGroup
	case c == nil:
		return nil, fmt.Errorf("certificate %s: the group has none of that name", name)
	}
	if p, ok := v.pairs[name]; ok {
		return p.cert, p.err
	}
	p := openPair{version: c.Version}
	if p.cert, p.err = certs.OpenPair(v.group.Secret, name, c.Chain, c.Key); p.err != nil {
		p.err = fmt.Errorf("certificate %s: %w", name, p.err)
	}
	v.pairs[name] = p
	return p.cert, p.err
}

// secure makes the settings of a listener of protocol https.
func (v *vault) secure(l *config.Listener) *secure {
	t := l.TLS
	if t == nil { // nobody has completed it
		d := config.DefaultTLS()
		t = &d
	}
	s := &secure{timeout: time.Duration(t.HandshakeTimeout), most: int64(t.Handshakes), mostOfOne: max(1, t.Handshakes/10)}
	var problems []error
	presented := newByName()
	for _, name := range l.Certificates {
		if v.o.Certificate(name) == nil && v.o.Config.ACMECertificate(name) != nil {
			continue // it is being obtained, which needs a node that is ready
		}
		cert, err := v.pair(name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		presented.add(cert)
	}
	if len(l.Certificates) == 0 {
		problems = append(problems, errNoCertificate)
	}
	s.config = &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: nextProtos(l), GetCertificate: presented.choose}
	if t.MinVersion == "1.3" {
		s.config.MinVersion = tls.VersionTLS13
	}
	if err := v.askClients(s.config, l, t.ClientCertificates.Mode); err != nil {
		problems = append(problems, err)
	}
	if err := v.useTickets(s.config, v.ticketScope(l, t.ClientCertificates.Mode)); err != nil {
		problems = append(problems, err)
	}
	if l.HTTP3 {
		s.quic = &tls.Config{MinVersion: tls.VersionTLS13, NextProtos: []string{http3Protocol}, GetCertificate: presented.choose, ClientAuth: s.config.ClientAuth, ClientCAs: s.config.ClientCAs}
		// Tickets of their own: what QUIC keeps in them is of no use without it.
		if err := v.useTickets(s.quic, "h3\x00"+v.ticketScope(l, t.ClientCertificates.Mode)); err != nil {
			problems = append(problems, err)
		}
	}
	s.missing = errors.Join(problems...)
	return s
}

// nextProtos are the protocols that a listener offers after a handshake (ALPN), the best first.
func nextProtos(l *config.Listener) []string {
	if l.HTTP2 {
		return []string{"h2", "http/1.1"}
	}
	return []string{"http/1.1"}
}

// askClients has clients show certificates.
func (v *vault) askClients(c *tls.Config, l *config.Listener, mode string) (err error) {
	switch mode {
	case "request":
		c.ClientAuth = tls.VerifyClientCertIfGiven
	case "require":
		c.ClientAuth = tls.RequireAndVerifyClientCert
	default:
		return nil
	}
	c.ClientCAs = x509.NewCertPool() // without any authority nobody is let in, not everybody
	for _, name := range l.ClientAuthorities() {
		bundle := v.o.Certificate(name)
		if bundle == nil || !bundle.Authorities() {
			err = errors.Join(err, fmt.Errorf("certificate %s: the group has no bundle of authorities of that name", name))
			continue
		}
		for _, der := range bundle.Chain {
			if ca, bad := x509.ParseCertificate(der); bad == nil {
				c.ClientCAs.AddCert(ca)
			}
		}
	}
	return err
}

// useTickets has sessions resumed on any node. Each listener draws keys of its own from those of the group, which also depend on who vouches for its clients: a
// ticket must not carry an identity past a listener that would not have let it in. Without a key of the group there are no tickets: those of one node alone
// would fail on the next.
func (v *vault) useTickets(c *tls.Config, scope string) error {
	c.SessionTicketsDisabled = true
	if v.group == nil || len(v.o.TicketKeys) == 0 {
		return nil
	}
	var keys [][32]byte
	for i := range v.o.TicketKeys {
		root, err := certs.OpenTicketKey(v.group.Secret, v.o.TicketKeys[i].Key)
		if err != nil {
			return fmt.Errorf("ticket key: %w", err)
		}
		key, err := hkdf.Key(sha256.New, root, nil, scope, 32)
		if err != nil {
			return fmt.Errorf("ticket key: %w", err)
		}
		keys = append(keys, [32]byte(key))
	}
	c.SessionTicketsDisabled = false
	c.SetSessionTicketKeys(keys)
	return nil
}

func (v *vault) ticketScope(l *config.Listener, mode string) string {
	scope := []byte("listener\x00" + l.Name + "\x00" + mode)
	for _, name := range l.ClientAuthorities() {
		scope = append(append(scope, 0), name...)
		if c := v.o.Certificate(name); c != nil {
			scope = binary.LittleEndian.AppendUint64(scope, c.Version)
		}
	}
	return string(scope)
}
