package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/holdfast-lb/holdfast/admin/permit"
	"github.com/holdfast-lb/holdfast/admin/wire"
	"github.com/holdfast-lb/holdfast/fsm"
)

type rolesOutput struct {
	wire.ReadHeaders
	Body wire.RoleList
}

type roleOutput struct {
	wire.ReadHeaders
	Body wire.Role
}

type setRoleInput struct {
	Name           string `path:"name" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}$" patternDescription:"1 to 128 letters, digits, dots, dashes, underscores, @ or +, the first a letter or a digit"`
	IdempotencyKey string `header:"Idempotency-Key" maxLength:"255" doc:"the same request with the same key is applied once"`
	Body           wire.RoleRequest
}

type setRoleOutput struct{ Body wire.Role }

func (a *API) registerRoles() {
	register(a, route{
		method: http.MethodGet, path: "/v1/roles", id: "list-roles", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "The roles, and the permissions that they can be made of",
	}, a.listRoles)
	register(a, route{
		method: http.MethodGet, path: "/v1/roles/{name}", id: "get-role", role: wire.RoleAdmin, permission: permit.AccessRead,
		summary: "One role", edit: mayBeAbsent,
	}, a.getRole)
	register(a, route{
		method: http.MethodPut, path: "/v1/roles/{name}", id: "set-role", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Make or change a role", about: "It counts at once, on every node, for whoever has the role. Built-in roles cannot be changed.", edit: accessErrors,
	}, a.setRole)
	register(a, route{
		method: http.MethodDelete, path: "/v1/roles/{name}", id: "remove-role", role: wire.RoleAdmin, permission: permit.AccessWrite,
		summary: "Remove a role that nobody has", edit: accessErrors,
	}, a.removeRole)
}

// builtInRoles are the roles of every group, in the order of what they allow.
var builtInRoles = []string{wire.RoleApplication, wire.RoleViewer, wire.RoleOperator, wire.RoleAdmin, wire.RoleNode}

func builtInRole(name string) wire.Role {
	r := wire.Role{Name: name, BuiltIn: true, Allow: listed(permit.OfRole(name))}
	if name == wire.RoleNode {
		r.Note = "of join tokens: lets one node in, and opens nothing here"
	}
	return r
}

func describeRole(r *fsm.Role) wire.Role {
	return wire.Role{Name: r.Name, Allow: listed(r.Allow), Note: r.Note, Changed: wireChanged(r.Changed)}
}

func (a *API) listRoles(ctx context.Context, in *wire.ReadParams) (*rolesOutput, error) {
	headers, err := a.settle(ctx, *in)
	if err != nil {
		return nil, err
	}
	out := &rolesOutput{ReadHeaders: headers, Body: wire.RoleList{Roles: []wire.Role{}, Permissions: []wire.Permission{}}}
	for _, name := range builtInRoles {
		out.Body.Roles = append(out.Body.Roles, builtInRole(name))
	}
	if access := a.access(); access != nil {
		for i := range access.Roles {
			out.Body.Roles = append(out.Body.Roles, describeRole(&access.Roles[i]))
		}
	}
	for _, p := range permit.All {
		out.Body.Permissions = append(out.Body.Permissions, wire.Permission{Name: p.Name, Role: p.Role, About: p.About, Bounded: p.Bounded})
	}
	return out, nil
}

func noRole(name string) *wire.Problem {
	return notFoundf("There is no role %s; 'holdfast role list' lists them.", name)
}

func (a *API) getRole(ctx context.Context, in *namedInput) (*roleOutput, error) {
	headers, err := a.settle(ctx, in.ReadParams)
	if err != nil {
		return nil, err
	}
	if fsm.BuiltIn(in.Name) {
		return &roleOutput{headers, builtInRole(in.Name)}, nil
	}
	r := a.access().Role(in.Name)
	if r == nil {
		return nil, noRole(in.Name)
	}
	return &roleOutput{headers, describeRole(r)}, nil
}

func (a *API) setRole(ctx context.Context, in *setRoleInput) (*setRoleOutput, error) {
	for i, text := range in.Body.Allow {
		if _, _, err := permit.Parse(text); err != nil {
			return nil, invalidRequest(fmt.Sprintf("body.allow[%d]", i), "%v", err)
		}
	}
	request, err := json.Marshal(in.Body)
	if err != nil {
		return nil, err
	}
	role := fsm.Role{Name: in.Name, Allow: in.Body.Allow, Note: in.Body.Note}
	err = a.setAccess(ctx, a.roleSet(in.IdempotencyKey, request, in.Body.Version, role, false))
	if err != nil {
		return nil, err
	}
	r := a.access().Role(in.Name)
	if r == nil { // removed meanwhile
		return nil, noRole(in.Name)
	}
	return &setRoleOutput{describeRole(r)}, nil
}

func (a *API) removeRole(ctx context.Context, in *removeNamedInput) (*struct{}, error) {
	return nil, a.setAccess(ctx, a.roleSet(in.IdempotencyKey, []byte("remove"), nil, fsm.Role{Name: in.Name}, true))
}

func (a *API) roleSet(key string, request []byte, given *uint64, role fsm.Role, remove bool) accessSet {
	return accessSet{
		key: key, what: "role", name: role.Name, request: request, given: given,
		current: func(x *fsm.Access) *fsm.Changed {
			if r := x.Role(role.Name); r != nil {
				return &r.Changed
			}
			return nil
		},
		command: func(id fsm.RequestID, expect uint64, actor string) fsm.Command {
			return &fsm.RoleSet{RequestID: id, Expect: expect, Actor: actor, Remove: remove, Role: role}
		},
		absent: func() *wire.Problem { return noRole(role.Name) },
	}
}
