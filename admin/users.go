package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

type usersOutput struct {
	wire.ReadHeaders
	Body wire.UserList
}

type userOutput struct {
	wire.ReadHeaders
	Body wire.User
}

type setUserInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes, underscores, @ or +, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.UserRequest
}

type setUserOutput struct{ Body wire.User }

func (a *API) registerUsers() {
	register(a, route{
		method: http.MethodGet, path: "/v1/users", id: "list-users", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "The users, with what they may now",
	}, a.listUsers)
	register(a, route{
		method: http.MethodGet, path: "/v1/users/{name}", id: "get-user", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "One user", edit: mayBeAbsent,
	}, a.getUser)
	register(a, route{
		method: http.MethodPut, path: "/v1/users/{name}", id: "set-user", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Make or change a user", about: "It counts at once, on every node, for every token of the user.", edit: accessErrors,
	}, a.setUser)
	register(a, route{
		method: http.MethodDelete, path: "/v1/users/{name}", id: "remove-user", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Remove a user, and revoke its tokens", edit: accessErrors,
	}, a.removeUser)
	register(a, route{
		method: http.MethodGet, path: "/v1/whoami", id: "whoami", role: wire.RoleViewer, permission: permit.Anyone,
		summary: "Who the caller is, and what it may", about: "Every token opens it, whatever its roles are.",
	}, a.whoami)
}

// describeUsers shows users of one value of the state, with the tokens that each has.
func (a *API) describeUsers(x *fsm.Access, users []fsm.User) []wire.User {
	tokens := map[string][]string{}
	for _, t := range a.opt.State.Tokens() {
		if t.User != "" {
			tokens[t.User] = append(tokens[t.User], t.ID)
		}
	}
	out := make([]wire.User, len(users))
	for i := range users {
		u := &users[i]
		roles := x.RolesOf(u)
		out[i] = wire.User{Name: u.Name, Groups: listed(u.Groups), Roles: listed(u.Roles), Disabled: u.Disabled, AllRoles: listed(roles), Permissions: permit.Of(roles, x).List(),
			Tokens: listed(tokens[u.Name]), Note: u.Note, Changed: wireChanged(u.Changed)}
	}
	return out
}

func (a *API) listUsers(ctx context.Context, in *wire.ReadParams) (*usersOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	out := &usersOutput{ReadHeaders: headers, Body: wire.UserList{Users: []wire.User{}}}
	if x := a.access(); x != nil {
		out.Body.Users = a.describeUsers(x, x.Users)
	}
	return out, nil
}

func noUser(name string) *wire.Problem {
	return notFoundf("There is no user %s; 'holdfast user list' lists them.", name)
}

// user shows one user as it is now.
func (a *API) user(name string) (wire.User, error) {
	x := a.access()
	u := x.User(name)
	if u == nil {
		return wire.User{}, noUser(name)
	}
	return a.describeUsers(x, []fsm.User{*u})[0], nil
}

func (a *API) getUser(ctx context.Context, in *namedInput) (*userOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	u, err := a.user(in.Name)
	if err != nil {
		return nil, err
	}
	return &userOutput{headers, u}, nil
}

func (a *API) setUser(ctx context.Context, in *setUserInput) (*setUserOutput, error) {
	request, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	user := fsm.User{Name: in.Name, Groups: in.Body.Groups, Roles: in.Body.Roles, Disabled: in.Body.Disabled, Note: in.Body.Note}
	if err := a.setAccess(ctx, a.userSet(in.IdempotencyKey, request, in.Body.Version, user, false)); err != nil {
		return nil, err
	}
	u, err := a.user(in.Name)
	if err != nil { // removed meanwhile
		return nil, err
	}
	return &setUserOutput{u}, nil
}

func (a *API) removeUser(ctx context.Context, in *removeNamedInput) (*struct{}, error) {
	return nil, a.setAccess(ctx, a.userSet(in.IdempotencyKey, []byte("remove"), nil, fsm.User{Name: in.Name}, true))
}

func (a *API) userSet(key string, request []byte, given *uint64, user fsm.User, remove bool) accessSet {
	return accessSet{
		key: key, what: "user", name: user.Name, request: request, given: given,
		current: func(x *fsm.Access) *fsm.Changed {
			if u := x.User(user.Name); u != nil {
				return &u.Changed
			}
			return nil
		},
		command: func(id fsm.RequestID, expect uint64, actor string) fsm.Command {
			return &fsm.UserSet{RequestID: id, Expect: expect, Actor: actor, Remove: remove, User: user}
		},
		absent: func() *wire.Problem { return noUser(user.Name) },
	}
}

type whoamiOutput struct{ Body wire.Whoami }

func (a *API) whoami(ctx context.Context, _ *struct{}) (*whoamiOutput, error) {
	who := &callOf(ctx).who
	return &whoamiOutput{wire.Whoami{Actor: who.actor, User: who.user, Token: who.token, Issuer: who.issuer, Groups: listed(who.groups), Roles: listed(who.roles),
		Permissions: who.can.List(), Expires: who.expires}}, nil
}
