package lb

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/holdfast-lb/holdfast/fsm"
	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
)

// challenge opens one, as the leader's ACME client does.
func (g *fakeGroup) challenge(t testing.TB, kind, host, token, answer string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"type": kind, "url": "https://ca.example/c/1", "status": "pending", "token": token, "keyAuthorization": answer,
		"identifier": map[string]string{"type": "dns", "value": host}})
	if err != nil {
		t.Fatal(err)
	}
	g.acmeValue(t, "acme/ca.example-dir/challenge_tokens/"+host+".json", text)
}

// acmeValue stores one, sealed for its key.
func (g *fakeGroup) acmeValue(t testing.TB, key string, text []byte) {
	t.Helper()
	var random [32]byte
	rand.Read(random[:])
	sealed, err := certs.SealValue(g.group.Secret, key, random, text)
	if err != nil {
		t.Fatal(err)
	}
	g.acmeSealed(fsm.ACMEValue{Key: key, Sealed: sealed})
}

func (g *fakeGroup) acmeSealed(v fsm.ACMEValue) {
	g.operate(func(o *fsm.Operating) {
		list := slices.DeleteFunc(slices.Clone(o.ACMEValues), func(x fsm.ACMEValue) bool { return x.Key == v.Key })
		o.ACMEValues = append(list, v)
	})
}

func (g *fakeGroup) noChallenges() { g.operate(func(o *fsm.Operating) { o.ACMEValues = nil }) }

// TestChallengeOverHTTP: a token that is open is answered on every listener, before any redirect and on both engines; every other path, method and time is the
// application's.
func TestChallengeOverHTTP(t *testing.T) {
	app := newApp(t, "i1", nil)
	for _, engine := range []string{"as configured", "redirect"} {
		t.Run(engine, func(t *testing.T) {
			c := conf(of(app)...)
			if engine == "redirect" {
				c.Listeners[0].HTTPSRedirect = &config.HTTPSRedirect{Port: 443, Status: 308}
			}
			r := newRig(t, c)
			client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
			defer client.CloseIdleConnections()
			ask := func(method, path string) string {
				t.Helper()
				req, err := http.NewRequest(method, r.url(path), nil)
				if err != nil {
					t.Fatal(err)
				}
				req.Host = "shop.example"
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				return fmt.Sprint(resp.StatusCode, " ", string(body), resp.Header.Get("Location"))
			}
			const path = challengePath + "token-1"
			theirs := ask("GET", path)
			if strings.Contains(theirs, "answer") {
				t.Fatal(theirs)
			}
			r.g.challenge(t, "http-01", "shop.example", "token-1", "token-1.answer")
			r.inForce()
			for range 3 { // on one connection
				if got := ask("GET", path); got != "200 token-1.answer" {
					t.Fatal(got)
				}
			}
			if got := ask("HEAD", path); got != "200 " {
				t.Error(got)
			}
			for _, other := range []string{challengePath, challengePath + "token-2", challengePath + "token-1/", challengePath + "Token-1", "/token-1"} {
				if got := ask("GET", other); strings.Contains(got, "answer") || strings.HasPrefix(got, "200 ") != strings.HasPrefix(theirs, "200 ") {
					t.Errorf("%s: %s", other, got)
				}
			}
			if got := ask("POST", path); strings.Contains(got, "answer") {
				t.Error(got)
			}
			r.g.noChallenges()
			r.inForce()
			if got := ask("GET", path); got[:3] != theirs[:3] || strings.Contains(got, "answer") {
				t.Errorf("%s, before it was %s", got, theirs)
			}
		})
	}
}

// TestChallengeOverTLS: who speaks acme-tls/1 for a host whose challenge is open gets the certificate of RFC 8737 and nothing else, also where clients must show
// certificates, and everybody else what the listener has.
func TestChallengeOverTLS(t *testing.T) {
	c := overTLS(conf(of(newApp(t, "i1", nil))...), "site")
	r, ca := secureRig(t, c)
	shake := func(name string, protocols ...string) (tls.ConnectionState, error) {
		raw, err := net.Dial("tcp", r.addr())
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		conn := tls.Client(raw, &tls.Config{InsecureSkipVerify: true, ServerName: name, NextProtos: protocols})
		if err := conn.Handshake(); err != nil {
			return tls.ConnectionState{}, err
		}
		if len(protocols) > 0 {
			if _, err := io.ReadAll(conn); err != nil {
				t.Errorf("the connection goes on: %v", err)
			}
		}
		return conn.ConnectionState(), nil
	}
	if _, err := shake("new.example", acmeProtocol); err == nil {
		t.Fatal("a challenge that nobody has made is answered")
	}
	r.g.challenge(t, "tls-alpn-01", "new.example", "t", "t.answer")
	r.inForce()
	s, err := shake("NEW.example", acmeProtocol)
	if err != nil || s.NegotiatedProtocol != acmeProtocol {
		t.Fatalf("%v %+v", err, s)
	}
	leaf := s.PeerCertificates[0]
	sum := sha256.Sum256([]byte("t.answer"))
	want, err := asn1.Marshal(sum[:])
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, e := range leaf.Extensions {
		found = found || e.Id.Equal(acmeExtension) && e.Critical && string(e.Value) == string(want)
	}
	if !found || len(leaf.DNSNames) != 1 || leaf.DNSNames[0] != "new.example" || len(leaf.IPAddresses) != 0 || leaf.CheckSignature(leaf.SignatureAlgorithm, leaf.RawTBSCertificate, leaf.Signature) != nil {
		t.Errorf("%+v", leaf)
	}
	if _, err := shake("other.example", acmeProtocol); err == nil {
		t.Error("another host is answered for")
	}
	if got := r.shown(clientOf(ca)); got.Subject.CommonName == leaf.Subject.CommonName {
		t.Error("an ordinary client gets the challenge")
	}
	if s, err := shake("new.example", acmeProtocol, "http/1.1"); err == nil && s.NegotiatedProtocol == acmeProtocol {
		t.Error("a client that speaks something else as well gets the challenge's certificate")
	}
	if s, err := shake("new.example"); err != nil || s.PeerCertificates[0].Equal(leaf) || s.NegotiatedProtocol == acmeProtocol {
		t.Errorf("an ordinary client of that name: %v", err)
	}
	r.g.noChallenges()
	r.inForce()
	if _, err := shake("new.example", acmeProtocol); err == nil {
		t.Error("a challenge that is over is answered")
	}
}

// TestAwaitedCertificate: a node whose certificate is still to be obtained is ready, or nothing could ever be obtained behind a balancer that asks; it presents the
// certificate as soon as there is one.
func TestAwaitedCertificate(t *testing.T) {
	c := overTLS(conf(of(newApp(t, "i1", nil))...), "site", "later")
	c.ACME = &config.ACME{Certificates: []config.ACMECertificate{{Name: "later", Hosts: []string{"later.example"}}}}
	r, ca := secureRig(t, c)
	if err := r.b.Ready(); err != nil {
		t.Fatal(err)
	}
	later := clientOf(ca)
	later.ServerName = "later.example"
	if _, err := r.shake(later); err == nil {
		t.Fatal("there is a certificate")
	}
	r.g.certify(t, "later", ca.Server("later.example"))
	r.inForce()
	if got := r.shown(later); got.DNSNames[0] != "later.example" {
		t.Errorf("%v", got.DNSNames)
	}
	c = clone(c)
	c.ACME = nil
	c.Listeners[0].Certificates = []string{"site", "none"}
	r.apply(c)
	if err := r.b.Ready(); err == nil || !strings.Contains(err.Error(), "the group has none of that name") {
		t.Errorf("one that nobody obtains: %v", err)
	}
}

// TestHostileChallenges: what no ACME client has stored is no challenge.
func TestHostileChallenges(t *testing.T) {
	r := newRig(t, conf(of(newApp(t, "i1", nil))...))
	const key = "acme/ca/challenge_tokens/a.example.json"
	for _, text := range []string{"", "{", "[]", "null", `{"type":"http-01"}`, `{"type":"http-01","keyAuthorization":"a"}`, `{"type":"dns-01","token":"t","keyAuthorization":"a"}`, `{"type":1}`, strings.Repeat("x", 10_000)} {
		r.g.acmeValue(t, key, []byte(text))
		r.inForce()
		if open := r.b.challenges.Load(); open != nil {
			t.Errorf("%.40q: %+v", text, open)
		}
	}
	r.g.noChallenges()
	r.g.acmeSealed(fsm.ACMEValue{Key: key, Sealed: []byte("not sealed by this group")})
	r.g.acmeValue(t, "acme/ca/users/a.example.json", []byte(`{"type":"http-01","token":"t","keyAuthorization":"a"}`))
	r.inForce()
	if open := r.b.challenges.Load(); open != nil {
		t.Errorf("%+v", open)
	}
}

// FuzzChallenges: whatever is stored as a challenge, nothing without a token or a host is answered.
func FuzzChallenges(f *testing.F) {
	for _, text := range []string{`{"type":"http-01","token":"t","keyAuthorization":"a"}`, `{"type":"tls-alpn-01","keyAuthorization":"a","identifier":{"type":"dns","value":"A.example"}}`, "{", "[]", ""} {
		f.Add([]byte(text))
	}
	secret := []byte("0123456789abcdef0123456789abcdef")
	const key = "acme/ca/challenge_tokens/a.json"
	f.Fuzz(func(t *testing.T, text []byte) {
		sealed, err := certs.SealValue(secret, key, [32]byte{1}, text)
		if err != nil {
			t.Fatal(err)
		}
		open := openChallenges([]fsm.ACMEValue{{Key: key, Sealed: sealed}}, secret)
		if open == nil {
			return
		}
		for token, answer := range open.byToken {
			if token == "" || answer == "" {
				t.Errorf("%q: %q is answered with %q", text, token, answer)
			}
		}
		for host, answer := range open.byHost {
			if host == "" || host != strings.ToLower(host) || answer == "" {
				t.Errorf("%q: host %q is answered with %q", text, host, answer)
			}
		}
	})
}
