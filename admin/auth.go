package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// tokenPrefix starts every access token: hft1.<id>.<secret>.
const tokenPrefix = "hft1."

// rank orders the roles that open the API. A node's join token has none.
var rank = map[string]int{wire.RoleViewer: 1, wire.RoleOperator: 2, wire.RoleAdmin: 3}

// identity is who calls.
type identity struct {
	// actor is what the log and the history of the configuration say: "local", or "token ID".
	actor string
	role  string
}

// authenticate finds out who calls. A token that is presented must be good, also from the node's own machine: whoever
// sends one means it.
func (a *API) authenticate(r *http.Request) (identity, *wire.Problem) {
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) == 1:
		return a.byToken(headers[0])
	case len(headers) > 1:
		return identity{}, unauthorized("More than one Authorization header.")
	case !fromThisMachine(r):
		return identity{}, unauthorized("An access token is needed here: Authorization: Bearer hft1.… ('holdfast token create' on a node's own machine makes one).")
	}
	if p := checkHost(r.Host); p != nil {
		return identity{}, p
	}
	return identity{actor: "local", role: wire.RoleAdmin}, nil
}

func unauthorized(detail string) *wire.Problem {
	return wire.NewProblem(http.StatusUnauthorized, wire.CodeUnauthorized, detail).With("WWW-Authenticate", `Bearer realm="holdfast"`)
}

// byToken checks an Authorization header. Whether the id or the secret is wrong makes no difference for the caller, in
// the text nor in time that depends on the secret: hashes of fixed size are compared, in constant time.
func (a *API) byToken(header string) (identity, *wire.Problem) {
	scheme, text, _ := strings.Cut(header, " ")
	id, secret, ok := parseToken(strings.TrimSpace(text))
	known, exists := a.opt.State.TokenByID(id)
	hash := sha256.Sum256(secret)
	want := make([]byte, len(hash))
	copy(want, known.Hash)
	same := subtle.ConstantTimeCompare(hash[:], want) == 1 && len(known.Hash) == len(hash)
	switch {
	case !strings.EqualFold(scheme, "Bearer"), !ok, !exists, !same, rank[known.Role] == 0:
		return identity{}, unauthorized("The access token is not valid: it may have been revoked, or belong to another group.")
	case a.expired(known):
		return identity{}, unauthorized("The access token has expired; 'holdfast token create' makes a new one.")
	}
	return identity{actor: "token " + known.ID, role: known.Role}, nil
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

// requireRole is a middleware of the framework: the operation says which role it needs.
func (a *API) requireRole(ctx huma.Context, next func(huma.Context)) {
	need, _ := ctx.Operation().Metadata[roleKey].(string)
	have := callOf(ctx.Context()).who.role
	if need != "" && (rank[need] == 0 || rank[have] < rank[need]) {
		_, w := humago.Unwrap(ctx)
		writeProblem(w, wire.NewProblem(http.StatusForbidden, wire.CodeForbidden, fmt.Sprintf("This needs the role %s; the token has the role %s.", need, have)))
		return
	}
	next(ctx)
}
