package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/goleak"

	"github.com/holdfast-lb/holdfast/fsm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an issuer on this machine.
type fake struct {
	t   testing.TB
	srv *httptest.Server

	mu     sync.Mutex
	keys   []jose.JSONWebKey
	answer http.HandlerFunc // in place of the good answers
	hits   int
	plain  *httptest.Server // see clear
	gone   chan struct{}    // closed at the end of the test: who was kept waiting goes
}

func newFake(t testing.TB) *fake {
	f := &fake{t: t, gone: make(chan struct{})}
	f.srv = httptest.NewTLSServer(http.HandlerFunc(f.serve))
	f.srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(func() { close(f.gone); f.srv.Close() })
	return f
}

func (f *fake) serve(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.hits++
	answer, keys := f.answer, jose.JSONWebKeySet{Keys: append([]jose.JSONWebKey{}, f.keys...)}
	f.mu.Unlock()
	switch {
	case answer != nil:
		answer(w, r)
	case strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration"):
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, f.srv.URL, f.srv.URL+"/keys")
	case r.URL.Path == "/keys":
		if err := json.NewEncoder(w).Encode(keys); err != nil {
			panic(err)
		}
	default:
		http.NotFound(w, r)
	}
}

// clear gives the good keys without TLS, as somebody else on this machine might.
func (f *fake) clear() *httptest.Server {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plain == nil {
		keys := jose.JSONWebKeySet{Keys: slices.Clone(f.keys)}
		f.plain = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if err := json.NewEncoder(w).Encode(keys); err != nil {
				panic(err)
			}
		}))
		f.t.Cleanup(f.plain.Close)
	}
	return f.plain
}

func (f *fake) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fake) asked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hits
}

// settings are what the group believes.
func (f *fake) settings() *fsm.Issuer {
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.srv.Certificate().Raw}))
	return &fsm.Issuer{URL: f.srv.URL, Audience: "holdfast", UserClaim: "email", GroupsClaim: "groups", Authorities: ca}
}

// newKey makes a key and gives it to the issuer.
func (f *fake) newKey(id string) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.t.Fatal(err)
	}
	f.set(func() {
		f.keys = append(f.keys, jose.JSONWebKey{Key: k.Public(), KeyID: id, Use: "sig", Algorithm: "ES256"})
	})
	return k
}

// sign makes a token; change alters its good claims.
func (f *fake) sign(id string, alg jose.SignatureAlgorithm, k any, change func(map[string]any)) string {
	now := time.Now()
	c := map[string]any{"iss": f.srv.URL, "aud": "holdfast", "sub": "1", "email": "alice@example.com", "email_verified": true, "groups": []string{"lb-ops", "all"},
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix()}
	if change != nil {
		change(c)
	}
	payload, err := json.Marshal(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.signRaw(id, alg, k, payload)
}

func (f *fake) signRaw(id string, alg jose.SignatureAlgorithm, k any, payload []byte) string {
	opt := &jose.SignerOptions{}
	if id != "" {
		opt = opt.WithHeader("kid", id)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: k}, opt)
	if err != nil {
		f.t.Fatal(err)
	}
	signed, err := s.Sign(payload)
	if err != nil {
		f.t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		f.t.Fatal(err)
	}
	return text
}

// verifier makes one whose keys have been fetched, without its goroutine.
func (f *fake) verifier(now func() time.Time) (*Verifier, *fsm.Issuer) {
	is := f.settings()
	v := New(Options{Issuer: func() *fsm.Issuer { return is }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: now})
	v.look(f.t.Context())
	return v, is
}

// eventually waits until check has nothing to complain of.
func eventually(t testing.TB, what string, check func() error) {
	t.Helper()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	deadline := time.After(time.Minute)
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-poll.C:
		case <-deadline:
			t.Fatalf("%s: never: %v", what, err)
		}
	}
}
