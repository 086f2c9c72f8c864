package fsm

import (
	"fmt"
	"slices"
)

// accessChange is one change of Access on its way.
type accessChange struct {
	index uint64
	actor string
	next  Access
	// dropUser is the user whose tokens go with the change; empty: nobody.
	dropUser string
	text     string // of the event, without who did it
}

func (r *replica) roleSet(index uint64, c *RoleSet) Result {
	x := c.Role
	x.Allow = sortedNames(x.Allow)
	a := r.operating.Load().access()
	change := accessChange{index: index, actor: c.Actor, next: *a}
	list, res := setItem(change.stamp(r), "role", a.Roles, maxRoles, c.Expect, c.Remove, &x, x.problem)
	if res.Code != CodeOK {
		return res
	}
	if change.next.Roles = list; c.Remove {
		if who := r.roleInUse(x.Name); who != "" {
			return Result{Code: CodeConflict, Message: fmt.Sprintf("role %s is in use by %s: take it from them first", x.Name, who)}
		}
		change.text = "Role " + x.Name + " removed"
	} else {
		change.text = fmt.Sprintf("Role %s set: %s", x.Name, listed(x.Allow))
	}
	return r.setAccess(&change)
}

func (r *replica) userGroupSet(index uint64, c *UserGroupSet) Result {
	x := c.Group
	x.Roles = sortedNames(x.Roles)
	a := r.operating.Load().access()
	change := accessChange{index: index, actor: c.Actor, next: *a}
	list, res := setItem(change.stamp(r), "group", a.Groups, maxUserGroups, c.Expect, c.Remove, &x, x.problem)
	if res.Code != CodeOK {
		return res
	}
	if change.next.Groups = list; c.Remove {
		if who := a.groupInUse(x.Name); who != "" {
			return Result{Code: CodeConflict, Message: fmt.Sprintf("group %s is in use by %s: change that first", x.Name, who)}
		}
		change.text = "Group of users " + x.Name + " removed"
	} else {
		change.text = fmt.Sprintf("Group of users %s set: roles %s", x.Name, listed(x.Roles))
	}
	return r.setAccess(&change)
}

func (r *replica) userSet(index uint64, c *UserSet) Result {
	x := c.User
	x.Roles, x.Groups = sortedNames(x.Roles), sortedNames(x.Groups)
	a := r.operating.Load().access()
	change := accessChange{index: index, actor: c.Actor, next: *a}
	list, res := setItem(change.stamp(r), "user", a.Users, maxUsers, c.Expect, c.Remove, &x, x.problem)
	if res.Code != CodeOK {
		return res
	}
	switch change.next.Users = list; {
	case c.Remove:
		change.dropUser = x.Name
		change.text = fmt.Sprintf("User %s removed, with %d tokens", x.Name, r.tokensOf(x.Name))
		if r.tokensOf(x.Name) == 1 {
			change.text = fmt.Sprintf("User %s removed, with its token", x.Name)
		}
	case x.Disabled:
		change.text = fmt.Sprintf("User %s set: disabled", x.Name)
	default:
		change.text = fmt.Sprintf("User %s set: roles %s; groups %s", x.Name, listed(x.Roles), listed(x.Groups))
	}
	return r.setAccess(&change)
}

func (r *replica) issuerSet(index uint64, c *IssuerSet) Result {
	x := c.Issuer
	x.Groups = slices.Clone(x.Groups)
	slices.SortFunc(x.Groups, compareClaims)
	if len(x.Groups) == 0 {
		x.Groups = nil
	}
	a := r.operating.Load().access()
	change := accessChange{index: index, actor: c.Actor, next: *a}
	x.Changed = change.stamp(r)
	version := uint64(0)
	if a.Issuer != nil {
		version = a.Issuer.Version
	}
	switch {
	case len(c.Actor) > maxNameBytes:
		return Result{Code: CodeInvalid, Message: "the actor's name is too long"}
	case c.Remove && a.Issuer == nil:
		return Result{Code: CodeAbsent, Message: "there is no issuer"}
	case version != c.Expect:
		return Result{Code: CodeConflict, Message: "the issuer has been changed meanwhile: look at it again"}
	case c.Remove:
		change.next.Issuer, change.text = nil, "Issuer of access "+clip(a.Issuer.URL, maxPathBytes)+" removed"
		return r.setAccess(&change)
	}
	if problem := x.problem(); problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	change.next.Issuer, change.text = &x, fmt.Sprintf("Issuer of access set: %s, for %s", clip(x.URL, maxPathBytes), x.Audience)
	return r.setAccess(&change)
}

// stamp says by whom and when the change is made.
func (c *accessChange) stamp(r *replica) Changed {
	return Changed{Version: c.index, Time: millis(r.now.Load()), Actor: c.actor}
}

// setItem gives the list after one item was set or removed; x gets its stamp.
func setItem[T accessItem](stamp Changed, what string, list []T, most int, expect uint64, remove bool, x *T, problem func() string) ([]T, Result) {
	*changedOf(x) = stamp
	name := nameOf(x)
	if problem := problem(); problem != "" {
		return nil, Result{Code: CodeInvalid, Message: problem}
	}
	i, found := findItem(list, name)
	version := uint64(0)
	if found {
		version = changedOf(&list[i]).Version
	}
	switch {
	case remove && !found:
		return nil, Result{Code: CodeAbsent, Message: fmt.Sprintf("there is no %s %s", what, name)}
	case version != expect && expect == 0:
		return nil, Result{Code: CodeConflict, Message: fmt.Sprintf("there is a %s %s already", what, name)}
	case version != expect && !found:
		return nil, Result{Code: CodeConflict, Message: fmt.Sprintf("there is no %s %s any more", what, name)}
	case version != expect:
		return nil, Result{Code: CodeConflict, Message: fmt.Sprintf("%s %s has been changed meanwhile, by %s: look at it again", what, name, changedOf(&list[i]).Actor)}
	case !found && len(list) >= most:
		return nil, Result{Code: CodeInvalid, Message: fmt.Sprintf("there are %d of them, the most that a group keeps: remove a %s", most, what)}
	case remove:
		if len(list) == 1 {
			return nil, Result{} // as it comes out of a snapshot
		}
		return slices.Delete(slices.Clone(list), i, i+1), Result{}
	}
	list = slices.Clone(list)
	if found {
		list[i] = *x
		return list, Result{}
	}
	return slices.Insert(list, i, *x), Result{}
}

// setAccess puts a change in force, unless it names what is not there, or takes the last admin access away.
func (r *replica) setAccess(c *accessChange) Result {
	if problem := c.next.dangling(); problem != "" {
		return Result{Code: CodeInvalid, Message: problem}
	}
	if n := c.next.size(); n > maxAccessSize {
		return Result{Code: CodeInvalid, Message: fmt.Sprintf("users, groups and roles have %d bytes together, at most %d are kept", n, maxAccessSize)}
	}
	now, ts := *r.tokens.Load(), *r.tokens.Load()
	if c.dropUser != "" {
		ts = without(now, func(t *Token) bool { return t.User == c.dropUser })
	}
	if res, refused := r.lockedOut(&c.next, ts); refused {
		return res
	}
	for i := range now {
		if c.dropUser != "" && now[i].User == c.dropUser {
			r.items.sub(itemSum(itemToken, appendToken(nil, &now[i])))
		}
	}
	if c.dropUser != "" {
		r.tokens.Store(&ts)
	}
	next := &c.next
	if next.empty() {
		next = nil
	}
	r.operate(c.index, func(o *Operating) { o.Access = next })
	r.emit(c.index, Event{Kind: EventAccess, Actor: c.actor, Text: c.text + by(c.actor)})
	return Result{}
}

// lockedOut refuses what takes the last admin access away: a group that nobody may manage any more cannot be mended from outside of its machines.
func (r *replica) lockedOut(next *Access, ts tokens) (Result, bool) {
	now := r.now.Load()
	if !adminAccess(r.operating.Load().access(), *r.tokens.Load(), now) || adminAccess(next, ts, now) {
		return Result{}, false
	}
	return Result{Code: CodeConflict, Message: "that would take the last admin access away: no token would be left that may manage access; give another user the role admin and a token, or make a token with that role, first"}, true
}

// adminAccess tells whether a token that counts may manage access. People for whom an issuer vouches do not count: it may be down, or change its mind.
func adminAccess(a *Access, ts tokens, now int64) bool {
	for i := range ts {
		t := &ts[i]
		if !t.Expires.IsZero() && now >= t.Expires.UnixMilli() {
			continue
		}
		roles := []string{t.Role}
		if t.User != "" {
			u := a.User(t.User)
			if u == nil {
				continue
			}
			roles = a.RolesOf(u)
		}
		for _, role := range roles {
			own := a.Role(role)
			if role == RoleAdmin || own != nil && slices.Contains(own.Allow, PermissionAccess) {
				return true
			}
		}
	}
	return false
}

// AdminAccess tells whether there is a token that has not expired and may manage access.
func (s *State) AdminAccess() bool {
	r := s.cur.Load()
	return adminAccess(r.operating.Load().access(), *r.tokens.Load(), r.now.Load())
}

// tokensOf counts the tokens of a user.
func (r *replica) tokensOf(user string) (n int) {
	for _, t := range *r.tokens.Load() {
		if t.User == user {
			n++
		}
	}
	return n
}

// roleInUse says who has a role: the first few.
func (r *replica) roleInUse(role string) string {
	var who []string
	a := r.operating.Load().access()
	for i := range a.Groups {
		if slices.Contains(a.Groups[i].Roles, role) {
			who = append(who, "group "+a.Groups[i].Name)
		}
	}
	for i := range a.Users {
		if slices.Contains(a.Users[i].Roles, role) {
			who = append(who, "user "+a.Users[i].Name)
		}
	}
	for _, t := range *r.tokens.Load() {
		if t.Role == role {
			who = append(who, "token "+clip(t.ID, maxAccessName))
		}
	}
	if len(who) == 0 {
		return ""
	}
	return listed(who)
}

// groupInUse says who is in a group of users: the first few.
func (a *Access) groupInUse(group string) string {
	var who []string
	if a.Issuer != nil && slices.ContainsFunc(a.Issuer.Groups, func(g ClaimedGroup) bool { return g.Group == group }) {
		who = append(who, "the issuer")
	}
	for _, name := range a.Members(group) {
		who = append(who, "user "+name)
	}
	if len(who) == 0 {
		return ""
	}
	return listed(who)
}

// listed gives the first few of a list for people.
func listed(list []string) string {
	const few = 8
	if len(list) == 0 {
		return "none"
	}
	text := list[0]
	for _, s := range list[1:min(len(list), few)] {
		text += ", " + s
	}
	if n := len(list); n > few {
		text += fmt.Sprintf(" and %d more", n-few)
	}
	return text
}
