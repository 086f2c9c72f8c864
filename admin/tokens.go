package admin

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

// defaultJoinTTL and maxJoinTTL bound the life of a join token: it is made for a node that is started next.
const (
	defaultJoinTTL = time.Hour
	maxJoinTTL     = 7 * 24 * time.Hour
)

type tokensOutput struct {
	wire.ReadHeaders
	Body wire.TokenList
}

type createTokenInput struct {
	Body wire.TokenRequest
}

type createTokenOutput struct {
	Body wire.NewToken
}

type revokeTokenInput struct {
	ID             string `path:"id" pattern:"^[0-9a-z]{1,64}$"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

func (a *API) registerTokens() {
	register(a, route{
		method: http.MethodGet, path: "/v1/tokens", id: "list-tokens", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "The access and join tokens, without their secrets",
	}, a.listTokens)
	register(a, route{
		method: http.MethodPost, path: "/v1/tokens", id: "create-token", role: wire.RoleAdmin, permission: permit.AccessWrite, status: http.StatusCreated,
		summary: "Make an access token or a join token",
		about:   "The secret is in this answer only; the group keeps a hash of it.",
	}, a.createToken)
	register(a, route{
		method: http.MethodDelete, path: "/v1/tokens/{id}", id: "revoke-token", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Revoke a token",
	}, a.revokeToken)
}

func (a *API) listTokens(ctx context.Context, in *wire.ReadParams) (*tokensOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	out := &tokensOutput{ReadHeaders: headers, Body: wire.TokenList{Tokens: []wire.Token{}}}
	for _, t := range a.opt.State.Tokens() {
		out.Body.Tokens = append(out.Body.Tokens, a.describeToken(t))
	}
	slices.SortFunc(out.Body.Tokens, func(a, b wire.Token) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
	return out, nil
}

func (a *API) describeToken(t fsm.Token) wire.Token {
	return wire.Token{ID: t.ID, Role: t.Role, User: t.User, Note: t.Note, Clusters: t.Clusters, Created: t.Created, Expires: t.Expires, Expired: a.expired(t), UsedBy: t.UsedName}
}

func (a *API) createToken(ctx context.Context, in *createTokenInput) (*createTokenOutput, error) {
	if (in.Body.Role == "") == (in.Body.User == "") {
		return nil, invalidRequest("body", "needs either role or user")
	}
	ttl := time.Duration(in.Body.TTLSeconds) * time.Second
	if in.Body.Role == wire.RoleNode {
		if ttl = cmp.Or(ttl, defaultJoinTTL); ttl > maxJoinTTL {
			return nil, invalidRequest("body.ttlSeconds", "a join token lives for %v at most", maxJoinTTL)
		}
	}
	if len(in.Body.Clusters) > 0 && in.Body.Role != wire.RoleApplication {
		return nil, invalidRequest("body.clusters", "only a token of the role %s is bound to clusters", wire.RoleApplication)
	}
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	if a.opt.State.Group() == nil {
		return nil, ErrNoQuorum // the leader founds the group first
	}
	switch x := a.access(); {
	case in.Body.User != "" && x.User(in.Body.User) == nil:
		return nil, invalidRequest("body.user", "there is no user %.128q: make it first, with 'holdfast user set'", in.Body.User)
	case in.Body.User == "" && !fsm.BuiltIn(in.Body.Role) && x.Role(in.Body.Role) == nil:
		return nil, invalidRequest("body.role", "there is no role %.128q: want one of %s, or a role of the group", in.Body.Role, strings.Join(builtInRoles, ", "))
	}
	// Replicated time decides about expiry, but it may stand still for long; the later of the two clocks gives the full life.
	token, secret := a.newToken(in.Body, a.clock().Truncate(time.Second), ttl)
	text := formatToken(token.ID, secret)
	if token.Role == wire.RoleNode {
		var err error
		if text, err = a.opt.JoinToken(token.ID, secret, token.Expires); err != nil {
			return nil, fmt.Errorf("make join token: %w", err)
		}
	}
	res, err := a.propose(ctx, &fsm.TokenPut{RequestID: requestID(""), Token: token, Actor: callOf(ctx).who.actor})
	if err != nil {
		return nil, err
	}
	if res.Code != fsm.CodeOK {
		return nil, refused(res)
	}
	a.opt.Logger.InfoContext(ctx, "token created", "id", token.ID, "role", token.Role, "user", token.User, "actor", callOf(ctx).who.actor)
	return &createTokenOutput{wire.NewToken{Token: a.describeToken(token), Secret: text}}, nil
}

// newToken draws id and secret. An id is 16 hexadecimal digits: it never collides, and it is short enough to type.
func (a *API) newToken(req wire.TokenRequest, now time.Time, ttl time.Duration) (fsm.Token, [32]byte) {
	var id [8]byte
	var secret [32]byte
	rand.Read(id[:])
	rand.Read(secret[:])
	hash := sha256.Sum256(secret[:])
	t := fsm.Token{ID: hex.EncodeToString(id[:]), Role: req.Role, User: req.User, Hash: hash[:], Note: req.Note, Clusters: req.Clusters, Created: now}
	if ttl > 0 {
		t.Expires = now.Add(ttl)
	}
	return t, secret
}

func (a *API) revokeToken(ctx context.Context, in *revokeTokenInput) (*struct{}, error) {
	if err := a.sync(ctx); err != nil {
		return nil, err
	}
	actor := callOf(ctx).who.actor
	res, err := a.propose(ctx, &fsm.TokenDrop{RequestID: requestID(in.IdempotencyKey, []byte("revoke-token"), []byte(actor), []byte(in.ID)), ID: in.ID, Actor: actor})
	switch {
	case err != nil:
		return nil, err
	case res.Code == fsm.CodeAbsent:
		return nil, notFoundf("There is no token %s; 'holdfast token list' lists them.", in.ID)
	case res.Code != fsm.CodeOK:
		return nil, refused(res)
	}
	a.opt.Logger.InfoContext(ctx, "token revoked", "id", in.ID, "actor", actor)
	return nil, nil
}
