package pki

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func newInit(t *testing.T) (string, *Init) {
	t.Helper()
	s := must(NewInit("shop", time.Hour, t0))
	return s, must(ParseInit(s, t0))
}

func newToken() (*CA, *JoinToken) {
	ca := must(NewCA(NewGroupID(), "shop", t0))
	return ca, must(NewJoinToken(ca, time.Hour, t0))
}

func TestInitRoundTrip(t *testing.T) {
	s, in := newInit(t)
	if in.GroupName != "shop" || !in.NotBefore.Equal(t0) || !in.Expires.Equal(t0.Add(time.Hour)) {
		t.Errorf("fields lost: %v", in)
	}
	if _, err := parseUUID(in.GroupID); err != nil {
		t.Error(err)
	}
	if again := must(ParseInit(" "+s+"\n", t0)); again.encode() != s {
		t.Error("white space around the string changes it")
	}
}

func TestJoinTokenRoundTrip(t *testing.T) {
	ca, tok := newToken()
	got := must(ParseJoinToken(tok.String(), t0))
	if *got != *tok || got.CAPin != PinOf(ca.CertDER) || got.GroupID != ca.GroupID {
		t.Errorf("got %v, want %v", got, tok)
	}
	if len(got.SecretHash()) != 32 {
		t.Error("hash is not 32 bytes")
	}
}

// Every single wrong, missing or additional character must be told as mistyped, not as a wrong string.
func TestEverySlipIsMistyped(t *testing.T) {
	initText, _ := newInit(t)
	_, tok := newToken()
	parse := map[string]func(string) error{
		initText:     func(s string) error { _, err := ParseInit(s, t0); return err },
		tok.String(): func(s string) error { _, err := ParseJoinToken(s, t0); return err },
	}
	for text, p := range parse {
		if err := p(text); err != nil {
			t.Fatal(err)
		}
		for i := len("hfi1."); i < len(text); i++ {
			other := byte('A')
			if text[i] == other {
				other = 'B'
			}
			swapped := text[:i] + string(other) + text[i+1:]
			for what, bad := range map[string]string{"changed": swapped, "cut": text[:i], "lost": text[:i] + text[i+1:], "doubled": text[:i] + text[i:i+1] + text[i:], "break": text[:i] + "\n" + text[i:]} {
				if strings.TrimSpace(bad) == text {
					continue
				}
				if err := p(bad); !errors.Is(err, ErrMistyped) {
					t.Fatalf("%s at %d: %v, want ErrMistyped", what, i, err)
				}
			}
		}
		for _, long := range []string{text + text[5:], text + strings.Repeat("A", 1<<20)} {
			if err := p(long); !errors.Is(err, ErrMistyped) {
				t.Errorf("too long: %v, want ErrMistyped", err)
			}
		}
	}
}

func TestWrongKind(t *testing.T) {
	initText, _ := newInit(t)
	_, tok := newToken()
	for text, want := range map[string]string{
		tok.String():                        "this is a join token",
		"hft1.ab.cd":                        "this is an access token",
		"":                                  "begins with \"hfi1.\"",
		"hfi2." + initText[5:]:              "begins with \"hfi1.\"",
		strings.ToUpper(initText[:4]) + ".": "begins with \"hfi1.\"",
		"\x00\xff":                          "begins with \"hfi1.\"",
	} {
		_, err := ParseInit(text, t0)
		if !errors.Is(err, ErrKind) || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseInit: %v, want ErrKind with %q", err, want)
		}
	}
	if _, err := ParseJoinToken(initText, t0); !errors.Is(err, ErrKind) || !strings.Contains(err.Error(), "this is an init string") {
		t.Errorf("ParseJoinToken(init string): %v", err)
	}
}

func TestExpiry(t *testing.T) {
	initText, in := newInit(t)
	_, tok := newToken()
	for _, c := range []struct {
		now  time.Time
		init error
		join error
	}{
		{t0.Add(time.Hour - time.Second), nil, nil},
		{t0.Add(time.Hour), ErrExpired, ErrExpired},
		{t0.Add(-23 * time.Hour), nil, nil},
		{t0.Add(-25 * time.Hour), ErrExpired, nil},
		{time.Time{}, nil, nil},
	} {
		if _, err := ParseInit(initText, c.now); !errors.Is(err, c.init) {
			t.Errorf("init at %v: %v, want %v", c.now, err, c.init)
		}
		if _, err := ParseJoinToken(tok.String(), c.now); !errors.Is(err, c.join) {
			t.Errorf("token at %v: %v, want %v", c.now, err, c.join)
		}
	}
	if _, err := in.CA(); err != nil {
		t.Errorf("the CA outlives the init string: %v", err)
	}
}

func TestBadArguments(t *testing.T) {
	ca, _ := newToken()
	for _, ttl := range []time.Duration{0, -time.Hour, time.Millisecond, 367 * 24 * time.Hour} {
		if _, err := NewInit("g", ttl, t0); err == nil {
			t.Errorf("NewInit takes ttl %v", ttl)
		}
		if _, err := NewJoinToken(ca, ttl, t0); err == nil {
			t.Errorf("NewJoinToken takes ttl %v", ttl)
		}
	}
	for _, name := range []string{"", "-a", "a b", "a/b", "ä", strings.Repeat("a", 64), "a\n", "a\x00"} {
		if _, err := NewInit(name, time.Hour, t0); !errors.Is(err, ErrName) {
			t.Errorf("NewInit(%q): %v", name, err)
		}
		if _, err := NewCA(NewGroupID(), name, t0); !errors.Is(err, ErrName) {
			t.Errorf("NewCA(%q): %v", name, err)
		}
	}
	for _, id := range []string{"", "x", strings.ToUpper(NewGroupID()), NewGroupID() + "0", "00000000-0000-0000-0000-00000000000g"} {
		if _, err := NewCA(id, "g", t0); err == nil {
			t.Errorf("NewCA takes group id %q", id)
		}
		if (JoinToken{GroupID: id, ID: "a", Expires: t0}).String() != "" {
			t.Errorf("token with group id %q has a text", id)
		}
	}
}

// Payloads with a right checksum and wrong insides come from other versions or from an attacker.
func TestSealedNonsense(t *testing.T) {
	s, _ := newInit(t)
	good := must(unseal(initPrefix, s))
	change := func(f func(b []byte) []byte) string { return seal(initPrefix, f(bytes.Clone(good))) }
	for name, text := range map[string]string{
		"empty":       seal(initPrefix, nil),
		"short":       change(func(b []byte) []byte { return b[:64] }),
		"name length": change(func(b []byte) []byte { b[64]++; return b }),
		"name":        change(func(b []byte) []byte { b[65] = '/'; return b }),
		"expiry":      change(func(b []byte) []byte { b[24] = 0xff; return b }),
		"not before":  change(func(b []byte) []byte { clear(b[16:24]); return b }),
	} {
		if _, err := ParseInit(text, t0); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// The golden file keeps the derivation for ever: a node of a later version must make the same authority.
func TestCAOfInitStringIsTheSameEverywhere(t *testing.T) {
	seed := new([32]byte)
	copy(seed[:], "a test seed, never used elsewhere")
	in := &Init{GroupID: "6f1a2b3c-4d5e-4f60-8a7b-9c0d1e2f3a4b", GroupName: "shop", NotBefore: t0, Expires: t0.Add(time.Hour), seed: seed}
	got := in.encode() + "\n" + hex.EncodeToString(must(in.CA()).CertDER) + "\n"
	want, err := os.ReadFile("testdata/init_ca_v1.golden")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("init string or CA changed:\n%s", got)
	}
	a, b := must(ParseInit(in.encode(), t0)), must(ParseInit(in.encode(), t0.Add(time.Minute)))
	if !bytes.Equal(must(a.CA()).CertDER, must(b.CA()).CertDER) {
		t.Error("two nodes derive different authorities")
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	s, in := newInit(t)
	ca, tok := newToken()
	cred := must(SelfIssue(ca, "n1", t0))
	secrets := [][]byte{in.seed[:], tok.Secret[:], ca.KeyDER, cred.Key().Seed(), cred.CAKeyDER, []byte(s), []byte(tok.String())}
	var out bytes.Buffer
	type inside struct{ in *Init }
	for _, v := range []any{in, *in, tok, *tok, ca, *ca, cred, *cred, inside{in}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
		j, _ := json.Marshal(v)
		out.Write(j)
	}
	for i, secret := range secrets {
		for _, form := range []string{string(secret), hex.EncodeToString(secret[:16]), strings.ToUpper(hex.EncodeToString(secret[:16])),
			base64.StdEncoding.EncodeToString(secret[:15]), fmt.Sprint(secret[:8])[1:20], fmt.Sprintf("%#v", secret[:8])[7:30]} {
			if strings.Contains(out.String(), form) {
				t.Errorf("secret %d is printed", i)
			}
		}
	}
	if !strings.Contains(out.String(), "redacted") || !strings.Contains(out.String(), "groupId="+ca.GroupID) {
		t.Error("nothing useful is printed")
	}
}

func TestErrorsDoNotQuoteTheSecret(t *testing.T) {
	s, _ := newInit(t)
	for _, bad := range []string{s[:60], s + "!", s[5:], "hfj1." + s[5:], s[:40] + "\x00" + s[41:]} {
		_, err := ParseInit(bad, t0)
		if err == nil || strings.Contains(err.Error(), s[10:18]) {
			t.Errorf("error quotes its input or is missing: %v", err)
		}
	}
}

func FuzzParseInit(f *testing.F) {
	s := must(NewInit("shop", time.Hour, t0))
	f.Add(s)
	f.Add(s[:40])
	f.Add("hfj1.AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		in, err := ParseInit(s, time.Time{})
		if err != nil {
			return
		}
		if in.encode() != strings.TrimSpace(s) {
			t.Error("two texts for one init string")
		}
		if _, err := in.CA(); err != nil {
			t.Error(err)
		}
	})
}

// The payload behind the checksum, which a fuzzer would hardly guess.
func FuzzInitPayload(f *testing.F) {
	f.Add(must(unseal(initPrefix, must(NewInit("shop", time.Hour, t0)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := ParseInit(seal(initPrefix, b), time.Time{})
		if err != nil {
			return
		}
		if _, err := in.CA(); err != nil {
			t.Error(err)
		}
	})
}

func FuzzParseJoinToken(f *testing.F) {
	_, tok := newToken()
	f.Add(tok.String(), must(unseal(joinPrefix, tok.String())))
	f.Fuzz(func(t *testing.T, s string, payload []byte) {
		for _, text := range []string{s, seal(joinPrefix, payload)} {
			if tok, err := ParseJoinToken(text, time.Time{}); err == nil && tok.String() != strings.TrimSpace(text) {
				t.Error("two texts for one token")
			}
		}
	})
}
