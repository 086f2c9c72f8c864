package raftnode

import (
	"bufio"
	"bytes"
	"context"
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
	"testing"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"
	"github.com/hashicorp/raft"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/raftnode/pki"
)

// evilAppend is the message that makes a raft 1.8.0 node whose port is open a follower of nobody for good.
func evilAppend(t *testing.T) []byte {
	t.Helper()
	buf := bytes.NewBuffer([]byte{0}) // AppendEntries
	err := codec.NewEncoder(buf, &codec.MsgpackHandle{}).Encode(&raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte("evil"), Addr: []byte("127.0.0.1:1")},
		Term:      9e9,
	})
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// certificate signs leaf with the authority's key, whatever leaf says.
func certificate(t *testing.T, ca *pki.CA, leaf *x509.Certificate) tls.Certificate {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parent, err := x509.ParseCertificate(ca.CertDER)
	if err != nil {
		t.Fatal(err)
	}
	caKey, err := x509.ParsePKCS8PrivateKey(ca.KeyDER)
	if err != nil {
		t.Fatal(err)
	}
	leaf.SerialNumber = big.NewInt(time.Now().UnixNano())
	if leaf.NotAfter.IsZero() {
		leaf.NotBefore, leaf.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, parent, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, ca.CertDER}, PrivateKey: key}
}

func nodeURL(group, name string) []*url.URL {
	return []*url.URL{{Scheme: "holdfast", Host: group, Path: "/node/" + name}}
}

func TestAttackersOnThePeerPort(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	target := g.leader()
	state := target.state.Group()
	ca, err := pki.LoadCA(state.CACert, state.CAKey)
	if err != nil {
		t.Fatal(err)
	}
	otherInit, err := pki.ParseInit(initString(t), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	otherCA, err := otherInit.CA()
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := pki.NewCA(state.ID, "test", time.Now()) // claims the right group
	if err != nil {
		t.Fatal(err)
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	leaf := func(uris []*url.URL, usage ...x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: "evil"}, URIs: uris, ExtKeyUsage: usage, KeyUsage: x509.KeyUsageDigitalSignature}
	}
	expired := leaf(nodeURL(state.ID, "n1"), both...)
	expired.NotBefore, expired.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
	with := func(c tls.Certificate) []tls.Certificate { return []tls.Certificate{c} }
	attacks := map[string]*tls.Config{
		"plaintext":        nil,
		"no certificate":   {},
		"wrong authority":  {Certificates: with(certificate(t, stranger, leaf(nodeURL(state.ID, "n1"), both...)))},
		"other group":      {Certificates: with(certificate(t, otherCA, leaf(nodeURL(otherCA.GroupID, "n1"), both...)))},
		"wrong role":       {Certificates: with(certificate(t, ca, leaf([]*url.URL{{Scheme: "holdfast", Host: state.ID, Path: "/operator/n1"}}, both...)))},
		"no SAN":           {Certificates: with(certificate(t, ca, leaf(nil, both...)))},
		"foreign SAN":      {Certificates: with(certificate(t, ca, leaf(nodeURL(otherCA.GroupID, "n1"), both...)))},
		"server use only":  {Certificates: with(certificate(t, ca, leaf(nodeURL(state.ID, "n1"), x509.ExtKeyUsageServerAuth)))},
		"expired":          {Certificates: with(certificate(t, ca, expired))},
		"the authority":    {Certificates: with(tls.Certificate{Certificate: [][]byte{ca.CertDER}, PrivateKey: mustKey(t, ca)})},
		"old TLS":          {MaxVersion: tls.VersionTLS12},
		"no protocol":      {Certificates: with(certificate(t, ca, leaf(nodeURL(state.ID, "n1"), both...))), NextProtos: []string{}},
		"other protocol":   {NextProtos: []string{"h2"}},
		"join, then raft":  {NextProtos: []string{protoJoin}},
		"raft and join":    {NextProtos: []string{protoJoin, protoRaft}},
		"call without one": {NextProtos: []string{protoCall}},
	}
	term := target.node.currentTerm()
	message := evilAppend(t)
	for name, cfg := range attacks {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", target.node.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			_ = c.SetDeadline(time.Now().Add(20 * time.Second))
			var conn net.Conn = c
			if cfg != nil {
				cfg = cfg.Clone()
				cfg.InsecureSkipVerify = true
				if cfg.NextProtos == nil {
					cfg.NextProtos = []string{protoRaft}
				}
				tc := tls.Client(c, cfg)
				if tc.Handshake() != nil {
					return // refused before a byte
				}
				conn = tc
			}
			_, _ = conn.Write(message)
			// A TLS 1.3 client is done before the server has judged it, so the refusal is seen at the first read. The
			// port must close without an answer of raft.
			if b, err := io.ReadAll(conn); len(b) > 0 && cfg != nil {
				t.Errorf("an answer: %q, %v", b, err)
			} else if errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
				t.Errorf("the connection is kept open: %v", err)
			}
		})
	}
	for _, m := range g {
		if now := m.node.currentTerm(); now > term+50 {
			t.Errorf("%s is in term %d, was %d", m.opt.Name, now, term)
		}
	}
	g[0].record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
}

func mustKey(t *testing.T, ca *pki.CA) any {
	t.Helper()
	key, err := x509.ParsePKCS8PrivateKey(ca.KeyDER)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// TestJunkFromAMember: a peer with a genuine certificate that breaks the protocol loses its connection and nothing else.
func TestJunkFromAMember(t *testing.T) {
	g := startGroup(t, 3)
	a, _ := g.configure()
	target, peer := g[0], g[1]
	oversized := appendFrame(nil, frame{id: 1, kind: callRecord})
	oversized[2], oversized[3] = 0xff, 0xff
	for name, junk := range map[string][]byte{
		"random":          bytes.Repeat([]byte("\x00\xffjunk"), 1000),
		"oversized":       oversized,
		"length too low":  {1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13},
		"a reply":         appendFrame(nil, frame{id: 1, kind: replyOK}),
		"http":            []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
		"array of 2 GiB":  {0xdd, 0x7f, 0xff, 0xff, 0xff, 0xdd, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0},
		"frame in frames": appendFrame(appendFrame(nil, frame{id: 1, kind: callTerm})[:10], frame{id: 1, kind: callTerm}),
	} {
		for _, proto := range []string{protoCall, protoRaft} {
			t.Run(proto+" "+name, func(t *testing.T) {
				c, err := dialPeer(ctxFor(t, 10*time.Second), tcp{}, peer.node.creds.Load(), proto, target.node.Addr(), target.opt.Name, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				_ = c.SetWriteDeadline(time.Now().Add(20 * time.Second))
				// Junk longer than a TLS record goes out in several: the connection may be gone before the last one, as it should be.
				if _, err := c.Write(junk); isTimeout(err) {
					t.Error("the junk is neither read nor refused")
				}
				_ = c.CloseWrite()
				_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
				if _, err := io.Copy(io.Discard, c); isTimeout(err) {
					t.Error("the connection is kept open")
				}
			})
		}
	}
	for kind := range 256 { // every kind of request with a payload that fits none
		if callKind(kind) >= replyOK {
			break
		}
		_, err := peer.node.pool.call(ctxFor(t, 10*time.Second), target.node.Addr(), target.opt.Name, callKind(kind), []byte("{nonsense"))
		var f *failure
		if err != nil && !errors.As(err, &f) {
			t.Errorf("kind %d: %v", kind, err)
		}
		if err == nil && callKind(kind) != callTerm && callKind(kind) != callInfo && callKind(kind) != callReadIndex && callKind(kind) != callPromote {
			t.Errorf("kind %d: nonsense is accepted", kind)
		}
	}
	target.record(fsm.SessionOp{Kind: fsm.OpAssign, Key: testKey(1), Instance: a})
}

// TestHalfOpenFlood: a thousand connections that say nothing, from one address that peers use too, keep nobody out.
func TestHalfOpenFlood(t *testing.T) {
	m := newMember(t, "n1", Options{Bootstrap: true, Timing: "wan"})
	m.mustOpen()
	m.run()
	g := group{m}
	g.ready()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			_ = c.Close()
		}
	}()
	for range 1000 {
		c, err := net.Dial("tcp", m.node.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	l := m.node.port.Load()
	within(t, 10*time.Second, "the flood is not bounded", func() bool {
		l.pending.mu.Lock()
		defer l.pending.mu.Unlock()
		return l.pending.total <= maxPendingPerIP
	})
	late := newMember(t, "n2", Options{JoinToken: g.joinToken(time.Hour), Join: []string{m.node.Addr()}, Timing: "wan"})
	late.mustOpen()
	late.run()
	within(t, 30*time.Second, "a genuine node does not get in", func() bool { return late.node.Ready() == nil })
	open := 0
	for _, c := range conns {
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := c.Read(make([]byte, 1)); isTimeout(err) {
			open++
		}
	}
	if open > 0 {
		t.Errorf("%d half-open connections outlive the handshake deadline", open)
	}
}

// TestJoinPortBounds: somebody without a certificate gets one small request in, in bounded time.
func TestJoinPortBounds(t *testing.T) {
	g := startGroup(t, 1)
	text := g.joinToken(time.Hour)
	tok, err := pki.ParseJoinToken(text, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() *tls.Conn {
		cfg, err := pki.JoinTLS(tok, protoJoin, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := dialTLS(ctxFor(t, 10*time.Second), tcp{}, cfg, g[0].node.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c
	}
	for name, request := range map[string][]byte{
		"too large":   appendFrame(nil, frame{id: 1, kind: callToken, payload: make([]byte, maxTokenFrame+1)}),
		"other kind":  appendFrame(nil, frame{id: 1, kind: callPropose, payload: []byte("x")}),
		"hello":       appendFrame(nil, frame{id: 1, kind: callHello, payload: []byte("{}")}),
		"cut off":     {1, 2, 3},
		"silent":      nil,
		"wrong token": appendFrame(nil, frame{id: 1, kind: callToken, payload: encodeJSON(tokenRequest{ID: tok.ID, Secret: make([]byte, 32)})}),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial()
			_, _ = c.Write(request)
			f, err := readFrame(bufio.NewReader(c), maxTokenFrame)
			if err == nil && f.kind != replyFailed {
				t.Errorf("answer: %+v", f)
			}
			if isTimeout(err) {
				t.Error("the connection is kept open")
			}
		})
	}
	if got, _ := g[0].state.TokenByID(tok.ID); got.UsedBy != nil {
		t.Error("the token was used")
	}
}
