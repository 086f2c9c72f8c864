package acme

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	acmelib "github.com/mholt/acmez/v3/acme"

	"github.com/holdfast-lb/holdfast/fsm/certs"
	"github.com/holdfast-lb/holdfast/fsm/config"
	"github.com/holdfast-lb/holdfast/internal/certtest"
)

// authority is an ACME server that can be made hostile. It issues whatever is asked for: what it would check is the business of a real one (chaos/acme).
type authority struct {
	*httptest.Server
	t   testing.TB
	ca  *certtest.CA
	csr atomic.Pointer[x509.CertificateRequest]
	// answer, when set, answers what has this path instead, unless it gives false.
	answer func(w http.ResponseWriter, path string) bool
	// issue makes the chain; nil: the one that was asked for.
	issue  func(*authority, *x509.CertificateRequest) []byte
	orders atomic.Int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, ca: certtest.NewCA(t, "authority")}
	a.Server = httptest.NewTLSServer(http.HandlerFunc(a.serve))
	t.Cleanup(a.Close)
	return a
}

func (a *authority) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Replay-Nonce", "bm9uY2U")
	w.Header().Set("Connection", "close") // the client keeps what is open, for longer than a test
	if a.answer != nil && a.answer(w, r.URL.Path) {
		return
	}
	send := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(v)
	}
	order := map[string]any{"status": "ready", "expires": time.Now().Add(time.Hour), "identifiers": []any{map[string]string{"type": "dns", "value": "shop.example"}},
		"authorizations": []string{a.URL + "/authz"}, "finalize": a.URL + "/finalize", "certificate": a.URL + "/cert"}
	switch r.URL.Path {
	case "/dir":
		send(200, map[string]string{"newNonce": a.URL + "/nonce", "newAccount": a.URL + "/account", "newOrder": a.URL + "/order", "revokeCert": a.URL + "/revoke", "keyChange": a.URL + "/key"})
	case "/nonce":
		w.WriteHeader(200)
	case "/account":
		w.Header().Set("Location", a.URL+"/account/1")
		send(201, map[string]any{"status": "valid"})
	case "/order":
		a.orders.Add(1)
		w.Header().Set("Location", a.URL+"/order/1")
		send(201, order)
	case "/authz":
		send(200, map[string]any{"status": "valid", "expires": time.Now().Add(time.Hour), "identifier": map[string]string{"type": "dns", "value": "shop.example"}, "challenges": []any{}})
	case "/finalize":
		a.take(r.Body)
		order["status"] = "valid"
		w.Header().Set("Location", a.URL+"/order/1")
		send(200, order)
	case "/cert":
		w.Header().Set("Content-Type", "application/pem-certificate-chain")
		w.Write(a.chain())
	default:
		http.NotFound(w, r)
	}
}

// take reads the request for a certificate out of its envelope.
func (a *authority) take(body io.Reader) {
	var envelope struct{ Payload string }
	var payload struct{ CSR string }
	if err := json.NewDecoder(body).Decode(&envelope); err != nil {
		a.t.Error(err)
		return
	}
	text, _ := base64.RawURLEncoding.DecodeString(envelope.Payload)
	if err := json.Unmarshal(text, &payload); err != nil {
		a.t.Error(err)
		return
	}
	der, _ := base64.RawURLEncoding.DecodeString(payload.CSR)
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		a.t.Error(err)
		return
	}
	a.csr.Store(csr)
}

func (a *authority) chain() []byte {
	csr := a.csr.Load()
	if a.issue != nil {
		return a.issue(a, csr)
	}
	return a.sign(csr, csr.DNSNames...)
}

// sign gives a certificate for the key that was asked for.
func (a *authority) sign(csr *x509.CertificateRequest, names ...string) []byte {
	return a.ca.LeafOf(publicOnly{csr.PublicKey}, nil, names...).ChainPEM()
}

// publicOnly is a key of which one half is known.
type publicOnly struct{ key crypto.PublicKey }

func (p publicOnly) Public() crypto.PublicKey { return p.key }

func (publicOnly) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("the private half is not known here")
}

var site = config.ACMECertificate{Name: "site", Hosts: []string{"shop.example"}, Key: "ecdsa-p256"}

// attempt makes one with an authority.
func attempt(t testing.TB, a *authority, change func(*config.ACME)) (*certs.Pair, error) {
	t.Helper()
	g := newGroup(t)
	c := &config.ACME{Directory: a.URL + "/dir", AcceptTerms: true, Challenges: []string{"http-01"}, Email: "ops@shop.example"}
	if change != nil {
		change(c)
	}
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	cl, err := NewClient(g.store("n1", 1), c, roots)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	pair, err := cl.Obtain(ctx, &site)
	if l := g.state.Operating().ACMELockOf("obtain/site"); l != nil {
		t.Errorf("the lock is still there: %+v", l)
	}
	return pair, err
}

// TestObtain: an account and an order give a certificate with a key that nobody else has had.
func TestObtain(t *testing.T) {
	a := newAuthority(t)
	pair, err := attempt(t, a, nil)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(pair.Chain[0])
	if err != nil || leaf.VerifyHostname("shop.example") != nil || a.orders.Load() != 1 {
		t.Errorf("%v %+v, %d orders", err, leaf, a.orders.Load())
	}
}

// TestHostileAuthorities: whatever an authority sends, there is an error in words, of bounded length, and nothing of it is taken.
func TestHostileAuthorities(t *testing.T) {
	garbage := func(body string) func(http.ResponseWriter, string) bool {
		return func(w http.ResponseWriter, _ string) bool { io.WriteString(w, body); return true }
	}
	at := func(path string, status int, contentType, body string) func(http.ResponseWriter, string) bool {
		return func(w http.ResponseWriter, p string) bool {
			if p != path {
				return false
			}
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			io.WriteString(w, body)
			return true
		}
	}
	const problem = "application/problem+json"
	limit := `{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates, retry after 2026-11-26 12:00:00 UTC","status":429}`
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, string) bool
		issue  func(*authority, *x509.CertificateRequest) []byte
		says   string
		limits bool
	}{
		"a page":             {answer: garbage("<html>\x00\x1b[31m" + strings.Repeat("x", 1<<20)), says: ""},
		"nothing":            {answer: garbage(""), says: ""},
		"a list":             {answer: garbage("[]"), says: ""},
		"an empty directory": {answer: garbage("{}"), says: ""},
		"500":                {answer: at("/dir", 500, "text/html", "down"), says: "500"},
		"rate limited":       {answer: at("/order", 429, problem, limit), says: "too many certificates", limits: true},
		"busy":               {answer: at("/order", 503, problem, `{"type":"urn:ietf:params:acme:error:serverInternal","detail":"busy","status":503}`), says: "busy", limits: true},
		"terms":              {answer: at("/account", 403, problem, `{"type":"urn:ietf:params:acme:error:userActionRequired","detail":"new terms","status":403}`), says: "new terms"},
		"no order":           {answer: at("/order", 201, "application/json", "{}"), says: ""},
		"an order of others": {answer: at("/order", 201, "application/json", `{"status":"ready","identifiers":[{"type":"dns","value":"evil.example"}],"authorizations":[],"finalize":"https://127.0.0.1:1/"}`), says: ""},
		"a refused order":    {answer: at("/finalize", 403, problem, `{"type":"urn:ietf:params:acme:error:badCSR","detail":"no such key","status":403}`), says: "no such key"},
		"no certificate":     {answer: at("/cert", 200, "application/pem-certificate-chain", ""), says: ""},
		"garbage for one": {issue: func(*authority, *x509.CertificateRequest) []byte {
			return []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
		}, says: "cannot be used"},
		"one for another host": {issue: func(a *authority, csr *x509.CertificateRequest) []byte { return a.sign(csr, "evil.example") }, says: "not good for shop.example"},
		"one for another key":  {issue: func(a *authority, _ *x509.CertificateRequest) []byte { return a.ca.Server("shop.example").ChainPEM() }, says: "cannot be used"},
		"one with a key inside": {issue: func(a *authority, csr *x509.CertificateRequest) []byte {
			return append(a.sign(csr, "shop.example"), a.ca.Server("shop.example").KeyPEM()...)
		}, says: "cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAuthority(t)
			a.answer, a.issue = c.answer, c.issue
			pair, err := attempt(t, a, nil)
			if err == nil {
				t.Fatalf("%+v is taken", pair)
			}
			reason := Reason(err)
			if !strings.Contains(reason, c.says) || len(reason) > maxReason+10 || strings.ContainsAny(reason, "\x00\x1b\n") || limited(err) != c.limits {
				t.Errorf("%q, limits %v, want %q, %v", reason, limited(err), c.says, c.limits)
			}
		})
	}
}

// TestAuthorityThatIsNotThere: a black hole costs as long as the attempt may take, and one that nobody vouches for is not believed.
func TestAuthorityThatIsNotThere(t *testing.T) {
	a := newAuthority(t)
	ctx, cancel := context.WithCancel(t.Context())
	hold := make(chan struct{})
	a.answer = func(http.ResponseWriter, string) bool { cancel(); <-hold; return true }
	g := newGroup(t)
	roots := x509.NewCertPool()
	roots.AddCert(a.Certificate())
	cl, err := NewClient(g.store("n1", 1), &config.ACME{Directory: a.URL + "/dir", AcceptTerms: true, Challenges: []string{"http-01"}}, roots)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := cl.Obtain(ctx, &site); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	close(hold)
	stranger := newAuthority(t)
	cl2, err := NewClient(g.store("n1", 1), &config.ACME{Directory: stranger.URL + "/dir", AcceptTerms: true, Challenges: []string{"http-01"}}, x509.NewCertPool())
	if err != nil {
		t.Fatal(err)
	}
	defer cl2.Close()
	if _, err := cl2.Obtain(t.Context(), &site); err == nil || !strings.Contains(err.Error(), "certificate") || stranger.orders.Load() != 0 {
		t.Errorf("%v", err)
	}
}

// TestMissingExternalAccount: what is to be done is said.
func TestMissingExternalAccount(t *testing.T) {
	a := newAuthority(t)
	if _, err := attempt(t, a, func(c *config.ACME) { c.ExternalAccount = "kid-1" }); err == nil || !strings.Contains(err.Error(), "'holdfast cert account kid-1 --key FILE'") {
		t.Errorf("%v", err)
	}
}

// TestPauses: ever longer ones, and what an authority says of its limits counts, within bounds.
func TestPauses(t *testing.T) {
	now := time.Date(2026, 11, 26, 4, 0, 0, 0, time.UTC)
	plain := errors.New("no answer")
	for failures, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 5: 16 * time.Minute, 9: 256 * time.Minute, 10: 6 * time.Hour, 1 << 20: 6 * time.Hour} {
		if got := Pause(plain, failures, now); got != want {
			t.Errorf("%d failures: %v, want %v", failures, got, want)
		}
	}
	limit := func(detail string) error {
		return fmt.Errorf("order: %w", acmelib.Problem{Type: acmelib.ProblemTypeRateLimited, Detail: detail})
	}
	for detail, want := range map[string]time.Duration{
		"too many": time.Hour,
		"too many, retry after 2026-11-26 06:30:00 UTC": 2*time.Hour + 30*time.Minute + time.Second,
		"too many, retry after 2026-11-26T06:30:00Z":    2*time.Hour + 30*time.Minute + time.Second,
		"too many, retry after 2026-11-26 03:00:00 UTC": time.Minute,
		"too many, retry after 2126-11-26 03:00:00 UTC": longestPause,
		"too many, retry after 2026-99-99 03:00:00 UTC": time.Hour,
	} {
		if got := Pause(limit(detail), 1, now); got != want {
			t.Errorf("%s: %v, want %v", detail, got, want)
		}
	}
}

// FuzzReason: whatever an authority says is one line of bounded length.
func FuzzReason(f *testing.F) {
	f.Add("a\nb\x00\xff")
	f.Add(strings.Repeat("ü", 2000))
	f.Fuzz(func(t *testing.T, text string) {
		got := Reason(errors.New(text))
		if got == "" || len(got) > maxReason+4 || strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) || strings.ToValidUTF8(got, "") != got {
			t.Errorf("%q", got)
		}
	})
}
