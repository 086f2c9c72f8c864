package issuer

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// TestTokensThatCount: TIP-23. A token of the issuer says who it is and in which groups, by each algorithm.
func TestTokensThatCount(t *testing.T) {
	f := newFake(t)
	es := f.newKey("es")
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f.set(func() {
		f.keys = append(f.keys, jose.JSONWebKey{Key: rs.Public(), KeyID: "rs"}, jose.JSONWebKey{Key: ed.Public(), KeyID: "ed", Use: "sig"}, jose.JSONWebKey{Key: es.Public(), KeyID: "enc", Use: "enc"})
	})
	v, is := f.verifier(nil)
	if s := v.Status(); s.Keys != 3 || s.Fetched.IsZero() || !s.Failing.IsZero() {
		t.Fatalf("%+v", s)
	}
	for what, token := range map[string]string{
		"ES256":         f.sign("es", jose.ES256, es, nil),
		"RS256":         f.sign("rs", jose.RS256, rs, nil),
		"PS512":         f.sign("rs", jose.PS512, rs, nil),
		"EdDSA":         f.sign("ed", jose.EdDSA, ed, nil),
		"without id":    f.sign("", jose.ES256, es, nil),
		"audiences":     f.sign("es", jose.ES256, es, func(c map[string]any) { c["aud"] = []string{"other", "holdfast"}; c["azp"] = "holdfast" }),
		"a moment over": f.sign("es", jose.ES256, es, func(c map[string]any) { c["exp"] = time.Now().Add(-Slack / 2).Unix() }),
		"a moment early": f.sign("es", jose.ES256, es, func(c map[string]any) {
			c["nbf"], c["iat"] = time.Now().Add(Slack/2).Unix(), time.Now().Add(Slack/2).Unix()
		}),
	} {
		p, err := v.Verify(t.Context(), is, token)
		if err != nil || p.Name != "alice@example.com" || !slices.Equal(p.Groups, []string{"lb-ops", "all"}) || p.Expires.IsZero() {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	for what, tc := range map[string]struct {
		groups any
		want   []string
	}{"one": {"lb-ops", []string{"lb-ops"}}, "none": {nil, nil}, "empty": {[]string{}, nil}} {
		p, err := v.Verify(t.Context(), is, f.sign("es", jose.ES256, es, func(c map[string]any) { c["groups"] = tc.groups }))
		if err != nil || !slices.Equal(p.Groups, tc.want) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
}

// TestHostileTokens: nothing counts that the issuer has not signed, by an algorithm and a key that count, for us, for now; and no error repeats the token.
func TestHostileTokens(t *testing.T) {
	f := newFake(t)
	k := f.newKey("k")
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rs, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	f.set(func() { f.keys = append(f.keys, jose.JSONWebKey{Key: rs.Public(), KeyID: "rs", Algorithm: "RS256"}) })
	public, err := x509.MarshalPKIXPublicKey(rs.Public())
	if err != nil {
		t.Fatal(err)
	}
	v, is := f.verifier(nil)
	good := f.sign("k", jose.ES256, k, nil)
	part := strings.Split(good, ".")
	b64 := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	with := func(change func(map[string]any)) string { return f.sign("k", jose.ES256, k, change) }
	claim := func(name string, value any) string { return with(func(c map[string]any) { c[name] = value }) }
	now := time.Now()
	for what, tc := range map[string]struct{ token, says string }{
		"empty":                     {"", "no token"},
		"dots":                      {"..", "no token"},
		"garbage":                   {"a.b.c", "no token"},
		"none":                      {b64(`{"alg":"none"}`) + "." + part[1] + ".", "no token"},
		"none with signature":       {b64(`{"alg":"none","kid":"k"}`) + "." + part[1] + "." + part[2], "no token"},
		"HS256 with the public key": {f.sign("rs", jose.HS256, public, nil), "no token"},
		"HS512":                     {f.sign("k", jose.HS512, make([]byte, 64), nil), "no token"},
		"other key, same id":        {f.sign("k", jose.ES256, stranger, nil), "no token"},
		"other key, no id":          {f.sign("", jose.ES256, stranger, nil), "no token"},
		"unknown id":                {f.sign("other", jose.ES256, k, nil), "a key that the issuer had not"},
		"other algorithm":           {f.sign("rs", jose.PS256, rs, nil), "no token"},
		"payload of another":        {part[0] + "." + b64(`{"iss":"x"}`) + "." + part[2], "no token"},
		"cut signature":             {good[:len(good)-4], "no token"},
		"own key in the head":       {b64(`{"alg":"ES256","jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}}`) + "." + part[1] + "." + part[2], "no token"},
		"crit":                      {b64(`{"alg":"ES256","kid":"k","crit":["x"],"x":1}`) + "." + part[1] + "." + part[2], "no token"},
		"huge":                      {good + strings.Repeat("A", MaxToken), "it has more than"},
		"huge claims":               {claim("x", strings.Repeat("A", MaxToken)), "it has more than"},
		"not JSON":                  {f.signRaw("k", jose.ES256, k, []byte("x")), "no token"},
		"list":                      {f.signRaw("k", jose.ES256, k, []byte("[]")), "no token"},
		"other issuer":              {claim("iss", "https://evil.example"), "another issuer"},
		"issuer with a slash":       {claim("iss", is.URL+"/"), "another issuer"},
		"no issuer":                 {claim("iss", nil), "another issuer"},
		"other audience":            {claim("aud", "other"), "not meant for holdfast"},
		"no audience":               {with(func(c map[string]any) { delete(c, "aud") }), "not meant for holdfast"},
		"no audiences":              {claim("aud", []string{}), "not meant for holdfast"},
		"audience in capitals":      {f.signRaw("k", jose.ES256, k, fmt.Appendf(nil, `{"iss":%q,"aud":"other","AUD":"holdfast","email":"a","exp":%d}`, is.URL, now.Add(time.Hour).Unix())), "not meant for holdfast"},
		"issuer in capitals":        {f.signRaw("k", jose.ES256, k, fmt.Appendf(nil, `{"iss":"https://evil.example","ISS":%q,"aud":"holdfast","email":"a","exp":%d}`, is.URL, now.Add(time.Hour).Unix())), "another issuer"},
		"audience is a number":      {claim("aud", 7), "no token"},
		"given to another":          {with(func(c map[string]any) { c["aud"] = []string{"holdfast", "other"}; c["azp"] = "other" }), "somebody else"},
		"expired":                   {claim("exp", now.Add(-Slack-time.Minute).Unix()), "has expired"},
		"no end":                    {with(func(c map[string]any) { delete(c, "exp") }), "when it expires"},
		"end in words":              {claim("exp", "tomorrow"), "no token"},
		"end before 1970":           {claim("exp", -1), "when it expires"},
		"end of all days":           {claim("exp", 1e300), ""},
		"not yet":                   {claim("nbf", now.Add(Slack+time.Minute).Unix()), "yet to come"},
		"issued later":              {claim("iat", now.Add(Slack+time.Minute).Unix()), "yet to come"},
		"nobody":                    {with(func(c map[string]any) { delete(c, "email") }), "no claim email"},
		"empty name":                {claim("email", ""), "no claim email"},
		"name is a number":          {claim("email", 7), "no claim email"},
		"name is a list":            {claim("email", []string{"a"}), "no claim email"},
		"long name":                 {claim("email", strings.Repeat("a", maxName+1)), "no name"},
		"name with a newline":       {claim("email", "a\nactor=root"), "no name"},
		"name turned around":        {claim("email", "a\u202eb"), "no name"},
		"not verified":              {claim("email_verified", false), "not verified"},
		"verified in words":         {claim("email_verified", "no"), "not verified"},
		"groups are a number":       {claim("groups", 7), "no list of groups"},
		"groups are mixed":          {claim("groups", []any{"a", 7}), "no list of groups"},
		"claims of elsewhere": {with(func(c map[string]any) {
			delete(c, "groups")
			c["_claim_names"] = map[string]any{"groups": "x"}
			c["_claim_sources"] = map[string]any{"x": map[string]any{"endpoint": f.srv.URL + "/claims"}}
			delete(c, "email")
		}), "no claim email"},
	} {
		hits := f.asked()
		p, err := v.Verify(t.Context(), is, tc.token)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %+v, %v; want %q", what, p, err, tc.says)
			continue
		}
		if errors.Is(err, ErrNoKeys) || len(err.Error()) > 300 || strings.Contains(err.Error(), part[1]) {
			t.Errorf("%s: %v", what, err)
		}
		if f.asked() != hits {
			t.Errorf("%s: the issuer was asked within a request", what)
		}
	}
	if _, err := v.Verify(t.Context(), is, good); err != nil {
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), nil, good); !errors.Is(err, ErrNoIssuer) {
		t.Error(err)
	}
	other := *is
	other.URL += "/other"
	if _, err := v.Verify(t.Context(), &other, good); !errors.Is(err, ErrNoKeys) {
		t.Error(err)
	}
}

// TestTheClockIsThatOfTheGroup: by which tokens begin and end.
func TestTheClockIsThatOfTheGroup(t *testing.T) {
	f := newFake(t)
	k := f.newKey("k")
	now := time.Now()
	v, is := f.verifier(func() time.Time { return now })
	token := f.sign("k", jose.ES256, k, nil)
	for _, tc := range []struct {
		after time.Duration
		good  bool
	}{{0, true}, {time.Hour, true}, {time.Hour + Slack/2, true}, {time.Hour + Slack + time.Second, false}, {-Slack / 2, true}, {-Slack - 2*time.Second, false}} {
		now = time.Now().Add(tc.after)
		if _, err := v.Verify(t.Context(), is, token); (err == nil) != tc.good {
			t.Errorf("%v later: %v", tc.after, err)
		}
	}
}

// FuzzVerify: whatever is sent, nothing but what the issuer has signed counts.
func FuzzVerify(f *testing.F) {
	fk := newFake(f)
	k := fk.newKey("k")
	good := fk.sign("k", jose.ES256, k, nil)
	v, is := fk.verifier(nil)
	for _, s := range []string{good, "", "..", good[:40], strings.ToUpper(good), good + ".", "hft1.a.b", fmt.Sprintf("%s.%s", good, good)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, token string) {
		p, err := v.Verify(t.Context(), is, token)
		if err == nil && (token != good || p.Name != "alice@example.com") {
			// Base64 ends in bits that count for nothing; the signed bytes are the same.
			if strings.Join(strings.Split(token, ".")[:2], ".") != strings.Join(strings.Split(good, ".")[:2], ".") {
				t.Fatalf("%q counts as %+v", token, p)
			}
		}
	})
}

// FuzzReadKeys: what an issuer sends as its keys is read or refused, and what is kept is strong.
func FuzzReadKeys(f *testing.F) {
	fk := newFake(f)
	fk.newKey("k")
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: fk.keys})
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{string(data), `{}`, `{"keys":null}`, `{"keys":[1]}`, `{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"RSA","n":"AQ","e":"AQ"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := readKeys(data)
		if err == nil && count(keys) == 0 {
			t.Fatal("no keys, and no error")
		}
		for _, list := range keys {
			for _, k := range list {
				if !strong(k.public) {
					t.Fatalf("a weak key is kept: %T", k.public)
				}
			}
		}
	})
}
