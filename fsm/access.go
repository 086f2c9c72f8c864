package fsm

import (
	"cmp"
	"fmt"
	"slices"
)

// The bounds of users, groups of users and roles. All together stay small beside the configuration's history.
const (
	maxRoles       = 200
	maxUserGroups  = 1000
	maxUsers       = 10_000
	maxPermissions = 500      // of a role
	maxMemberships = 100      // roles or groups of one user, roles of one group
	maxClaims      = 1000     // of an issuer
	maxAuthorities = 64 << 10 // PEM of an issuer
	maxAccessSize  = 8 << 20  // of all, in their canonical form
	maxAccessName  = 128
)

// access is that of the state, never nil.
func (o *Operating) access() *Access {
	if o.Access == nil {
		return &Access{}
	}
	return o.Access
}

// Role is that of a name, nil for none. Built-in roles have no Role.
func (a *Access) Role(name string) *Role {
	return lookup(a, name, func(a *Access) []Role { return a.Roles })
}

// UserGroup is that of a name, nil for none.
func (a *Access) UserGroup(name string) *UserGroup {
	return lookup(a, name, func(a *Access) []UserGroup { return a.Groups })
}

// User is that of a name, nil for none.
func (a *Access) User(name string) *User {
	return lookup(a, name, func(a *Access) []User { return a.Users })
}

// Members are the names of the users in a group.
func (a *Access) Members(group string) (names []string) {
	if a == nil {
		return nil
	}
	for i := range a.Users {
		if slices.Contains(a.Users[i].Groups, group) {
			names = append(names, a.Users[i].Name)
		}
	}
	return names
}

// RolesOf are the roles of a user now, own ones and those of its groups, sorted; none of one that is disabled.
func (a *Access) RolesOf(u *User) []string {
	if u.Disabled {
		return nil
	}
	return a.RolesIn(u.Roles, u.Groups)
}

// RolesIn are own roles together with those of groups, sorted, each once.
func (a *Access) RolesIn(own, groups []string) []string {
	list := slices.Clone(own)
	for _, name := range groups {
		if g := a.UserGroup(name); g != nil {
			list = append(list, g.Roles...)
		}
	}
	return sortedNames(list)
}

// BuiltIn tells whether a role is one that every group has, join tokens' included.
func BuiltIn(role string) bool {
	return role == RoleViewer || role == RoleOperator || role == RoleAdmin || role == RoleApplication || role == RoleNode
}

// accessItem is what has a name and a version in Access.
type accessItem interface{ Role | UserGroup | User }

func nameOf[T accessItem](x *T) string {
	switch x := any(x).(type) {
	case *Role:
		return x.Name
	case *UserGroup:
		return x.Name
	case *User:
		return x.Name
	}
	panic("BUG: not an item of access")
}

func changedOf[T accessItem](x *T) *Changed {
	switch x := any(x).(type) {
	case *Role:
		return &x.Changed
	case *UserGroup:
		return &x.Changed
	case *User:
		return &x.Changed
	}
	panic("BUG: not an item of access")
}

func findItem[T accessItem](list []T, name string) (int, bool) {
	return slices.BinarySearchFunc(list, name, func(x T, name string) int { return cmp.Compare(nameOf(&x), name) })
}

func lookup[T accessItem](a *Access, name string, of func(*Access) []T) *T {
	if a == nil {
		return nil
	}
	list := of(a)
	if i, found := findItem(list, name); found {
		return &list[i]
	}
	return nil
}

// sortedNames is a list as the state keeps it: sorted, each once, nil for none.
func sortedNames(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// accessName is the rule for names of users, groups of users and roles. It is part of the format.
func (c *check) accessName(what, s string) {
	fits := s != "" && len(s) <= maxAccessName
	for i := range len(s) {
		b := s[i]
		inner := i > 0 && (b == '.' || b == '-' || b == '_' || b == '@' || b == '+')
		fits = fits && (b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || inner)
	}
	if !fits {
		c.failf("%q is no name of %s: 1 to %d letters, digits, dots, dashes, underscores, @ or +, the first a letter or a digit", clip(s, maxAccessName), what, maxAccessName)
	}
}

// names checks a list of names that is sorted already.
func (c *check) names(what string, list []string) {
	if len(list) > maxMemberships {
		c.failf("%d %ss, at most %d are kept", len(list), what, maxMemberships)
	}
	for _, name := range list {
		c.accessName("a "+what, name)
	}
}

// problem says why it cannot be kept, or nothing. What the permissions mean is the business of who proposes it.
func (x *Role) problem() string {
	var k check
	k.accessName("a role", x.Name)
	if BuiltIn(x.Name) {
		k.failf("role %s is built in and cannot be changed: choose another name", x.Name)
	}
	if n := len(x.Allow); n > maxPermissions {
		k.failf("%d permissions, a role has at most %d", n, maxPermissions)
	}
	for _, p := range x.Allow {
		k.id("a permission", p)
	}
	k.text("the note", x.Note)
	k.name("the actor", x.Actor)
	return k.message
}

func (x *UserGroup) problem() string {
	var k check
	k.accessName("a group of users", x.Name)
	k.names("role", x.Roles)
	k.text("the note", x.Note)
	k.name("the actor", x.Actor)
	return k.message
}

func (x *User) problem() string {
	var k check
	k.accessName("a user", x.Name)
	k.names("role", x.Roles)
	k.names("group", x.Groups)
	k.text("the note", x.Note)
	k.name("the actor", x.Actor)
	return k.message
}

func (x *Issuer) problem() string {
	var k check
	k.size("the address of the issuer", len(x.URL), maxPathBytes)
	if x.URL == "" {
		k.failf("the address of the issuer is missing")
	}
	k.id("the audience", x.Audience)
	k.id("the claim with the user", x.UserClaim)
	k.id("the claim with the groups", x.GroupsClaim)
	k.size("the PEM of the authorities", len(x.Authorities), maxAuthorities)
	if n := len(x.Groups); n > maxClaims {
		k.failf("%d groups, an issuer gives at most %d", n, maxClaims)
	}
	for i, g := range x.Groups {
		k.id("the claim of a group", g.Claim)
		k.accessName("a group of users", g.Group)
		if i > 0 && compareClaims(x.Groups[i-1], g) >= 0 {
			k.failf("claim %s stands for group %s twice", g.Claim, g.Group)
		}
	}
	k.name("the actor", x.Actor)
	return k.message
}

func compareClaims(a, b ClaimedGroup) int {
	return cmp.Or(cmp.Compare(a.Claim, b.Claim), cmp.Compare(a.Group, b.Group))
}

// dangling says what Access names and does not have, or nothing.
func (a *Access) dangling() string {
	role := func(of string, roles []string) string {
		for _, name := range roles {
			if name == RoleNode {
				return fmt.Sprintf("role %s of %s is for join tokens only", name, of)
			}
			if !BuiltIn(name) && a.Role(name) == nil {
				return fmt.Sprintf("there is no role %s, which %s is to have: 'holdfast role set' makes one", name, of)
			}
		}
		return ""
	}
	for i := range a.Groups {
		if problem := role("group "+a.Groups[i].Name, a.Groups[i].Roles); problem != "" {
			return problem
		}
	}
	for i := range a.Users {
		u := &a.Users[i]
		if problem := role("user "+u.Name, u.Roles); problem != "" {
			return problem
		}
		for _, name := range u.Groups {
			if a.UserGroup(name) == nil {
				return fmt.Sprintf("there is no group %s, which user %s is to be in: 'holdfast group set' makes one", name, u.Name)
			}
		}
	}
	if a.Issuer != nil {
		for _, g := range a.Issuer.Groups {
			if a.UserGroup(g.Group) == nil {
				return fmt.Sprintf("there is no group %s, which claim %s of the issuer is to stand for: 'holdfast group set' makes one", g.Group, clip(g.Claim, maxNameBytes))
			}
		}
	}
	return ""
}

// empty tells whether there is nothing in it.
func (a *Access) empty() bool {
	return len(a.Roles) == 0 && len(a.Groups) == 0 && len(a.Users) == 0 && a.Issuer == nil
}
