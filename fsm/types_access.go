package fsm

import "time"

// The roles that every group has. They cannot be changed.
const (
	RoleViewer   = "viewer"
	RoleOperator = "operator"
	RoleAdmin    = "admin"
	// RoleApplication is of programs that keep their sessions' data in the group, and may do nothing else.
	RoleApplication = "application"
)

// PermissionAccess is the permission that makes whoever has it as good as an admin: it gives out roles. It is all that the state knows of permissions.
const PermissionAccess = "access:write"

// Access is who may do what beside the built-in roles and tokens. A value is immutable; nil is that of a group that has only those.
type Access struct {
	// Roles, Groups and Users are by name.
	Roles  []Role
	Groups []UserGroup
	Users  []User
	// Issuer vouches for people whom the group does not know; nil: none.
	Issuer *Issuer
}

// Changed says who changed something last, and when.
type Changed struct {
	// Version is the log index of the change, Time the replicated time of it.
	Version uint64    `json:"version"`
	Time    time.Time `json:"time"`
	Actor   string    `json:"actor,omitempty"`
}

// Role is a set of permissions that has a name. What they mean is the business of who asks.
type Role struct {
	Name  string   `json:"name"`
	Allow []string `json:"allow"` // sorted, each once
	Note  string   `json:"note,omitempty"`
	Changed
}

// UserGroup is a group of users: each has the roles of it. It is no Group, which is one of nodes.
type UserGroup struct {
	Name  string   `json:"name"`
	Roles []string `json:"roles,omitempty"` // sorted, each once
	Note  string   `json:"note,omitempty"`
	Changed
}

// User is somebody whom tokens belong to. A token of a user may do what the user may at that moment.
type User struct {
	Name     string   `json:"name"`
	Groups   []string `json:"groups,omitempty"` // sorted, each once, as are Roles
	Roles    []string `json:"roles,omitempty"`
	Disabled bool     `json:"disabled,omitempty"`
	Note     string   `json:"note,omitempty"`
	Changed
}

// Issuer is an issuer of OpenID Connect whose tokens the group believes.
type Issuer struct {
	URL      string `json:"url"`
	Audience string `json:"audience"`
	// UserClaim and GroupsClaim are the claims with the name of the user and of the groups that the issuer has the user in.
	UserClaim   string `json:"userClaim"`
	GroupsClaim string `json:"groupsClaim"`
	// Groups says which groups of users those are here, by Claim. Others count for nothing.
	Groups []ClaimedGroup `json:"groups,omitempty"`
	// Authorities are PEM: who vouches for the issuer's certificate; empty: the authorities of the machine.
	Authorities string `json:"authorities,omitempty"`
	Changed
}

// ClaimedGroup says that whoever the issuer has in Claim is in Group.
type ClaimedGroup struct {
	Claim string `json:"claim"`
	Group string `json:"group"`
}

// RoleSet adds or changes a role, or removes it. CodeConflict when its version is not Expect any more (0: there is none), when one that is removed is in use, and for
// what would take the last admin access away; CodeAbsent when there is none to remove; CodeInvalid for a built-in role.
type RoleSet struct {
	RequestID RequestID `json:"requestId"`
	Expect    uint64    `json:"expect"`
	Actor     string    `json:"actor"`
	Remove    bool      `json:"remove,omitempty"`
	// Role is the new one; of one that is removed the Name counts. Changed is set by the state.
	Role Role `json:"role"`
}

// UserGroupSet is RoleSet for a group of users. CodeInvalid when a role of it is not there.
type UserGroupSet struct {
	RequestID RequestID `json:"requestId"`
	Expect    uint64    `json:"expect"`
	Actor     string    `json:"actor"`
	Remove    bool      `json:"remove,omitempty"`
	Group     UserGroup `json:"group"`
}

// UserSet is RoleSet for a user. With one that is removed its tokens go. CodeInvalid when a role or a group of it is not there.
type UserSet struct {
	RequestID RequestID `json:"requestId"`
	Expect    uint64    `json:"expect"`
	Actor     string    `json:"actor"`
	Remove    bool      `json:"remove,omitempty"`
	User      User      `json:"user"`
}

// IssuerSet is RoleSet for the issuer, of which there is one at most. CodeInvalid when a group that it names is not there.
type IssuerSet struct {
	RequestID RequestID `json:"requestId"`
	Expect    uint64    `json:"expect"`
	Actor     string    `json:"actor"`
	Remove    bool      `json:"remove,omitempty"`
	Issuer    Issuer    `json:"issuer"`
}

func (*RoleSet) kind() kind      { return kindRoleSet }
func (*UserGroupSet) kind() kind { return kindUserGroupSet }
func (*UserSet) kind() kind      { return kindUserSet }
func (*IssuerSet) kind() kind    { return kindIssuerSet }

func (c *RoleSet) request() RequestID      { return c.RequestID }
func (c *UserGroupSet) request() RequestID { return c.RequestID }
func (c *UserSet) request() RequestID      { return c.RequestID }
func (c *IssuerSet) request() RequestID    { return c.RequestID }
