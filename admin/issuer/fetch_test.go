package issuer

import (
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/holdfast-lb/holdfast/fsm"
)

// running is a verifier with its goroutine and without pauses.
func (f *fake) running(is *atomic.Pointer[fsm.Issuer]) *Verifier {
	v := New(Options{Issuer: is.Load, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	v.poll, v.askPause, v.first, v.fetchTime = time.Millisecond, 0, time.Millisecond, 50*time.Millisecond
	var running sync.WaitGroup
	running.Go(func() { v.Run(f.t.Context()) })
	f.t.Cleanup(running.Wait)
	return v
}

// TestKeysAreRotated: a token of a new key counts soon after the issuer has the key, one of a key that is gone does not any more.
func TestKeysAreRotated(t *testing.T) {
	f := newFake(t)
	first := f.newKey("1")
	var is atomic.Pointer[fsm.Issuer]
	v := f.running(&is)
	if _, err := v.Verify(t.Context(), is.Load(), "a.b.c"); !errors.Is(err, ErrNoIssuer) {
		t.Fatal(err)
	}
	is.Store(f.settings())
	counts := func(token string) func() error {
		return func() error { _, err := v.Verify(t.Context(), is.Load(), token); return err }
	}
	old := f.sign("1", jose.ES256, first, nil)
	eventually(t, "a token counts", counts(old))
	f.set(func() { f.keys = nil })
	second := f.newKey("2")
	eventually(t, "a token of the new key counts", counts(f.sign("2", jose.ES256, second, nil)))
	if err := counts(old)(); err == nil {
		t.Error("a token of the key that is gone counts")
	}
	is.Store(nil)
	eventually(t, "the keys are dropped with the issuer", func() error {
		if v.held.Load() != nil {
			return errors.New("they are there")
		}
		return nil
	})
}

// TestTheIssuerIsDown: keys that are there go on being used, whatever the issuer does; and no request waits for it.
func TestTheIssuerIsDown(t *testing.T) {
	blackHole := func(gone chan struct{}) http.HandlerFunc {
		return func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-gone:
			case <-r.Context().Done():
			}
		}
	}
	for what, bad := range map[string]func(f *fake) http.HandlerFunc{
		"black hole": func(f *fake) http.HandlerFunc { return blackHole(f.gone) },
		"status 500": func(*fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }
		},
		"cut": func(*fake) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		},
		"page": func(*fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				io.WriteString(w, "{}")
			}
		},
		"endless": func(f *fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				for {
					if _, err := w.Write(make([]byte, 1<<16)); err != nil {
						return
					}
				}
			}
		},
		"redirect": func(f *fake) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
			}
		},
		"another issuer": func(f *fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"issuer":"https://evil.example","jwks_uri":%q}`, f.srv.URL+"/keys")
			}
		},
		"keys elsewhere in clear": func(f *fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"http://evil.example/keys"}`, f.srv.URL)
			}
		},
		"keys in a file": func(f *fake) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"file:///etc/passwd"}`, f.srv.URL)
			}
		},
		"no keys": func(f *fake) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/keys" {
					io.WriteString(w, `{"keys":[]}`)
					return
				}
				fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, f.srv.URL, f.srv.URL+"/keys")
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t)
			k := f.newKey("1")
			var is atomic.Pointer[fsm.Issuer]
			is.Store(f.settings())
			v := f.running(&is)
			token := f.sign("1", jose.ES256, k, nil)
			eventually(t, "a token counts", func() error { _, err := v.Verify(t.Context(), is.Load(), token); return err })
			f.set(func() { f.answer = bad(f) })
			eventually(t, "the keys cannot be fetched", func() error {
				if _, err := v.Verify(t.Context(), is.Load(), f.sign("2", jose.ES256, k, nil)); err == nil || errors.Is(err, ErrNoKeys) {
					return fmt.Errorf("a token of an unknown key: %w", err)
				}
				if s := v.Status(); s.Failing.IsZero() || s.Failure == "" || s.Keys != 1 {
					return fmt.Errorf("%+v", s)
				}
				return nil
			})
			if _, err := v.Verify(t.Context(), is.Load(), token); err != nil {
				t.Errorf("a token of a key that is there: %v", err)
			}
			f.set(func() { f.answer = nil })
			eventually(t, "the keys are fetched again", func() error {
				if s := v.Status(); !s.Failing.IsZero() {
					return errors.New(s.Failure)
				}
				return nil
			})
		})
	}
}

// TestAnUnknownKeyIsAskedForOnce: however many tokens name it, and not within the pause.
func TestAnUnknownKeyIsAskedForOnce(t *testing.T) {
	f := newFake(t)
	k := f.newKey("1")
	v, is := f.verifier(nil)
	before := f.asked()
	for range 100 {
		if _, err := v.Verify(t.Context(), is, f.sign("2", jose.ES256, k, nil)); err == nil {
			t.Fatal("it counts")
		}
	}
	select {
	case <-v.wake:
		v.wanted = true
	default:
		t.Fatal("nobody asks for it")
	}
	v.look(t.Context())
	if n := f.asked(); n != before {
		t.Errorf("asked %d times within the pause", n-before)
	}
	v.lastFetch = v.lastFetch.Add(-askPause)
	v.look(t.Context())
	if n := f.asked(); n != before+2 || v.wanted { // the description, and the keys
		t.Errorf("asked %d times after the pause", n-before)
	}
}

// TestKeysInClear: an issuer with a certificate does not have its keys fetched without, not from this machine either, where anybody may open a port.
func TestKeysInClear(t *testing.T) {
	f := newFake(t)
	f.newKey("1")
	f.set(func() {
		f.answer = func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, f.srv.URL, f.clear().URL)
		}
	})
	v, _ := f.verifier(nil)
	if s := v.Status(); s.Keys != 0 || !strings.Contains(s.Failure, "the address of the issuer's keys must begin with https://") {
		t.Errorf("%+v", s)
	}
}

// TestTheCertificateOfTheIssuer: one that nobody vouches for is not believed.
func TestTheCertificateOfTheIssuer(t *testing.T) {
	f := newFake(t)
	f.newKey("1")
	for what, pem := range map[string]string{"the machine's authorities": "", "no PEM": "x"} {
		is := f.settings()
		is.Authorities = pem
		v := New(Options{Issuer: func() *fsm.Issuer { return is }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		v.look(t.Context())
		if s := v.Status(); s.Keys != 0 || s.Failure == "" {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

func TestWeakKeysAreLeftOut(t *testing.T) {
	f := newFake(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	f.set(func() {
		f.keys = []jose.JSONWebKey{{Key: weak.Public(), KeyID: "weak"}, {Key: []byte("secret of nobody"), KeyID: "oct"}, {Key: weak, KeyID: "private"}}
	})
	v, _ := f.verifier(nil)
	if s := v.Status(); s.Keys != 0 || !strings.Contains(s.Failure, "no key that tokens can be verified with") {
		t.Errorf("%+v", s)
	}
	for i := range maxKeys + 1 {
		f.newKey(fmt.Sprint(i))
	}
	v, _ = f.verifier(nil)
	if s := v.Status(); s.Keys != 0 || !strings.Contains(s.Failure, "keys, at most") {
		t.Errorf("%+v", s)
	}
}

func TestCheckURL(t *testing.T) {
	for text, good := range map[string]bool{
		"https://login.example": true, "https://login.example:8443/realms/a": true, "http://127.0.0.1:5556/dex": true, "http://[::1]/": true, "http://localhost": true,
		"http://login.example": false, "ftp://login.example": false, "login.example": false, "": false, "https://": false, "https://:443": false, "https://a@login.example": false,
		"https://login.example?x=1": false, "https://login.example#x": false, "https://login.example?": false, "https://login.example/#": false, "file:///etc/passwd": false, "https://a b/": false,
	} {
		if err := CheckURL(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
