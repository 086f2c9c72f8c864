package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/holdfast-lb/holdfast/admin/issuer"
	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

type issuerOutput struct {
	wire.ReadHeaders
	Body wire.Issuer
}

type setIssuerInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.IssuerRequest
}

type setIssuerOutput struct{ Body wire.Issuer }

type removeIssuerInput struct {
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
}

func (a *API) registerIssuer() {
	register(a, route{
		method: http.MethodGet, path: "/v1/issuer", id: "get-issuer", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "The issuer of OpenID Connect whose tokens are believed, and what this node has of its keys", edit: mayBeAbsent,
	}, a.getIssuer)
	register(a, route{
		method: http.MethodPut, path: "/v1/issuer", id: "set-issuer", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Believe an issuer of OpenID Connect",
		about:   "Its tokens then open the API as bearer tokens, with the roles of the groups of users that its claims stand for. There is one at most.", edit: accessErrors,
	}, a.setIssuer)
	register(a, route{
		method: http.MethodDelete, path: "/v1/issuer", id: "remove-issuer", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Believe no issuer any more", edit: accessErrors,
	}, a.removeIssuer)
}

// believed is the issuer of the group, nil for none.
func (a *API) believed() *fsm.Issuer {
	if x := a.access(); x != nil {
		return x.Issuer
	}
	return nil
}

// byIssuer is the identity of whom the issuer vouches for.
func (a *API) byIssuer(ctx context.Context, is *fsm.Issuer, token string) (identity, *wire.Problem) {
	p, err := a.issuer.Verify(ctx, is, token)
	switch {
	case errors.Is(err, issuer.ErrNoKeys):
		return identity{}, wire.NewProblem(http.StatusServiceUnavailable, wire.CodeNotReady,
			"This node has no keys of the issuer yet, so it cannot tell whether the token counts; 'holdfast issuer show' says why. Access tokens (hft1.…) need none.").With("Retry-After", "1")
	case err != nil:
		return identity{}, unauthorized(fmt.Sprintf("The token of the issuer does not count: %v.", err))
	}
	x := a.access()
	who := identity{actor: "oidc user " + p.Name, user: p.Name, issuer: is.URL, expires: p.Expires}
	for _, g := range is.Groups {
		if slices.Contains(p.Groups, g.Claim) && !slices.Contains(who.groups, g.Group) {
			who.groups = append(who.groups, g.Group)
		}
	}
	slices.Sort(who.groups)
	return who.withRoles(x.RolesIn(nil, who.groups), x), nil
}

func (a *API) describeIssuer(is *fsm.Issuer) wire.Issuer {
	out := wire.Issuer{URL: is.URL, Audience: is.Audience, UserClaim: is.UserClaim, GroupsClaim: is.GroupsClaim, Groups: []wire.ClaimedGroup{}, Authorities: is.Authorities, Changed: wireChanged(is.Changed)}
	for _, g := range is.Groups {
		out.Groups = append(out.Groups, wire.ClaimedGroup{Claim: g.Claim, Group: g.Group})
	}
	s := a.issuer.Status()
	out.Keys = wire.IssuerKeys{Node: a.opt.Node.Info().Name, Count: s.Keys, Fetched: s.Fetched, Failing: s.Failing, Failure: s.Failure}
	return out
}

func noIssuer() *wire.Problem {
	return notFoundf("The group believes no issuer; 'holdfast issuer set' names one.")
}

func (a *API) getIssuer(ctx context.Context, in *wire.ReadParams) (*issuerOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	is := a.believed()
	if is == nil {
		return nil, noIssuer()
	}
	return &issuerOutput{headers, a.describeIssuer(is)}, nil
}

func (a *API) setIssuer(ctx context.Context, in *setIssuerInput) (*setIssuerOutput, error) {
	b := &in.Body
	if err := issuer.CheckURL(b.URL); err != nil {
		return nil, invalidRequest("body.url", "%v", err)
	}
	if _, err := issuer.Pool(b.Authorities); err != nil {
		return nil, invalidRequest("body.authorities", "%v", err)
	}
	request, err := json.Marshal(b)
	if err != nil {
		return nil, err
	}
	is := fsm.Issuer{URL: b.URL, Audience: b.Audience, UserClaim: b.UserClaim, GroupsClaim: b.GroupsClaim, Authorities: b.Authorities}
	if is.UserClaim == "" {
		is.UserClaim = "sub"
	}
	if is.GroupsClaim == "" {
		is.GroupsClaim = "groups"
	}
	for _, g := range b.Groups {
		is.Groups = append(is.Groups, fsm.ClaimedGroup{Claim: g.Claim, Group: g.Group})
	}
	if err := a.setAccess(ctx, a.issuerSet(in.IdempotencyKey, request, b.Version, is, false)); err != nil {
		return nil, err
	}
	now := a.believed()
	if now == nil { // removed meanwhile
		return nil, noIssuer()
	}
	return &setIssuerOutput{a.describeIssuer(now)}, nil
}

func (a *API) removeIssuer(ctx context.Context, in *removeIssuerInput) (*struct{}, error) {
	return nil, a.setAccess(ctx, a.issuerSet(in.IdempotencyKey, []byte("remove"), nil, fsm.Issuer{}, true))
}

func (a *API) issuerSet(key string, request []byte, given *uint64, is fsm.Issuer, remove bool) accessSet {
	return accessSet{
		key: key, what: "issuer", request: request, given: given,
		current: func(x *fsm.Access) *fsm.Changed {
			if x == nil || x.Issuer == nil {
				return nil
			}
			return &x.Issuer.Changed
		},
		command: func(id fsm.RequestID, expect uint64, actor string) fsm.Command {
			return &fsm.IssuerSet{RequestID: id, Expect: expect, Actor: actor, Remove: remove, Issuer: is}
		},
		absent: noIssuer,
	}
}

// issuerProblem says that the keys of the issuer cannot be fetched here, or nothing.
func (a *API) issuerProblem() string {
	s := a.issuer.Status()
	if s.Failing.IsZero() {
		return ""
	}
	have := "it has none, so nobody gets in by the issuer here"
	if s.Keys > 0 {
		have = fmt.Sprintf("the %d of %s go on being used", s.Keys, s.Fetched.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("node %s cannot fetch the keys of the issuer since %s: %s; %s", a.opt.Node.Info().Name, s.Failing.UTC().Format(time.RFC3339), s.Failure, have)
}
