package pki

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	raftProto = "holdfast-raft/1"
	callProto = "holdfast-call/1"
	joinProto = "holdfast-join/1"
)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

// verdicts are what both ends of a handshake say.
type verdicts struct {
	server, client error
	scs, ccs       tls.ConnectionState
}

// shake runs one handshake over loopback and gives both verdicts. The client reads one byte, since in TLS 1.3 it hears
// of a refusal only then; the server writes one after its own handshake.
func shake(t *testing.T, server, client *tls.Config) (r verdicts) {
	t.Helper()
	ln := must(net.Listen("tcp", "127.0.0.1:0"))
	defer ln.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := ln.Accept()
		if err != nil {
			r.server = err
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		s := tls.Server(conn, server)
		if r.server = s.Handshake(); r.server == nil {
			_, r.server = s.Write([]byte("x"))
		}
		r.scs = s.ConnectionState()
	}()
	conn := must(net.Dial("tcp", ln.Addr().String()))
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := tls.Client(conn, client)
	if r.client = c.Handshake(); r.client == nil {
		_, r.client = io.ReadFull(c, make([]byte, 1))
	}
	r.ccs = c.ConnectionState()
	conn.Close()
	<-done
	return r
}

type fixture struct {
	ca     *CA
	n1, n2 *Credentials
	server *tls.Config
}

func newFixture() fixture {
	ca, _ := newToken()
	n1, n2 := must(SelfIssue(ca, "n1", t0)), must(SelfIssue(ca, "n2", t0))
	o := ServerOptions{Mutual: []string{raftProto, callProto}, Open: []string{joinProto}, Now: at(t0)}
	return fixture{ca: ca, n1: n1, n2: n2, server: must(ServerTLS(n1, o))}
}

func TestNodesMeet(t *testing.T) {
	f := newFixture()
	for _, proto := range []string{raftProto, callProto} {
		r := shake(t, f.server, must(ClientTLS(f.n2, proto, "n1", at(t0))))
		if r.server != nil || r.client != nil {
			t.Fatalf("%s: server %v, client %v", proto, r.server, r.client)
		}
		if must(PeerName(r.scs)) != "n2" || must(PeerName(r.ccs)) != "n1" || r.scs.NegotiatedProtocol != proto || r.scs.Version != tls.VersionTLS13 {
			t.Errorf("%s: wrong state %+v", proto, r.scs)
		}
	}
}

func TestJoinWithToken(t *testing.T) {
	f := newFixture()
	tok := must(NewJoinToken(f.ca, time.Hour, t0))
	r := shake(t, f.server, must(JoinTLS(tok, joinProto, at(t0))))
	if r.server != nil || r.client != nil || r.scs.NegotiatedProtocol != joinProto {
		t.Fatalf("server %v, client %v", r.server, r.client)
	}
	if _, err := PeerName(r.scs); err == nil {
		t.Error("a joining node has a name without a certificate")
	}
	caDER := must(PeerCA(r.ccs, tok.CAPin))
	if !bytes.Equal(caDER, f.ca.CertDER) {
		t.Error("wrong CA")
	}
	key := must(NewKey())
	name, pub, err := CheckCSR(must(CSR(key, "n4", tok.GroupID)), f.ca.GroupID)
	if err != nil {
		t.Fatal(err)
	}
	n4 := must(NewCredentials(must(f.ca.IssueNode(name, pub, t0)), key, caDER))
	if r := shake(t, f.server, must(ClientTLS(n4, callProto, "n1", at(t0)))); r.server != nil || r.client != nil {
		t.Errorf("after the join: server %v, client %v", r.server, r.client)
	}
}

// sign makes a node certificate with one thing wrong.
func sign(ca *CA, name string, change func(*x509.Certificate)) *tls.Config {
	key := must(NewKey())
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name},
		NotBefore: t0.Add(-time.Hour), NotAfter: t0.Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{nodeURI(ca.GroupID, name)}, BasicConstraintsValid: true,
	}
	change(tmpl)
	der := must(x509.CreateCertificate(rand.Reader, tmpl, ca.cert, key.Public(), must(parseKey(ca.KeyDER))))
	return withCert(key, der, ca.CertDER)
}

func withCert(key ed25519.PrivateKey, chain ...[]byte) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}}, NextProtos: []string{raftProto}, InsecureSkipVerify: true}
}

func TestServerRefusesClient(t *testing.T) {
	f := newFixture()
	otherGroup := must(NewCA(NewGroupID(), "shop", t0))
	sameIDOtherKey := must(NewCA(f.ca.GroupID, "shop", t0))
	uri := func(s string) func(*x509.Certificate) {
		return func(c *x509.Certificate) { c.URIs = []*url.URL{must(url.Parse(s))} }
	}
	caKey := must(parseKey(f.ca.KeyDER))
	good := must(ClientTLS(f.n2, raftProto, "", at(t0)))
	variant := func(change func(*tls.Config)) *tls.Config { c := good.Clone(); change(c); return c }
	asFromOther := must(SelfIssue(sameIDOtherKey, "n2", t0))
	for name, c := range map[string]struct {
		client *tls.Config
		want   string
	}{
		"no certificate":       {variant(func(c *tls.Config) { c.Certificates = nil }), "certificate"},
		"no role":              {sign(f.ca, "n2", func(c *x509.Certificate) { c.URIs = nil }), "not a node certificate"},
		"other role":           {sign(f.ca, "n2", uri("holdfast://"+f.ca.GroupID+"/admin/n2")), "not a node certificate"},
		"no name":              {sign(f.ca, "n2", uri("holdfast://"+f.ca.GroupID+"/node/")), "not a node certificate"},
		"two roles":            {sign(f.ca, "n2", func(c *x509.Certificate) { c.URIs = append(c.URIs, nodeURI(f.ca.GroupID, "n1")) }), "not a node certificate"},
		"other group, our CA":  {sign(f.ca, "n2", uri("holdfast://"+otherGroup.GroupID+"/node/n2")), "of another group"},
		"other group":          {withCert(must(SelfIssue(otherGroup, "n2", t0)).Key(), must(SelfIssue(otherGroup, "n2", t0)).CertDER), ""},
		"another CA":           {withCert(asFromOther.Key(), asFromOther.CertDER, sameIDOtherKey.CertDER), "not trusted"},
		"expired":              {sign(f.ca, "n2", func(c *x509.Certificate) { c.NotAfter = t0.Add(-time.Minute) }), "not trusted"},
		"not yet":              {sign(f.ca, "n2", func(c *x509.Certificate) { c.NotBefore = t0.Add(time.Minute) }), "not trusted"},
		"server use only":      {sign(f.ca, "n2", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] }), "not trusted"},
		"is an authority":      {sign(f.ca, "n2", func(c *x509.Certificate) { c.IsCA = true }), "not a node certificate"},
		"the CA itself":        {withCert(caKey, f.ca.CertDER), "not"},
		"no protocol":          {variant(func(c *tls.Config) { c.NextProtos = nil }), "no protocol"},
		"other protocol":       {variant(func(c *tls.Config) { c.NextProtos = []string{"h2"} }), "no protocol"},
		"TLS 1.2":              {variant(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS12, tls.VersionTLS12 }), "version"},
		"join and raft":        {&tls.Config{NextProtos: []string{joinProto, raftProto}, InsecureSkipVerify: true}, "certificate"},
		"raft without a cert":  {&tls.Config{NextProtos: []string{raftProto}, InsecureSkipVerify: true}, "certificate"},
		"certificate of other": {withCert(must(NewKey()), f.n2.CertDER), ""},
	} {
		r := shake(t, f.server, c.client)
		if r.server == nil || r.client == nil {
			t.Errorf("%s: server %v, client %v, want both to fail", name, r.server, r.client)
		} else if !strings.Contains(r.server.Error(), c.want) {
			t.Errorf("%s: server says %v, want %q", name, r.server, c.want)
		}
	}
}

func TestChainThroughNodeIsRefused(t *testing.T) {
	f := newFixture()
	// A node signs a certificate with its own key: its certificate is no authority.
	key := must(NewKey())
	parent := must(x509.ParseCertificate(f.n2.CertDER))
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(8), NotBefore: t0.Add(-time.Hour), NotAfter: t0.Add(time.Hour), URIs: []*url.URL{nodeURI(f.ca.GroupID, "n1")}}
	der := must(x509.CreateCertificate(rand.Reader, tmpl, parent, key.Public(), f.n2.Key()))
	r := shake(t, f.server, withCert(key, der, f.n2.CertDER, f.ca.CertDER))
	if !errors.Is(r.server, ErrUntrusted) {
		t.Errorf("server: %v, want ErrUntrusted", r.server)
	}
}

func TestClientRefusesServer(t *testing.T) {
	f := newFixture()
	impostorCA := must(NewCA(f.ca.GroupID, "shop", t0))
	impostor := must(SelfIssue(impostorCA, "n1", t0))
	o := ServerOptions{Mutual: []string{raftProto}, Open: []string{joinProto}, Now: at(t0)}
	fake := must(ServerTLS(impostor, o))
	fakeWithOurCA := fake.Clone()
	fakeWithOurCA.GetConfigForClient = nil
	fakeWithOurCA.Certificates = []tls.Certificate{{Certificate: [][]byte{impostor.CertDER, f.ca.CertDER}, PrivateKey: impostor.Key()}}
	noALPN := f.server.Clone()
	noALPN.GetConfigForClient, noALPN.NextProtos = nil, nil
	clientOnly := sign(f.ca, "n1", func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[1:] })
	clientOnly.NextProtos = []string{raftProto, joinProto}
	caAsLeaf := withCert(must(parseKey(f.ca.KeyDER)), f.ca.CertDER)
	caAsLeaf.NextProtos = clientOnly.NextProtos

	tok := must(NewJoinToken(f.ca, time.Hour, t0))
	otherID := *tok
	otherID.GroupID = NewGroupID()
	zero := *tok
	zero.CAPin = [32]byte{}
	node := must(ClientTLS(f.n2, raftProto, "n1", at(t0)))
	join := must(JoinTLS(tok, joinProto, at(t0)))
	for name, c := range map[string]struct{ server, client *tls.Config }{
		"impostor":                      {fake, node},
		"impostor, join":                {fake, join},
		"impostor shows our CA":         {fakeWithOurCA, node},
		"impostor shows our CA, join":   {fakeWithOurCA, join},
		"no ALPN":                       {noALPN, node},
		"no ALPN, join":                 {noALPN, join},
		"no server certificate":         {clientOnly, node},
		"no server certificate, join":   {clientOnly, join},
		"authority as leaf, join":       {caAsLeaf, join},
		"other node than asked for":     {f.server, must(ClientTLS(f.n2, raftProto, "n3", at(t0)))},
		"expired":                       {f.server, must(ClientTLS(f.n2, raftProto, "n1", at(t0.Add(nodeLife+time.Hour))))},
		"expired, join":                 {f.server, must(JoinTLS(tok, joinProto, at(t0.Add(nodeLife+time.Hour))))},
		"token of another group, join":  {f.server, must(JoinTLS(&otherID, joinProto, at(t0)))},
		"token without a pin, join":     {f.server, must(JoinTLS(&zero, joinProto, at(t0)))},
		"join token on the raft stream": {f.server, must(JoinTLS(tok, raftProto, at(t0)))},
	} {
		if r := shake(t, c.server, c.client); r.client == nil {
			t.Errorf("%s: the client is content", name)
		}
	}
}

func TestNoResumption(t *testing.T) {
	f := newFixture()
	client := must(ClientTLS(f.n2, raftProto, "n1", at(t0)))
	client.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	client.ServerName = "n1"
	for range 2 {
		r := shake(t, f.server, client)
		if r.server != nil || r.client != nil || r.ccs.DidResume {
			t.Errorf("server %v, client %v, resumed %v", r.server, r.client, r.ccs.DidResume)
		}
	}
}

func TestSettingsNeedProtocols(t *testing.T) {
	f := newFixture()
	for _, o := range []ServerOptions{{}, {Mutual: []string{""}}, {Open: []string{joinProto, ""}}} {
		if _, err := ServerTLS(f.n1, o); err == nil {
			t.Errorf("%v: accepted", o)
		}
	}
	if _, err := ClientTLS(f.n1, "", "", nil); err == nil {
		t.Error("client without protocol")
	}
	if _, err := JoinTLS(&JoinToken{}, "", nil); err == nil {
		t.Error("join without protocol")
	}
	if _, err := PeerName(tls.ConnectionState{}); err == nil {
		t.Error("name without a handshake")
	}
}
