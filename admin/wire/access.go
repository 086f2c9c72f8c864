package wire

import "time"

// Changed says who changed something last. It is absent of what is built in.
type Changed struct {
	Version uint64    `json:"version,omitempty" doc:"goes up with each change; send it back to change only what you have seen"`
	Changed time.Time `json:"changed,omitzero" doc:"when it was set last, in the group's time"`
	Actor   string    `json:"actor,omitempty" doc:"who did it"`
}

// Permission is one of those that roles are made of.
type Permission struct {
	Name    string `json:"name"`
	Role    string `json:"role" doc:"the least of the built-in roles that has it"`
	About   string `json:"about"`
	Bounded bool   `json:"bounded" doc:"it may be given for one cluster only, as NAME@cluster=CLUSTER"`
}

// RoleRequest says what a role allows.
type RoleRequest struct {
	Allow   []string `json:"allow" minItems:"1" maxItems:"500" doc:"permissions, as in config:read or instances:write@cluster=shop"`
	Note    string   `json:"note,omitempty" maxLength:"256" doc:"what it is for"`
	Version *uint64  `json:"version,omitempty" doc:"that must be there, 0 for none; absent: whatever is there"`
}

// Role is a set of permissions.
type Role struct {
	Name    string   `json:"name"`
	BuiltIn bool     `json:"builtIn" doc:"every group has it, and nobody can change it"`
	Allow   []string `json:"allow"`
	Note    string   `json:"note,omitempty"`
	Changed
}

// RoleList is all roles, those that are built in first.
type RoleList struct {
	Roles       []Role       `json:"roles"`
	Permissions []Permission `json:"permissions" doc:"what roles can be made of"`
}

// UserGroupRequest says what a group of users is.
type UserGroupRequest struct {
	Roles   []string `json:"roles,omitempty" maxItems:"100" doc:"that every user in it has"`
	Note    string   `json:"note,omitempty" maxLength:"256"`
	Version *uint64  `json:"version,omitempty" doc:"that must be there, 0 for none; absent: whatever is there"`
}

// UserGroup is a group of users.
type UserGroup struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles"`
	Users []string `json:"users" doc:"who is in it"`
	Note  string   `json:"note,omitempty"`
	Changed
}

// UserGroupList is all groups of users.
type UserGroupList struct {
	Groups []UserGroup `json:"groups"`
}

// UserRequest says what a user is.
type UserRequest struct {
	Groups   []string `json:"groups,omitempty" maxItems:"100"`
	Roles    []string `json:"roles,omitempty" maxItems:"100" doc:"beside those of the groups"`
	Disabled bool     `json:"disabled,omitempty" doc:"its tokens stay and open nothing"`
	Note     string   `json:"note,omitempty" maxLength:"256"`
	Version  *uint64  `json:"version,omitempty" doc:"that must be there, 0 for none; absent: whatever is there"`
}

// User is somebody whom tokens belong to.
type User struct {
	Name     string   `json:"name"`
	Groups   []string `json:"groups"`
	Roles    []string `json:"roles" doc:"beside those of the groups"`
	Disabled bool     `json:"disabled"`
	// AllRoles and Permissions are what the user may now.
	AllRoles    []string `json:"allRoles" doc:"own ones and those of the groups; none of a user that is disabled"`
	Permissions []string `json:"permissions" doc:"what those allow together"`
	Tokens      []string `json:"tokens" doc:"ids of the tokens that belong to the user"`
	Note        string   `json:"note,omitempty"`
	Changed
}

// UserList is all users.
type UserList struct {
	Users []User `json:"users"`
}

// Whoami says how the group sees the caller.
type Whoami struct {
	Actor       string    `json:"actor" doc:"as in the history, the events and the log"`
	User        string    `json:"user,omitempty"`
	Token       string    `json:"token,omitempty" doc:"id of the access token"`
	Issuer      string    `json:"issuer,omitempty" doc:"who vouches for the caller"`
	Groups      []string  `json:"groups" doc:"groups of users"`
	Roles       []string  `json:"roles"`
	Permissions []string  `json:"permissions"`
	Expires     time.Time `json:"expires,omitzero" doc:"when the token ends; absent: never"`
}

// ClaimedGroup says that whoever the issuer has in Claim is in Group.
type ClaimedGroup struct {
	Claim string `json:"claim" minLength:"1" maxLength:"256" doc:"the issuer's name of a group"`
	Group string `json:"group" minLength:"1" maxLength:"128" doc:"the group of users here"`
}

// IssuerRequest says which issuer of OpenID Connect is believed.
type IssuerRequest struct {
	URL         string         `json:"url" minLength:"1" maxLength:"1024" doc:"as the issuer writes it; https, or http on the same machine"`
	Audience    string         `json:"audience" minLength:"1" maxLength:"256" doc:"that tokens must be meant for: usually the client id"`
	UserClaim   string         `json:"userClaim,omitempty" maxLength:"256" doc:"the claim with the name of the user; absent: sub"`
	GroupsClaim string         `json:"groupsClaim,omitempty" maxLength:"256" doc:"the claim with the groups of the user; absent: groups"`
	Groups      []ClaimedGroup `json:"groups,omitempty" maxItems:"1000" doc:"which groups of users those are here; others count for nothing"`
	Authorities string         `json:"authorities,omitempty" maxLength:"65536" doc:"PEM: who vouches for the issuer's certificate; absent: the authorities of each node's machine"`
	Version     *uint64        `json:"version,omitempty" doc:"that must be there, 0 for none; absent: whatever is there"`
}

// Issuer is the issuer that is believed.
type Issuer struct {
	URL         string         `json:"url"`
	Audience    string         `json:"audience"`
	UserClaim   string         `json:"userClaim"`
	GroupsClaim string         `json:"groupsClaim"`
	Groups      []ClaimedGroup `json:"groups"`
	Authorities string         `json:"authorities,omitempty"`
	Keys        IssuerKeys     `json:"keys" doc:"what the node that answers has of it"`
	Changed
}

// IssuerKeys is what one node has of the issuer.
type IssuerKeys struct {
	Node    string    `json:"node"`
	Count   int       `json:"count" doc:"keys with which tokens are verified"`
	Fetched time.Time `json:"fetched,omitzero" doc:"absent: never"`
	Failing time.Time `json:"failing,omitzero" doc:"since when they could not be fetched again; absent: the last time they could"`
	Failure string    `json:"failure,omitempty" doc:"why"`
}
