package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/holdfast-lb/holdfast/admin/wire"
)

// The documents of access.
type (
	Role             = wire.Role
	RoleList         = wire.RoleList
	RoleRequest      = wire.RoleRequest
	UserGroup        = wire.UserGroup
	UserGroupRequest = wire.UserGroupRequest
	User             = wire.User
	UserRequest      = wire.UserRequest
	Whoami           = wire.Whoami
	Issuer           = wire.Issuer
	IssuerRequest    = wire.IssuerRequest
)

// Whoami says how the group sees the caller.
func (c *Client) Whoami(ctx context.Context) (*Whoami, error) {
	v, _, err := get[Whoami](ctx, c, "/v1/whoami", nil)
	return v, err
}

// Roles lists the roles, those that are built in first, and the permissions that they can be made of.
func (c *Client) Roles(ctx context.Context, opts ...ReadOption) (*RoleList, error) {
	v, _, err := get[RoleList](ctx, c, "/v1/roles", queryOf(opts))
	return v, err
}

// Role gives one role. No such role is a *Problem with not-found.
func (c *Client) Role(ctx context.Context, name string, opts ...ReadOption) (*Role, error) {
	v, _, err := get[Role](ctx, c, rolePath(name), queryOf(opts))
	return v, err
}

// SetRole makes or changes a role. A *Problem with refused: another version is there than Version says, or it is built in.
func (c *Client) SetRole(ctx context.Context, name string, r RoleRequest) (*Role, error) {
	return send[Role](ctx, c, http.MethodPut, rolePath(name), r)
}

// RemoveRole removes a role. One that is in use is a *Problem with refused.
func (c *Client) RemoveRole(ctx context.Context, name string) error {
	return c.remove(ctx, rolePath(name), nil)
}

// UserGroups lists the groups of users.
func (c *Client) UserGroups(ctx context.Context, opts ...ReadOption) ([]UserGroup, error) {
	l, _, err := get[wire.UserGroupList](ctx, c, "/v1/user-groups", queryOf(opts))
	if err != nil {
		return nil, err
	}
	return l.Groups, nil
}

// UserGroup gives one group of users. No such group is a *Problem with not-found.
func (c *Client) UserGroup(ctx context.Context, name string, opts ...ReadOption) (*UserGroup, error) {
	v, _, err := get[UserGroup](ctx, c, userGroupPath(name), queryOf(opts))
	return v, err
}

// SetUserGroup makes or changes a group of users. Errors as for SetRole.
func (c *Client) SetUserGroup(ctx context.Context, name string, r UserGroupRequest) (*UserGroup, error) {
	return send[UserGroup](ctx, c, http.MethodPut, userGroupPath(name), r)
}

// RemoveUserGroup removes a group of users. One that somebody is in is a *Problem with refused.
func (c *Client) RemoveUserGroup(ctx context.Context, name string) error {
	return c.remove(ctx, userGroupPath(name), nil)
}

// Users lists the users with what they may now.
func (c *Client) Users(ctx context.Context, opts ...ReadOption) ([]User, error) {
	l, _, err := get[wire.UserList](ctx, c, "/v1/users", queryOf(opts))
	if err != nil {
		return nil, err
	}
	return l.Users, nil
}

// User gives one user. No such user is a *Problem with not-found.
func (c *Client) User(ctx context.Context, name string, opts ...ReadOption) (*User, error) {
	v, _, err := get[User](ctx, c, userPath(name), queryOf(opts))
	return v, err
}

// SetUser makes or changes a user. Errors as for SetRole.
func (c *Client) SetUser(ctx context.Context, name string, r UserRequest) (*User, error) {
	return send[User](ctx, c, http.MethodPut, userPath(name), r)
}

// RemoveUser removes a user and revokes its tokens. What would take the last admin access away is a *Problem with refused.
func (c *Client) RemoveUser(ctx context.Context, name string) error {
	return c.remove(ctx, userPath(name), nil)
}

// Issuer gives the issuer of OpenID Connect that the group believes, and what the node that answers has of its keys. None is a *Problem with not-found.
func (c *Client) Issuer(ctx context.Context, opts ...ReadOption) (*Issuer, error) {
	v, _, err := get[Issuer](ctx, c, "/v1/issuer", queryOf(opts))
	return v, err
}

// SetIssuer has the group believe an issuer. Errors as for SetRole.
func (c *Client) SetIssuer(ctx context.Context, r IssuerRequest) (*Issuer, error) {
	return send[Issuer](ctx, c, http.MethodPut, "/v1/issuer", r)
}

// RemoveIssuer has the group believe no issuer any more.
func (c *Client) RemoveIssuer(ctx context.Context) error { return c.remove(ctx, "/v1/issuer", nil) }

func rolePath(name string) string      { return "/v1/roles/" + url.PathEscape(name) }
func userGroupPath(name string) string { return "/v1/user-groups/" + url.PathEscape(name) }
func userPath(name string) string      { return "/v1/users/" + url.PathEscape(name) }
