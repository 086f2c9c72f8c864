package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// tokenPrefix starts every access token: hft1.<id>.<secret>.
const tokenPrefix = "hft1."

// authenticate finds out who calls. A token that is presented must be good, also from the node's own machine: whoever
// sends one means it.
func (a *API) authenticate(r *http.Request) (identity, *wire.Problem) {
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) == 1:
		return a.byToken(r.Context(), headers[0])
	case len(headers) > 1:
		return identity{}, unauthorized("More than one Authorization header.")
	case !fromThisMachine(r):
		return identity{}, unauthorized("An access token is needed here: Authorization: Bearer hft1.… ('holdfast token create' on a node's own machine makes one).")
	}
	if p := checkHost(r.Host); p != nil {
		return identity{}, p
	}
	return identity{actor: "local"}.withRoles([]string{wire.RoleAdmin}, nil), nil
}

// whoNow looks again who calls and what that one may, after a wait.
func (a *API) whoNow(ctx context.Context) error {
	c := callOf(ctx)
	who, p := a.authenticate(c.request)
	if p != nil {
		return p
	}
	c.who = who
	return nil
}

func unauthorized(detail string) *wire.Problem {
	return wire.NewProblem(http.StatusUnauthorized, wire.CodeUnauthorized, detail).With("WWW-Authenticate", `Bearer realm="holdfast"`)
}

// byToken checks an Authorization header. Whether the id or the secret is wrong makes no difference for the caller, in
// the text nor in time that depends on the secret: hashes of fixed size are compared, in constant time.
func (a *API) byToken(ctx context.Context, header string) (identity, *wire.Problem) {
	scheme, text, _ := strings.Cut(header, " ")
	text = strings.TrimSpace(text)
	if is := a.believed(); is != nil && strings.EqualFold(scheme, "Bearer") && !strings.HasPrefix(text, tokenPrefix) && strings.Count(text, ".") == 2 {
		return a.byIssuer(ctx, is, text)
	}
	id, secret, ok := parseToken(text)
	known, exists := a.opt.State.TokenByID(id)
	hash := sha256.Sum256(secret)
	want := make([]byte, len(hash))
	copy(want, known.Hash)
	same := subtle.ConstantTimeCompare(hash[:], want) == 1 && len(known.Hash) == len(hash)
	switch {
	case !strings.EqualFold(scheme, "Bearer"), !ok, !exists, !same, known.Role == wire.RoleNode:
		return identity{}, invalidToken()
	case a.expired(known):
		return identity{}, unauthorized("The access token has expired; 'holdfast token create' makes a new one.")
	}
	return a.owned(&known)
}

func invalidToken() *wire.Problem {
	return unauthorized("The access token is not valid: it may have been revoked, or belong to another group.")
}

// owned is the identity of a token that is good: that of its user, or of its role. Both are looked up each time, so that a change counts at once.
func (a *API) owned(t *fsm.Token) (identity, *wire.Problem) {
	x := a.access()
	who := identity{actor: "token " + t.ID, token: t.ID, expires: t.Expires}
	if t.User == "" {
		if !fsm.BuiltIn(t.Role) && x.Role(t.Role) == nil {
			return identity{}, invalidToken()
		}
		who = who.withRoles([]string{t.Role}, x)
		if len(t.Clusters) > 0 {
			who.can = permit.Bound(permit.StoreUse, t.Clusters)
		}
		return who, nil
	}
	u := x.User(t.User)
	switch {
	case u == nil:
		return identity{}, invalidToken()
	case u.Disabled:
		return identity{}, unauthorized(fmt.Sprintf("The user %s is disabled; 'holdfast user enable %s' changes that.", u.Name, u.Name))
	}
	who.actor, who.user, who.groups = fmt.Sprintf("user %s (token %s)", u.Name, t.ID), u.Name, u.Groups
	return who.withRoles(x.RolesOf(u), x), nil
}

// clockSlack is how far the node's own clock must be past a token's end before it counts. Replicated time decides; but it
// stands still while nothing is written or no quorum is there, and a token must not live on because of that.
const clockSlack = time.Minute

func (a *API) expired(t fsm.Token) bool {
	return !t.Expires.IsZero() && (!a.opt.State.Now().Before(t.Expires) || a.opt.Now().After(t.Expires.Add(clockSlack)))
}

// parseToken takes an access token apart. secret has 32 bytes when ok.
func parseToken(text string) (id string, secret []byte, ok bool) {
	rest, found := strings.CutPrefix(text, tokenPrefix)
	id, encoded, dot := strings.Cut(rest, ".")
	if !found || !dot || id == "" || len(encoded) != base64.RawURLEncoding.EncodedLen(32) {
		return "", nil, false
	}
	secret, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	return id, secret, err == nil
}

func formatToken(id string, secret [32]byte) string {
	return tokenPrefix + id + "." + base64.RawURLEncoding.EncodeToString(secret[:])
}
