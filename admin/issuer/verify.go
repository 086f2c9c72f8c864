package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/holdfast-lb/holdfast/fsm"
)

// maxName bounds the name of a person, in bytes: it goes into the history and the events.
const maxName = 128

// algorithms are those by which tokens may be signed: all are asymmetric, so that a public key is never taken for a secret.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Person is whom the issuer vouches for.
type Person struct {
	Name string
	// Groups are the issuer's own names of them.
	Groups []string
	// Expires is when the token ends.
	Expires time.Time
}

// Verify finds out whom a token of the issuer is for. ErrNoIssuer and ErrNoKeys say nothing about the token; every other error says why it does not count.
func (v *Verifier) Verify(ctx context.Context, is *fsm.Issuer, token string) (Person, error) {
	if is == nil {
		return Person{}, ErrNoIssuer
	}
	if len(token) > MaxToken {
		return Person{}, fmt.Errorf("it has more than %d bytes", MaxToken)
	}
	h := v.held.Load()
	if !h.of(is) || h.keys == nil {
		v.ask()
		return Person{}, ErrNoKeys
	}
	signed := &signature{keys: h.keys}
	names := make([]string, len(algorithms))
	for i, a := range algorithms {
		names[i] = string(a)
	}
	// The times are looked at below: the library has another slack for each of them.
	t, err := oidc.NewVerifier(is.URL, signed, &oidc.Config{SupportedSigningAlgs: names, SkipClientIDCheck: true, SkipIssuerCheck: true, SkipExpiryCheck: true}).Verify(ctx, token)
	switch {
	case signed.unknown:
		v.ask()
		return Person{}, errors.New("it is signed with a key that the issuer had not when it was last asked; it is asked again, at most every 10 s")
	case err != nil: // the library's text may quote the token
		return Person{}, errors.New("it is no token that the issuer has signed by an algorithm that counts")
	}
	// The library takes AUD for aud, and the last one counts; whoever may have claims of his own at the issuer must not choose those that the issuer makes.
	var c claims
	if err := t.Claims(&c); err != nil {
		return Person{}, errors.New("its claims cannot be read")
	}
	expires, err := c.check(is, v.opt.Now())
	if err != nil {
		return Person{}, err
	}
	return c.person(is, expires)
}

// signature is the set of keys for one verification.
type signature struct {
	keys    map[string][]key
	unknown bool // the token names a key that is not there
}

// VerifySignature is that of oidc.KeySet.
func (s *signature) VerifySignature(_ context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSigned(token, algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errors.New("malformed")
	}
	head := jws.Signatures[0].Header
	var candidates []key
	if head.KeyID == "" {
		for _, list := range s.keys {
			candidates = append(candidates, list...)
		}
	} else if candidates = s.keys[head.KeyID]; len(candidates) == 0 {
		s.unknown = true
	}
	for _, k := range candidates {
		if k.alg != "" && k.alg != head.Algorithm {
			continue
		}
		if payload, err := jws.Verify(k.public); err == nil {
			return payload, nil
		}
	}
	return nil, errors.New("no key fits")
}

// claims are those of a token, by name.
type claims map[string]json.RawMessage

// text is a claim that is a text; false when it is not there, or something else.
func (c claims) text(name string) (s string, ok bool) {
	raw, there := c[name]
	if !there || len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}

// texts is a claim that is a list of texts, or one text; nil when it is not there or null. ok is false when it is something else.
func (c claims) texts(name string) (list []string, ok bool) {
	if one, ok := c.text(name); ok {
		return []string{one}, true
	}
	raw, there := c[name]
	return list, !there || json.Unmarshal(raw, &list) == nil
}

// time is a claim that is a time in seconds; ok is false when it is something else. given: it is there.
func (c claims) time(name string) (t time.Time, given, ok bool) {
	raw, there := c[name]
	if !there {
		return time.Time{}, false, true
	}
	var seconds float64
	if json.Unmarshal(raw, &seconds) != nil || seconds < 0 || seconds > 1<<40 {
		return time.Time{}, true, false
	}
	return time.Unix(int64(seconds), 0), true, true
}

// check looks at who made it, whom the token is for, and when; it gives when it ends.
func (c claims) check(is *fsm.Issuer, now time.Time) (expires time.Time, err error) {
	if url, ok := c.text("iss"); !ok || url != is.URL {
		return expires, errors.New("it is that of another issuer")
	}
	audiences, ok := c.texts("aud")
	if !ok || !slices.Contains(audiences, is.Audience) {
		return expires, fmt.Errorf("it is not meant for %s", is.Audience)
	}
	// OpenID Connect Core 1.0, section 3.1.3.7: with several audiences the one that it was given to counts.
	if party, given := c.text("azp"); given && len(audiences) > 1 && party != is.Audience {
		return expires, fmt.Errorf("it was given to somebody else than %s", is.Audience)
	}
	expires, given, ok := c.time("exp")
	switch {
	case !given || !ok:
		return expires, errors.New("it does not say when it expires")
	case !now.Before(expires.Add(Slack)):
		return expires, errors.New("it has expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		if from, given, ok := c.time(name); !ok || given && now.Add(Slack).Before(from) {
			return expires, errors.New("it is from a time that is yet to come")
		}
	}
	return expires, nil
}

// person reads who it is.
func (c claims) person(is *fsm.Issuer, expires time.Time) (Person, error) {
	name, ok := c.text(is.UserClaim)
	switch {
	case !ok || name == "":
		return Person{}, fmt.Errorf("it has no claim %.80s that says who it is for", is.UserClaim)
	case len(name) > maxName || !utf8.ValidString(name) || !printable(name):
		return Person{}, fmt.Errorf("its claim %.80s is no name: want 1 to %d printable bytes", is.UserClaim, maxName)
	}
	// Whoever may choose an address at the issuer could take that of somebody else, as long as nobody has asked there.
	if raw, there := c["email_verified"]; is.UserClaim == "email" && there && string(raw) != "true" && string(raw) != `"true"` {
		return Person{}, errors.New("its address is not verified by the issuer")
	}
	groups, ok := c.texts(is.GroupsClaim)
	if !ok {
		return Person{}, fmt.Errorf("its claim %.80s is no list of groups", is.GroupsClaim)
	}
	return Person{Name: name, Groups: groups, Expires: expires}, nil
}

func printable(s string) bool {
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
