package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

type userGroupsOutput struct {
	wire.ReadHeaders
	Body wire.UserGroupList
}

type userGroupOutput struct {
	wire.ReadHeaders
	Body wire.UserGroup
}

type setUserGroupInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes, underscores, @ or +, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.UserGroupRequest
}

type setUserGroupOutput struct{ Body wire.UserGroup }

func (a *API) registerUserGroups() {
	register(a, route{
		method: http.MethodGet, path: "/v1/user-groups", id: "list-user-groups", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "The groups of users",
	}, a.listUserGroups)
	register(a, route{
		method: http.MethodGet, path: "/v1/user-groups/{name}", id: "get-user-group", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "One group of users", edit: mayBeAbsent,
	}, a.getUserGroup)
	register(a, route{
		method: http.MethodPut, path: "/v1/user-groups/{name}", id: "set-user-group", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Make or change a group of users", about: "It counts at once, on every node, for whoever is in it.", edit: accessErrors,
	}, a.setUserGroup)
	register(a, route{
		method: http.MethodDelete, path: "/v1/user-groups/{name}", id: "remove-user-group", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Remove a group that no user is in", edit: accessErrors,
	}, a.removeUserGroup)
}

func describeUserGroup(x *fsm.Access, g *fsm.UserGroup) wire.UserGroup {
	return wire.UserGroup{Name: g.Name, Roles: listed(g.Roles), Users: listed(x.Members(g.Name)), Note: g.Note, Changed: wireChanged(g.Changed)}
}

func (a *API) listUserGroups(ctx context.Context, in *wire.ReadParams) (*userGroupsOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	out := &userGroupsOutput{ReadHeaders: headers, Body: wire.UserGroupList{Groups: []wire.UserGroup{}}}
	if x := a.access(); x != nil {
		for i := range x.Groups {
			out.Body.Groups = append(out.Body.Groups, describeUserGroup(x, &x.Groups[i]))
		}
	}
	return out, nil
}

func noUserGroup(name string) *wire.Problem {
	return notFoundf("There is no group of users %s; 'holdfast group list' lists them.", name)
}

func (a *API) getUserGroup(ctx context.Context, in *namedInput) (*userGroupOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	x := a.access()
	g := x.UserGroup(in.Name)
	if g == nil {
		return nil, noUserGroup(in.Name)
	}
	return &userGroupOutput{headers, describeUserGroup(x, g)}, nil
}

func (a *API) setUserGroup(ctx context.Context, in *setUserGroupInput) (*setUserGroupOutput, error) {
	request, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	group := fsm.UserGroup{Name: in.Name, Roles: in.Body.Roles, Note: in.Body.Note}
	if err := a.setAccess(ctx, a.userGroupSet(in.IdempotencyKey, request, in.Body.Version, group, false)); err != nil {
		return nil, err
	}
	x := a.access()
	g := x.UserGroup(in.Name)
	if g == nil { // removed meanwhile
		return nil, noUserGroup(in.Name)
	}
	return &setUserGroupOutput{describeUserGroup(x, g)}, nil
}

func (a *API) removeUserGroup(ctx context.Context, in *removeNamedInput) (*struct{}, error) {
	return nil, a.setAccess(ctx, a.userGroupSet(in.IdempotencyKey, []byte("remove"), nil, fsm.UserGroup{Name: in.Name}, true))
}

func (a *API) userGroupSet(key string, request []byte, given *uint64, group fsm.UserGroup, remove bool) accessSet {
	return accessSet{
		key: key, what: "group of users", name: group.Name, request: request, given: given,
		current: func(x *fsm.Access) *fsm.Changed {
			if g := x.UserGroup(group.Name); g != nil {
				return &g.Changed
			}
			return nil
		},
		command: func(id fsm.RequestID, expect uint64, actor string) fsm.Command {
			return &fsm.UserGroupSet{RequestID: id, Expect: expect, Actor: actor, Remove: remove, Group: group}
		},
		absent: func() *wire.Problem { return noUserGroup(group.Name) },
	}
}
