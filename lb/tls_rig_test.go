package lb

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// overTLS makes the listener of a configuration one of protocol https.
func overTLS(c *config.Config, certificates ...string) *config.Config {
	l := &c.Listeners[0]
	l.Protocol, l.Certificates = "https", certificates
	l.TLS = &config.TLS{MinVersion: "1.2", HandshakeTimeout: config.Duration(10 * time.Second), Handshakes: 1000, ClientCertificates: config.ClientCertificates{Mode: "off"}}
	return c
}

// putCert gives the group a certificate, or another one of that name.
func (g *fakeGroup) putCert(c fsm.Certificate) {
	g.operate(func(o *fsm.Operating) {
		c.Version = o.Index
		list := slices.Clone(o.Certificates)
		i := slices.IndexFunc(list, func(x fsm.Certificate) bool { return x.Name == c.Name })
		if i >= 0 {
			list[i] = c
		} else {
			list = append(list, c)
			slices.SortFunc(list, func(a, b fsm.Certificate) int { return map[bool]int{true: -1, false: 1}[a.Name < b.Name] })
		}
		o.Certificates = list
	})
}

// certify gives the group the certificate of a server, with its key as it is sealed.
func (g *fakeGroup) certify(t testing.TB, name string, leaf *certtest.Leaf) {
	t.Helper()
	p, err := certs.ReadPair(leaf.ChainPEM(), leaf.KeyPEM())
	if err != nil {
		t.Fatal(err)
	}
	var random [32]byte
	rand.Read(random[:])
	key, err := p.SealKey(g.group.Secret, name, random)
	if err != nil {
		t.Fatal(err)
	}
	g.putCert(fsm.Certificate{Name: name, Chain: p.Chain, Key: key})
}

// ticketKey puts a new ticket key in force.
func (g *fakeGroup) ticketKey(t testing.TB) {
	t.Helper()
	var random, root [32]byte
	rand.Read(random[:])
	rand.Read(root[:])
	key, err := certs.SealTicketKey(g.group.Secret, random, root)
	if err != nil {
		t.Fatal(err)
	}
	g.operate(func(o *fsm.Operating) {
		o.TicketKeys = append([]fsm.TicketKey{{ID: o.Index, Key: key}}, o.TicketKeys[:min(2, len(o.TicketKeys))]...)
	})
}

// secureRig is a rig whose listener speaks TLS as site.example, of a group that has more certificates.
func secureRig(t testing.TB, c *config.Config, more ...fsm.Certificate) (*rig, *certtest.CA) {
	t.Helper()
	ca := certtest.NewCA(t, "root")
	g := newFakeGroup(c)
	g.certify(t, "site", ca.Intermediate("mid").Server("site.example", "127.0.0.1"))
	g.ticketKey(t)
	for _, c := range more {
		g.putCert(c)
	}
	return newRigOn(t, g, Options{}), ca
}

// clientOf is a client's settings.
func clientOf(ca *certtest.CA) *tls.Config {
	return &tls.Config{RootCAs: ca.Pool(), ServerName: "site.example"}
}

// secureClient is a browser that trusts ca.
func secureClient(t testing.TB, c *tls.Config) *client {
	cl := newClient(t)
	tr := &http.Transport{DisableCompression: true, TLSClientConfig: c}
	t.Cleanup(tr.CloseIdleConnections)
	cl.Transport = tr
	return cl
}

func (r *rig) secureURL(path string) string { return "https://" + r.addr() + path }

// shake makes one handshake, with a request so that a refusal of TLS 1.3 and the tickets come.
func (r *rig) shake(c *tls.Config) (tls.ConnectionState, error) {
	r.t.Helper()
	raw, err := net.Dial("tcp", r.addr())
	if err != nil {
		r.t.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(20 * time.Second))
	conn := tls.Client(raw, c)
	if err := conn.Handshake(); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: h\r\n\r\n")); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return tls.ConnectionState{}, err
	}
	return conn.ConnectionState(), nil
}

// shown gives the certificate that a client gets to see.
func (r *rig) shown(c *tls.Config) *x509.Certificate {
	r.t.Helper()
	s, err := r.shake(c)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.PeerCertificates[0]
}

// ended waits until so many handshakes have ended in one way.
func (r *rig) ended(result string, n float64) {
	r.t.Helper()
	r.wait("handshakes that end as "+result, func() bool {
		return metric(r.t, r, "holdfast_tls_handshakes_total", "listener=web", "result="+result) == n
	})
}
