package fsm

import "fmt"

// What Access has is one kind of item, whose form begins with what it is. Numbers are append-only.
const (
	accessRole   = 1
	accessGroup  = 2
	accessUser   = 3
	accessIssuer = 4
)

func appendNames(b []byte, list []string) []byte {
	b = appendU32(b, uint32(len(list)))
	for _, name := range list {
		b = appendBytes(b, name)
	}
	return b
}

// names reads a list of at most so many; nil for none.
func (p *parser) names(most int) (list []string) {
	n := p.u32()
	if uint64(n) > uint64(most) {
		p.bad = true
	}
	for ; n > 0 && !p.bad; n-- {
		list = append(list, p.string())
	}
	return list
}

func appendChanged(b []byte, c *Changed) []byte {
	return appendBytes(appendTime(appendU64(b, c.Version), c.Time), c.Actor)
}

func (p *parser) changed() Changed {
	return Changed{Version: p.u64(), Time: p.time(), Actor: p.string()}
}

func appendFlag(b []byte, on bool) []byte {
	if on {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendRole(b []byte, x *Role) []byte {
	b = appendBytes(append(b, accessRole), x.Name)
	b = appendBytes(appendNames(b, x.Allow), x.Note)
	return appendChanged(b, &x.Changed)
}

func appendUserGroup(b []byte, x *UserGroup) []byte {
	b = appendBytes(append(b, accessGroup), x.Name)
	b = appendBytes(appendNames(b, x.Roles), x.Note)
	return appendChanged(b, &x.Changed)
}

func appendUser(b []byte, x *User) []byte {
	b = appendBytes(append(b, accessUser), x.Name)
	b = appendNames(appendNames(b, x.Groups), x.Roles)
	b = appendBytes(appendFlag(b, x.Disabled), x.Note)
	return appendChanged(b, &x.Changed)
}

func appendIssuer(b []byte, x *Issuer) []byte {
	b = appendBytes(append(b, accessIssuer), x.URL)
	b = appendBytes(b, x.Audience)
	b = appendBytes(b, x.UserClaim)
	b = appendBytes(b, x.GroupsClaim)
	b = appendU32(b, uint32(len(x.Groups)))
	for _, g := range x.Groups {
		b = appendBytes(appendBytes(b, g.Claim), g.Group)
	}
	b = appendBytes(b, x.Authorities)
	return appendChanged(b, &x.Changed)
}

// accessForm is one item of Access for digests and snapshots.
type accessForm struct {
	label string
	form  []byte
}

// forms are all items, in the order of a snapshot.
func (a *Access) forms() []accessForm {
	if a == nil {
		return nil
	}
	list := make([]accessForm, 0, len(a.Roles)+len(a.Groups)+len(a.Users)+1)
	for i := range a.Roles {
		list = append(list, accessForm{"role " + a.Roles[i].Name, appendRole(nil, &a.Roles[i])})
	}
	for i := range a.Groups {
		list = append(list, accessForm{"group of users " + a.Groups[i].Name, appendUserGroup(nil, &a.Groups[i])})
	}
	for i := range a.Users {
		list = append(list, accessForm{"user " + a.Users[i].Name, appendUser(nil, &a.Users[i])})
	}
	if a.Issuer != nil {
		list = append(list, accessForm{"the issuer", appendIssuer(nil, a.Issuer)})
	}
	return list
}

// size is that of all forms together, in bytes.
func (a *Access) size() (n int) {
	for _, f := range a.forms() {
		n += len(f.form)
	}
	return n
}

func (a *Access) sum() (s sum) {
	for _, f := range a.forms() {
		s.add(itemSum(itemAccess, f.form))
	}
	return s
}

// writeAccess writes it into a snapshot.
func (s *Snapshot) writeAccess(l *listWriter) {
	for _, f := range s.operating.Access.forms() {
		l.add(itemAccess, f.form)
	}
	l.flush()
}

// listAccess is the part of the state for comparisons.
func (s *Snapshot) listAccess() itemList {
	forms := s.operating.Access.forms()
	return itemList{len(forms), func(b []byte, i int) []byte { return append(b, forms[i].form...) }, func(i int) string { return forms[i].label }}
}

// accessItem adds one item, and tells whether it is a possible one in that place.
func (r *restorer) accessItem(b []byte) bool {
	if r.op.Access == nil {
		r.op.Access = &Access{}
	}
	a := r.op.Access
	p := parser{b: b}
	var problem string
	var stamp Changed
	switch p.u8() {
	case accessRole:
		x := Role{Name: p.string(), Allow: p.names(maxPermissions), Note: p.string(), Changed: p.changed()}
		problem, stamp = x.problem(), x.Changed
		a.Roles = append(a.Roles, x)
		p.bad = p.bad || len(a.Groups)+len(a.Users) > 0 || !ascending(a.Roles, maxRoles) || !sortedOnce(x.Allow)
	case accessGroup:
		x := UserGroup{Name: p.string(), Roles: p.names(maxMemberships), Note: p.string(), Changed: p.changed()}
		problem, stamp = x.problem(), x.Changed
		a.Groups = append(a.Groups, x)
		p.bad = p.bad || len(a.Users) > 0 || !ascending(a.Groups, maxUserGroups) || !sortedOnce(x.Roles)
	case accessUser:
		x := User{Name: p.string(), Groups: p.names(maxMemberships), Roles: p.names(maxMemberships)}
		flag := p.u8()
		x.Disabled, x.Note, x.Changed = flag == 1, p.string(), p.changed()
		problem, stamp = x.problem(), x.Changed
		a.Users = append(a.Users, x)
		p.bad = p.bad || flag > 1 || !ascending(a.Users, maxUsers) || !sortedOnce(x.Groups) || !sortedOnce(x.Roles)
	case accessIssuer:
		x := &Issuer{URL: p.string(), Audience: p.string(), UserClaim: p.string(), GroupsClaim: p.string()}
		for n := p.u32(); n > 0 && !p.bad && len(x.Groups) <= maxClaims; n-- {
			x.Groups = append(x.Groups, ClaimedGroup{Claim: p.string(), Group: p.string()})
		}
		x.Authorities, x.Changed = p.string(), p.changed()
		problem, stamp = x.problem(), x.Changed
		p.bad = p.bad || a.Issuer != nil
		a.Issuer = x
		return p.done() && problem == "" && r.pastChange(&stamp)
	default:
		return false
	}
	return p.done() && problem == "" && a.Issuer == nil && r.pastChange(&stamp)
}

// pastChange tells whether the state can have made a change by the index of the snapshot; the last change of the operating state is known later.
func (r *restorer) pastChange(c *Changed) bool {
	return c.Version != 0 && c.Version <= r.index && r.past(c.Time)
}

// latest is the version of the newest item.
func (a *Access) latest() (version uint64) {
	for i := range a.Roles {
		version = max(version, a.Roles[i].Version)
	}
	for i := range a.Groups {
		version = max(version, a.Groups[i].Version)
	}
	for i := range a.Users {
		version = max(version, a.Users[i].Version)
	}
	if a.Issuer != nil {
		version = max(version, a.Issuer.Version)
	}
	return version
}

// ascending tells whether the last item of a list comes after the one before it, and fits.
func ascending[T accessItem](list []T, most int) bool {
	n := len(list)
	return n <= most && (n == 1 || nameOf(&list[n-2]) < nameOf(&list[n-1]))
}

func sortedOnce(list []string) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1] >= list[i] {
			return false
		}
	}
	return true
}

// accessProblem checks what only the whole can show.
func (r *restorer) accessProblem() string {
	a := r.op.access()
	if a.dangling() != "" || a.size() > maxAccessSize || a.latest() > r.op.Index {
		return "access"
	}
	for _, t := range *r.r.tokens.Load() {
		if t.User != "" && a.User(t.User) == nil {
			return fmt.Sprintf("token %s of a user", clip(t.ID, maxAccessName))
		}
	}
	return ""
}
